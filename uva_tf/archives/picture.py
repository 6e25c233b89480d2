"""A picture of an archive's pace: videos and frames a second over time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from uva_tf.archives.storage import Store

if TYPE_CHECKING:
    from uva_tf.archives.archive import Progress

PICTURE, SOFTWARE = "throughput.png", "uva-tf predict-many"
MOST_BINS, SHORTEST = 60, 2.0  # steps over time, and the seconds that each lasts at least


def is_drawn(store: Store) -> bool:
    """Whether the archive's picture is one that `draw_throughput` drew."""
    with store.open(PICTURE) as file:
        return SOFTWARE.encode() in file.read(1000)


def draw_throughput(store: Store, progress: Progress) -> None:
    """Draw what was done over time, and put the picture into the archive."""
    from matplotlib.figure import Figure  # late: it takes a second

    times, videos, frames = np.array([(0, 0, 0), *progress.moments], float).T
    bins = int(np.clip(times[-1] / SHORTEST, 1, MOST_BINS))
    edges = np.linspace(0, times[-1], bins + 1)
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    for axes, counts, unit in ((upper, videos, "videos/s"), (lower, frames, "frames/s")):
        axes.stairs(np.diff(np.interp(edges, times, counts)) / np.diff(edges), edges, fill=True)
        axes.set_ylabel(unit)
    lower.set_xlabel("seconds from the start")
    upper.set_title(f"{progress.done} videos, {len(progress.failed)} failed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PICTURE
        figure.savefig(path, metadata={"Software": SOFTWARE})
        store.put(path, PICTURE)
