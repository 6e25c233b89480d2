"""Frames per second of students in batches, on whatever device Keras computes on.

TensorFlow is not needed: with the environment variable KERAS_BACKEND=jax, JAX computes.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from statistics import median
from typing import Any

import keras
import numpy as np
from keras import ops

from uva_tf.bench.cost import layer_costs, totals
from uva_tf.config import StudentConfig
from uva_tf.core.text_tables import aligned, csv_text
from uva_tf.models.student import build_student, resolution
from uva_tf.runtime.manifest import FORMS

SMALLEST_SIDE, LARGEST_SIDE = 256, 8192  # of the matrices
GAIN = 1.02  # a size is larger in earnest if it is faster by this factor
PATIENCE = 2  # sizes in a row that bring no gain, after which the search ends

Rate = Callable[[], float]


@dataclass(frozen=True)
class Throughput:
    """One student in one form, in batches of the size that is fastest.

    Attributes:
        batch: frames in a batch; of as many streams in a `step`, of as many pairs in a `pair`.
        frames_per_second: maps per second, of bytes that lie in the device's memory.
        copied_per_second: the same of bytes that are copied there from the host's memory first.
        gmacs: 10^9 multiply-adds per second, of the former.
        of_peak: `gmacs` divided by that of a matrix product in the same precision, timed in turn.
    """

    variant: str
    form: str
    batch: int
    frames_per_second: float
    copied_per_second: float
    gmacs: float
    of_peak: float


def measure(
    variants: Sequence[str],
    *,
    precision: str,
    most: int,
    rounds: int,
    seconds: float = 0.2,
    progress: Callable[[Iterator, int], Iterator] = lambda items, total: items,
) -> list[Throughput]:
    """Time students on the device, each as a `step` and as a `pair`, compiled.

    Their weights are random: their time does not depend on them, as they are arguments of what is
    compiled. Batches of 1, 2, 4 and so on are tried until larger ones bring no gain or do not fit;
    then the fastest is timed in turn with a product of square matrices, whose side is found
    likewise.

    Args:
        variants: rows of `VARIANTS` or `PLAIN`.
        precision: `float32` or `bfloat16`: what convolutions and matrix products compute in.
        most: the largest batch that is tried.
        rounds: turns, of which the medians are taken.
        seconds: the shortest time of a turn.
        progress: wraps the iterator over students.

    Raises InputError for an unknown variant.
    """
    for variant in variants:
        resolution(StudentConfig(variant))  # refuses an unknown one before anything is timed
    with _computing_in(precision):
        side, product = _fastest(
            lambda side: _product(side, precision, seconds),
            SMALLEST_SIDE,
            LARGEST_SIDE,
            seconds,
            power=3,
        )
        works = [(variant, form) for variant in variants for form in FORMS]
        return [
            _throughput(variant, form, most, rounds, seconds, (side**3, product))
            for variant, form in progress(iter(works), len(works))
        ]


def device() -> str:
    """The device that Keras computes on, and the backend's version, for a table's head."""
    if keras.backend.backend() == "jax":
        import jax

        return f"{jax.devices()[0].device_kind}, jax {jax.__version__}"
    import tensorflow as tf

    found = tf.config.list_physical_devices()[-1]  # accelerators come after the processor
    name = tf.config.experimental.get_device_details(found).get("device_name", found.device_type)
    return f"{name}, tensorflow {tf.__version__}"


def table(rows: Sequence[Throughput]) -> str:
    """The rows as an aligned text table."""
    head = ["student", "form", "batch", "frames/s", "copied", "GMAC/s", "peak"]
    cells = [
        [
            row.variant,
            row.form,
            str(row.batch),
            f"{row.frames_per_second:,.0f}",
            f"{row.copied_per_second:,.0f}",
            f"{row.gmacs:,.1f}",
            f"{100 * row.of_peak:.1f} %",
        ]
        for row in rows
    ]
    return aligned([head, *cells], left=2)


def to_csv(rows: Sequence[Throughput]) -> str:
    """The rows as CSV with a header."""
    return csv_text([[field.name for field in fields(Throughput)], *map(astuple, rows)])


def _throughput(
    variant: str, form: str, most: int, rounds: int, seconds: float, product: tuple[int, Rate]
) -> Throughput:
    student = build_student(StudentConfig(variant))
    batch, rate = _fastest(
        lambda batch: _Inference(student, form, batch, seconds), 1, most, seconds
    )
    multiply_adds = totals(layer_costs(student, form)).multiply_adds
    of_product, peak = product
    turns = [(rate(), rate.copied(), peak()) for _ in range(rounds)]
    resident = batch * median(turn[0] for turn in turns)
    return Throughput(
        variant,
        form,
        batch,
        frames_per_second=resident,
        copied_per_second=batch * median(turn[1] for turn in turns),
        gmacs=resident * multiply_adds / 1e9,
        # What slows the machine for a while slows both.
        of_peak=batch * multiply_adds / of_product * median(turn[0] / turn[2] for turn in turns),
    )


def _fastest(
    make: Callable[[int], Rate], smallest: int, most: int, seconds: float, *, power: int = 1
) -> tuple[int, Rate]:
    """The size, of `smallest` and its doubles up to `most`, at which most is done per second.

    Args:
        make: from a size to the call that times it.
        seconds: after a size that takes longer the search ends.
        power: of the size, to which what is done grows.

    Returns:
        The size and its call. Raises what the smallest size does.
    """
    best, found, size, idle, often = 0.0, None, smallest, 0, math.inf
    while size <= most and idle < PATIENCE and often * seconds > 1:
        try:
            rate = make(size)
            often = rate()
        except Exception as error:  # each backend has its own
            if found is None or not _out_of_memory(error):
                raise
            break
        done = size**power * often
        if found is None or done > GAIN * best:
            best, found, idle = done, (size, rate), 0
        else:
            idle += 1
        size *= 2
    return found


class _Inference:
    """A call times a student on a batch of random bytes that lie in the device's memory.

    Raises what the backend raises if they do not fit.
    """

    def __init__(self, student: Any, form: str, batch: int, seconds: float):
        model = getattr(student, form)
        shapes = {tensor.name: (batch, *tensor.shape[1:]) for tensor in model.inputs}
        kind = {tensor.name: tensor.dtype for tensor in model.inputs}
        state = shapes.pop("state", None)

        def infer(weights, frames, state):  # {name: (B, R, R, 3) uint8}, (B, R/4, R/4, C) or None
            given = {
                name: ops.cast(frame, kind[name]) / 127.5 - 1.0 for name, frame in frames.items()
            }
            given |= {} if state is None else {"state": state}
            out, _ = model.stateless_call(*weights, given, training=False)
            if form == "pair":
                return _attention(out), None
            return _attention(out["attention"]), ops.cast(out["state"], kind["state"])

        self._seconds = seconds
        self._infer, self._wait = _compiled(infer)
        # Given to every call: a constant might be computed with beforehand.
        self._weights = [
            [ops.convert_to_tensor(weight.value) for weight in weights]
            for weights in (model.trainable_variables, model.non_trainable_variables)
        ]
        rng = np.random.default_rng(0)
        self._host = {name: rng.integers(0, 256, shapes[name], np.uint8) for name in shapes}
        self._resident = self._to_device()
        self._first = None if state is None else ops.zeros(state, kind["state"])
        self._run(2, self._to_device)  # compiles

    def __call__(self) -> float:
        """Batches per second."""
        return _rate(lambda count: self._run(count, lambda: self._resident), self._seconds)

    def copied(self) -> float:
        """The same with bytes that are copied from the host's memory for every batch."""
        return _rate(lambda count: self._run(count, self._to_device), self._seconds)

    def _to_device(self) -> dict[str, Any]:
        return {name: ops.convert_to_tensor(frame) for name, frame in self._host.items()}

    def _run(self, count: int, frames: Callable[[], dict[str, Any]]) -> None:
        state = self._first
        for _ in range(count):
            maps, state = self._infer(self._weights, frames(), state)
        self._wait(maps)


