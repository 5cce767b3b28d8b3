"""ELAN's files: tiers, references, linked videos, and times that are missing."""

from __future__ import annotations

import pytest

from kinema.datasets import open_data
from kinema.datasets.located import open_located
from kinema.errors import DataError, UnknownName

MEDIA = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/a%20b.mp4" RELATIVE_MEDIA_URL="./a%20b.mp4" MIME_TYPE="video/mp4"{}/>'
TIERS = """<TIER TIER_ID="acts"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t3">
<ANNOTATION_VALUE>run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION><ALIGNABLE_ANNOTATION
ANNOTATION_ID="a2" TIME_SLOT_REF1="t2" TIME_SLOT_REF2="t4"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="mood"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>happy</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>"""


def document(tiers=TIERS, media=MEDIA.format(""), units="milliseconds", last='TIME_VALUE="3250"'):
    slots = [f'<TIME_SLOT TIME_SLOT_ID="t{i}" TIME_VALUE="{i}000"/>' for i in (1, 2, 3)]
    slots.append(f'<TIME_SLOT TIME_SLOT_ID="t4" {last}/>')
    head = f'<HEADER TIME_UNITS="{units}">{media}</HEADER><TIME_ORDER>{"".join(slots)}</TIME_ORDER>'
    return f"<ANNOTATION_DOCUMENT>{head}{tiers}</ANNOTATION_DOCUMENT>"


@pytest.fixture
def write(touch):
    def make(text, name="one.eaf"):
        path = touch("a b.mp4", "c.mp4") / name
        path.write_text(text)
        return path

    return make


def spans(path, **options):
    return [[(s.span.start_s, s.span.end_s, s.label) for s in v.segments] for v in open_located(path, **options).videos]


def test_annotations_are_actions_and_without_text_have_the_name_of_their_tier(write):
    assert spans(write(document())) == [[(1, 3, "run"), (2, 3.25, "acts")]]


def test_chosen_tiers_may_refer_to_others(write):
    assert spans(write(document()), tiers=["mood"]) == [[(1, 3, "happy")]]
    with pytest.raises(UnknownName, match=r"no tier called 'moods': Did you mean mood\?"):
        open_located(write(document()), tiers=["moods"])


def test_a_folder_is_read_as_a_whole_and_a_video_may_have_no_action(write):
    write(document())
    other = document("", MEDIA.replace("a%20b", "c").format(""))
    assert spans(write(other, "two.eaf").parent) == [[(1, 3, "run"), (2, 3.25, "acts")], []]


def test_times_count_from_the_origin_in_the_video(write):
    assert spans(write(document(media=MEDIA.format(' TIME_ORIGIN="500"')))) == [
        [(1.5, 3.5, "run"), (2.5, 3.75, "acts")]
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(last=""), r"a time slot without a value: .*one\.eaf: tier acts, annotation a2"),
        (document(last='TIME_VALUE="2000"'), r"no span: start 2\.0, end 2\.0: .*tier acts, annotation a2"),
        (document(media=""), "no linked video"),
        (document(media=MEDIA.replace("a%20b", "z").format("")), r"video does not exist: .*one\.eaf: \./z\.mp4"),
        (document(units="NTSC-frames"), "times in NTSC-frames"),
        (document()[:-9], r"cannot read this ELAN file: .*one\.eaf"),
        ("<a/>", "not an ELAN file"),
        (document(""), "no example has a label"),
    ],
)
def test_what_cannot_be_read_is_named(write, text, message):
    with pytest.raises(DataError, match=message):
        open_data(write(text))
