"""Speed, size and memory of model files, measured side by side on this machine."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import ai_edge_litert

from uva_tf.bench.memory import Memory, measure_memory
from uva_tf.bench.profile import operators_of
from uva_tf.bench.timing import Call, Clock, Latency, MatrixProduct, time_in_turn, times
from uva_tf.compression.operators import Delegation, delegation, read_operators
from uva_tf.core.errors import InputError, counted, first_line
from uva_tf.core.files import read_input
from uva_tf.core.names import distinct_names
from uva_tf.core.processors import processors
from uva_tf.core.text_tables import aligned, csv_text
from uva_tf.runtime.manifest import MOST_BYTES, read_manifest
from uva_tf.runtime.predictor import open_model

ROUNDS = 10
RUNS = 40


@dataclass(frozen=True)
class Timing:
    """One file in one setting of threads and delegate.

    Attributes:
        kilobytes: size of the file in 1000 bytes.
        delegate: whether XNNPACK was allowed.
        delegated: fraction of the operators that XNNPACK runs, 0 to 1; None for another project's
            file, where it is not known.
        parts: number of pieces that it runs, with other operators between them.
        left: the operators that XNNPACK leaves to LiteRT's own kernels.
        load: milliseconds from the file to an interpreter that is ready.
        latency: milliseconds of an inference.
        frames_per_second: 1000 / median.
        ratio: of its time to the first file's in the same setting, see `times`.
        multiply_adds: of an inference; 0 where they can't be counted.
        gmacs: 10^9 multiply-adds per second.
        of_peak: `gmacs` divided by that of a float32 matrix product on one thread, in the same
            run.
        memory: of a fresh process, or None if it was not measured.
    """

    file: str
    recipe: str
    form: str
    kilobytes: float
    threads: int
    delegate: bool
    delegated: float | None
    parts: int
    left: tuple[str, ...]
    load: float
    latency: Latency
    frames_per_second: float
    ratio: float
    multiply_adds: int
    gmacs: float
    of_peak: float
    memory: Memory | None

    @property
    def median(self) -> float:
        """Median milliseconds of an inference."""
        return self.latency.median


def benchmark(
    files: Sequence[Path],
    threads: Sequence[int] = (1,),
    *,
    delegates: Sequence[bool] = (True,),
    rounds: int | None = None,
    runs: int | None = None,
    memory: bool = False,
    foreign: Sequence[Path] = (),
    clock: Clock = time.perf_counter,
) -> list[Timing]:
    """Time files in turn, in every setting of threads and delegates.

    A matrix product is timed with them. It shows the peak of one core only if numpy is limited to
    one thread before it is imported, for example by OPENBLAS_NUM_THREADS=1.

    Args:
        rounds, runs: `rounds` turns of `runs` inferences each (default 10 and 40).
        memory: also measure each file's memory, in fresh processes.
        foreign: files of other projects, which have no manifest, to time with the others; their
            memory is not measured.

    Raises InputError for a file that can't be used.
    """
    timings = []
    names = distinct_names([*files, *foreign])
    about = {file: _about(file) for file in files}
    about |= {file: _about_foreign(file) for file in foreign}
    for count in threads:
        for delegate in delegates:
            calls = [
                Call(file, count, delegate=delegate, foreign=file in foreign, clock=clock)
                for file in about
            ]
            product = MatrixProduct()
            *latencies, peak = time_in_turn(
                [*calls, product], rounds=rounds or ROUNDS, runs=runs or RUNS, clock=clock
            )
            for name, call, latency in zip(names, calls, latencies, strict=True):
                multiply_adds, xnnpack = about[call.file]
                gmacs = multiply_adds / latency.median / 1e6
                timings.append(
                    Timing(
                        file=name,
                        recipe=call.recipe,
                        form=call.form,
                        kilobytes=call.file.stat().st_size / 1000,
                        threads=count,
                        delegate=delegate,
                        delegated=xnnpack and (xnnpack.fraction if delegate else 0.0),
                        parts=xnnpack.parts if xnnpack and delegate else 0,
                        left=xnnpack.left if xnnpack and delegate else (),
                        load=1000 * call.seconds_to_load,
                        latency=latency,
                        frames_per_second=1000 / latency.median,
                        ratio=times(latency, latencies[0]),
                        multiply_adds=multiply_adds,
                        gmacs=gmacs,
                        of_peak=multiply_adds / product.multiply_adds / times(latency, peak),
                        memory=(
                            measure_memory(call.file, count, delegate=delegate)
                            if memory and call.file not in foreign
                            else None
                        ),
                    )
                )
    return timings


def _about(file: Path) -> tuple[int, Delegation]:
    """A file's multiply-adds, and what XNNPACK runs of it."""
    open_model(file)  # raises with the cause for a file that can't be run
    operators = operators_of(file)
    _, content = read_manifest(file)
    try:
        xnnpack = delegation(content, operators)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{file}: {first_line(error)}") from None
    return sum(operator.multiply_adds for operator in operators), xnnpack


