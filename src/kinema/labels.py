"""Class names and their indices."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.errors import ConfigError, DataError, UnknownClass
from kinema.files import write_text

IGNORED = -100
"""The target of a time without a label: nothing is learned from it or judged there; torch's losses ignore this value too."""


def composed(name: str) -> str:
    """A name with each letter in one piece: "u" and two dots are "ü" (Unicode's form C)."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """An ordered set of class names; position is the class index.

    An umlaut is one letter however it is coded (Unicode's form C): macOS names files with a letter and two dots.

    >>> labels = Labels(("fight", "no_fight"))
    >>> labels.index("no_fight"), labels[0], len(labels)
    (1, 'fight', 2)
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(composed(name) for name in self.names))
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
            UnknownClass: no such class; says the nearest names.
        """
        try:
            return self._index[composed(name)]  # type: ignore[attr-defined]
        except KeyError:
            raise UnknownClass("class", name, self.names) from None

    def mirrored(self, pairs: Iterable[str]) -> tuple[int, ...]:
        """The class that each class turns into when a video is mirrored, as indices [classes].

        Args:
            pairs: "swipe left=swipe right" for two classes that turn into each other; every other class stays itself.

        Raises:
            UnknownClass: no such class.
            ConfigError: not two names, a class with itself, or a class twice.

        >>> Labels(("left", "right", "up")).mirrored(["left=right"])
        (1, 0, 2)
        """
        turned = self._turned(pairs, alone=False)
        return tuple(turned.get(index, index) for index in range(len(self)))

    def reversed(self, pairs: Iterable[str]) -> tuple[int, ...]:
        """The class that each class turns into when a video is played backwards, as indices [classes]; -1 if not known.

        Args:
            pairs: "open=close" for two classes that turn into each other, "shake=shake" for one that looks the same.

        Raises:
            UnknownClass: no such class.
            ConfigError: not two names, or a class twice.

        >>> Labels(("open", "shake", "close", "wave")).reversed(["open=close", "shake=shake"])
        (2, 1, 0, -1)
        """
        turned = self._turned(pairs, alone=True)
        return tuple(turned.get(index, -1) for index in range(len(self)))

    def _turned(self, pairs: Iterable[str], alone: bool) -> dict[int, int]:
        """What the classes of each pair turn into; `alone`, one may turn into itself. No class is in more than one pair."""
        turned: dict[int, int] = {}
        for pair in pairs:
            one, other = (self.index(name.strip()) for name in self._two_names(pair))
            if one in turned or other in turned or (one == other and not alone):
                raise ConfigError("a class turns into one other class", pair, "name each class in one pair at most")
            turned |= {one: other, other: one}
        return turned

    def _two_names(self, pair: str) -> tuple[str, str]:
        """The names of a pair, which may hold "=" themselves."""
        cuts = [(pair[:at], pair[at + 1 :]) for at, sign in enumerate(pair) if sign == "="]
        if not cuts:
            raise ConfigError("two classes that turn into each other are joined by =", pair, "write LEFT=RIGHT")
        return next((cut for cut in cuts if all(name.strip() in self for name in cut)), cuts[0])

    def __contains__(self, name: object) -> bool:
        return name in self._index  # type: ignore[attr-defined]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)
