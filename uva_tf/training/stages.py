"""Coupled distillation in one view (UVA-Net, arXiv 1904.04449, section 4).

  stage     what is trained                            what it learns from
  teach     a spatial and a temporal teacher           ground truth, at the frames' full size
            (then each draws every training frame's map, once)
  hint      the student's trunk and paths              another network's features, its hints
  distill   each of the student's paths, under a head  ground truth, its own teacher's maps
  joint     the whole student                          ground truth, the mean of those maps
            (with `members`, several times; the mean of their weights is the student)

Every stage continues from what the run already holds, so an interrupted training resumes where
it stopped. `loop.fit` is the loop, `losses` has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from uva_tf.config import KINDS, STAGES, StageConfig
from uva_tf.data.dataset import Dataset
from uva_tf.data.pipeline import View
from uva_tf.models.backbones import load_backbone_weights
from uva_tf.models.student import Student, path_kinds
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
from uva_tf.training.weights import (
    divide_logits,
    initial_student,
    load_weights,
    restore_stage,
    save_model,
)

MEMBER_SEED = 100  # between the seeds of trainings that are averaged


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
        student = initial_student(config.student, config.temperature)
        hinted = None
        if config.hint.steps or config.soft_targets.hint_weight:
            hinted = _with_hints(student, datasets)
            if "hint" in stages and config.hint.steps:
                _hint(run, datasets, hinted)
            else:
                restore_stage(run, "hint", hinted)
        if "distill" in stages and config.distill.steps:
            _distill(run, datasets, student)
        else:
            restore_stage(run, "distill", student.paths)

        if "joint" in stages:
            _joint(run, datasets, student, hinted)


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
        load_weights(teacher, run.teacher(kind), f"the {kind} teacher")
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


def _with_hints(student: Student, datasets: Sequence[Dataset]) -> keras.Model:
    """Trunk and paths under a 1x1 convolution that predicts hints and is no part of the student."""
    check_hints(datasets)
    components = max(dataset.hints for dataset in datasets)
    predict = keras.layers.Conv2D(components, 1, dtype=keras.backend.floatx(), name="hint")
    return keras.Model(student.fused.input, predict(student.fused.output), name="hinted")


def _hint(run: Run, datasets: Sequence[Dataset], hinted: keras.Model) -> None:
    """Train trunk and paths to predict another network's features."""
    stage, seed = run.config.hint, run.config.seed + 4

    def loss(batch: Batch, training: bool) -> Terms:
        features = hinted(losses.frames(batch), training=training)  # (B, g, g, K)
        return losses.hint(features, batch)

    view = student_view(run.config, hinted)
    examples = training_examples(run, datasets, view, stage, seed, hints_alone=True)
    fit(Task("hint", hinted, loss, examples, None), stage, run)


def _distill(run: Run, datasets: Sequence[Dataset], student: Student) -> None:
    """Train trunk and paths, each path under its own head, which joint does not use."""
    config, stage, view = run.config, run.config.distill, student_view(run.config)

    def loss(batch: Batch, training: bool) -> Terms:
        logits = student.paths(losses.frames(batch), training=training)  # {kind: (B, R, R, 1)}
        return losses.coupled(logits, batch, stage.loss, config.soft_targets)

    teachers = map_folders(run, datasets, path_kinds(config.student))
    examples = training_examples(run, datasets, view, stage, config.seed + 2, teachers)
    validation = validation_examples(datasets, view, stage.batch)
    fit(Task("distill", student.paths, loss, examples, validation), stage, run)


def _joint(
    run: Run, datasets: Sequence[Dataset], student: Student, hinted: keras.Model | None
) -> None:
    """Train the whole student: both paths under the fused head; with hints, if they weigh."""
    if run.config.freeze_paths:
        distilled = set(map(id, student.paths.layers))
        for layer in student.pair.layers:
            layer.trainable = id(layer) not in distilled
    model = student.pair
    weighed = hinted if run.config.soft_targets.hint_weight else None
    if weighed is not None:
        model = keras.Model(model.input, [model.output, weighed.output])
    start, members = model.get_weights(), []
    for member in range(run.config.members):
        model.set_weights(start)
        name = f"joint-{member + 1}" if member else "joint"
        fit_joint(
            run, datasets, name, run.config.joint, model, model, hinted=weighed, member=member
        )
        members.append(model.get_weights())
    model.set_weights([np.mean(same, axis=0) for same in zip(*members, strict=True)])
    if not run.student.exists():
        divide_logits(student.pair, run.config.temperature)
        save_model(run, student.pair, run.student)


def fit_joint(
    run: Run,
    datasets: Sequence[Dataset],
    name: str,
    stage: StageConfig,
    model: keras.Model,
    pair: Callable[..., tf.Tensor | list[tf.Tensor]],
    namespace: ModuleType = keras,
    hinted: keras.Model | None = None,
    temperature: float = 1.0,
    member: int = 0,
) -> None:
    """Train a whole student with the loss of the stage joint, as fine-tuning for 8 bits does too.

    Args:
        name: under which checkpoints and metrics are written.
        stage: how long and how fast to train.
        model: holds the weights.
        pair: `{"frame", "other"}, training -> logits`, computed with those weights; with `hinted`,
            `-> [logits, hints]`.
        namespace: the Keras that the model is built with.
        hinted: predicts hints, if they are learned from.
        temperature: what the logits have been divided by.
        member: number of the training among those that are averaged; each has other batches.

    Raises InputError if the run lacks teachers' maps that it needs.
    """
    config, view = run.config, student_view(run.config, hinted)
    soft_targets = config.soft_targets

    def loss(batch: Batch, training: bool) -> Terms:
        drawn = pair(losses.frames(batch), training=training)
        logits, *hints = tf.nest.flatten(drawn)  # (B, R, R, 1), and with hints (B, g, g, K)
        terms = losses.joint(temperature * logits, batch, stage.loss, soft_targets)
        if hints and training:
            terms |= losses.hint(hints[0], batch, soft_targets.hint_weight)
        return terms

    teachers = map_folders(run, datasets, KINDS) if soft_targets.joint_weight else None
    seed = config.seed + 3 + MEMBER_SEED * member
    examples = training_examples(run, datasets, view, stage, seed, teachers)
    validation = validation_examples(datasets, student_view(config), stage.batch)
    fit(Task(name, model, loss, examples, validation, namespace), stage, run)
