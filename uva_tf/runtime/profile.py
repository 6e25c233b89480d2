"""Where a model file's time goes, operator by operator, and what XNNPACK runs of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from uva_tf.runtime.errors import InputError
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.operators import Operator, read_operators
from uva_tf.runtime.predictor import open_interpreter
from uva_tf.runtime.timing import time_in_turn

ROUNDS, RUNS = 5, 20


@dataclass(frozen=True)
class Delegation:
    """What XNNPACK runs of a model.

    Attributes:
        left: names of the operators that it leaves to LiteRT's own kernels.
        share: of the operators that it runs, 0 to 1.
        parts: into how many pieces the others cut the model.
    """

    left: tuple[str, ...]
    share: float
    parts: int


@dataclass(frozen=True)
class Share:
    """An operator's median time in microseconds, and its share of all operators' times."""

    operator: Operator
    microseconds: float
    share: float


def operators_of(file: Path) -> list[Operator]:
    """The operators of a file that its manifest vouches for; raises InputError."""
    _, content = read_manifest(file)
    try:
        return read_operators(content)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def delegation(content: bytes, operators: Sequence[Operator]) -> Delegation:
    """Ask XNNPACK what it takes of a model, and of each operator on its own.

    Raises ValueError or RuntimeError if LiteRT refuses one of them.
    """
    left = tuple(operator.name for operator in operators if not _parts(operator.alone()))
    return Delegation(left, 1 - len(left) / len(operators), _parts(content))


def profile(operators: Sequence[Operator], threads: int = 1) -> list[Share]:
    """Time every operator in a model of its own, with XNNPACK, in turn; the longest first.

    Raises ValueError or RuntimeError if LiteRT refuses one of them.
    """
    calls = [_call(operator, threads) for operator in operators]
    times = [1000 * timed.median for timed in time_in_turn(calls, rounds=ROUNDS, runs=RUNS)]
    whole = sum(times)
    shares = [Share(one, time, time / whole) for one, time in zip(operators, times, strict=True)]
    return sorted(shares, key=lambda share: -share.microseconds)


def profile_table(shares: Sequence[Share], top: int) -> str:
    """The longest operators, then the time by kind, as an aligned text table."""
    lines = [f"{'operator':20} {'output':>16} {'MMAC':>7} {'us':>8} {'share':>7}"]
    lines += [
        f"{s.operator.name:20} {'x'.join(map(str, s.operator.shape[1:])):>16} "
        f"{s.operator.multiply_adds / 1e6:7.2f} {s.microseconds:8.1f} {100 * s.share:5.1f} %"
        for s in shares[:top]
    ]
    kinds: dict[str, list[Share]] = {}
    for share in shares:
        kinds.setdefault(share.operator.name, []).append(share)
    totals = {kind: sum(s.share for s in members) for kind, members in kinds.items()}
    by_kind = ", ".join(
        f"{kind} {100 * total:.1f} %" for kind, total in sorted(totals.items(), key=lambda t: -t[1])
    )
    whole = sum(share.microseconds for share in shares)
    return "\n".join(
        [*lines, f"all {len(shares)} operators, each alone: {whole:.0f} us; {by_kind}"]
    )


def _call(operator: Operator, threads: int) -> Callable[[], None]:
    interpreter = open_interpreter(operator.alone(), threads)
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        floating = np.issubdtype(detail["dtype"], np.floating)
        values = (
            rng.uniform(-1, 1, detail["shape"])
            if floating
            else rng.integers(0, 128, detail["shape"])
        )
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter.invoke


def _parts(content: bytes) -> int:
    """Into how many delegated pieces a model falls."""
    interpreter: Interpreter = open_interpreter(content)
    return sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())
