"""From the trials of a clip to its fixations: those that were recorded, or found in samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.fixation_table import FixationTable
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.placing import on_clip
from uva_tf.gaze.trials import Trial


def fixations_of(
    trials: Sequence[Trial],
    size: tuple[int, int],
    options: GazeOptions,
    numbering: Mapping[str, int],
) -> FixationTable:
    """The fixations of one clip, in its pixels.

    Args:
        trials: of this clip.
        size: its width and height in pixels.
        numbering: the number of each observer.

    Raises InputError if a trial lacks what the method needs.
    """
    observers, left_out = [], Counter()
    columns: dict[str, list[np.ndarray]] = {"onset_ms": [], "duration_ms": [], "x": [], "y": []}
    for trial in trials:
        left_out += trial.left_out
        found = trial.fixations
        if found is None:
            raise InputError(f"{trial.file}: no fixations in it")
        x, y = on_clip(trial, found.x, found.y, size, options)
        for name, values in zip(columns, (found.onset, found.duration, x, y), strict=True):
            columns[name].append(values)
        observers.append(np.full(len(x), numbering[trial.observer], np.int32))
    notes = tuple(dict.fromkeys(note for trial in trials for note in trial.notes))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return FixationTable(np.concatenate(observers), joined, left_out, notes, tuple(numbering))