def _about_foreign(file: Path) -> tuple[int, None]:
    """The multiply-adds of a file without a manifest, 0 if they can't be counted."""
    try:
        operators = read_operators(read_input(file, MOST_BYTES, "model file"))
    except ValueError:  # such as a file with control flow
        return 0, None
    return sum(operator.multiply_adds for operator in operators), None


def machine() -> dict[str, str]:
    """What a timing depends on: the processor, its cores, the system, LiteRT's version."""
    names = [
        line.split(":", 1)[1].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": str(processors()),
        "system": f"{platform.system()} {platform.machine()}",
        "ai-edge-litert": getattr(ai_edge_litert, "__version__", "unknown"),
    }


def table(timings: Sequence[Timing]) -> str:
    """The timings as two aligned text tables: speed, and what the files are and need."""
    setting = ["file", "threads", "XNNPACK"]
    milliseconds = ["median", "mean", "std", "p5", "p90", "p95", "p99"]
    speed = [[*setting, *milliseconds, "frames/s", "ratio"]]
    size = ["recipe", "kB", "load", "first", "MMAC", "GMAC/s", "peak"]
    need = [[*setting, *size, "MB", "malloc", "process"]]
    for t in timings:
        taken = "off"
        if t.delegate:
            taken = "on" if t.delegated is None else f"{100 * t.delegated:.0f} %/{t.parts}"
        setting = [t.file, str(t.threads), taken]
        latency = [f"{getattr(t.latency, name):.3f}" for name in milliseconds]
        speed.append([*setting, *latency, f"{t.frames_per_second:.0f}", f"{t.ratio:.2f}"])
        memory = [getattr(t.memory, name, None) for name in ("peak", "malloc", "process")]
        need.append(
            [
                *setting,
                t.recipe,
                f"{t.kilobytes:.0f}",
                f"{t.load:.1f}",
                f"{t.latency.first:.2f}",
                f"{t.multiply_adds / 1e6:.1f}",
                f"{t.gmacs:.1f}",
                f"{100 * t.of_peak:.0f} %",
                *("-" if value is None else f"{value:.1f}" for value in memory),
            ]
        )
    left = {t.file: " ".join(sorted(set(t.left))) for t in timings if t.left}
    left_out = [f"outside XNNPACK, {file}: {names}" for file, names in left.items()]
    return "\n".join([aligned(speed), SPEED, *left_out, *noisy(timings), "", aligned(need), NEED])


def noisy(timings: Sequence[Timing]) -> list[str]:
    """A line for each timing whose spread shows that the machine was busy."""
    return [
        f"noisy: {t.file}, {t.threads} thread(s), XNNPACK {'on' if t.delegate else 'off'}: "
        f"{t.latency.noise}"
        for t in timings
        if t.latency.noise
    ]


SPEED = (
    "ms of an inference; XNNPACK: fraction of the operators that it runs / in how many pieces;\n"
    "ratio: to the first file in the same setting, median over the turns"
)
NEED = (
    "load, first: ms; peak: percentage of a float32 matrix product's multiply-adds per second on "
    "one core;\nMB: growth of the largest resident set, malloc: of allocated memory, process: the "
    "set beyond that of an empty Python"
)


def flat(timing: Timing) -> dict[str, Any]:
    """A timing as plain values by name: latencies in ms, memory in MB."""
    values = asdict(timing)
    latency, memory = values.pop("latency"), values.pop("memory")
    del latency["rounds"]
    names = [field.name for field in fields(Memory)]
    values["left"] = " ".join(values["left"])
    return values | latency | {f"memory_{name}": memory and memory[name] for name in names}


def to_csv(timings: Sequence[Timing]) -> str:
    """The timings as CSV with a header."""
    rows = [flat(timing) for timing in timings]
    return csv_text([rows[0], *(row.values() for row in rows)])


def to_json(timings: Sequence[Timing]) -> dict[str, Any]:
    """The machine and the timings as plain values."""
    return {"machine": machine(), "timings": [flat(timing) for timing in timings]}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def plot_timings(timings: Sequence[Timing], path: Path) -> None:
    """A bar for each timing's median, with whiskers from the 5th to the 95th percentile.

    Raises ImportError without matplotlib.
    """
    from matplotlib.figure import Figure

    shown = list(timings)[::-1]
    figure = Figure(figsize=(8, 0.4 * len(shown) + 1), layout="constrained")
    axes = figure.add_subplot()
    medians = [timing.median for timing in shown]
    reach = [
        [timing.median - timing.latency.p5 for timing in shown],
        [timing.latency.p95 - timing.median for timing in shown],
    ]
    bars = axes.barh(range(len(shown)), medians, xerr=reach, color="tab:blue", capsize=3)
    labels = [f"{timing.frames_per_second:,.0f} frames/s" for timing in shown]
    axes.bar_label(bars, labels, padding=6)
    axes.set_yticks(range(len(shown)), [_bar_name(timing) for timing in shown])
    axes.set_xlim(0, 1.25 * max(timing.latency.p95 for timing in shown))
    axes.set_xlabel("ms of an inference: median, 5th to 95th percentile")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110, format="png")


def _bar_name(timing: Timing) -> str:
    without = "" if timing.delegate else ", XNNPACK off"
    return f"{timing.file}, {counted(timing.threads, 'thread')}{without}"
