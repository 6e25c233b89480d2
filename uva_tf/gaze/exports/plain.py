"""Plain tables of samples: `video, observer, t_ms, x, y`, under any usual names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.columns import PlainTable, usual
from uva_tf.gaze.exports.coordinate_files import head_of
from uva_tf.gaze.exports.plausible_samples import check_clock, check_places, check_steps, counted
from uva_tf.gaze.exports.viewings import tables_in, viewings_of
from uva_tf.gaze.options import TIME_UNITS, GazeOptions
from uva_tf.gaze.trials import Samples, Trial

SUFFIXES = (".csv", ".tsv", ".txt", ".coord", ".arff")
NO_TIME = "rows without a time"
NO_PREDICTION = "rows of another type than 'prediction'"  # in Gorilla's tables


def samples(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of tables with a time, x and y in each row.

    A trial is what one observer saw of one clip; where times start again, another one begins.
    Times are in ms and places in pixels of the clip, unless a column's name or the user says
    otherwise; of `.coord` and ARFF files, in microseconds and pixels of the size that they state.

    Raises InputError for a table that can't be read, or whose numbers can't be in these units.
    """
    trials = [
        trial
        for path in tables_in(folder, SUFFIXES)
        for trial in _trials_in(path, folder, clips, options)
    ]
    if not (folder.parent / "trials.csv").exists():  # it says when clips began
        for trial in trials:
            check_clock(trial.samples.time, f"{trial.file} trial {trial.number}")
    return trials


def _trials_in(
    path: Path, folder: Path, clips: Collection[str], options: GazeOptions
) -> list[Trial]:
    head = head_of(path)
    roles = ("video", "observer", "valid", "type")
    names = head and (head.names, head.lines)
    table = PlainTable(path, ("t", "x", "y"), roles, options, names)
    if "t" not in options.columns and "duration" in map(usual, table.table.written):
        raise InputError(
            f"{path}: its rows have durations, expected samples: make a fixations.csv of "
            "fixations, for the layout gaze (--columns t=NAME if they are samples)"
        )
    rows, x, y, lost = table.read(("t",))
    time = rows.numbers["t"] * TIME_UNITS[options.times or table.unit or ("us" if head else "ms")]
    unused = {NO_TIME: np.isnan(time)}
    if "type" in rows.text and (rows.text["type"] == "prediction").any():
        unused[NO_PREDICTION] = rows.text["type"] != "prediction"
    used = ~np.logical_or.reduce(list(unused.values()))
    table.check_gaze(x[used], y[used], lost)
    viewings, notes = viewings_of(
        table, rows, (folder, clips), time, np.isnan(x), unused, distinct=True
    )
    for viewing in viewings:
        check_places(x[viewing.rows], y[viewing.rows], viewing.where, options)
    if not options.times:
        steps = [np.diff(time[viewing.rows]) for viewing in viewings]
        for viewing, its_steps in zip(viewings, steps, strict=True):
            check_steps(its_steps, viewing.where)
        check_steps(np.concatenate(steps), str(path))
    return [
        Trial(
            viewing.clip,
            viewing.observer,
            path,
            number,
            Samples(time[viewing.rows], x[viewing.rows], y[viewing.rows]),
            units=options.units or "pixels",
            on_clip=head is None or head.screen is None,
            screen=head.screen if head else None,
            left_out=viewing.left_out + counted(lost, viewing.rows),
            notes=(*table.notes, *notes),
        )
        for number, viewing in enumerate(viewings, start=1)
    ]
