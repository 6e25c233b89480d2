"""Run a `step` file by LiteRT for Microcontrollers and by LiteRT's reference kernels."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from uva_tf.compression.operators import read_model
from uva_tf.core.children import python
from uva_tf.core.errors import ExportError
from uva_tf.runtime.predictor import open_model

SECONDS = 600  # that a child may take
PROGRAM = "import tflm; tflm.run_here()"


class Order(NamedTuple):
    """Positions among a file's inputs (`frame`, `state`) and outputs (`attention`, `next_state`).

    LiteRT for Microcontrollers knows no names.
    """

    frame: int
    state: int
    attention: int
    next_state: int


class Maps(NamedTuple):
    """A stream's maps `[N, R, R]` uint8, and the state after each frame `[N, H, W, C]` uint8."""

    attention: np.ndarray
    states: np.ndarray


def tensor_order(content: bytes) -> Order:
    """Where a `step` file's tensors are; raises ValueError for a file without that signature."""
    model = read_model(content)
    graph, signatures = model.subgraphs[0], model.signatureDefs or []
    try:
        (signature,) = signatures
        taken = {one.name: list(graph.inputs).index(one.tensorIndex) for one in signature.inputs}
        given = {one.name: list(graph.outputs).index(one.tensorIndex) for one in signature.outputs}
        return Order(taken[b"frame"], taken[b"state"], given[b"attention"], given[b"state"])
    except (KeyError, ValueError):
        raise ValueError("expected one signature with the tensors of a step") from None


def by_reference(model: Path, frames: np.ndarray) -> Maps:
    """A stream by LiteRT's reference kernels.

    Args:
        frames: `[N, R, R, 3]` uint8 RGB.
    """
    _, interpreter = open_model(model, reference=True)
    runner = interpreter.get_signature_runner("step")

    def run(frame: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        result = runner(frame=frame, state=state)
        return result["attention"], result["state"]

    return _stream(run, tuple(runner.get_input_details()["state"]["shape"]), frames)


def by_micro(content: bytes, arena: int, frames: np.ndarray) -> Maps:
    """A stream by LiteRT for Microcontrollers, in a process of its own, as a bad file can end it.

    Args:
        arena: size in bytes.
        frames: `[N, R, R, 3]` uint8 RGB.

    Raises ExportError if it does not run the file, or takes too long.
    """
    given = io.BytesIO()
    np.savez(given, content=np.frombuffer(content, np.uint8), arena=arena, frames=frames)
    command = python(PROGRAM)
    try:
        child = subprocess.run(
            command, input=given.getvalue(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"LiteRT for Microcontrollers took more than {SECONDS} s for {len(frames)} frames: "
            f"compare fewer"
        ) from None
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ExportError(
            f"LiteRT for Microcontrollers does not run the file in {arena} bytes: "
            f"{reason or f'it ends the process (exit code {child.returncode})'}"
        )
    with np.load(io.BytesIO(child.stdout), allow_pickle=False) as made:
        return Maps(made["attention"], made["states"])


def run_here() -> None:
    """Run the file and the frames that come on stdin; write their maps to stdout."""
    import sys

    from tflite_micro import runtime

    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as given:
        content, arena, frames = given["content"].tobytes(), int(given["arena"]), given["frames"]
    order = tensor_order(content)
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena)

    def run(frame: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        interpreter.set_input(frame, order.frame)
        interpreter.set_input(state, order.state)
        interpreter.invoke()
        return interpreter.get_output(order.attention), interpreter.get_output(order.next_state)

    shape = tuple(interpreter.get_input_details(order.state)["shape"])
    made = io.BytesIO()
    np.savez(made, **_stream(run, shape, frames)._asdict())
    sys.stdout.buffer.write(made.getvalue())


def _stream(
    run: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, ...],
    frames: np.ndarray,
) -> Maps:
    """Maps and states of a stream, by a function of a frame and a state of the given shape."""
    _, state = run(frames[:1], np.zeros(shape, np.uint8))  # the first frame runs twice
    maps, states = [], []
    for frame in frames:
        attention, state = run(frame[None], state)
        maps.append(attention[0, :, :, 0].copy())  # (R, R)
        states.append(state[0].copy())  # (H, W, C)
    return Maps(np.stack(maps), np.stack(states))
