"""Measure speed and memory, for `kinema bench`."""
