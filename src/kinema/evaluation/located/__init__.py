"""Evaluation of actions that are located in time or in space, as the official programs do it. NumPy only."""
