"""How fast a model file is: several files side by side, in turn."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np

from uva_tf.runtime.predictor import open_model

ROUNDS = 10
RUNS = 40
WARM_UP = 10


@dataclass(frozen=True)
class Timing:
    """Latency of one file at one number of threads, in milliseconds.

    Attributes:
        first: the first inference after loading.
        frames_per_second: 1000 / median.
        ratio: median over that of the first file at the same number of threads.
    """

    file: str
    recipe: str
    form: str
    kilobytes: float
    threads: int
    first: float
    median: float
    mean: float
    p90: float
    frames_per_second: float
    ratio: float


def benchmark(
    files: Sequence[Path],
    threads: Sequence[int] = (1,),
    *,
    rounds: int = ROUNDS,
    runs: int = RUNS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time files in rounds of `runs` inferences taken in turn, so that drift hits all alike.

    Inputs are random bytes, seeded. Raises InputError for a file that can't be used.
    """
    timings = []
    for count in threads:
        calls = [_Call(file, count) for file in files]
        firsts = [_seconds(call, clock) for call in calls]
        for call in calls:
            for _ in range(WARM_UP):
                call()
        samples = [[] for _ in calls]
        for _ in range(rounds):
            for call, taken in zip(calls, samples, strict=True):
                taken += [_seconds(call, clock) for _ in range(runs)]
        base = float(np.median(samples[0]))
        for call, first, taken in zip(calls, firsts, samples, strict=True):
            median = float(np.median(taken))
            timings.append(
                Timing(
                    file=call.file.name,
                    recipe=call.manifest.recipe,
                    form=call.manifest.form,
                    kilobytes=call.file.stat().st_size / 1000,
                    threads=count,
                    first=1000 * first,
                    median=1000 * median,
                    mean=1000 * float(np.mean(taken)),
                    p90=1000 * float(np.percentile(taken, 90)),
                    frames_per_second=1 / median,
                    ratio=median / base,
                )
            )
    return timings


def machine() -> dict[str, str]:
    """The processor and the versions that a timing depends on."""
    names = [
        line.split(":", 1)[1].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "ai-edge-litert": getattr(ai_edge_litert, "__version__", "unknown"),
    }


def table(timings: Sequence[Timing]) -> str:
    """The timings as an aligned text table."""
    lines = [
        f"{'file':32} {'recipe':8} {'kB':>7} {'threads':>7} {'first':>7} {'median':>7} "
        f"{'p90':>7} {'frames/s':>9} {'ratio':>6}"
    ]
    lines += [
        f"{t.file:32} {t.recipe:8} {t.kilobytes:7.1f} {t.threads:7d} {t.first:7.2f} "
        f"{t.median:7.3f} {t.p90:7.3f} {t.frames_per_second:9.0f} {t.ratio:6.2f}"
        for t in timings
    ]
    return "\n".join([*lines, "first, median and p90 in ms"])


def to_json(timings: Sequence[Timing]) -> dict[str, Any]:
    """Machine and timings as plain values."""
    return {"machine": machine(), "timings": [asdict(timing) for timing in timings]}


class _Call:
    """One inference of one file, ready to be timed."""

    def __init__(self, file: Path, threads: int):
        self.file = file
        self.manifest, interpreter = open_model(file, threads)
        self._runner = interpreter.get_signature_runner(self.manifest.form)
        rng = np.random.default_rng(0)
        self._inputs = {
            name: rng.integers(0, 256, detail["shape"]).astype(detail["dtype"])
            for name, detail in self._runner.get_input_details().items()
        }

    def __call__(self) -> None:
        self._runner(**self._inputs)


def _seconds(call: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
