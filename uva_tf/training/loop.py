"""The training loop, the only one: any stage is a task that it runs, on any devices."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import keras
import tensorflow as tf
from tqdm import tqdm

from uva_tf.config import LoopConfig, StageConfig
from uva_tf.core.interruption import hold
from uva_tf.training.devices import check_batch, is_chief, wait_for_all
from uva_tf.training.losses import Terms, without_counts
from uva_tf.training.run import NORM, Journal, Run

# From a batch and whether it is for training to the loss's named terms.
Loss = Callable[[dict[str, tf.Tensor], bool], Terms]
# From what `tensors` makes of a batch to the loss's named terms.
Step = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]

LOG_EVERY = 20  # steps
VALIDATIONS = 5


@dataclass(frozen=True)
class Task:
    """What a stage trains.

    Attributes:
        name: names the stage's checkpoints and metrics.
        model: its trainable weights are trained.
        loss: from a batch and whether it is for training to the loss's named terms.
        batches: from a step number to the endless batches from there on.
        validation: batches whose mean losses are logged too, or None.
        namespace: the Keras that the model is built with.
    """

    name: str
    model: keras.Model
    loss: Loss
    batches: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset | None
    namespace: ModuleType = keras


def fit(task: Task, config: StageConfig, run: Run) -> None:
    """Train a task to its last step, from its last checkpoint if the run has one.

    It runs on the devices of the tf.distribute strategy in scope, where the model was
    built; they share every batch. Writes checkpoints (the last, and the best on
    validation) and metrics into the run. Raises FloatingPointError, with the step, the
    terms and the videos, once a loss or a gradient is not finite; the last checkpoint is
    then from before. Raises KeyboardInterrupt, with a checkpoint of the step reached, once a
    signal asks to stop. Raises InputError for a batch that the devices can't share evenly.

    Logs a line with the losses now and then, see `Journal`.
    """
    loop = run.config.loop
    chief = is_chief(loop)
    optimizer = make_optimizer(config, loop, task.namespace)
    optimizer.build(task.model.trainable_variables)
    checkpoints = Checkpoints(run.checkpoints(task.name), task.model, optimizer, writes=chief)
    start = checkpoints.restore()
    journal = Journal(run, task.name, start, config.steps, writes=chief)
    if start >= config.steps:
        return

    train_step, validation_step = make_steps(task, optimizer, loop.clip_norm)
    bar = tqdm(
        _distributed(task.batches(start).take(config.steps - start), config),
        task.name,
        config.steps,
        initial=start,
        unit="step",
        disable=None if chief else True,
    )
    saved = time.monotonic()
    with hold() as stop:
        for step, batch in enumerate(bar, start=start + 1):
            terms = {name: float(value) for name, value in train_step(batch).items()}
            if not all(map(math.isfinite, terms.values())):
                raise FloatingPointError(
                    f"{task.name}: loss not finite at step {step}: {terms}, in a batch of "
                    f"{_videos(task.batches(step - 1))}"
                )
            journal.add(terms)
            last, stopping = step == config.steps, stop.asked()
            if step % LOG_EVERY == 0 or last or stopping:
                bar.set_postfix(loss=f"{journal.training(step):.3f}")
            validates = step % -(-config.steps // VALIDATIONS) == 0 or last
            if validates and task.validation is not None:
                with _averaged(optimizer, task.model):
                    if journal.validation(step, _validate(task.validation, validation_step)):
                        checkpoints.save_best(step)
            if last:
                optimizer.finalize_variable_values(task.model.trainable_variables)
                wait_for_all()  # the best is on its way to the disk
                if loop.keep == "best":
                    checkpoints.restore_best()
            overdue = time.monotonic() - saved >= loop.checkpoint_seconds
            if step % loop.checkpoint_steps == 0 or overdue or last or stopping:
                checkpoints.save(step)
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt(f"step {step} of {config.steps} of {task.name} is kept")
    wait_for_all()


def make_optimizer(
    config: StageConfig, loop: LoopConfig, namespace: ModuleType = keras
) -> keras.optimizers.Optimizer:
    """Adam; its rate rises over the warm-up and falls to 0 at the last step as a cosine does."""
    warm_up = round(loop.warm_up * config.steps)
    schedule = namespace.optimizers.schedules.CosineDecay(
        0.0 if warm_up else config.learning_rate,
        config.steps - warm_up,
        warmup_target=config.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
    averaging = {"use_ema": True, "ema_momentum": loop.average} if loop.average else {}
    return namespace.optimizers.Adam(schedule, **averaging)


def make_steps(
    task: Task, optimizer: keras.optimizers.Optimizer, clip_norm: float = 0.0
) -> tuple[Step, Step]:
    """Functions that train on a batch, and that only compute its losses.

    The first also gives the gradients' norm, before it is limited to `clip_norm` (0: it is not).
    """
    strategy = tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    variables = task.model.trainable_variables
    for layer in task.model.layers if devices > 1 else ():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True  # over the whole batch, not each device's part

    def train_on_part(batch):
        with tf.GradientTape() as tape:
            terms = task.loss(batch, True)
            loss = tf.add_n(list(without_counts(terms).values())) / devices
        gradients = tape.gradient(loss, variables)
        if devices > 1:
            replica = tf.distribute.get_replica_context()
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        if clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, norm)
        # The optimizer adds up the devices' gradients, which are all the sum already.
        gradients = [gradient / devices for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return terms | {NORM: norm}

    @tf.function(autograph=False)
    def train_step(batch):
        parts = strategy.run(train_on_part, (batch,))
        return {name: strategy.reduce("MEAN", part, axis=None) for name, part in parts.items()}

    @tf.function(autograph=False, reduce_retracing=True)  # a dataset's last batch is smaller
    def validation_step(batch):
        return task.loss(batch, False)

    return train_step, validation_step


def tensors(batch: dict) -> dict[str, tf.Tensor]:
    """What the losses use of a batch: dense tensors of fixed shape."""
    return {key: batch[key] for key in batch if key not in ("fixations", "video", "index")}


def _distributed(batches: tf.data.Dataset, config: StageConfig) -> tf.data.Dataset:
    """The batches, each divided among the strategy's devices.

    Every machine makes every batch and takes its part, so that a training does not depend
    on the number of devices; making a batch costs a small share of a step.
    """
    strategy = tf.distribute.get_strategy()
    check_batch(config.batch, strategy.num_replicas_in_sync)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return strategy.experimental_distribute_dataset(batches.map(tensors).with_options(options))


@contextmanager
def _averaged(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> Iterator[None]:
    """Give the model its weights' moving average for a while, if one is kept."""
    kept = [variable.numpy() for variable in model.trainable_variables if optimizer.use_ema]
    optimizer.finalize_variable_values(model.trainable_variables)
    yield
    for variable, value in zip(model.trainable_variables, kept, strict=False):
        variable.assign(value)


def _validate(batches: tf.data.Dataset, step: Step) -> dict[str, float]:
    """Mean of each term over all frames, under names that begin with `val_`."""
    sums: Counter = Counter()
    frames = 0
    for batch in batches:
        count = int(batch["frame"].shape[0])
        for name, value in without_counts(step(tensors(batch))).items():
            sums[f"val_{name}"] += count * float(value)
        frames += count
    return {name: value / frames for name, value in sums.items()}


def _videos(batches: tf.data.Dataset) -> str:
    """Names of the recordings in the first batch."""
    names = next(iter(batches))["video"].numpy()
    return ", ".join(sorted({name.decode() for name in names}))


class Checkpoints:
    """Saves and restores a stage's model, optimizer and random generators.

    Args:
        folder: of the last checkpoint; the best one lies in `best` below it.
        writes: False saves nothing, on all machines but the first.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        writes: bool,
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
