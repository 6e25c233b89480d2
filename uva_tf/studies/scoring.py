"""Score what a study compares on the validation clips of its datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from uva_tf.config import KINDS
from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.data.dataset import Dataset, open_dataset
from uva_tf.evaluation.evaluate import Settings, evaluate
from uva_tf.evaluation.map_sources import MapSource, maps_source, student_source, teacher_source
from uva_tf.evaluation.results import Row, clips_left_out
from uva_tf.studies.trainings import TEACHERS, Training
from uva_tf.training.run import Run, data_folders

ITSELF = " teacher itself"  # ends the names of the teachers' rows


@dataclass(frozen=True)
class Scores:
    """The scores of a study.

    Attributes:
        clips: dataset and name of every clip.
        rows: by name; the centre prior and the human ceiling among them.
        seeds: of the students. Rows that depend on no seed have one, the first.
        unscored: datasets without validation video.
    """

    clips: tuple[tuple[str, str], ...]
    rows: dict[str, Row]
    seeds: tuple[int, ...] = ()
    unscored: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What was left out."""
        datasets = [f"not scored, without video in val: {name}" for name in self.unscored]
        return [*datasets, *clips_left_out(self.rows.values())]


def datasets_to_score(folders: Sequence[Path]) -> list[Dataset]:
    """The datasets with validation video; raises InputError if there is none."""
    found = [
        dataset
        for dataset in map(open_dataset, folders)
        if dataset.has("val") and not any(shard.still for shard in dataset.split("val"))
    ]
    if not found:
        raise InputError("no --data has video in its val split: there is nothing to score")
    return found


def score(
    folders: Sequence[Path],
    sources_for: Callable[[Dataset], Mapping[str, MapSource]],
    *,
    every: int,
    progress: Callable[[Iterator, int], Iterator],
) -> Scores:
    """Score map sources, as of one seed, beside the centre prior and the human ceiling.

    Args:
        folders: of the datasets.
        sources_for: the sources by name, the same names for every dataset.
        every: score every Nth frame.
        progress: wraps the iterator over clips.
    """
    names = dict(zip(folders, distinct_names(folders), strict=True))
    datasets = datasets_to_score(folders)
    clips: list[tuple[str, str]] = []
    found: dict[str, list[np.ndarray]] = {}
    for dataset in datasets:
        scored = evaluate(
            sources_for(dataset),
            dataset,
            "val",
            Settings(every=every),
            baselines=False,
            progress=progress,
        )
        clips += [(names[dataset.folder], name) for name in scored.clips]
        for name, row in scored.by_row.items():
            found.setdefault(name, []).append(row.scores)
    scored_folders = {dataset.folder for dataset in datasets}
    return Scores(
        clips=tuple(clips),
        rows={name: Row(name, np.concatenate(parts, axis=1)) for name, parts in found.items()},
        unscored=tuple(names[folder] for folder in folders if folder not in scored_folders),
    )


def over_seeds(name: str, rows: Iterable[Row]) -> Row:
    """Rows of one seed each as a row of several seeds."""
    return Row(name, np.concatenate([row.scores for row in rows]))


def score_runs(
    runs: Sequence[Training],
    folder: Path,
    *,
    every: int,
    external: Path | None = None,
    progress: Callable[[Iterator, int], Iterator] = lambda clips, total: clips,
) -> Scores:
    """Score finished runs and their teachers on the validation clips of the runs' datasets.

    Args:
        folder: that holds the runs.
        every: score every Nth frame.
        external: maps of the external teacher, `external/SHARDS/CLIP/000001.png`.
    """
    opened = {run: Run.open(folder / run.name) for run in runs}
    scored = score(
        data_folders(opened[runs[0]].config),
        lambda dataset: _sources(opened, dataset, external),
        every=every,
        progress=progress,
    )
    others = dict(scored.rows)
    students: dict[str, list[Row]] = {}
    for run in runs:
        if run.row != TEACHERS:
            students.setdefault(run.row, []).append(others.pop(run.name))
    rows = {name: over_seeds(name, of_seeds) for name, of_seeds in students.items()}
    seeds = dict.fromkeys(run.seed for run in runs if run.row != TEACHERS)
    return replace(scored, rows=rows | others, seeds=tuple(seeds))


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
