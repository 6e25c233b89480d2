"""Split files: which recordings are for training, validation and testing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uva_tf.config import SPLITS
from uva_tf.core.errors import InputError, some
from uva_tf.gaze.names import matched
from uva_tf.gaze.tables import TextTable


def read_split(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """Read a split file: rows of `name,split`, with the splits `train`, `val` and `test`.

    Args:
        names: the recordings that it must name.
        optional: those that it may name.

    Returns:
        The split by name of the recording.

    Raises InputError if a name is missing, unknown or in two splits.
    """
    rows = TextTable(path, ("name", "split")).read(("name", "split"))
    meant = matched(rows.text["name"], {*names, *optional})
    split: dict[str, str] = {}
    for line, listed, part in zip(rows.line, rows.text["name"], rows.text["split"], strict=True):
        name = meant.get(listed, listed)
        if part not in SPLITS:
            raise InputError(f"{path} line {line}: split {part!r}, expected {', '.join(SPLITS)}")
        if split.setdefault(name, part) != part:
            raise InputError(f"{path} line {line}: {listed!r} is in two splits")
    if missing := sorted(set(names) - set(split)):
        raise InputError(f"{path}: no row for {some(missing)} of the dataset: add one for each")
    if surplus := sorted(set(split) - set(names) - set(optional)):
        raise InputError(f"{path}: {some(surplus)} not in the dataset: remove or correct such rows")
    return split
