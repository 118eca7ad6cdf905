"""Find out what a vision-language model remembers about people."""

__version__ = "0.1.0"
