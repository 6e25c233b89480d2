"""A stage's checkpoints: the last one, from which it goes on, and the best on validation."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf


class Checkpoints:
    """Saves and restores a stage's model, optimizer and random generators.

    Args:
        folder: of the last checkpoint; the best one lies in `best` below it.
        writes: False saves nothing, on all machines but the first.
    """

    def __init__(
        self, folder: Path, model: keras.Model, optimizer: keras.Optimizer, *, writes: bool
    ) -> None:
        everything = tf.train.Checkpoint(model=model, optimizer=optimizer, seeds=_seeds(model))
        self._optimizer, self._model, self._writes = optimizer, model, writes
        self._last = tf.train.CheckpointManager(everything, str(folder), max_to_keep=1)
        best = tf.train.Checkpoint(model=model)
        self._best = tf.train.CheckpointManager(best, str(folder / "best"), max_to_keep=1)
        for checkpoint in (everything, best):
            _ = checkpoint.save_counter  # made on first use, by all machines or none

    def restore(self) -> int:
        """Go on from the last checkpoint, if there is one; returns its step, or 0."""
        self._last.restore_or_initialize()
        return int(self._optimizer.iterations.numpy())

    def save(self, step: int) -> None:
        """Save everything."""
        if self._writes:
            self._last.save(step)

    def save_best(self, step: int) -> None:
        """Save the model as the best so far."""
        if self._writes:
            self._best.save(step)

    def restore_best(self) -> None:
        """Give the model its best weights, if any were saved."""
        best = tf.train.latest_checkpoint(self._best.directory)  # by whichever machine
        if best:
            tf.train.Checkpoint(model=self._model).restore(best).expect_partial()


def _seeds(model: keras.Model) -> list[tf.Variable]:
    """The states of dropout's and noise's generators, which a model's own checkpoint leaves out."""
    weights = {id(variable) for variable in model.weights}
    return [variable.value for variable in model.variables if id(variable) not in weights]
