from typing import get_args

from kinema import choices


def test_data_formats_are_the_modules_of_their_folder():
    listed = "activitynet ava boris elan folder hmdb51 kinetics manifest path_label sports1m stills ucf101"
    formats = tuple(listed.split())
    assert formats == choices.modules_in("datasets/formats")
    assert ("auto", *formats) == choices.DATA_FORMATS == get_args(choices.DataFormat)


def test_tasks_are_the_modules_of_their_folder():
    assert {"clip", "frame"} <= set(choices.TASKS)
    assert get_args(choices.TaskName) == choices.TASKS


def test_modules_that_start_with_an_underscore_are_no_choice(tmp_path):
    for name in ("b.py", "a.py", "_private.py", "__init__.py", "notes.txt"):
        (tmp_path / name).write_text("")
    assert choices.modules_in(str(tmp_path)) == ("a", "b")
