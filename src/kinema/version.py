"""The version of kinema."""

__version__ = "0.1.0"
