"""Localisation in time: smoothed scores, and segments with start and end. NumPy only."""
