"""Languages: catalogs of texts, formats of dates and money."""