def _attention(logits: Any) -> Any:
    """As `models.maps.attention`, which is TensorFlow's."""
    return 2.0 * ops.sigmoid(logits - ops.max(logits, axis=(1, 2, 3), keepdims=True))


def _product(side: int, precision: str, seconds: float) -> Rate:
    """Times products of two square matrices: what the device can compute at most."""
    one, two = np.random.default_rng(0).uniform(-1, 1, (2, side, side)).astype(np.float32)
    one, two = (ops.cast(ops.convert_to_tensor(matrix), precision) for matrix in (one, two))
    multiply, wait = _compiled(ops.matmul)

    def run(count: int) -> None:
        for _ in range(count):
            product = multiply(one, two)
        wait(product)

    run(2)  # compiles
    return lambda: _rate(run, seconds)


def _rate(run: Callable[[int], None], seconds: float) -> float:
    """How often per second something is done, where `run(count)` does it so many times."""
    count, start = 1, time.perf_counter()
    run(1)
    while (taken := time.perf_counter() - start) < seconds:
        count = max(2 * count, int(count * seconds / max(taken, 1e-6)))
        start = time.perf_counter()
        run(count)
    return count / taken


def _compiled(function: Callable) -> tuple[Callable, Callable[[Any], None]]:
    """The function compiled, and another that waits for a result of it."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function), jax.block_until_ready
    import tensorflow as tf

    # XLA's convolutions are slow on processors.
    jit = bool(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    compiled = tf.function(function, jit_compile=jit, autograph=False)
    return compiled, lambda _: tf.test.experimental.sync_devices()


def _out_of_memory(error: Exception) -> bool:
    told = f"{type(error).__name__} {error}".lower().replace("_", "")
    found = "resourceexhausted" in told or "out of memory" in told
    return found or isinstance(error, MemoryError)


@contextlib.contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Let layers made inside compute in a precision; their weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
