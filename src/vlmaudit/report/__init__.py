"""Views of findings; no arithmetic here."""
