"""Pure functions on arrays; the unit of inference is the person."""
