"""A folder of recordings to a prepared dataset, in one call."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from uva_tf.config import DataConfig
from uva_tf.data.layouts import LAYOUTS, read_split
from uva_tf.data.records import Dataset, Progress, write_dataset
from uva_tf.runtime.outputs import refuse_existing


def prepare(
    layout: str,
    root: Path,
    out: Path,
    config: DataConfig | None = None,
    *,
    split: Path | None = None,
    progress: Progress = lambda shards, total: shards,
) -> Dataset:
    """Read `root` as a layout and write its shards to `out`.

    Args:
        layout: a key of `LAYOUTS`.
        split: file of `name,split` rows; by default `split.csv` in `root`, and without
            that every recording is for training.
        progress: wraps the iterator over finished shards.

    Raises InputError if `out` exists or the recordings do not fit the layout.
    """
    refuse_existing(out)
    recordings = LAYOUTS[layout](root)
    names = [recording.name for recording in recordings]
    path = split or root / "split.csv"
    listed = split is not None or path.exists()
    splits = read_split(path, names) if listed else dict.fromkeys(names, "train")
    return write_dataset(
        recordings,
        splits,
        out,
        layout=layout,
        config=config or DataConfig(),
        jobs=os.cpu_count() or 1,
        progress=progress,
    )


def summary(dataset: Dataset) -> str:
    """What was prepared and what was left out, a line for each split and reason."""
    lines = [f"wrote {dataset.folder}"]
    for name in sorted({shard.split for shard in dataset.shards}):
        shards = dataset.split(name)
        recordings = sum(len(shard.recordings) for shard in shards)
        frames = sum(shard.frames for shard in shards)
        fixations = sum(shard.fixations for shard in shards)
        empty = sum(shard.without_fixations for shard in shards)
        lines.append(
            f"{name}: {recordings} recordings, {frames} frames, {fixations} fixations "
            f"(counted in every frame they last), {empty} frames without fixations"
        )
    reasons: dict[str, Counter] = {}
    for shard in dataset.shards:
        for recording, counts in shard.left_out.items():
            for reason, count in counts.items():
                reasons.setdefault(reason, Counter())[recording] += count
    for reason, counts in reasons.items():
        worst = ", ".join(f"{name} {count}" for name, count in counts.most_common(5))
        more = f" and {len(counts) - 5} more recordings" if len(counts) > 5 else ""
        lines.append(f"left out: {counts.total()} {reason} ({worst}{more})")
    return "\n".join(lines)
