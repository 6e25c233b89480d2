"""Timing: calls that are timed in turn, and the figures made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from uva_tf.core.errors import InputError, first_line
from uva_tf.core.files import read_input
from uva_tf.runtime.manifest import MOST_BYTES
from uva_tf.runtime.predictor import open_interpreter, open_model

WARM_UP = 10
PRODUCT_SIDE = 256  # takes about as long as a model
# On an idle machine the median is within a tenth of the 5th percentile. At this ratio, other
# programs had the core half the time.
NOISY = 1.5
VERY_NOISY = 2.0  # of the 90th percentile to the median, which varies on an idle machine too

Clock = Callable[[], float]


class Call:
    """A call runs one inference of a file, on seeded random bytes set once as its inputs.

    Args:
        threads: of the interpreter.
        delegate: whether XNNPACK may run it.
        foreign: whether it is another project's file, without a manifest.
        clock: returns seconds.

    Attributes:
        seconds_to_load: from the file to an interpreter that is ready to run.
        recipe, form: as its manifest says; empty for another project's file.

    Raises InputError for a file that can't be used.
    """

    def __init__(
        self,
        file: Path,
        threads: int = 1,
        *,
        delegate: bool = True,
        foreign: bool = False,
        clock: Clock = time.perf_counter,
    ):
        self.file, self.recipe, self.form = file, "", ""
        start = clock()
        if foreign:
            self._interpreter = _open_foreign(file, threads, delegate=delegate)
        else:
            manifest, self._interpreter = open_model(file, threads, delegate=delegate)
            self.recipe, self.form = manifest.recipe, manifest.form
        self.seconds_to_load = clock() - start
        rng = np.random.default_rng(0)
        for detail in sorted(self._interpreter.get_input_details(), key=itemgetter("name")):
            values = rng.integers(0, 256, detail["shape"]).astype(detail["dtype"])
            self._interpreter.set_tensor(detail["index"], values)

    def __call__(self) -> None:
        """Run the model once."""
        self._interpreter.invoke()


def _open_foreign(file: Path, threads: int, *, delegate: bool) -> Interpreter:
    """An interpreter for a file without a manifest; raises InputError if it can't be timed."""
    content = read_input(file, MOST_BYTES, "model file")
    try:
        interpreter = open_interpreter(content, threads, delegate=delegate)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{file}: LiteRT refuses the file: {first_line(error)}") from None
    for detail in interpreter.get_input_details():
        if -1 in detail["shape_signature"][1:]:
            raise InputError(
                f"{file}: input {detail['name']} has no fixed size "
                f"({list(detail['shape_signature'])}): convert the model with one"
            )
    return interpreter


class MatrixProduct:
    """A call multiplies two square float32 matrices with numpy: the peak of a core."""

    multiply_adds = PRODUCT_SIDE**3

    def __init__(self):
        shape = (PRODUCT_SIDE, PRODUCT_SIDE)
        one, two = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
        self._operands = one, two, np.empty(shape, np.float32)

    def __call__(self) -> None:
        """Multiply once."""
        one, two, out = self._operands
        np.matmul(one, two, out=out)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of an inference, without copying frames in and maps out.

    Attributes:
        first: the first inference after loading; the other figures are of all timed ones.
        median, mean, std, p5, p90, p95, p99: mean, standard deviation and percentiles.
        rounds: the median of each turn.
    """

    first: float
    median: float
    mean: float
    std: float
    p5: float
    p90: float
    p95: float
    p99: float
    rounds: tuple[float, ...] = ()

    @property
    def noise(self) -> str:
        """Why its spread makes it unreliable; empty if it does not."""
        if self.median <= NOISY * self.p5 and self.p90 <= VERY_NOISY * self.median:
            return ""
        figures = f"p5 {self.p5:.3f}, median {self.median:.3f}, p90 {self.p90:.3f}"
        return f"{figures}: the machine was busy, run again"


def times(one: Latency, other: Latency) -> float:
    """The ratio of one's time to the other's: the median of the ratios in each turn.

    What slows the machine for a while slows both, so this is far steadier than the ratio of two
    medians. Raises ValueError if they were not timed together.
    """
    pairs = list(zip(one.rounds, other.rounds, strict=True))
    return float(np.median([mine / theirs for mine, theirs in pairs]))


def time_in_turn(
    calls: Sequence[Callable[[], None]],
    *,
    rounds: int,
    runs: int,
    clock: Clock = time.perf_counter,
) -> list[Latency]:
    """Time calls in turn, so that drift affects all alike: `runs` runs per turn, `rounds` turns.

    Each call first runs once, which is timed as `first`, then ten times to warm up. At the start
    of each turn it runs once untimed, as the call before has used the caches.
    """
    firsts = [_seconds(call, clock) for call in calls]
    for call in calls:
        for _ in range(WARM_UP):
            call()
    taken: list[list[list[float]]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, seconds in zip(calls, taken, strict=True):
            call()
            seconds.append([_seconds(call, clock) for _ in range(runs)])
    return [latency(first, seconds) for first, seconds in zip(firsts, taken, strict=True)]


def latency(first: float, seconds: Sequence[Sequence[float]]) -> Latency:
    """Figures of some timed turns, `[rounds][runs]` in seconds, with linear percentiles."""
    ms = 1000 * np.asarray(seconds, float)
    rounds = tuple(np.median(ms, axis=1).tolist())
    p5, median, p90, p95, p99 = np.percentile(ms, [5, 50, 90, 95, 99]).tolist()
    mean, std = float(ms.mean()), float(ms.std())
    return Latency(1000 * first, median, mean, std, p5, p90, p95, p99, rounds)


def _seconds(call: Callable[[], None], clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
