"""What a run trains on: its datasets, the teachers' maps, and batches of both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from uva_tf.config import KINDS, STAGES, Config, StageConfig
from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.data.dataset import Dataset, open_dataset
from uva_tf.data.pipeline import View, ordered_batches, training_batches
from uva_tf.models.student import path_kinds, resolution
from uva_tf.training.run import Run, data_folders
from uva_tf.training.teacher_maps import check_maps
from uva_tf.training.weights import initial_student

# Validate on every 16th frame of a clip: enough for a loss curve.
VALIDATE_EVERY_FRAME = 16

# For each kind of teacher, the folder of its maps of each dataset; None if the records hold them.
MapFolders = Mapping[str, Sequence[Path | None]]


def with_data(config: Config, folders: Sequence[Path], weights: Sequence[float] = ()) -> Config:
    """A configuration that trains on the datasets in some folders, with their checksums.

    Args:
        weights: how often each is drawn, relative to the others; by default equally often.

    Raises InputError for a dataset that can't be trained on, and for an unknown variant or
    weights that do not fit it.
    """
    # Refuse, before anything is written, what no student can be built of.
    resolution(config.student)
    path_kinds(config.student)
    if config.student.weights not in ("none", "shipped"):  # from any working folder, as the data
        path = str(Path(config.student.weights).absolute())
        config = replace(config, student=replace(config.student, weights=path))
    if config.student.weights != "none":
        initial_student(config.student)
    distinct_names(folders)  # refuses a folder that is given twice
    data = tuple(str(folder.resolve()) for folder in folders)
    config = replace(config, data=data, data_weights=tuple(weights), data_sha256=())
    datasets = open_data(config)
    return replace(config, data_sha256=tuple(dataset.sha256 for dataset in datasets))


def open_data(config: Config) -> list[Dataset]:
    """Open a configuration's datasets.

    Raises InputError if a folder is no dataset, its train split has no fixations, it was not
    prepared like the others, or it changed after the run began.
    """
    datasets = [open_dataset(folder) for folder in data_folders(config)]
    for dataset in datasets[1:]:
        if (dataset.size, dataset.sigma) != (datasets[0].size, datasets[0].sigma):
            raise InputError(
                f"{dataset.folder} and {datasets[0].folder} were prepared with different "
                "sizes or sigmas: prepare them with the same --size and --sigma"
            )
    for dataset in datasets:
        if not (dataset.split("train") and dataset.has_gaze) and not any(
            kind in dataset.teachers or wants_own(config, kind, dataset) for kind in KINDS
        ):
            raise InputError(
                f"{dataset.folder}: its train split has neither gaze nor maps of a teacher: add "
                "recordings that have some"
            )
    for dataset, sha256 in zip(datasets, config.data_sha256, strict=False):
        if dataset.sha256 != sha256:
            raise InputError(
                f"{dataset.folder} was prepared anew after the run began: start another run"
            )
    return datasets


def training_examples(
    run: Run,
    datasets: Sequence[Dataset],
    view: View,
    stage: StageConfig,
    seed: int,
    teachers: MapFolders | None = None,
    *,
    hints_alone: bool = False,
) -> Callable[[int], tf.data.Dataset]:
    """A function from the number of a step to endless training batches from that step on."""

    def batches(start: int) -> tf.data.Dataset:
        keras.utils.set_random_seed(seed)  # shuffling depends on the global seed too
        return training_batches(
            datasets,
            view,
            batch=stage.batch,
            seed=seed,
            augment=run.config.augment,
            weights=run.config.data_weights,
            start=start,
            teachers=teachers,
            hints_alone=hints_alone,
        )

    return batches


def validation_examples(
    datasets: Sequence[Dataset], view: View, batch: int
) -> tf.data.Dataset | None:
    """Batches of the val splits, once and in order; None if no val split has fixations."""
    parts = [
        ordered_batches(
            dataset, dataset.split("val"), view, batch=batch, every=VALIDATE_EVERY_FRAME
        )
        for dataset in datasets
        if has_validation(dataset)
    ]
    return functools.reduce(tf.data.Dataset.concatenate, parts).cache() if parts else None


def has_validation(dataset: Dataset) -> bool:
    """Whether a dataset has a val split with fixations, or with density maps."""
    shards = dataset.split("val") if dataset.has("val") else []
    return any(shard.frames > shard.not_looked_at for shard in shards)


def student_view(config: Config, hinted: keras.Model | None = None) -> View:
    """The sizes of the student's frames and maps, and its pairing.

    Args:
        hinted: predicts hints, if they are learned from; its size is theirs.
    """
    side = resolution(config.student)
    return View(side, side, config.student.pairing, hinted.output_shape[1] if hinted else 0)


def kinds_to_teach(config: Config, datasets: Sequence[Dataset]) -> list[str]:
    """The kinds of own teacher whose maps the student learns from, of any of the datasets."""
    used = kinds_used(config)
    return [kind for kind in used if any(wants_own(config, kind, d) for d in datasets)]


def kinds_used(config: Config, stages: Sequence[str] = STAGES) -> list[str]:
    """The kinds of teacher whose maps the student learns from in some stages."""
    distilled = path_kinds(config.student) if "distill" in stages and config.distill.steps else ()
    joined = KINDS if "joint" in stages and config.soft_targets.joint_weight else ()
    return [kind for kind in KINDS if kind in distilled or kind in joined]


def wants_own(config: Config, kind: str, dataset: Dataset) -> bool:
    """Whether the student learns from its own teacher's maps of a dataset."""
    choice = getattr(config.soft_targets, kind)
    return choice == "own" or (choice == "any" and kind not in dataset.teachers)


