"""Trained networks: checkpoints on disk, published weights, downloads."""
