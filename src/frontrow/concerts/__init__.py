"""What is on sale: concerts, their shows and seats."""