def map_folders(run: Run, datasets: Sequence[Dataset], kinds: Sequence[str]) -> MapFolders:
    """The folders of the maps that some kinds of teacher drew of the datasets.

    Raises InputError for maps that are missing, or were made from other data or weights.
    """
    folders: dict[str, list[Path | None]] = {}
    for kind in kinds:
        choice = getattr(run.config.soft_targets, kind)
        if choice == "none":
            continue
        check_external(run.config, kind, datasets)
        folders[kind] = [None] * len(datasets)
        for number, dataset in enumerate(datasets):
            if wants_own(run.config, kind, dataset):
                folder = run.teacher_maps(number) / kind
                if not (folder.is_dir() and run.teacher(kind).is_file()):
                    raise InputError(
                        f"{folder} does not exist: add teach to --stages, or --set "
                        f"soft_targets.{kind}=none"
                    )
                check_maps(folder, run.teacher(kind), dataset, run.config.student.pairing)
                folders[kind][number] = folder
    return folders


def check_hints(datasets: Sequence[Dataset]) -> None:
    """Raise InputError if no dataset holds hints, or if they have different components."""
    found = {dataset.hints: dataset.folder for dataset in datasets if dataset.hints}
    if not found:
        raise InputError(
            "no --data holds hints: prepare it with uva-tf prepare --hints, or set hint.steps=0 "
            "and soft_targets.hint_weight=0"
        )
    if len(found) > 1:
        (one, folder), (other, second) = list(found.items())[:2]
        raise InputError(
            f"{folder} has hints of {one} components and {second} of {other}: make them with one "
            "uva-tf hints"
        )


def check_external(config: Config, kind: str, datasets: Sequence[Dataset]) -> None:
    """Raise InputError if the configuration asks for external maps that no dataset holds."""
    wanted = getattr(config.soft_targets, kind) == "external"
    if wanted and not any(kind in dataset.teachers for dataset in datasets):
        raise InputError(
            f"soft_targets.{kind}=external: no --data holds such maps: prepare it with "
            f"uva-tf prepare --{kind}-maps"
        )
