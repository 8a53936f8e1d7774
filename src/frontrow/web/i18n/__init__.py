"""Languages: catalogs, texts with their values, and the choice of a language."""
