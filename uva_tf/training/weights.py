"""A run's weights, before and after training."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.core.outputs import new_file
from uva_tf.models.shipped import load_shipped
from uva_tf.models.student import Student, build_student
from uva_tf.models.teachers import build_teacher
from uva_tf.training.devices import is_chief
from uva_tf.training.run import Run


def initial_student(config: StudentConfig, temperature: float = 1.0) -> Student:
    """Build a student with its first weights: random, shipped, or of another run.

    Training begins with undivided logits. Those of trained weights are multiplied by the
    temperature of the run that trained them, which the `config.json` beside them tells.

    Args:
        temperature: of trained weights that have no `config.json` beside them.

    Raises InputError for an unknown variant, and for weights that are missing or do not fit.
    """
    student = build_student(config)
    if config.weights == "none":
        return student
    if config.weights == "shipped":
        load_shipped(student, config.variant)
    else:
        path = Path(config.weights)
        load_weights(student.pair, path, f"the student {config.variant}")
        if (path.parent / "config.json").is_file():
            temperature = Run.open(path.parent).config.temperature
    divide_logits(student.pair, 1 / temperature)
    return student


def load_student(run: Run) -> Student:
    """The trained student of a run; raises InputError if it is not trained yet."""
    if not run.student.is_file():
        raise InputError(
            f"{run.folder}: no student.keras yet: finish its training with uva-tf train --resume"
        )
    student = build_student(run.config.student)
    load_weights(student.pair, run.student, f"the student {run.config.student.variant}")
    return student


def divide_logits(pair: keras.Model, temperature: float) -> None:
    """Divide a student's logits by a number, in the weights of its last layer, which is linear."""
    last = next(layer for layer in reversed(pair.layers) if layer.weights)
    last.set_weights([weight / temperature for weight in last.get_weights()])


def load_teacher(run: Run, kind: str, size: int) -> keras.Model:
    """A trained teacher of a run; raises InputError if it is not trained yet.

    Args:
        size: side of its frames in pixels, as in the run's datasets.
    """
    path = run.teacher(kind)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: give its uva-tf train command with --stages teach and --resume"
        )
    model = build_teacher(kind, run.config.teacher, size)
    load_weights(model, path, f"the {kind} teacher")
    return model


def load_weights(model: keras.Model, path: Path, of: str) -> None:
    """Load weights from a file into a model; raises InputError if they do not fit it.

    Args:
        of: whose weights are expected, for the message.
    """
    check_file(path, f"file with weights of {of}")
    try:
        with warnings.catch_warnings():
            # Keras leaves layers that the file lacks as they are, and only warns.
            warnings.filterwarnings("error", "Skipping nested container", UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning, zipfile.BadZipFile):
        raise InputError(
            f"{path}: expected weights of {of}, found others or a damaged file"
        ) from None


def save_model(run: Run, model: keras.Model, path: Path) -> None:
    """Write a model into its run; only the first of several machines does."""
    if is_chief(run.config.loop):
        with new_file(path) as partial:
            model.save(partial)


def restore_stage(run: Run, stage: str, model: keras.Model) -> None:
    """Load the weights of a stage's last checkpoint, finished or not, if the run has any."""
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    if checkpoint:
        tf.train.Checkpoint(model=model).restore(checkpoint).expect_partial()
