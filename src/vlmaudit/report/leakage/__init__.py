"""The report of a name-leakage finding."""
