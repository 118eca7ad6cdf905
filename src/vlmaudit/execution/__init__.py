"""Cuts work into blocks and runs them."""
