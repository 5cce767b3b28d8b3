"""The engines that compute networks, one module each. A module defines `ENGINE`, see `kinema.engines.engine`."""
