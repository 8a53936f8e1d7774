"""WHAT IS ON SALE: concerts, their shows and seats."""
