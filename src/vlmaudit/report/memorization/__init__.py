"""The report of a memorization finding."""
