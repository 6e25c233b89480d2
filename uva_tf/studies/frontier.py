"""Accuracy against speed: every variant's NSS beside its latency, and the plain network's."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from uva_tf.bench.cost import Totals, layer_costs, totals
from uva_tf.bench.model_files import Timing, benchmark, machine, noisy
from uva_tf.bench.timing import times
from uva_tf.bench.yardstick import write_untrained
from uva_tf.config import Config, StudentConfig
from uva_tf.core.outputs import UTF8, new_file
from uva_tf.evaluation.results import CENTRE
from uva_tf.models.plain import PLAIN
from uva_tf.models.student import build_student, resolution
from uva_tf.models.variants import VARIANTS
from uva_tf.studies.ablation import NOBODY
from uva_tf.studies.comparison import Line, Scores, compared
from uva_tf.studies.trainings import Training, refuse_repeats

FILES = ("frontier.md", "frontier.png")
# Times the plain network's frames/s, at no less than its NSS.
TARGET = 5.0
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)  # ms


@dataclass(frozen=True)
class Point:
    """A network on the plane of accuracy and speed.

    Attributes:
        form: in which it runs: a student as `step`, the plain network as `pair`, as released.
        line: its NSS; the ratio is to the plain network of its resolution.
        speed: frames/s over those of the plain network of its resolution, see `times`.
    """

    name: str
    form: str
    cost: Totals
    line: Line
    timing: Timing
    speed: float

    @property
    def meets_target(self) -> bool:
        """Whether it is five times as fast as the plain network, and at least as accurate."""
        return self.speed >= TARGET and self.line.ratio >= 1


def yardstick(name: str) -> str:
    """The plain network of a variant's resolution."""
    return f"plain-{resolution(StudentConfig(name))}"


def frontier_trainings(
    names: Sequence[str], seeds: Sequence[int], changes: Sequence[str], preset: Config
) -> list[Training]:
    """Trainings of variants and of their yardsticks, on ground truth alone, in equal steps.

    Stage joint takes the steps of distill and joint together.
    """
    refuse_repeats(names, seeds)
    config = preset.changed(*changes)
    steps = f"joint.steps={config.distill.steps + config.joint.steps}"
    rows = dict.fromkeys([*names, *map(yardstick, names)])
    return [
        Training(row, seed, ("joint",), (*changes, f"student.variant={row}", steps, *NOBODY))
        for seed in seeds
        for row in rows
    ]


def measure(
    scores: Scores, folder: Path, student: StudentConfig, rounds: int | None = None
) -> list[Point]:
    """Time the scored networks side by side: float, one thread, all in one run.

    Args:
        folder: for the converted files. Their weights are random: time does not depend on them.
        student: of which each network is a variant.
    """
    names = [name for name in scores.rows if name in VARIANTS or name in PLAIN]
    forms = {name: "pair" if name in PLAIN else "step" for name in names}
    files, costs = [], []
    for name in names:
        config = replace(student, variant=name)
        files.append(write_untrained(config, forms[name], folder))
        costs.append(totals(layer_costs(build_student(config), forms[name])))
    timings = dict(zip(names, benchmark(files, rounds=rounds, memory=True), strict=True))
    return [
        Point(
            name=name,
            form=forms[name],
            cost=cost,
            line=compared(name, scores.rows[name], scores.rows[yardstick(name)]),
            timing=timings[name],
            speed=times(timings[yardstick(name)].latency, timings[name].latency),
        )
        for name, cost in zip(names, costs, strict=True)
    ]


def on_frontier(point: Point, points: Sequence[Point]) -> bool:
    """Whether no other point is both faster and more accurate."""
    return not any(
        other.timing.median < point.timing.median
        and other.line.means["NSS"] > point.line.means["NSS"]
        for other in points
    )


def table(points: Sequence[Point]) -> str:
    """The points in Markdown."""
    head = ["", "form", "weights", "MMAC", "MB", "ms", "frames/s of plain", "of peak"]
    head += ["NSS", "95 %", "NSS of plain", "95 %", "frontier", "target"]
    rows = [
        [
            point.name,
            point.form,
            f"{point.cost.parameters:,}",
            f"{point.cost.multiply_adds / 1e6:.1f}",
            f"{point.cost.block_bytes / 1e6:.2f}",
            f"{point.timing.median:.3f}",
            f"{point.speed:.2f}",
            f"{100 * point.timing.of_peak:.0f} %",
            f"{point.line.means['NSS']:.3f}",
            "{:.2f} to {:.2f}".format(*point.line.interval),
            f"{point.line.ratio:.3f}",
            "{:.3f} to {:.3f}".format(*point.line.ratio_interval),
            "yes" if on_frontier(point, points) else "",
            "met" if point.meets_target else "",
        ]
        for point in points
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def write_frontier(out: Path, points: Sequence[Point], scores: Scores, command: str) -> None:
    """Write `frontier.md` and `frontier.png` into a folder.

    Args:
        command: that made them, for the caption.
    """
    about = ", ".join(f"{key} {value}" for key, value in machine().items())
    seeds = ", ".join(map(str, scores.seeds))
    caption = f"`{command}`, seeds {seeds}, {datetime.date.today()}, {about}."
    with new_file(out / "frontier.md") as path:
        notes = [*scores.notes, *noisy([point.timing for point in points])]
        text = "\n".join([caption, *notes])
        path.write_text(f"{text}\n\n{table(points)}\n", **UTF8)
    with new_file(out / "frontier.png") as path:
        plot(points, float(compared(CENTRE, scores.rows[CENTRE], None).means["NSS"]), path)


def plot(points: Sequence[Point], centre: float, path: Path) -> None:
    """NSS against milliseconds, a colour for each resolution, students round, plain square."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    sides = sorted({resolution(StudentConfig(point.name)) for point in points})
    colours = ("tab:orange", "tab:blue", "tab:green")
    for point in points:
        colour = colours[sides.index(resolution(StudentConfig(point.name))) % len(colours)]
        place = point.timing.median, point.line.means["NSS"]
        low, high = point.line.interval
        axes.plot([place[0]] * 2, [low, high], color=colour, alpha=0.25, linewidth=5)
        axes.plot(*place, "s" if point.name in PLAIN else "o", color=colour)
        axes.annotate(point.name, place, xytext=(7, 5), textcoords="offset points")
    axes.axhline(centre, color="gray", linestyle=":", label="centre prior")
    axes.set_xscale("log", subs=[])
    axes.set_xticks(TICKS, map(str, TICKS))
    fastest, slowest = (pick(point.timing.median for point in points) for pick in (min, max))
    axes.set_xlim(0.8 * fastest, 1.5 * slowest)
    axes.set_xlabel("ms of a frame, float32, one thread")
    axes.set_ylabel("NSS on validation clips, 95 % interval over clips and seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, format="png")
