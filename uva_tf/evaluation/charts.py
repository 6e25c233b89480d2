"""A picture of speed: bars of latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from uva_tf.runtime.benchmark import Timing


def plot_timings(timings: Sequence[Timing], path: Path) -> None:
    """A bar for each timing's median, with whiskers from the 5th to the 95th percentile."""
    shown = list(timings)[::-1]
    figure = Figure(figsize=(8, 0.4 * len(shown) + 1), layout="constrained")
    axes = figure.add_subplot()
    medians = [timing.median for timing in shown]
    reach = [
        [timing.median - timing.latency.p5 for timing in shown],
        [timing.latency.p95 - timing.median for timing in shown],
    ]
    bars = axes.barh(range(len(shown)), medians, xerr=reach, color="tab:blue", capsize=3)
    labels = [f"{timing.frames_per_second:,.0f} frames/s" for timing in shown]
    axes.bar_label(bars, labels, padding=6)
    axes.set_yticks(range(len(shown)), [_name(timing) for timing in shown])
    axes.set_xlim(0, 1.25 * max(timing.latency.p95 for timing in shown))
    axes.set_xlabel("ms of an inference: median, 5th to 95th percentile")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110, format="png")


def _name(timing: Timing) -> str:
    threads = f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    return f"{timing.file}, {threads}{'' if timing.delegate else ', XNNPACK off'}"
