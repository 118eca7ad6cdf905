"""Each audit has a costly half, observe, and a pure one, conclude."""
