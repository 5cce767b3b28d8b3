"""Class names and their indices; classes of mirrored and reversed videos."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema.errors import ConfigError, DataError, UnknownClass
from kinema.files import write_text

IGNORED = -100
"""The target of frames without a label, which training and evaluation ignore; it is the `ignore_index` of torch's losses."""


def composed(name: str) -> str:
    """A name in Unicode's form C, in which "u" with a combining diaeresis is the one letter "ü"."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """An ordered set of class names; the position of a name is its class index.

    Names are stored in Unicode's form C, because macOS writes file names in another form.

    >>> labels = Labels(("fight", "no_fight"))
    >>> labels.index("no_fight"), labels[0], len(labels)
    (1, 'fight', 2)
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(composed(name) for name in self.names))
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DataError("a class name is listed twice", ", ".join(twice), "give every class its own name")
        object.__setattr__(self, "_index", {name: index for index, name in enumerate(self.names)})

    @classmethod
    def of(cls, names: Iterable[str]) -> Labels:
        """The distinct names, sorted."""
        return cls(tuple(sorted(set(names))))

    @classmethod
    def read(cls, path: str | Path) -> Labels:
        """Read a file with one name per line; empty lines are skipped.

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
        """Write a file with one name per line."""
        write_text(path, "\n".join(self.names) + "\n")

    def index(self, name: str, start: int = 0, stop: int | None = None) -> int:
        """The index of a class name.

        Raises:
            UnknownClass: no such class; suggests similar names.
        """
        try:
            return self._index[composed(name)]  # type: ignore[attr-defined]
        except KeyError:
            raise UnknownClass("class", name, self.names) from None

    def mirrored(self, pairs: Iterable[str]) -> tuple[int, ...]:
        """The class of a mirrored video of each class, as indices [classes].

        Args:
            pairs: "swipe left=swipe right" for two classes that are mirror images of each other; other classes are their own.

        Raises:
            UnknownClass: no such class.
            ConfigError: not two names, a class paired with itself, or a class in two pairs.

        >>> Labels(("left", "right", "up")).mirrored(["left=right"])
        (1, 0, 2)
        """
        partner = self._partners(pairs, allow_self=False)
        return tuple(partner.get(index, index) for index in range(len(self)))

    def reversed(self, pairs: Iterable[str]) -> tuple[int, ...]:
        """The class of a video of each class that is played backwards, as indices [classes]; -1 if there is none.

        Args:
            pairs: "open=close" for two classes that are each other's reverse, "shake=shake" for one that is its own.

        Raises:
            UnknownClass: no such class.
            ConfigError: not two names, or a class in two pairs.

        >>> Labels(("open", "shake", "close", "wave")).reversed(["open=close", "shake=shake"])
        (2, 1, 0, -1)
        """
        partner = self._partners(pairs, allow_self=True)
        return tuple(partner.get(index, -1) for index in range(len(self)))

    def _partners(self, pairs: Iterable[str], *, allow_self: bool) -> dict[int, int]:
        """The other class of each class that is in a pair; no class is in more than one."""
        partner: dict[int, int] = {}
        for pair in pairs:
            # class names may contain "=": the first cut that gives two known names counts
            cuts = [(pair[:at].strip(), pair[at + 1 :].strip()) for at, sign in enumerate(pair) if sign == "="]
            if not cuts:
                raise ConfigError("two classes of a pair are joined by =", pair, "write LEFT=RIGHT")
            names = next((cut for cut in cuts if cut[0] in self and cut[1] in self), cuts[0])
            one, other = (self.index(name) for name in names)
            if one in partner or other in partner or (one == other and not allow_self):
                raise ConfigError("a class has one other class at most", pair, "name each class in one pair only")
            partner |= {one: other, other: one}
        return partner

    def __contains__(self, name: object) -> bool:
        return name in self._index  # type: ignore[attr-defined]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)
