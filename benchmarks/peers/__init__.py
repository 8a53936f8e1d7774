"""Frontrow beside the textbook system, in one run: ``make peers``."""
