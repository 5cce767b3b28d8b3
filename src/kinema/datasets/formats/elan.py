"""ELAN's .eaf files: annotations in tiers, with the video that they are linked to.

The text of an annotation is its class; an annotation without text has the name of its tier. All tiers whose annotations have
times of their own are read, or those that `tiers` names, which may also be tiers of references to other annotations (their times
are those of the annotation that they refer to). The video is found by its relative path, its absolute one, or its name beside the
.eaf file. A file without annotations is a video in which nothing happens.

Format: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

from kinema.datasets.action_list import ActionList, find_media, missing_media
from kinema.datasets.dataset import DataSet
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import walk
from kinema.errors import DataError, UnknownName
from kinema.video.listing import is_video

_MS_PER_S = 1000.0


def find_files(path: str, depth: int | None = None) -> list[str]:
    """The .eaf files at a path, which is one or a folder, and in the folders below it, all or `depth` levels."""
    if os.path.isfile(path):
        return [path] if path.lower().endswith(".eaf") else []
    found = (os.path.join(where, name) for where, _, names in walk(path, depth) for name in names)
    return [file for file in found if file.lower().endswith(".eaf")]


def list_elan(path: str, options: ListOptions) -> DataSet:
    """Read one .eaf file, or all of a folder.

    Raises:
        DataError: a file cannot be read, its video does not exist, or an annotation has no times; says which.
        UnknownName: no file has a tier of that name.
    """
    files = find_files(path)
    if not files:
        raise DataError("no ELAN files", path, "give a file that ends in .eaf, or a folder with some")
    documents = {file: _read(file) for file in files}
    known = {tier.get("TIER_ID", "") for document in documents.values() for tier in document.iter("TIER")}
    for tier in options.tiers:
        if tier not in known:
            raise UnknownName("tier", tier, known)
    actions = ActionList(path, options)
    for file, document in documents.items():
        try:
            video, origin_s = _media(document, file)
        except DataError as fault:
            options.report(fault)
            continue
        actions.add_video(video)
        _add_annotations(actions, video, document, file, origin_s, options)
    return actions.data_set(Path(path).stem)


def _read(path: str) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise DataError("cannot read this ELAN file", path, f"{error}: save it again from ELAN") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError("not an ELAN file", path, "its XML begins with ANNOTATION_DOCUMENT")
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise DataError(f"times in {units}", path, "open it in a current ELAN and save it: times are milliseconds")
    return root


def _media(document: ElementTree.Element, path: str) -> tuple[str, float]:
    """The video of a file, and the time in it, in seconds, from which annotations count."""
    linked = list(document.iter("MEDIA_DESCRIPTOR"))
    video = next((one for one in linked if _is_video(one)), None)
    if video is None:
        raise DataError("no linked video", path, "link one in ELAN: Edit, Linked Files")
    names = [_local(video.get("RELATIVE_MEDIA_URL", "")), _local(video.get("MEDIA_URL", ""))]
    found = find_media(names, os.path.dirname(path))
    if found is None:
        raise missing_media(names[0] or names[1], path)
    return found, float(video.get("TIME_ORIGIN") or 0) / _MS_PER_S


def _is_video(media: ElementTree.Element) -> bool:
    return media.get("MIME_TYPE", "").startswith("video") or is_video(_local(media.get("MEDIA_URL", "")))


def _local(url: str) -> str:
    """The path of a file:// address, or a relative path as it is."""
    parts = urlparse(url)
    path = unquote(parts.path) if parts.scheme == "file" else url
    return path[1:] if path[:1] == "/" and path[2:3] == ":" else path  # file:///C:/videos/a.mp4


def _add_annotations(
    actions: ActionList,
    video: str,
    document: ElementTree.Element,
    path: str,
    origin_s: float,
    options: ListOptions,
) -> None:
    slots = {slot.get("TIME_SLOT_ID", ""): slot.get("TIME_VALUE") for slot in document.iter("TIME_SLOT")}
    aligned = {one.get("ANNOTATION_ID", ""): one for one in document.iter("ALIGNABLE_ANNOTATION")}
    references = {one.get("ANNOTATION_ID", ""): one for one in document.iter("REF_ANNOTATION")}
    for tier, annotation in _annotations(document, options.tiers):
        identity = annotation.get("ANNOTATION_ID", "")
        where = f"{path}: tier {tier}, annotation {identity}"
        label = (annotation.findtext("ANNOTATION_VALUE") or "").strip() or tier
        timed = aligned.get(_referred(identity, references))
        ends = [] if timed is None else [slots.get(timed.get(f"TIME_SLOT_REF{one}", "")) for one in (1, 2)]
        try:
            start_s, end_s = (float(value or "") / _MS_PER_S + origin_s for value in ends)
        except ValueError:
            do = "give both ends a time in ELAN (an annotation in a tier without times of its own has none)"
            options.report(DataError("a time slot without a value", where, do))
            continue
        actions.add(video, label, start_s, end_s, where)


def _referred(identity: str, references: dict[str, ElementTree.Element]) -> str:
    """The annotation at the end of a chain of references; a broken file may have a circle."""
    seen: set[str] = set()
    while identity in references and identity not in seen:
        seen.add(identity)
        identity = references[identity].get("ANNOTATION_REF", "")
    return identity


def _annotations(document: ElementTree.Element, tiers: tuple[str, ...]) -> Iterator[tuple[str, ElementTree.Element]]:
    for tier in document.iter("TIER"):
        name = tier.get("TIER_ID", "")
        kinds = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION") if name in tiers else ("ALIGNABLE_ANNOTATION",)
        if not tiers or name in tiers:
            for kind in kinds:
                yield from ((name, annotation) for annotation in tier.iter(kind))


FORMAT = Format(list_data=list_elan, detect=lambda path: bool(find_files(path, depth=0)), priority=56)
