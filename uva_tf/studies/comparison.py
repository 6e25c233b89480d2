"""Score the runs of a study beside each other, and say how sure the differences are."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uva_tf.bench.model_files import machine
from uva_tf.config import KINDS
from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import UTF8, new_file
from uva_tf.data.dataset import Dataset, open_dataset
from uva_tf.evaluation.evaluate import Settings, evaluate
from uva_tf.evaluation.intervals import NONE, estimate, left_out, mean, ratio
from uva_tf.evaluation.intervals import share as share_of
from uva_tf.evaluation.map_sources import MapSource, maps_source, student_source, teacher_source
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, percent
from uva_tf.studies.ablation import BASELINE
from uva_tf.studies.trainings import TEACHERS, Training
from uva_tf.training.run import Run, data_folders

NSS = METRICS.index("NSS")
FILES = ("table.csv", "clips.csv", "plot.png", "table.md")  # of a study, as written
ITSELF = " teacher itself"  # ends the rows of teachers


@dataclass(frozen=True)
class Scores:
    """What every row of a study scored.

    Attributes:
        clips: dataset and name of every validation clip.
        rows: by row `[seeds, clips, metrics]`; one seed for what no seed changes.
        seeds: of the students; the first is the teachers' too.
        unscored: the datasets that have no video to validate on.
    """

    clips: tuple[tuple[str, str], ...]
    rows: dict[str, np.ndarray]
    seeds: tuple[int, ...]
    unscored: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What was left out."""
        datasets = [f"not scored, without video in val: {name}" for name in self.unscored]
        return [*datasets, *left_out(self.rows, METRICS)]


@dataclass(frozen=True)
class Line:
    """What is said of a row.

    Attributes:
        means: by metric, over the seeds and the clips that have a score.
        interval: 95 % bootstrap interval of NSS, over clips and seeds.
        ratio: NSS divided by that of another row, NaN without one.
        ratio_interval: of the ratio, with the same clips and seeds drawn for both.
    """

    row: str
    seeds: int
    means: dict[str, float]
    interval: tuple[float, float]
    ratio: float
    ratio_interval: tuple[float, float]


def to_score(folders: Sequence[Path]) -> list[Dataset]:
    """The datasets that have video to validate on; raises InputError if none has."""
    found = [
        dataset
        for dataset in map(open_dataset, folders)
        if dataset.has("val") and not any(shard.still for shard in dataset.split("val"))
    ]
    if not found:
        raise InputError("no --data has video in its val split: there is nothing to score")
    return found


def score_runs(
    runs: Sequence[Training],
    folder: Path,
    *,
    every: int,
    external: Path | None = None,
    progress: Callable[[Iterator, int], Iterator] = lambda clips, total: clips,
) -> Scores:
    """Score finished runs, and the teachers, on the validation clips of their datasets.

    Args:
        folder: of the runs.
        every: score every so manieth frame.
        external: maps of the external teacher, `external/SHARDS/CLIP/000001.png`.
    """
    opened = {run: Run.open(folder / run.name) for run in runs}
    clips: list[tuple[str, str]] = []
    found: dict[str, list[np.ndarray]] = {}
    folders = data_folders(opened[runs[0]].config)
    names = dict(zip(folders, distinct_names(folders), strict=True))
    datasets = to_score(folders)
    for dataset in datasets:
        sources = _sources(opened, dataset, external)
        settings = Settings(every=every)
        scored = evaluate(sources, dataset, "val", settings, baselines=False, progress=progress)
        clips += [(names[dataset.folder], name) for name in scored.clips]
        means = np.stack([clip.means for clip in scored.clips.values()])  # (clips, rows, metrics)
        for number, row in enumerate(scored.rows):
            found.setdefault(row, []).append(means[:, number])
    values = {row: np.concatenate(parts) for row, parts in found.items()}  # (clips, metrics)
    students: dict[str, list[np.ndarray]] = {}
    for run in runs:
        if run.row != TEACHERS:
            students.setdefault(run.row, []).append(values.pop(run.name))
    return Scores(
        tuple(clips),
        {row: np.stack(seeds) for row, seeds in students.items()}
        | {row: value[None] for row, value in values.items()},
        tuple(dict.fromkeys(run.seed for run in runs if run.row != TEACHERS)),
        tuple(names[f] for f in folders if f not in {dataset.folder for dataset in datasets}),
    )


def _sources(
    opened: Mapping[Training, Run], dataset: Dataset, external: Path | None
) -> dict[str, MapSource]:
    sources = {}
    for training, run in opened.items():
        if training.row == TEACHERS:
            for kind in KINDS:
                sources[f"{kind}{ITSELF}"] = teacher_source(run, kind, dataset.size)
        else:
            sources[training.name] = student_source(run)
    if external is not None:
        sources[f"external{ITSELF}"] = maps_source(external / dataset.folder.name)
    return sources


