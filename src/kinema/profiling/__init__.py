"""Measurements of speed and memory, for `kinema bench`."""
