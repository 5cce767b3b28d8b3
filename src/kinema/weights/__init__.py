"""Trained networks on disk and on the internet: checkpoints, published weights, downloads."""
