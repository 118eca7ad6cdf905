"""What comes in: people, pictures, names, templates."""
