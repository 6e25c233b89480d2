"""A folder of recordings to a prepared dataset, in one call."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import refuse_existing, refuse_undecodable
from uva_tf.core.resize import EXACT_SIZES
from uva_tf.data.dataset import Dataset
from uva_tf.data.external_maps import with_maps
from uva_tf.data.layouts import LAYOUTS
from uva_tf.data.recordings import Recording
from uva_tf.data.tables import read_split, some
from uva_tf.data.writer import Progress, write_dataset


def prepare(
    layout: str,
    root: Path,
    out: Path,
    config: DataConfig | None = None,
    *,
    split: Path | None = None,
    maps: Mapping[str, Path] | None = None,
    skip_bad: bool = False,
    jobs: int | None = None,
    progress: Progress = lambda shards, total: shards,
) -> Dataset:
    """Read `root` as a layout and write its shards to `out`.

    A preparation that was killed goes on where it was when it is started again.

    Args:
        layout: a key of `LAYOUTS`.
        split: file of `name,split` rows; by default `split.csv` in `root`, without that
            what the layout says, and without that every recording is for training.
        maps: by kind of teacher (`spatial`, `temporal`) a folder of maps that another model
            made, see `with_maps`.
        skip_bad: leave out recordings that can't be read and list them in `skipped`.
        jobs: shards written at a time; by default one for each processor.
        progress: wraps the iterator over finished shards.

    Raises InputError if `out` exists or the recordings do not fit the layout.
    """
    refuse_existing(out)
    refuse_undecodable(out)
    found = [_spelt(recording) for recording in LAYOUTS[layout](root)]
    recordings = [recording for recording in found if not recording.withheld]
    for kind, folder in (maps or {}).items():
        recordings = [r if r.problem else with_maps(r, kind, folder) for r in recordings]
    if not recordings:
        raise InputError(f"{root}: the gaze of all its {len(found)} recordings is withheld")
    bad = [recording for recording in recordings if recording.problem]
    bad.sort(key=_is_spelt)  # a name that is not, is no recording that a table names
    good = [recording for recording in recordings if not recording.problem]
    if bad and not (skip_bad and good):
        more = f"; bad too: {some([r.name for r in bad[1:]])}" if len(bad) > 1 else ""
        remedy = "; --skip-bad goes on without" if good else ""
        raise InputError(bad[0].problem + more + remedy)
    return write_dataset(
        good,
        _splits(good, found, root, split),
        out,
        layout=layout,
        config=config or DataConfig(),
        jobs=jobs or os.cpu_count() or 1,
        teachers=tuple(sorted(maps or {})),
        skip_bad=skip_bad,
        skipped={recording.name: recording.problem for recording in bad},
        withheld=len(found) - len(recordings),
        progress=progress,
    )


def _is_spelt(recording: Recording) -> bool:
    """Whether a name is text: what is not UTF-8 becomes surrogates."""
    return not any("\udc80" <= letter <= "\udcff" for letter in recording.name)


def _spelt(recording: Recording) -> Recording:
    """A recording, with a problem if its name can't be written down."""
    if _is_spelt(recording) or recording.withheld:
        return recording
    problem = (
        f"{recording.name}: a recording's name is not UTF-8, or this locale is not: rename it, or "
        "set PYTHONUTF8=1"
    )
    return replace(recording, problem=problem)


def summary(dataset: Dataset) -> str:
    """What was prepared and what was left out, a line for each split and reason."""
    lines = [f"wrote {dataset.folder}"]
    for name in sorted({shard.split for shard in dataset.shards}):
        shards = dataset.split(name)
        recordings = sum(len(shard.recordings) for shard in shards)
        frames = sum(shard.frames for shard in shards)
        fixations = sum(shard.fixations for shard in shards)
        empty = sum(shard.not_looked_at for shard in shards)
        gaze = (
            "density maps in place of fixations"
            if dataset.publishes_maps
            else f"{fixations} fixations (counted in every frame they last)"
        )
        lines.append(
            f"{name}: {recordings} recordings, {frames} frames, {gaze}, "
            f"{empty} frames that nobody looked at"
        )
    if dataset.size not in EXACT_SIZES:
        lines.append(
            f"note: frames of {dataset.size} px are not to the bit what a stream gives "
            f"a model; those of {', '.join(map(str, EXACT_SIZES))} px are"
        )
    for kind in dataset.teachers:
        lines.append(f"with the maps of a {kind} teacher")
    reasons: dict[str, Counter] = defaultdict(Counter)
    notes: dict[str, list[str]] = defaultdict(list)
    for shard in dataset.shards:
        for recording, counts in shard.left_out.items():
            for reason, count in counts.items():
                reasons[reason][recording] += count
        for recording, found in shard.notes.items():
            for note in found:
                notes[note].append(recording)
    for reason, counts in reasons.items():
        worst = [f"{name} {count}" for name, count in counts.most_common()]
        lines.append(f"left out: {counts.total()} {reason} ({some(worst)})")
    for note, recordings in notes.items():
        lines.append(f"note: {note} ({some(recordings)})")
    if dataset.withheld:
        lines.append(f"left out: {dataset.withheld} recordings whose gaze is not published")
    for name, reason in dataset.skipped.items():
        lines.append(f"skipped: {name}: {reason}")
    return "\n".join(lines)


def _splits(
    recordings: Sequence[Recording], found: Sequence[Recording], root: Path, path: Path | None
) -> dict[str, str]:
    """Each recording's split: from a file, else from the layout, else all are for training."""
    if path is None and not (root / "split.csv").exists():
        return {recording.name: recording.split or "train" for recording in recordings}
    names, others = ([recording.name for recording in part] for part in (recordings, found))
    return read_split(path or root / "split.csv", names, optional=others)
