"""What a training says of itself: lines of `metrics.jsonl`, and TensorBoard's files."""

from __future__ import annotations

import tensorflow as tf

from uva_tf.training.run import Run


class Journal:
    """Writes a stage's metrics into its run.

    Args:
        start: the step that the stage goes on from; what was written of later ones is dropped.
        writes: False writes nothing, on all machines but the first.
    """

    def __init__(self, run: Run, stage: str, start: int, *, writes: bool) -> None:
        self._run, self._stage, self._writes = run, stage, writes
        self._board: tf.summary.SummaryWriter | None = None
        self._best = float("inf")
        if not writes:
            return
        run.forget(stage, start)
        if run.config.loop.tensorboard:
            self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard" / stage))
        past = [e["val_loss"] for e in run.history() if e["stage"] == stage and "val_loss" in e]
        self._best = min(past, default=self._best)

    def log(self, step: int, **values: float) -> None:
        """Write some values of a step."""
        if not self._writes:
            return
        self._run.log(stage=self._stage, step=step, **values)
        if self._board is not None:
            with self._board.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._board.flush()

    def is_best(self, loss: float) -> bool:
        """Whether a validation loss is below all before it in the stage."""
        better, self._best = loss < self._best, min(loss, self._best)
        return better
