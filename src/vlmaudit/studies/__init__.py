"""Whole studies: several audits and builders in a row."""
