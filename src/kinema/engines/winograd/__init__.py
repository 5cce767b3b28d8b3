"""Convolutions in float32 by Winograd's algorithm, for `--engine winograd` alone: nothing else imports this package."""