def summarise(scores: Scores) -> list[Line]:
    """A line for every row, in the order of the rows."""
    baseline = scores.rows.get(BASELINE)
    return [compared(row, values, baseline) for row, values in scores.rows.items()]


def compared(row: str, values: np.ndarray, baseline: np.ndarray | None) -> Line:
    """What is said of a row.

    Args:
        values, baseline: `[seeds, clips, metrics]`, of the row and of the one it is divided by.
    """
    nss = values[..., NSS]  # (seeds, clips)
    to_baseline = None if baseline is None else estimate(nss, baseline[..., NSS])
    return Line(
        row,
        len(values),
        {metric: mean(values[..., number]) for number, metric in enumerate(METRICS)},
        estimate(nss).interval,
        to_baseline.value if to_baseline else float("nan"),
        to_baseline.interval if to_baseline else NONE,
    )


def share(row: str, scores: Scores) -> float:
    """How much of the way from centre prior to human ceiling a row goes in NSS."""
    return share_of(*(scores.rows[name][..., NSS] for name in (row, CENTRE, CEILING)))


def table(lines: Sequence[Line], scores: Scores) -> tuple[list[str], list[list[str]]]:
    """The lines as text: the head, and a row for each."""
    sets = list(dict.fromkeys(name for name, _ in scores.clips))
    shown = [metric for metric in METRICS if metric != "NSS"]
    compared = ["to no teacher", "95 %", "to best teacher"]
    head = ["", "seeds", "NSS", "95 %", *compared, "share", *sets, *shown]
    teachers = {line.row: line.means["NSS"] for line in lines if line.row.endswith(ITSELF)}
    best = max(teachers, key=lambda row: np.nan_to_num(teachers[row], nan=-np.inf), default=None)
    rows = []
    for line in lines:
        nss = scores.rows[line.row][..., NSS]
        of_set = [mean(nss[:, [name == one for name, _ in scores.clips]]) for one in sets]
        to_best = float("nan") if best is None else ratio(nss, scores.rows[best][..., NSS])
        rows.append(
            [
                line.row,
                str(line.seeds),
                f"{line.means['NSS']:.3f}",
                "{:.2f} to {:.2f}".format(*line.interval),
                f"{line.ratio:.3f}",
                "{:.3f} to {:.3f}".format(*line.ratio_interval),
                f"{to_best:.3f}",
                percent(share(line.row, scores)),
                *(f"{value:.3f}" for value in of_set),
                *(f"{line.means[metric]:.3f}" for metric in shown),
            ]
        )
    return head, rows


def write_study(out: Path, scores: Scores, command: str) -> None:
    """Write `table.csv`, `clips.csv`, `plot.png` and `table.md` into a folder.

    Args:
        command: that made the study, for the table's caption.
    """
    lines = summarise(scores)
    head, rows = table(lines, scores)
    with new_file(out / "table.csv") as path:
        _write_csv(path, [head, *rows])
    with new_file(out / "clips.csv") as path:
        _write_csv(path, _clip_rows(scores))
    with new_file(out / "plot.png") as path:
        plot(lines, path)
    with new_file(out / "table.md") as path:
        about = ", ".join(f"{key} {value}" for key, value in machine().items())
        caption = "\n".join([f"`{command}`, {datetime.date.today()}, {about}.", *scores.notes])
        ruled = [head, ["---"] * len(head), *rows]
        text = "\n".join("| " + " | ".join(cells) + " |" for cells in ruled)
        path.write_text(f"{caption}\n\n{text}\n", **UTF8)


def plot(lines: Sequence[Line], path: Path) -> None:
    """NSS of each row with its interval, as a picture; the human ceiling is left out."""
    shown = [line for line in lines if line.row != CEILING][::-1]
    figure = Figure(figsize=(8, 0.36 * len(shown) + 1), layout="constrained")
    axes = figure.add_subplot()
    for place, line in enumerate(shown):
        student = not (line.row.endswith(ITSELF) or line.row == CENTRE)
        colour = "tab:blue" if student else "tab:gray"
        axes.plot(line.interval, [place, place], color=colour, linewidth=2)
        axes.plot(line.means["NSS"], place, "o", color=colour)
    axes.set_yticks(range(len(shown)), [line.row for line in shown])
    axes.set_xlabel("NSS on validation clips, 95 % interval over clips and seeds")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _clip_rows(scores: Scores) -> Iterator[list]:
    yield ["row", "seed", "dataset", "clip", *METRICS]
    for row, values in scores.rows.items():
        # What no seed changes stands under the first.
        for seed, of_clips in zip(scores.seeds[: len(values)], values, strict=True):
            for (dataset, clip), of_clip in zip(scores.clips, of_clips, strict=True):
                texts = ["" if np.isnan(value) else f"{value:.6g}" for value in of_clip]
                yield [row, seed, dataset, clip, *texts]


def _write_csv(path: Path, rows) -> None:
    with path.open("w", newline="", **UTF8) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
