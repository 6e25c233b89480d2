"""Where a model file's time goes, operator by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from uva_tf.bench.timing import time_in_turn
from uva_tf.compression.operators import Operator, read_operators
from uva_tf.core.errors import InputError
from uva_tf.core.text_tables import aligned
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.predictor import open_interpreter

ROUNDS, RUNS = 5, 20


@dataclass(frozen=True)
class Share:
    """An operator's median time in microseconds, and its share of all operators' times.

    Attributes:
        note: why both are 0, or that XNNPACK did not run it; else nothing.
    """

    operator: Operator
    microseconds: float
    share: float
    note: str = ""


def operators_of(file: Path) -> list[Operator]:
    """The operators of a file that its manifest vouches for; raises InputError."""
    _, content = read_manifest(file)
    try:
        return read_operators(content)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def profile(operators: Sequence[Operator], threads: int = 1) -> list[Share]:
    """Time every operator in a model of its own, with XNNPACK, in turn; the longest first.

    One that XNNPACK refuses alone runs without it. One that LiteRT refuses too, or that takes
    no time of an inference, has the time 0 and a note.
    """
    calls = [_call(operator, threads) for operator in operators]
    timed = [number for number, (call, _) in enumerate(calls) if call]
    taken = time_in_turn([calls[number][0] for number in timed], rounds=ROUNDS, runs=RUNS)
    times = dict.fromkeys(range(len(calls)), 0.0)
    times |= {number: 1000 * one.median for number, one in zip(timed, taken, strict=True)}
    whole = sum(times.values()) or 1.0
    shares = [
        Share(operator, times[number], times[number] / whole, calls[number][1])
        for number, operator in enumerate(operators)
    ]
    return sorted(shares, key=lambda share: -share.microseconds)


def profile_table(shares: Sequence[Share], top: int) -> str:
    """The slowest operators in aligned columns, then the time by kind."""
    timed = [share for share in shares if share.microseconds]
    cells = [
        [
            s.operator.name,
            "x".join(map(str, s.operator.shape[1:])),
            f"{s.operator.multiply_adds / 1e6:.2f}",
            f"{s.microseconds:.1f}",
            f"{100 * s.share:.1f} %",
        ]
        for s in timed[:top]
    ]
    lines = [aligned([["operator", "output", "MMAC", "us", "share"], *cells])]
    totals: Counter = Counter()
    for share in timed:
        totals[share.operator.name] += share.share
    by_kind = ", ".join(f"{kind} {100 * total:.1f} %" for kind, total in totals.most_common())
    whole = sum(share.microseconds for share in timed)
    count = f"all {len(shares)}" if len(timed) == len(shares) else f"{len(timed)} of {len(shares)}"
    lines.append(f"{count} operators, each alone: {whole:.0f} us; {by_kind}")
    notes = Counter((share.note, share.operator.name) for share in shares if share.note)
    lines += [f"{note}: {count} {name}" for (note, name), count in notes.items()]
    return "\n".join(lines)


def _call(operator: Operator, threads: int) -> tuple[Callable[[], None] | None, str]:
    """What runs an operator alone, None if nothing can, and what is to be said of it."""
    if operator.beforehand:
        return None, "not timed, for XNNPACK unpacks constants once on loading"
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
    return None, f"not timed, for it does not run alone ({reason})"


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
