"""How far an archive is, and a picture of its pace: videos and frames a second over time."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uva_tf.archives.storage import Store

PICTURE, SOFTWARE = "throughput.png", "uva-tf predict-many"
MOST_BINS, SHORTEST = 60, 2.0  # steps over time, and the seconds that each lasts at least


@dataclass
class Progress:
    """How far an archive is.

    Attributes:
        total: videos.
        before: videos that an earlier run had done, also if it did not say so.
        done: videos that this run has done.
        failed: the rows of those that have no outputs.
        frames: of those done; of segments too.
        moments: seconds since the beginning, videos and frames done until then, for a picture.
    """

    total: int
    before: int = 0
    done: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    duration: float = 0.0
    moments: list[tuple[float, int, int]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the beginning of this run."""
        return time.monotonic() - self.begun

    def note(self) -> None:
        """Note how far it is now; once a second is enough."""
        now = self.seconds
        if self.moments and now - self.moments[-1][0] < 1:
            now = self.moments.pop()[0]
        self.moments.append((now, self.done, self.frames))

    def left(self) -> float:
        """Seconds that the rest takes at this pace; 0 where nothing is known."""
        finished = self.done + len(self.failed)
        rest = self.total - self.before - finished
        return rest * self.seconds / finished if finished else 0.0


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
