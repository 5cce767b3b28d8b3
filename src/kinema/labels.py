"""Class names and their indices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.errors import DataError, UnknownName
from kinema.files import write_text


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """An ordered set of class names; position is the class index.

    >>> labels = Labels(("fight", "no_fight"))
    >>> labels.index("no_fight"), labels[0], len(labels)
    (1, 'fight', 2)
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            double = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError("a class name stands twice", ", ".join(double), "give every class a name of its own")
        object.__setattr__(self, "_index", {name: index for index, name in enumerate(self.names)})

    @classmethod
    def of(cls, names: Iterable[str]) -> Labels:
        """The distinct names, sorted."""
        return cls(tuple(sorted(set(names))))

    @classmethod
    def read(cls, path: str | Path) -> Labels:
        """Read one name a line; empty lines are left out.

        Raises:
            DataError: no such file, or no name in it.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise DataError("cannot read class names", path, "give a text file with one class name a line") from error
        names = tuple(line.strip() for line in lines if line.strip())
        if not names:
            raise DataError("no class names", path, "give a text file with one class name a line")
        return cls(names)

    def write(self, path: str | Path) -> None:
        """Write one name a line."""
        write_text(path, "\n".join(self.names) + "\n")

    def index(self, name: str, start: int = 0, stop: int | None = None) -> int:
        """The index of a class name.

        Raises:
            UnknownName: no such class; says the nearest names.
        """
        try:
            return self._index[name]  # type: ignore[attr-defined]
        except KeyError:
            raise UnknownName("class", name, self.names) from None

    def __contains__(self, name: object) -> bool:
        return name in self._index  # type: ignore[attr-defined]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)
