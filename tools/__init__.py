"""What writes the documents that follow from the code: ``make docs``."""
