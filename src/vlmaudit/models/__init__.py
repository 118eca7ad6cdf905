"""What a model can be asked, and one adapter a family."""
