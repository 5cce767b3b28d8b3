"""Prediction of live sources: clip by clip, or frame by frame for networks that keep a state."""
