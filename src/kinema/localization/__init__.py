"""From scores over time to actions with a start and an end. NumPy only."""
