"""Names of clips in tables, matched to the names of files."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from uva_tf.core.errors import InputError, some
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES

JOINTS = "_-. "  # between the names of a clip and of an observer


def matched(listed: Iterable[str], files: Collection[str]) -> dict[str, str]:
    """Match names in a table to files that differ in extension, case or the encoding of accents.

    Args:
        listed: names in the table.
        files: names of files, without extension.

    Returns:
        The file's name by the table's name. Left out are names that equal a file's, and
        matches that are not one to one.
    """
    listed = set(listed)
    forms: dict[str, list[str]] = defaultdict(list)
    for file in files:
        forms[composed(file)].append(file)
    meant = {name: forms.get(composed(without_suffix(name)), []) for name in listed}
    meant |= {name: forms[composed(name)] for name in listed if composed(name) in forms}
    folded: dict[str, list[str]] = defaultdict(list)
    for file in files:
        folded[composed(file).casefold()].append(file)
    for name, found in meant.items():
        if not found:
            meant[name] = folded.get(composed(without_suffix(name)).casefold(), [])
    counts = Counter(name for found in meant.values() for name in found)
    return {
        name: found[0]
        for name, found in meant.items()
        if len(found) == 1 and counts[found[0]] == 1 and found[0] != name
    }


def named_by(path: Path, folder: Path, clips: Collection[str]) -> tuple[str, str]:
    """The clip and the observer that a file's place in a folder names; "" for one that it does not.

    `CLIP.csv`, `CLIP/OBSERVER.csv`, `OBSERVER/CLIP.csv`, `CLIP_OBSERVER.csv`, `OBSERVER_CLIP.csv`;
    the observer is what is left without the clip.

    Args:
        clips: names of the clips, without extension.

    Raises InputError if two clips are named.
    """
    known = {composed(clip): clip for clip in clips}
    relative = path.relative_to(folder)
    parts = [composed(without_suffix(part)) for part in (*relative.parts[:-1], path.stem)]
    whole = {part for part in parts if part in known}
    stem = parts[-1]
    affixes = [
        name
        for name in known
        if stem != name
        and (
            (stem.startswith(name) and stem[len(name)] in JOINTS)
            or (stem.endswith(name) and stem[-len(name) - 1] in JOINTS)
        )
    ]
    longest = max(affixes, key=len, default="")
    if not whole and any(name not in longest for name in affixes):
        whole = set(affixes)
    if len(whole) > 1:
        raise InputError(
            f"{path}: named after {len(whole)} clips ({some(sorted(whole))}): name one in a column "
            "video"
        )
    clip = next(iter(whole), longest)
    if not clip:
        return "", ""
    if clip in affixes:
        head = stem.startswith(clip) and stem[len(clip)] in JOINTS
        parts[-1] = stem[len(clip) :] if head else stem[: -len(clip)]
        parts[-1] = parts[-1].strip(JOINTS)
    return known[clip], "/".join(part for part in parts if part and part != clip)


def without_suffix(name: str) -> str:
    """A file's name without the extension of a video or a picture."""
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES else name


def composed(text: str) -> str:
    """Text with its accented letters as single characters (Unicode NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def same_number(name: str) -> str:
    """A name that is a whole number as spreadsheets may change it, 7 of 007 and 7.0; else ""."""
    number = re.fullmatch(r"0*(\d+)(?:[.,]0+)?", without_suffix(name), re.ASCII)
    return number[1] if number else ""
