"""What comes of a file that cannot be predicted. No torch here, so that commands can tell it apart cheaply."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import KinemaError


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be predicted, and why."""

    path: str
    error: KinemaError

    def to_json(self) -> dict[str, str]:
        """As a dictionary of `path` and `error`."""
        return {"path": self.path, "error": str(self.error)}
