"""Accuracy against speed: the NSS and the latency of variants and of the plain network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from uva_tf.bench.cost import Totals, layer_costs, totals
from uva_tf.bench.model_files import Timing, benchmark, noisy
from uva_tf.bench.timing import times
from uva_tf.bench.yardstick import write_untrained
from uva_tf.config import Config, StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file
from uva_tf.evaluation.intervals import Estimate
from uva_tf.evaluation.results import CENTRE, Row, span
from uva_tf.models.plain import PLAIN
from uva_tf.models.student import build_student, resolution
from uva_tf.models.variants import VARIANTS
from uva_tf.studies.ablation import NOBODY
from uva_tf.studies.scoring import Scores
from uva_tf.studies.table import write_markdown
from uva_tf.studies.trainings import Training, refuse_repeats

FILES = ("frontier.md", "frontier.png")
TARGET = 5.0  # times the frames/s of the plain network, at no lower NSS
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)  # ms


@dataclass(frozen=True)
class Point:
    """A network's accuracy and speed, beside the plain network of the same resolution.

    Attributes:
        row: its scores, under the variant's name.
        plain: the plain network's scores.
        form: `step` for a student; `pair` for the plain network, as it was released.
        speed: frames/s over those of the plain network, see `times`.
    """

    row: Row
    plain: Row
    form: str
    cost: Totals
    timing: Timing
    speed: float

    @property
    def name(self) -> str:
        """The variant."""
        return self.row.name

    @property
    def nss(self) -> float:
        """Mean NSS."""
        return self.row.mean("NSS")

    @property
    def of_plain(self) -> Estimate:
        """NSS over that of the plain network."""
        return self.row.ratio(self.plain, "NSS")

    @property
    def meets_target(self) -> bool:
        """Whether it is `TARGET` times as fast as the plain network, and at least as accurate."""
        return self.speed >= TARGET and self.of_plain.value >= 1


def yardstick(name: str) -> str:
    """The name of the plain network of a variant's resolution."""
    return f"plain-{resolution(StudentConfig(name))}"


def trainings(
    preset: Config, names: Sequence[str], seeds: Sequence[int], changes: Sequence[str]
) -> list[Training]:
    """Trainings of variants and of their plain networks, on ground truth alone.

    Each is stage joint alone, for the steps of distill and joint together.

    Args:
        names: of variants.
        changes: to every configuration.

    Raises InputError for an unknown variant, and for a variant or seed named twice.
    """
    if unknown := [name for name in names if name not in VARIANTS]:
        raise InputError(f"no variant {unknown[0]!r}: choose from {', '.join(VARIANTS)}")
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
    """Time the scored networks side by side: float32, one thread, all in one run.

    Args:
        folder: for the converted files. Their weights are random: time does not depend on them.
        student: the configuration in which each network takes the place of the variant.
        rounds: of the benchmark; its default if None.
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
            row=scores.rows[name],
            plain=scores.rows[yardstick(name)],
            form=forms[name],
            cost=cost,
            timing=timings[name],
            speed=times(timings[yardstick(name)].latency, timings[name].latency),
        )
        for name, cost in zip(names, costs, strict=True)
    ]


def on_frontier(point: Point, points: Sequence[Point]) -> bool:
    """Whether no other point is both faster and more accurate."""
    return not any(
        other.timing.median < point.timing.median and other.nss > point.nss for other in points
    )


def table(points: Sequence[Point]) -> list[list[str]]:
    """The points as text, the head first."""
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
            f"{point.nss:.3f}",
            span(point.row.interval("NSS")),
            f"{point.of_plain.value:.3f}",
            span(point.of_plain.interval, 3),
            "yes" if on_frontier(point, points) else "",
            "met" if point.meets_target else "",
        ]
        for point in points
    ]
    return [head, *rows]


def write_study(out: Path, points: Sequence[Point], scores: Scores, command: str) -> None:
    """Write `FILES` into a folder.

    Args:
        command: that made the study, for the caption.

    Raises InputError if one of the files exists.
    """
    notes = [*scores.notes, *noisy([point.timing for point in points])]
    seeds = f"seeds {', '.join(map(str, scores.seeds))}"
    write_markdown(out / "frontier.md", command, table(points), notes=notes, settings=seeds)
    with new_file(out / "frontier.png") as path:
        plot(points, scores.rows[CENTRE].mean("NSS"), path)


def plot(points: Sequence[Point], centre: float, path: Path) -> None:
    """Draw NSS against milliseconds: a colour for each resolution, students round, plain square.

    Args:
        centre: NSS of the centre prior.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    sides = sorted({resolution(StudentConfig(point.name)) for point in points})
    colours = ("tab:orange", "tab:blue", "tab:green")
    for point in points:
        colour = colours[sides.index(resolution(StudentConfig(point.name))) % len(colours)]
        place = point.timing.median, point.nss
        axes.plot([place[0]] * 2, point.row.interval("NSS"), color=colour, alpha=0.25, linewidth=5)
        axes.plot(*place, "s" if point.name in PLAIN else "o", color=colour)
        axes.annotate(point.name, place, xytext=(7, 5), textcoords="offset points")
    axes.axhline(centre, color="gray", linestyle=":", label="centre prior")
    axes.set_xscale("log", subs=[])
    axes.set_xticks(TICKS, map(str, TICKS))
    fastest, slowest = (pick(point.timing.median for point in points) for pick in (min, max))
    axes.set_xlim(0.8 * fastest, 1.5 * slowest)
    axes.set_xlabel("ms per frame, float32, one thread")
    axes.set_ylabel("NSS on validation clips, 95 % interval over clips and seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, format="png")
