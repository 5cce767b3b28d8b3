"""Winograd convolutions in float32 on a CPU; imported only if `--engine winograd` is requested."""
