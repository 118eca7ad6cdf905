"""Pictures changed on purpose: what shows a person is found, taken away, and checked."""
