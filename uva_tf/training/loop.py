"""The training loop, the only one: any stage is a task that it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from uva_tf.config import StageConfig
from uva_tf.training.losses import Losses
from uva_tf.training.run import Run

# From what `tensors` makes of a batch to the loss's named terms.
Step = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]

LOG_EVERY = 20
CHECKPOINT_EVERY = 100
VALIDATIONS = 5


@dataclass(frozen=True)
class Task:
    """What a stage trains.

    Attributes:
        name: names the stage's checkpoints and metrics.
        model: its trainable weights are trained.
        losses: from a batch and whether it is for training to the loss's named terms.
        batches: from a step number to the endless batches from there on.
        validation: batches whose mean losses are logged too, or None.
    """

    name: str
    model: keras.Model
    losses: Losses
    batches: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset | None


def fit(task: Task, config: StageConfig, run: Run) -> None:
    """Train a task to its last step, from its last checkpoint if the run has one.

    Writes checkpoints and metrics into the run. Raises FloatingPointError, with the
    step and the terms, once a loss is not finite.
    """
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(task.model.trainable_variables)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=task.model, optimizer=optimizer, seeds=_seeds(task.model)),
        str(run.checkpoints(task.name)),
        max_to_keep=1,
    )
    manager.restore_or_initialize()
    start = int(optimizer.iterations.numpy())
    run.forget(task.name, start)
    if start >= config.steps:
        return

    train_step, validation_step = make_steps(task, optimizer)
    sums: Counter = Counter()
    bar = tqdm(
        task.batches(start).take(config.steps - start),
        task.name,
        config.steps,
        initial=start,
        unit="step",
        disable=None,
    )
    for step, batch in enumerate(bar, start=start + 1):
        terms = {name: float(value) for name, value in train_step(tensors(batch)).items()}
        if not np.isfinite(list(terms.values())).all():
            raise FloatingPointError(f"{task.name}: loss not finite at step {step}: {terms}")
        sums.update(terms)
        last = step == config.steps
        if step % LOG_EVERY == 0 or last:
            count = (step - 1) % LOG_EVERY + 1
            means = {name: value / count for name, value in sums.items()}
            run.log(stage=task.name, step=step, loss=sum(means.values()), **means)
            bar.set_postfix(loss=f"{sum(means.values()):.3f}")
            sums.clear()
        if task.validation is not None and (step % -(-config.steps // VALIDATIONS) == 0 or last):
            run.log(stage=task.name, step=step, **_validate(task.validation, validation_step))
        if step % CHECKPOINT_EVERY == 0 or last:
            manager.save(step)


def _seeds(model: keras.Model) -> list[tf.Variable]:
    """The states of dropout's and noise's generators, which a model's own checkpoint leaves out."""
    weights = {id(variable) for variable in model.weights}
    return [variable.value for variable in model.variables if id(variable) not in weights]


def make_steps(task: Task, optimizer: keras.optimizers.Optimizer) -> tuple[Step, Step]:
    """Functions that train on a batch, and that only compute its losses."""
    variables = task.model.trainable_variables

    @tf.function
    def train_step(batch):
        with tf.GradientTape() as tape:
            terms = task.losses(batch, True)
            loss = tf.add_n(list(terms.values()))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return terms

    @tf.function(reduce_retracing=True)  # a dataset's last batch is smaller
    def validation_step(batch):
        return task.losses(batch, False)

    return train_step, validation_step


def _validate(batches: tf.data.Dataset, step) -> dict[str, float]:
    """Mean of each term over all frames, under names that begin with `val_`."""
    sums: Counter = Counter()
    frames = 0
    for batch in batches:
        count = int(batch["frame"].shape[0])
        for name, value in step(tensors(batch)).items():
            sums[f"val_{name}"] += count * float(value)
        frames += count
    return {name: value / frames for name, value in sums.items()}


def tensors(batch: dict) -> dict[str, tf.Tensor]:
    """What the losses use of a batch: dense tensors of fixed shape."""
    return {key: batch[key] for key in batch if key not in ("fixations", "video", "index")}
