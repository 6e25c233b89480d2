"""Samples that are numbered by the frame of a clip: rows of `frame x y`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.columns import PlainTable
from uva_tf.gaze.exports.plausible_samples import check_places, counted
from uva_tf.gaze.exports.viewings import tables_in, viewings_of
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import first_lines
from uva_tf.gaze.trials import Samples, Trial

SUFFIXES = (".csv", ".tsv", ".txt")
NO_FRAME = "rows without a frame number"
FROM_ZERO = "frames are numbered from 0"
_NUMBERS = str.maketrans("", "", "0123456789.,;|+-eE \t\r\n")


def frames(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of tables with the number of a frame, x and y in each row, with or without names.

    The first frame is 1, or 0 if any table has that. Frames may have several rows or none. Where
    the numbers fall back, another observer begins, unless a column names the observers. Places
    are in pixels of the clip, unless the user says otherwise.

    Raises InputError for a table that can't be read, or whose numbers can't be these.
    """
    trials = [
        trial
        for path in tables_in(folder, SUFFIXES)
        for trial in _trials_in(path, folder, clips, options)
    ]
    if any(trial.samples.frame.min() == 0 for trial in trials):
        trials = [
            replace(
                trial,
                samples=replace(trial.samples, frame=trial.samples.frame + 1),
                notes=(*trial.notes, FROM_ZERO),
            )
            for trial in trials
        ]
    return trials


def _trials_in(
    path: Path, folder: Path, clips: Collection[str], options: GazeOptions
) -> list[Trial]:
    first = next((line for line in first_lines(path) if line.strip()), "")
    names = None if first.translate(_NUMBERS) else (("frame", "x", "y"), 0)
    roles = ("video", "observer", "valid")
    table = PlainTable(path, ("frame", "x", "y"), roles, options, names)
    rows, x, y, lost = table.read(("frame",))
    number = rows.numbers["frame"]
    fractions = np.flatnonzero(number != np.rint(number))  # NaN too
    fractions = fractions[~np.isnan(number[fractions])]
    if len(fractions):
        raise InputError(
            f"{path} line {rows.line[fractions[0]]}: frame is {number[fractions[0]]:g}, expected a "
            "whole number"
        )
    unused = {NO_FRAME: ~(number >= 0)}
    table.check_gaze(x[~unused[NO_FRAME]], y[~unused[NO_FRAME]], lost)
    viewings, notes = viewings_of(
        table, rows, (folder, clips), number, np.isnan(x), unused, distinct=False
    )
    for viewing in viewings:
        check_places(x[viewing.rows], y[viewing.rows], viewing.where, options)
    return [
        Trial(
            viewing.clip,
            viewing.observer,
            path,
            n,
            Samples(None, x[viewing.rows], y[viewing.rows], number[viewing.rows].astype(np.int64)),
            units=options.units or "pixels",
            on_clip=True,
            left_out=viewing.left_out + counted(lost, viewing.rows),
            notes=(*table.notes, *notes),
        )
        for n, viewing in enumerate(viewings, start=1)
    ]
