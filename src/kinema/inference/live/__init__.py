"""Predict live sources: cameras, pipes and network streams."""
