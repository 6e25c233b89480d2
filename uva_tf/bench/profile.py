"""Where a model file's time goes, operator by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from uva_tf.bench.timing import MatrixProduct, time_in_turn, times
from uva_tf.compression.operators import Operator, read_operators
from uva_tf.core.errors import InputError
from uva_tf.core.text_tables import aligned
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.predictor import open_interpreter

ROUNDS, RUNS = 5, 20


@dataclass(frozen=True)
class OperatorTime:
    """How long one operator takes.

    Attributes:
        microseconds: its median time; 0 if it was not timed.
        fraction: its part of the sum of all operators' times, 0 to 1.
        of_peak: its multiply-adds per second, divided by those of a float32 matrix product on one
            thread, timed in turn; 0 if it was not timed.
        note: why it was not timed, or that it ran without XNNPACK; otherwise empty.
    """

    operator: Operator
    microseconds: float
    fraction: float
    of_peak: float
    note: str = ""

    @property
    def gmacs(self) -> float:
        """10^9 multiply-adds per second; 0 if it was not timed."""
        return self.operator.multiply_adds / self.microseconds / 1e3 if self.microseconds else 0.0


def operators_of(file: Path) -> list[Operator]:
    """The operators of a file; raises InputError for a file that does not fit its manifest."""
    _, content = read_manifest(file)
    try:
        return read_operators(content)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def profile(operators: Sequence[Operator], threads: int = 1) -> list[OperatorTime]:
    """Time every operator in its own model, with XNNPACK, in turn; returns the longest first.

    A matrix product is timed with them; it shows the peak of one core as in `benchmark`.

    An operator that XNNPACK refuses alone runs without it. One that LiteRT refuses too, or that
    runs only on loading, has the time 0 and a note.
    """
    calls = [_call(operator, threads) for operator in operators]
    timed = [number for number, (call, _) in enumerate(calls) if call]
    product = MatrixProduct()
    *taken, peak = time_in_turn(
        [*(calls[number][0] for number in timed), product], rounds=ROUNDS, runs=RUNS
    )
    latencies = dict(zip(timed, taken, strict=True))
    whole = sum(latency.median for latency in taken) or 1.0
    found = []
    for number, operator in enumerate(operators):
        note, median, of_peak = calls[number][1], 0.0, 0.0
        if latency := latencies.get(number):
            median = latency.median
            of_peak = operator.multiply_adds / product.multiply_adds / times(latency, peak)
        found.append(OperatorTime(operator, 1000 * median, median / whole, of_peak, note))
    return sorted(found, key=lambda time: -time.microseconds)


def profile_table(times: Sequence[OperatorTime], top: int) -> str:
    """The `top` slowest operators in aligned columns, then the time by kind."""
    timed = [time for time in times if time.microseconds]
    cells = [
        [
            t.operator.name,
            "x".join(map(str, t.operator.shape[1:])),
            f"{t.operator.multiply_adds / 1e6:.2f}",
            f"{t.microseconds:.1f}",
            f"{100 * t.fraction:.1f} %",
            f"{t.gmacs:.1f}",
            f"{100 * t.of_peak:.0f} %",
        ]
        for t in timed[:top]
    ]
    lines = [aligned([["operator", "output", "MMAC", "us", "share", "GMAC/s", "peak"], *cells])]
    totals: Counter = Counter()
    for time in timed:
        totals[time.operator.name] += time.fraction
    by_kind = ", ".join(f"{kind} {100 * total:.1f} %" for kind, total in totals.most_common())
    whole = sum(time.microseconds for time in timed)
    count = f"all {len(times)}" if len(timed) == len(times) else f"{len(timed)} of {len(times)}"
    lines.append(f"{count} operators, each alone: {whole:.0f} us; {by_kind}")
    notes = Counter((time.note, time.operator.name) for time in times if time.note)
    lines += [f"{note}: {count} {name}" for (note, name), count in notes.items()]
    return "\n".join(lines)


def _call(operator: Operator, threads: int) -> tuple[Callable[[], None] | None, str]:
    """A function that runs an operator alone, None if it can't be run, and a note about it."""
    if operator.beforehand:
        return None, "not timed, as XNNPACK unpacks constants once, on loading"
    reason = ""
    for delegate in (True, False):
        try:
            interpreter = open_interpreter(operator.alone(), threads, delegate=delegate)
            _fill(interpreter)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            reason = reason or " ".join(str(error).split())[:120]
        else:
            return interpreter.invoke, f"timed without XNNPACK ({reason})" if reason else ""
    return None, f"not timed, as it does not run alone ({reason})"


def _fill(interpreter: Interpreter) -> None:
    """Put seeded random values into a model's inputs."""
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        floating = np.issubdtype(detail["dtype"], np.floating)
        values = (
            rng.uniform(-1, 1, detail["shape"])
            if floating
            else rng.integers(0, 128, detail["shape"])
        )
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
