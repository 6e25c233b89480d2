"""The stages of coupled distillation: teach, distill, joint.

Source: UVA-Net (arXiv 1904.04449), section 4. Every stage picks up what the run
already holds, so that an interrupted or partial training goes on where it was.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import keras
import tensorflow as tf

from uva_tf.config import KINDS, STAGES, Config, StageConfig, StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import new_file
from uva_tf.data.dataset import Dataset, open_dataset
from uva_tf.data.pipeline import View, ordered_batches, training_batches
from uva_tf.models.backbones import load_backbone_weights
from uva_tf.models.shipped import load_shipped
from uva_tf.models.student import Student, build_student, resolution
from uva_tf.models.teachers import build_teacher, check_teacher
from uva_tf.training import losses
from uva_tf.training.devices import (
    check_batch,
    device_count,
    is_chief,
    open_strategy,
    precision,
    wait_for_all,
)
from uva_tf.training.loop import Task, fit
from uva_tf.training.run import Run, data_folders
from uva_tf.training.teacher_maps import check_maps, write_maps

# Of a clip's validation frames one in so many is enough for a loss curve.
VALIDATE_EVERY_FRAME = 16


def train(run: Run, stages: Sequence[str] = STAGES) -> None:
    """Run some stages in their order on the run's datasets.

    On several machines each of them does so, and the first writes the run.

    Raises InputError if the datasets do not fit, the stages come out of order, or another
    process trains the run.
    """
    loop = run.config.loop
    alone = run.locked() if is_chief(loop) else nullcontext()
    with alone, open_strategy(loop).scope(), precision(loop):
        wait_for_all()  # the run may have been begun just now
        _train(run, stages)


def _train(run: Run, stages: Sequence[str]) -> None:
    datasets = open_data(run.config)
    _check_order(run, stages)
    if "teach" in stages:
        for kind in kinds_to_teach(run.config, datasets):
            _teach(run, datasets, kind, run.config.seed + KINDS.index(kind))
    student = _new_student(run)
    if "distill" in stages and run.config.distill.steps:
        _distill(run, datasets, student)
    else:
        _restore(run, "distill", student.paths)
    if "joint" in stages:
        _joint(run, datasets, student)


def with_data(config: Config, folders: Sequence[Path], weights: Sequence[float] = ()) -> Config:
    """A configuration that trains on some prepared datasets, as they are now.

    Args:
        weights: how often each is drawn, in proportion; by default equally often.

    Raises InputError if one can't be trained on, or for a variant that there is not.
    """
    resolution(config.student)  # refuses what there is not before anything is written
    if config.student.weights != "none":
        initial_student(config.student)
    distinct_names(folders)  # refuses one that is given twice
    data = tuple(str(folder.resolve()) for folder in folders)
    config = replace(config, data=data, data_weights=tuple(weights), data_sha256=())
    datasets = open_data(config)
    return replace(config, data_sha256=tuple(dataset.sha256 for dataset in datasets))


def open_data(config: Config) -> list[Dataset]:
    """Open a configuration's datasets.

    Raises InputError if one is none, has nothing to train on, or was not prepared like the others.
    """
    datasets = [open_dataset(folder) for folder in data_folders(config)]
    for dataset in datasets[1:]:
        if (dataset.size, dataset.sigma) != (datasets[0].size, datasets[0].sigma):
            raise InputError(
                f"{dataset.folder} and {datasets[0].folder} were prepared with different "
                "sizes or sigmas: prepare them alike"
            )
    for dataset in datasets:
        if all(shard.frames == shard.not_looked_at for shard in dataset.split("train")):
            raise InputError(f"{dataset.folder}: nobody looks at anything in its train split")
    if config.data_sha256 and config.data_sha256 != tuple(d.sha256 for d in datasets):
        raise InputError("the data was prepared anew since the run began: start another run")
    return datasets


def check_new(config: Config, stages: Sequence[str] = STAGES) -> None:
    """Refuse what a run that is about to begin could not train, while it has no folder yet.

    Args:
        config: by `with_data`.

    Raises InputError.
    """
    datasets = [open_dataset(Path(folder), verify=False) for folder in config.data]
    if "joint" in stages and not config.joint.steps:
        raise InputError("joint.steps 0: expected 1 or more, for stage joint makes the student")
    if config.loop.keep == "best" and not any(map(_has_validation, datasets)):
        raise InputError("loop.keep=best: no --data has a val split that anybody looks at")
    for kind in _kinds_used(config, stages):
        _check_external(config, kind, datasets)
    wanted = kinds_to_teach(config, datasets) if "teach" in stages else []
    if wanted:
        if not config.teach.steps:
            raise InputError(
                "teach.steps 0: expected 1 or more, or "
                + " ".join(f"teachers.{kind}=none" for kind in wanted)
            )
        check_teacher(config.teacher, datasets[0].size)
    trained = [stage for stage in stages if stage != "teach" or wanted]
    for stage in (getattr(config, name) for name in trained):
        if stage.steps:
            check_batch(stage.batch, device_count(config.loop))


def _kinds_used(config: Config, stages: Sequence[str]) -> list[str]:
    """The kinds of teacher whose maps some stages train the student on."""
    distilled = config.student.paths if "distill" in stages and config.distill.steps else ()
    joined = KINDS if "joint" in stages and config.teachers.joint_soft_weight else ()
    return [kind for kind in KINDS if kind in distilled or kind in joined]


def _check_external(config: Config, kind: str, datasets: Sequence[Dataset]) -> None:
    wanted = getattr(config.teachers, kind) == "external"
    if wanted and not any(kind in dataset.teachers for dataset in datasets):
        raise InputError(
            f"teachers.{kind}=external: no --data holds such maps, prepare it with --{kind}-maps"
        )


def kinds_to_teach(config: Config, datasets: Sequence[Dataset]) -> list[str]:
    """The kinds of own teacher that the configuration wants maps of, for some dataset."""
    return [kind for kind in KINDS if any(_wants_own(config, kind, d) for d in datasets)]


def _wants_own(config: Config, kind: str, dataset: Dataset) -> bool:
    choice = getattr(config.teachers, kind)
    return choice == "own" or (choice == "any" and kind not in dataset.teachers)


def initial_student(config: StudentConfig) -> Student:
    """Build a student with the weights that it begins with.

    Raises InputError for a variant or weights that there are not, or that do not fit.
    """
    student = build_student(config)
    if config.weights == "shipped":
        load_shipped(student, config.variant)
    elif config.weights != "none":
        _load(student.pair, Path(config.weights))
    return student


def load_student(run: Run) -> Student:
    """The trained student of a run; raises InputError if it is not trained yet."""
    if not run.student.is_file():
        raise InputError(f"{run.folder}: no student.keras yet, finish its training with --resume")
    student = build_student(run.config.student)
    _load(student.pair, run.student)
    return student


def load_teacher(run: Run, kind: str, size: int) -> keras.Model:
    """A trained teacher of a run; raises InputError if it is not trained yet.

    Args:
        size: side of its frames in pixels, that of the run's datasets.
    """
    path = run.teacher(kind)
    if not path.is_file():
        raise InputError(f"{path} is not there: run the stage teach first")
    model = build_teacher(kind, run.config.teacher, size)
    _load(model, path)
    return model


def _load(model: keras.Model, path: Path) -> None:
    check_file(path, "weights of this run")
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not this run's weights ({error})".splitlines()[0]) from None


def _save(run: Run, model: keras.Model, path: Path) -> None:
    if is_chief(run.config.loop):
        with new_file(path) as partial:
            model.save(partial)


def _check_order(run: Run, stages: Sequence[str]) -> None:
    """Refuse what would quietly leave out a stage."""
    distilled = _last_step(run, "distill")
    if "distill" in stages:
        if _last_step(run, "joint") and distilled < run.config.distill.steps:
            raise InputError(f"{run.folder}: joint was trained before distill, start another run")
    elif "joint" in stages and 0 < distilled < run.config.distill.steps:
        raise InputError(f"{run.folder}: distill is unfinished, add it to --stages")


def _last_step(run: Run, stage: str) -> int:
    """The step of a stage's last checkpoint, 0 without any."""
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    return int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0


