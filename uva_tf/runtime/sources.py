"""From the arguments of a command to a list of sources."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from uva_tf.core.errors import InputError
from uva_tf.core.files import is_hidden, listed
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.urls import is_url
from uva_tf.core.video import RATE, VIDEO_SUFFIXES
from uva_tf.runtime.streams import STDIN


class Sources(NamedTuple):
    """What is to be predicted.

    Attributes:
        places: video files, and folders of pictures that are taken for films; with `stills`,
            picture files; or one URL or STDIN as text.
        several: whether outputs go to folders: more than one argument, a folder of videos or of
            stills, or a pattern.
        stills: whether each place is a picture by itself.
        notes: what was assumed or left out, one line each.
    """

    places: list[Path | str]
    several: bool
    stills: bool
    notes: list[str]


def find_sources(
    given: Sequence[str], *, stills: bool = False, rate: float | None = None
) -> Sources:
    """Find the sources that arguments name: files, folders, patterns such as `*.mp4`, `-`, a URL.

    Folders are not searched below their first level; hidden files are left out.

    Args:
        stills: take each picture of a folder by itself.
        rate: take a folder of pictures for a film of so many frames per second.

    Raises InputError for what names no source, and for what is ambiguous: videos beside pictures,
    and a folder of pictures that are not numbered, without `stills` or `rate`.
    """
    if stills and rate:
        raise InputError("--stills and --rate exclude each other: choose one")
    places, several, notes = [], len(given) > 1, []
    for text in given:
        paths, is_pattern = _paths(text)
        several |= is_pattern
        for path in paths:
            if isinstance(path, str) or not path.is_dir():
                places.append(path)
                continue
            inside, film = _inside(path, stills, rate, notes)
            places += inside
            several |= not film
    for text in places:
        if several and isinstance(text, str):
            raise InputError(f"{text}: give it alone: several sources are files")
    kinds = {_is_picture(place) for place in places}
    if len(kinds) > 1:
        raise InputError("videos and pictures together: predict them with two commands")
    films = [place for place in places if isinstance(place, Path) and place.is_dir()]
    if stills and kinds == {False}:
        raise InputError(
            f"--stills: {places[0]} is no picture: expected {', '.join(IMAGE_SUFFIXES)}"
        )
    if rate and not films:
        raise InputError("--rate is for a folder of pictures: a video has its own")
    return Sources(places, several, kinds == {True}, notes)


def _paths(text: str) -> tuple[Sequence[Path | str], bool]:
    """What an argument names, as a shell would expand it, and whether it is a pattern."""
    if text == STDIN or is_url(text):
        return [text], False
    path = Path(text)
    if path.exists() or not set("*?[") & set(text):
        return [path], False
    found = sorted(map(Path, glob.glob(text)))  # noqa: PTH207 - as a shell does
    if not found:
        raise InputError(f"{text}: nothing matches it, expected videos or pictures")
    return found, True


def _inside(
    folder: Path, stills: bool, rate: float | None, notes: list[str]
) -> tuple[list[Path], bool]:
    """The sources in a folder, and whether they are the folder itself as a film."""
    videos, pictures = listed(folder, VIDEO_SUFFIXES), listed(folder, IMAGE_SUFFIXES)
    files = [path for path in folder.iterdir() if not is_hidden(path) and not path.is_dir()]
    others = Counter(p.suffix or p.name for p in files if p not in {*videos, *pictures})
    found = ", ".join(f"{n} {suffix}" for suffix, n in others.most_common(3))
    if videos and pictures:
        raise InputError(
            f"{folder}: videos ({len(videos)}) and pictures ({len(pictures)}), expected one kind: "
            f"name those you mean, such as '{folder / ('*' + videos[0].suffix)}'"
        )
    if not videos and not pictures:
        raise InputError(f"{folder}: no videos and no pictures, found {found or 'nothing'}")
    if others:
        notes.append(f"{folder}: left out {found}")
    if videos or stills:
        return videos or pictures, False
    if not rate:
        # Whatever camera made them, numbered names are those that films are stored under.
        patterns = {re.sub(r"\d+", "0", path.stem.lower()) for path in pictures}
        if len(patterns) > 1 or "0" not in "".join(patterns):
            raise InputError(
                f"{folder}: {len(pictures)} pictures that are not numbered: --stills takes each by "
                "itself, --rate N takes them for a film"
            )
        notes.append(
            f"{folder}: numbered pictures, taken for a film at {RATE:g} frames/s: --rate N changes "
            "that, --stills takes each by itself"
        )
    return [folder], True


def _is_picture(place: Path | str) -> bool:
    is_file = isinstance(place, Path) and not place.is_dir()
    return is_file and place.suffix.lower() in IMAGE_SUFFIXES
