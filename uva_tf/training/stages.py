"""The stages of coupled distillation: teach, distill, joint.

Source: UVA-Net (arXiv 1904.04449), section 4. Every stage picks up what the run
already holds, so that an interrupted or partial training goes on where it was.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import tensorflow as tf
from tqdm import tqdm

from uva_tf.config import STAGES, Config
from uva_tf.data.pipeline import View, ordered_batches, training_batches
from uva_tf.data.records import Dataset, map_record, open_dataset
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import VARIANTS, Student, build_student
from uva_tf.models.teachers import KINDS, build_teacher
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.outputs import new_file, new_folder
from uva_tf.training import losses
from uva_tf.training.loop import Task, fit
from uva_tf.training.run import Run

# Of a clip's validation frames one in so many is enough for a loss curve.
VALIDATE_EVERY_FRAME = 16


def train(run: Run, stages: Sequence[str] = STAGES) -> None:
    """Run some stages in their order on the run's datasets.

    Raises InputError if the datasets do not fit or a stage's teachers are missing.
    """
    datasets = check_data(run.config)
    if "teach" in stages:
        for number, kind in enumerate(KINDS):
            _teach(run, datasets, kind, run.config.seed + number)
    student = _new_student(run)
    if "distill" in stages:
        _distill(run, datasets, student)
    else:
        _restore(run, "distill", student.paths)
    if "joint" in stages:
        _joint(run, datasets, student)


def check_data(config: Config) -> list[Dataset]:
    """Open a configuration's datasets.

    Raises InputError if one is none or they were not prepared alike.
    """
    datasets = [open_dataset(Path(folder)) for folder in config.data]
    for dataset in datasets[1:]:
        if (dataset.size, dataset.sigma) != (datasets[0].size, datasets[0].sigma):
            raise InputError(
                f"{dataset.folder} and {datasets[0].folder} were prepared with different "
                "sizes or sigmas: prepare them alike"
            )
    for dataset in datasets:
        dataset.split("train")
    return datasets


def load_student(run: Run) -> Student:
    """The trained student of a run; raises InputError if it is not trained yet."""
    if not run.student.is_file():
        raise InputError(f"{run.folder}: no student.keras yet, finish its training with --resume")
    student = build_student(run.config.student)
    student.pair.load_weights(run.student)
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
    model.load_weights(path)
    return model


def _new_student(run: Run) -> Student:
    keras.utils.set_random_seed(run.config.seed)
    return build_student(run.config.student)


def _teach(run: Run, datasets: list[Dataset], kind: str, seed: int) -> None:
    size = datasets[0].size
    keras.utils.set_random_seed(seed)
    model = build_teacher(kind, run.config.teacher, size)
    if run.teacher(kind).is_file():
        model.load_weights(run.teacher(kind))
    else:
        view = View(size, size // 2, run.config.student.pairing)
        task = _task(run, f"teach-{kind}", model, losses.ground_truth(model), datasets, view, seed)
        fit(task, run.config.teach, run)
        with new_file(run.teacher(kind)) as path:
            model.save(path)
    for number, dataset in enumerate(datasets):
        folder = run.teacher_maps(number) / kind
        if not folder.exists():
            _write_maps(model, dataset, folder, run.config.student.pairing, kind)


def _write_maps(model: keras.Model, dataset: Dataset, out: Path, pairing: str, kind: str) -> None:
    """Write a teacher's map of every training frame, in the shards' order."""
    predict = tf.function(lambda batch: attention(model(batch, training=False)))
    view = View(dataset.size, dataset.size // 2, pairing)
    shards = dataset.split("train")
    with new_folder(out) as folder:
        for shard in tqdm(shards, f"{kind} maps of {dataset.folder.name}", disable=None):
            with tf.io.TFRecordWriter(str(folder / shard.file)) as writer:
                for batch in ordered_batches(dataset, [shard], view, batch=32):
                    maps = predict({key: normalise(batch[key]) for key in ("frame", "other")})
                    for video, index, picture in zip(
                        batch["video"].numpy(), batch["index"].numpy(), maps.numpy(), strict=True
                    ):
                        png = cv2.imencode(".png", (255 * picture).round().astype("uint8"))[1]
                        writer.write(map_record(video, int(index), png.tobytes()))


def _distill(run: Run, datasets: list[Dataset], student: Student) -> None:
    folders = [run.teacher_maps(number) for number in range(len(datasets))]
    for folder in folders:
        for kind in KINDS:
            if not (folder / kind).is_dir():
                raise InputError(f"{folder / kind} is not there: run the stage teach first")
    loss = losses.distill(student.paths, run.config.soft_weight)
    task = _task(
        run, "distill", student.paths, loss, datasets, _view(run), run.config.seed + 2, folders
    )
    fit(task, run.config.distill, run)


def _joint(run: Run, datasets: list[Dataset], student: Student) -> None:
    loss = losses.ground_truth(student.pair)
    task = _task(run, "joint", student.pair, loss, datasets, _view(run), run.config.seed + 3)
    fit(task, run.config.joint, run)
    if not run.student.exists():
        with new_file(run.student) as path:
            student.pair.save(path)


def _view(run: Run) -> View:
    side = VARIANTS[run.config.student.variant].resolution
    return View(side, side, run.config.student.pairing)


def _task(
    run: Run,
    name: str,
    model: keras.Model,
    loss: losses.Losses,
    datasets: list[Dataset],
    view: View,
    seed: int,
    teachers: list[Path] | None = None,
) -> Task:
    batch = getattr(run.config, name.split("-")[0]).batch

    def batches(start: int) -> tf.data.Dataset:
        return training_batches(
            datasets,
            view,
            batch=batch,
            seed=seed,
            augment=run.config.augment,
            start=start,
            teachers=teachers,
        )

    return Task(name, model, loss, batches, _validation(datasets, view, batch))


def _validation(datasets: list[Dataset], view: View, batch: int) -> tf.data.Dataset | None:
    parts = [
        ordered_batches(
            dataset, dataset.split("val"), view, batch=batch, every=VALIDATE_EVERY_FRAME
        )
        for dataset in datasets
        if dataset.has("val")
    ]
    if not parts:
        return None
    return functools.reduce(tf.data.Dataset.concatenate, parts).cache()


def _restore(run: Run, stage: str, model: keras.Model) -> None:
    """Take a finished or unfinished stage's weights, if the run has any."""
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    if checkpoint:
        tf.train.Checkpoint(model=model).restore(checkpoint).expect_partial()