def _new_student(run: Run) -> Student:
    keras.utils.set_random_seed(run.config.seed)
    return initial_student(run.config.student)


def _teach(run: Run, datasets: list[Dataset], kind: str, seed: int) -> None:
    config, size = run.config, datasets[0].size
    keras.utils.set_random_seed(seed)
    model = build_teacher(kind, config.teacher, size)
    if run.teacher(kind).is_file():
        _load(model, run.teacher(kind))
    else:
        load_backbone_weights(model, config.teacher)
        view = View(size, size // 2, config.student.pairing)
        loss = losses.ground_truth(model, config.teach.loss)
        _fit(run, f"teach-{kind}", config.teach, model, loss, datasets, view, seed)
        _save(run, model, run.teacher(kind))
    for number, dataset in enumerate(datasets):
        folder = run.teacher_maps(number) / kind
        if _wants_own(config, kind, dataset) and not folder.exists() and is_chief(config.loop):
            write_maps(model, run.teacher(kind), kind, dataset, folder, config.student.pairing)
    wait_for_all()


def _distill(run: Run, datasets: list[Dataset], student: Student) -> None:
    config, stage = run.config.teachers, run.config.distill
    loss = losses.distill(student.paths, stage.loss, config.soft_weight, config.temperature)
    seed = run.config.seed + 2
    teachers = _teachers(run, datasets, run.config.student.paths)
    _fit(run, "distill", stage, student.paths, loss, datasets, _view(run), seed, teachers)


def _joint(run: Run, datasets: list[Dataset], student: Student) -> None:
    if run.config.teachers.freeze:
        distilled = set(map(id, student.paths.layers))
        for layer in student.pair.layers:
            layer.trainable = id(layer) not in distilled
    fit_pair(run, datasets, "joint", run.config.joint, student.pair, student.pair)
    if not run.student.exists():
        _save(run, student.pair, run.student)


def fit_pair(
    run: Run,
    datasets: list[Dataset],
    name: str,
    stage: StageConfig,
    model: keras.Model,
    pair: Callable[..., tf.Tensor],
    namespace: ModuleType = keras,
) -> None:
    """Train a whole student on ground truth and the mean of the run's teachers.

    Args:
        name: of the stage, for checkpoints and metrics.
        model: holds the weights, built with the Keras `namespace`.
        pair: `{"frame", "other"}, training -> logits` by those weights.

    Raises InputError for teachers' maps that the run lacks.
    """
    config = run.config.teachers
    loss = losses.joint(pair, stage.loss, config.joint_soft_weight, config.temperature)
    seed = run.config.seed + 3
    teachers = _teachers(run, datasets, KINDS) if config.joint_soft_weight else {}
    _fit(run, name, stage, model, loss, datasets, _view(run), seed, teachers, namespace)


def _teachers(
    run: Run, datasets: list[Dataset], kinds: Sequence[str]
) -> dict[str, list[Path | None]]:
    """By kind, where each dataset's maps of a teacher are; None for in the records themselves.

    Raises InputError for maps that are not there, or were made from something else.
    """
    folders: dict[str, list[Path | None]] = {}
    for kind in kinds:
        choice = getattr(run.config.teachers, kind)
        if choice == "none":
            continue
        _check_external(run.config, kind, datasets)
        folders[kind] = [None] * len(datasets)
        for number, dataset in enumerate(datasets):
            if _wants_own(run.config, kind, dataset):
                folder = run.teacher_maps(number) / kind
                if not (folder.is_dir() and run.teacher(kind).is_file()):
                    raise InputError(
                        f"{folder} is not there: run the stage teach first, or set "
                        f"teachers.{kind}=none"
                    )
                check_maps(folder, run.teacher(kind), dataset, run.config.student.pairing)
                folders[kind][number] = folder
    return folders


def _view(run: Run) -> View:
    """What the student sees."""
    side = resolution(run.config.student)
    return View(side, side, run.config.student.pairing)


def _fit(
    run: Run,
    name: str,
    stage: StageConfig,
    model: keras.Model,
    loss: losses.Losses,
    datasets: list[Dataset],
    view: View,
    seed: int,
    teachers: Mapping[str, list[Path | None]] | None = None,
    namespace: ModuleType = keras,
) -> None:
    """Run a stage's loop on the datasets' train splits, validating on their val splits."""
    keras.utils.set_random_seed(seed)  # shuffles depend on the global seed too

    def batches(start: int) -> tf.data.Dataset:
        return training_batches(
            datasets,
            view,
            batch=stage.batch,
            seed=seed,
            augment=run.config.augment,
            weights=run.config.data_weights,
            start=start,
            teachers=teachers,
        )

    validation = _validation(datasets, view, stage.batch)
    fit(Task(name, model, loss, batches, validation, namespace), stage, run)


def _validation(datasets: list[Dataset], view: View, batch: int) -> tf.data.Dataset | None:
    parts = [
        ordered_batches(
            dataset, dataset.split("val"), view, batch=batch, every=VALIDATE_EVERY_FRAME
        )
        for dataset in datasets
        if _has_validation(dataset)
    ]
    return functools.reduce(tf.data.Dataset.concatenate, parts).cache() if parts else None


def _has_validation(dataset: Dataset) -> bool:
    """Whether it has a val split in which somebody looks at something."""
    shards = dataset.split("val") if dataset.has("val") else []
    return any(shard.frames > shard.not_looked_at for shard in shards)


def _restore(run: Run, stage: str, model: keras.Model) -> None:
    """Take a finished or unfinished stage's weights, if the run has any."""
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    if checkpoint:
        tf.train.Checkpoint(model=model).restore(checkpoint).expect_partial()
