"""Names of clips in tables, matched to the names of files."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES


def matched(listed: Iterable[str], files: Collection[str]) -> dict[str, str]:
    """Match names in a table to files that differ in extension or in the encoding of accents.

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
    counts = Counter(name for found in meant.values() for name in found)
    return {
        name: found[0]
        for name, found in meant.items()
        if len(found) == 1 and counts[found[0]] == 1 and found[0] != name
    }


def without_suffix(name: str) -> str:
    """A file's name without the extension of a video or a picture."""
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES else name


def composed(text: str) -> str:
    """Text with its accented letters as single characters (Unicode NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
