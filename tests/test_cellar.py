"""types, labels, formats, files, errors."""

import mmap
import os
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest

from kinema import formats
from kinema.errors import ConfigError, DataError, MissingExtra, OutputError, UnknownName, UsageError
from kinema.files import whole_file, write_text
from kinema.labels import Labels
from kinema.machine import peak_memory_mib
from kinema.predictions import Prediction, Segment, Timeline
from kinema.types import Example, InputSpec, TimeSpan


def test_predictions_print_in_one_line():
    found = prediction()
    assert (
        repr(found)
        == f"Prediction('a.mp4': {found.label} {found.scores.max():.1%}, 2.0 s, {len(found.segments)} segments)"
    )
    assert repr(found.timeline) == "Timeline(2 times x 2 classes, rolling=1)"


def prediction(**changes) -> Prediction:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    timeline = Timeline(scores, np.array([0.5, 1.5]), np.array([[0.0, 1.0], [1.0, 2.0]]), ("run", "jump"), scores)
    segments = (Segment(TimeSpan(0, 1), "run", 0.9), Segment(TimeSpan(1, 2), "jump", 0.8))
    values = {"timeline": timeline, "segments": segments} | changes
    return Prediction("a.mp4", ("run", "jump"), scores.mean(axis=0), TimeSpan(0, 2), **values)


def test_spans_overlap_by_hand():
    assert TimeSpan(0, 2).iou(TimeSpan(1, 3)) == pytest.approx(1 / 3)
    assert TimeSpan(0, 1).iou(TimeSpan(1, 2)) == 0
    with pytest.raises(ValueError, match="start < end"):
        TimeSpan(2, 2)


def test_an_input_spans_its_frames_and_survives_json():
    spec = InputSpec(clip_len=4, frame_stride=2, size=(96, 128), fps=25.0)
    assert (spec.span, spec.shape) == (7, (3, 4, 96, 128))
    assert InputSpec.from_json(spec.to_json()) == spec
    with pytest.raises(ValueError, match="clip_len"):
        InputSpec(clip_len=0)


def test_best_labels_come_first_and_json_has_the_promised_keys():
    made = prediction()
    assert made.top(1)[0][0] == "run"
    assert list(made.to_json()) == ["path", "duration_s", "top", "timeline", "segments"]
    assert made.to_json()["segments"][1] == {"start_s": 1, "end_s": 2, "label": "jump", "score": 0.8}


def test_flicker_counts_label_changes_a_minute():
    timeline = prediction().timeline
    assert timeline.changes_per_minute() == pytest.approx(30)
    assert timeline.top_labels == ["run", "jump"]


@pytest.mark.parametrize(
    ("ending", "start"), [("json", "{"), ("csv", "path,"), ("srt", "1\n00:00:00,000"), ("vtt", "WEBVTT")]
)
def test_the_ending_chooses_the_format(tmp_path, ending, start):
    prediction().save(tmp_path / f"out.{ending}")
    assert (tmp_path / f"out.{ending}").read_text().startswith(start)


def test_the_plot_is_a_picture(tmp_path):
    prediction().save(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="ending"):
        prediction().save(tmp_path / "out.doc")


def test_clocks_and_escapes():
    assert formats.clock(3661.5, ",") == "01:01:01,500"
    assert "a &lt; b &amp; c" in formats.webvtt([(0, 1, "a < b & c")])
    assert formats.table_csv(["a"], [['say "x", y']]) == 'a\n"say ""x"", y"\n'


def test_labels_know_their_indices_and_the_nearest_name(tmp_path):
    labels = Labels.of(["walk", "run", "run"])
    assert (list(labels), labels.index("walk"), "run" in labels) == (["run", "walk"], 1, True)
    labels.write(tmp_path / "labels.txt")
    assert Labels.read(tmp_path / "labels.txt") == labels
    with pytest.raises(UnknownName, match="Did you mean walk"):
        labels.index("wlak")
    with pytest.raises(DataError, match="twice"):
        Labels(("a", "a"))
    with pytest.raises(DataError, match="class names"):
        Labels.read(tmp_path / "missing.txt")


def test_classes_that_a_mirror_turns_into_each_other():
    labels = Labels(("left", "right", "up", "a=b"))
    assert labels.mirrored([]) == (0, 1, 2, 3)
    assert labels.mirrored(["left = right"]) == (1, 0, 2, 3)
    assert labels.mirrored(["a=b=up"]) == (0, 1, 3, 2)
    for wrong in (["left"], ["left=left"], ["left=right", "right=up"]):
        with pytest.raises(ConfigError):
            labels.mirrored(wrong)
    with pytest.raises(UnknownName, match="Did you mean left"):
        labels.mirrored(["leftt=right"])


def test_classes_that_turn_into_each_other_backwards():
    labels = Labels(("open", "shake", "close", "wave"))
    assert labels.reversed([]) == (-1, -1, -1, -1)
    assert labels.reversed(["open = close", "shake=shake"]) == (2, 1, 0, -1)
    for wrong in (["open"], ["open=close", "close=wave"], ["open=open", "open=close"]):
        with pytest.raises(ConfigError):
            labels.reversed(wrong)
    with pytest.raises(UnknownName, match="Did you mean open"):
        labels.reversed(["opne=close"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.txt"
    write_text(target, "old")
    with pytest.raises(OutputError, match="free some space"), whole_file(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]
    assert target.read_text() == "old"


def test_a_file_may_have_the_longest_name_there_is(tmp_path):
    target = tmp_path / ("n" * 250 + ".json")
    write_text(target, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_the_most_memory_held_grows_with_what_is_held():
    before = peak_memory_mib()
    if before is None:
        pytest.skip("this system does not tell")
    block = b"x" * (200 << 20)
    assert peak_memory_mib() >= before
    assert peak_memory_mib() > len(block) / 2**20


FRESH_PAGES = """
import resource
from kinema.machine import keep_freed_memory

def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        block = b"x" * (64 << 20)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh_pages()
print(keep_freed_memory(), fresh_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
@pytest.mark.parametrize("setting", ["", "MALLOC_PERTURB_", "GLIBC_TUNABLES"])
def test_freed_memory_is_kept_where_nobody_has_said_how(setting: str):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", FRESH_PAGES]
    done = subprocess.run(
        command, env=environment | ({setting: ""} if setting else {}), capture_output=True, text=True, check=True
    )
    kept, pages = done.stdout.split()
    assert kept == str(not setting)
    if kept == "True":  # one block's pages at most, not ten
        assert int(pages) < 2 * (64 << 20) / mmap.PAGESIZE


def test_errors_survive_the_way_between_processes():
    for error in (UnknownName("network", "x", ["xy"]), MissingExtra("Plots", "m", "plots"), DataError("a", "b", "c")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.exit_status) == (type(error), str(error), error.exit_status)


def test_a_span_is_part_of_an_examples_key():
    whole, part = Example("a.mp4", ("x",)), Example("a.mp4", ("x",), TimeSpan(1, 2.5))
    assert (whole.key, part.key, part.label) == ("a.mp4", "a.mp4[1,2.5)", "x")
    late = [Example("a.mp4", ("x",), TimeSpan(start_s, 20000.0)).key for start_s in (12345.04, 12345.08)]
    assert late == ["a.mp4[12345.04,20000)", "a.mp4[12345.08,20000)"]
