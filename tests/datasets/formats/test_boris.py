"""BORIS: exports of both ages, aggregated events, projects; points, singles, offsets and several files."""

from __future__ import annotations

import json

import pytest

from kinema.datasets import open_data
from kinema.datasets.located import open_located
from kinema.errors import DataError

NEW = [
    "Observation id", "Source", "Time offset (s)", "Subject", "Behavior", "Modifier #1", "Behavior type", "Time",
    "Media file name",
]  # fmt: skip


def table(*events, offset="0.0", name="C:\\films\\a.mp4"):
    rows = [
        ["obs", f"player #1:{name}", offset, subject, what, mod, kind, str(time), name]
        for subject, what, mod, kind, time in events
    ]
    return "\n".join("\t".join(row) for row in [NEW, *rows]) + "\n"


EVENTS = [
    ("x", "eat", "", "START", 1),
    ("y", "eat", "", "START", 2),
    ("x", "eat", "", "STOP", 3),
    ("y", "eat", "", "STOP", 4.5),
]


@pytest.fixture
def write(touch):
    def make(text, name="events.tsv"):
        path = touch("a.mp4", "b.mp4") / name
        path.write_text(text)
        return path

    return make


def spans(path, **options):
    return [[(s.span.start_s, s.span.end_s, s.label) for s in v.segments] for v in open_located(path, **options).videos]


def test_starts_and_stops_of_each_subject_are_actions(write):
    assert spans(write(table(*EVENTS))) == [[(1, 3, "eat"), (2, 4.5, "eat")]]
    assert spans(write(table(*EVENTS, offset="0.5"))) == [[(0.5, 2.5, "eat"), (1.5, 4, "eat")]]
    assert spans(write(table(*EVENTS).replace("\t", ","), "events.csv")) == [[(1, 3, "eat"), (2, 4.5, "eat")]]


def test_exports_of_older_versions_have_notes_before_the_table(write):
    notes = "Observation id\tobs\n\nMedia file(s)\n\nPlayer #1\ta.mp4\n\nTime offset (s)\t1.0\n\n"
    head = "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    rows = "2.5\ta.mp4\t9\t25\tx\tsit\t\t\tSTART\n4\ta.mp4\t9\t25\tx\tsit\t\t\tSTOP\n"
    assert spans(write(notes + head + rows)) == [[(1.5, 3, "sit")]]


def test_aggregated_events_have_both_times(write):
    head = "Observation id\tMedia file\tSubject\tBehavior\tBehavior type\tStart (s)\tStop (s)\n"
    path = write(head + "o\ta.mp4\t\tsit\tSTATE\t1\t2\no\ta.mp4\t\tcall\tPOINT\t1\t1\n")
    with pytest.raises(
        DataError, match=r"a point event has no length: 'call': .*events\.tsv, line 3: code it as a state"
    ):
        open_data(path)
    faults = []
    assert len(open_data(path, faults=faults)) == len(faults) == 1


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (EVENTS[:3], r"a start without a stop: 'eat': .*line 3"),
        (EVENTS[1:], r"a stop without a start: 'eat': .*line 3"),
        ([EVENTS[0], EVENTS[0]], r"a start without a stop: 'eat': .*line 3"),
        ([("x", "eat", "", "BEGIN", 1)], r"neither START, STOP nor POINT but 'BEGIN'.*line 2"),
        ([("x", "eat", "m", "START", 1), ("x", "eat", "", "STOP", 2)], r"a stop without a start"),
        ([("x", "eat", "", "START", "1:02"), EVENTS[2]], r"not a time in seconds: '1:02': .*line 2"),
        ([("x", "eat", "", "START", 3), EVENTS[2]], r"no span: start 3\.0, end 3\.0: .*line 2"),
    ],
)
def test_wrong_events_are_named(write, events, message):
    with pytest.raises(DataError, match=message):
        open_data(write(table(*events, ("z", "START", "", "START", 8), ("z", "START", "", "STOP", 9))))


def test_a_missing_video_and_several_files_are_named(write):
    with pytest.raises(DataError, match=r"the annotated video does not exist: .*line 2: z\.mp4"):
        open_data(write(table(*EVENTS, name="z.mp4")))
    two = table(*EVENTS[:1]) + table(*EVENTS[2:3], name="b.mp4").partition("\n")[2]
    with pytest.raises(DataError, match="an observation of several files"):
        open_data(write(two))


def project(*events, files=("a.mp4",), **more):
    ethogram = {"0": {"code": "eat", "type": "State event"}, "1": {"code": "call", "type": "Point event"}}
    observation = {
        "type": "MEDIA",
        "file": {"1": list(files), "2": []},
        "events": list(events),
        "time offset": 0.0,
        **more,
    }
    empty = {**observation, "file": {"1": ["b.mp4"]}, "events": [], "media_info": {}}
    return json.dumps({"behaviors_conf": ethogram, "observations": {"one": observation, "two": empty}})


def test_a_project_has_videos_without_events_too(write):
    path = write(
        project([3.0, "", "eat", "", ""], [1.0, "", "eat", "", ""], [4, "x", "eat", "", ""], [5, "x", "eat", "", ""]),
        "p.boris",
    )
    assert spans(path) == spans(path.parent) == [[(1, 3, "eat"), (4, 5, "eat")], []]


def test_the_times_of_a_second_file_count_from_its_beginning(write):
    info = {"length": {"a.mp4": 10.0, "b.mp4": 20.0}}
    rows = [[t, "", "eat", "", ""] for t in (1, 2, 12, 13.5)]
    path = write(project(*rows, files=("a.mp4", "b.mp4"), media_info=info), "p.boris")
    assert spans(path) == [[(1, 2, "eat")], [(2, 3.5, "eat")]]
    rows[1][0] = 11
    with pytest.raises(DataError, match=r"begins and ends in different files: .*p\.boris: one, event 1"):
        open_data(write(project(*rows, files=("a.mp4", "b.mp4"), media_info=info), "p.boris"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (project([1, "", "eat", "", ""]), "a start without a stop: 'eat': .*one, event 1"),
        (project([1, "", "call", "", ""]), "a point event has no length: 'call': .*one, event 1"),
        (project([1, "", "fly", "", ""]), "not in the ethogram: 'fly': .*one, event 1"),
        (project([1, ""]), "not an observation of BORIS: .*: one"),
        (project(type="LIVE"), "an observation without a video: .*: one"),
        (project()[:-9], r"broken JSON: .*p\.boris, line 1"),
        ("[]", "not a BORIS project"),
    ],
)
def test_wrong_projects_are_named(write, text, message):
    with pytest.raises(DataError, match=message):
        open_data(write(text, "p.boris"))


def test_other_tables_are_not_taken_for_exports(write):
    assert len(open_data(write("path,label\na.mp4,START\nb.mp4,STOP\n", "list.csv"))) == 2
