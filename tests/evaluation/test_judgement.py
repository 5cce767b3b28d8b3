from __future__ import annotations

from dataclasses import dataclass

import pytest

from kinema.evaluation.judgement import Failed, Judgement, Mistake
from kinema.labels import Labels


@dataclass(frozen=True, kw_only=True, eq=False)
class Guess(Judgement):
    """The judgement of a task of a test's own."""

    views = "one look"
    loss = 0.5

    def mistakes(self, count: int = 20) -> list[Mistake]:
        return []

    def to_json(self) -> dict[str, object]:
        return dict(self.figures)

    def videos_csv(self) -> str:
        return ""


def guess(**changes: object) -> Guess:
    values: dict = {"labels": Labels(("a",)), "figures": {"error": 0.25}, "intervals": {}, "classes": ()}
    return Guess(**values | {"confusion": None, "videos": ("one.mp4", "two.mp4"), "protocol": "1x1"} | changes)


def test_a_judgement_counts_its_videos_and_those_that_failed() -> None:
    found = guess(failures=(Failed("three.mp4", "no frame"),))
    assert (found.num_videos, found.num_failed) == (2, 1)
    assert found["error"] == 0.25
    assert guess().num_failed == 0


def test_a_judgement_without_its_text_forms_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Judgement(
            labels=Labels(("a",)), figures={}, intervals={}, classes=(), confusion=None, videos=(), protocol="1x1"
        )
