"""Coupled distillation in one view (UVA-Net, arXiv 1904.04449, section 4).

  stage     what is trained                            what it learns from
  teach     a spatial and a temporal teacher           ground truth, at the frames' full size
            (then each draws every training frame's map, once)
  hint      the student's trunk and paths              another network's features, its hints
  distill   each of the student's paths, under a head  ground truth, its own teacher's maps
  joint     the whole student                          ground truth, the mean of those maps

Every stage continues from what the run already holds, so an interrupted training resumes where
it stopped. `loop.fit` is the loop, `losses` has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import ModuleType

import keras
import tensorflow as tf

from uva_tf.config import KINDS, STAGES, StageConfig
from uva_tf.data.dataset import Dataset
from uva_tf.data.pipeline import View
from uva_tf.models.backbones import load_backbone_weights
from uva_tf.models.student import Student
from uva_tf.models.teachers import build_teacher
from uva_tf.training import losses
from uva_tf.training.checks import check_order
from uva_tf.training.devices import is_chief, open_strategy, precision, wait_for_all
from uva_tf.training.examples import (
    check_hints,
    kinds_to_teach,
    map_folders,
    open_data,
    student_view,
    training_examples,
    validation_examples,
    wants_own,
)
from uva_tf.training.loop import Task, fit
from uva_tf.training.losses import Batch, Terms
from uva_tf.training.run import Run
from uva_tf.training.teacher_maps import write_maps
from uva_tf.training.weights import initial_student, load_weights, restore_stage, save_model


def train(run: Run, stages: Sequence[str] = STAGES) -> None:
    """Run some stages, in the order of `STAGES`, on the run's datasets.

    With several machines, all of them call it and the first writes the run.

    Raises InputError if the datasets do not fit, the stages come out of order, or another
    process is training the run.
    """
    config = run.config
    alone = run.locked() if is_chief(config.loop) else nullcontext()
    with alone, open_strategy(config.loop).scope(), precision(config.loop):
        wait_for_all()  # the first machine may just have begun the run
        datasets = open_data(config)
        check_order(run, stages)

        if "teach" in stages:
            for kind in kinds_to_teach(config, datasets):
                _teach(run, datasets, kind)

        keras.utils.set_random_seed(config.seed)
        student = initial_student(config.student)
        if config.hint.steps:
            _hint(run, datasets, student, train="hint" in stages)
        if "distill" in stages and config.distill.steps:
            _distill(run, datasets, student)
        else:
            restore_stage(run, "distill", student.paths)

        if "joint" in stages:
            _joint(run, datasets, student)


def _teach(run: Run, datasets: Sequence[Dataset], kind: str) -> None:
    """Train a teacher on ground truth, then write its map of every training frame."""
    config, stage, size = run.config, run.config.teach, datasets[0].size
    seed = config.seed + KINDS.index(kind)
    keras.utils.set_random_seed(seed)
    teacher = build_teacher(kind, config.teacher, size)

    def loss(batch: Batch, training: bool) -> Terms:
        logits = teacher(losses.frames(batch), training=training)  # (B, size / 2, size / 2, 1)
        return losses.ground_truth(logits, batch, stage.loss)

    if run.teacher(kind).is_file():
        load_weights(teacher, run.teacher(kind))
    else:
        load_backbone_weights(teacher, config.teacher)
        view = View(size, size // 2, config.student.pairing)
        examples = training_examples(run, datasets, view, stage, seed)
        validation = validation_examples(datasets, view, stage.batch)
        fit(Task(f"teach-{kind}", teacher, loss, examples, validation), stage, run)
        save_model(run, teacher, run.teacher(kind))

    for number, dataset in enumerate(datasets):
        folder = run.teacher_maps(number) / kind
        if wants_own(config, kind, dataset) and not folder.exists() and is_chief(config.loop):
            write_maps(teacher, run.teacher(kind), kind, dataset, folder, config.student.pairing)
    wait_for_all()


def _hint(run: Run, datasets: Sequence[Dataset], student: Student, *, train: bool) -> None:
    """Train trunk and paths to predict hints, by a 1x1 convolution that no other stage uses.

    Args:
        train: False only restores what was trained.
    """
    check_hints(datasets)
    stage, fused = run.config.hint, student.fused
    components = max(dataset.hints for dataset in datasets)
    predict = keras.layers.Conv2D(components, 1, dtype=keras.backend.floatx(), name="hint")
    model = keras.Model(fused.inputs, predict(fused.outputs[0]), name="hints")
    if not train:
        restore_stage(run, "hint", model)
        return

    def loss(batch: Batch, training: bool) -> Terms:
        features = model(losses.frames(batch), training=training)  # (B, g, g, K)
        return losses.hint(features, batch)

    view = replace(student_view(run.config), hint_size=model.output_shape[1])
    examples = training_examples(run, datasets, view, stage, run.config.seed + 4)
    fit(Task("hint", model, loss, examples, None), stage, run)


def _distill(run: Run, datasets: Sequence[Dataset], student: Student) -> None:
    """Train trunk and paths, each path under its own head, which joint does not use."""
    config, stage, view = run.config, run.config.distill, student_view(run.config)

    def loss(batch: Batch, training: bool) -> Terms:
        logits = student.paths(losses.frames(batch), training=training)  # {kind: (B, R, R, 1)}
        return losses.coupled(logits, batch, stage.loss, config.soft_targets)

    teachers = map_folders(run, datasets, config.student.paths)
    examples = training_examples(run, datasets, view, stage, config.seed + 2, teachers)
    validation = validation_examples(datasets, view, stage.batch)
    fit(Task("distill", student.paths, loss, examples, validation), stage, run)


def _joint(run: Run, datasets: Sequence[Dataset], student: Student) -> None:
    """Train the whole student: both paths under the fused head."""
    if run.config.freeze_paths:
        distilled = set(map(id, student.paths.layers))
        for layer in student.pair.layers:
            layer.trainable = id(layer) not in distilled
    fit_joint(run, datasets, "joint", run.config.joint, student.pair, student.pair)
    if not run.student.exists():
        save_model(run, student.pair, run.student)


def fit_joint(
    run: Run,
    datasets: Sequence[Dataset],
    name: str,
    stage: StageConfig,
    model: keras.Model,
    pair: Callable[..., tf.Tensor],
    namespace: ModuleType = keras,
) -> None:
    """Train a whole student with the loss of the stage joint, as fine-tuning for 8 bits does too.

    Args:
        name: under which checkpoints and metrics are written.
        stage: how long and how fast to train.
        model: holds the weights.
        pair: `{"frame", "other"}, training -> logits`, computed with those weights.
        namespace: the Keras that the model is built with.

    Raises InputError if the run lacks teachers' maps that it needs.
    """
    config, view = run.config, student_view(run.config)

    def loss(batch: Batch, training: bool) -> Terms:
        logits = pair(losses.frames(batch), training=training)  # (B, R, R, 1)
        return losses.joint(logits, batch, stage.loss, config.soft_targets)

    teachers = map_folders(run, datasets, KINDS) if config.soft_targets.joint_weight else None
    examples = training_examples(run, datasets, view, stage, config.seed + 3, teachers)
    validation = validation_examples(datasets, view, stage.batch)
    fit(Task(name, model, loss, examples, validation, namespace), stage, run)
