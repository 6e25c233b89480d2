"""The frames that fix an integer model's ranges: its representative dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from uva_tf.compression.recipes import Calibration
from uva_tf.data.dataset import Dataset
from uva_tf.data.records import read_records
from uva_tf.models.maps import normalise
from uva_tf.runtime.frames import shrink

CALIBRATION_PAIRS = 64

# Two neighbouring frames, `[S, S, 3]` uint8 RGB.
Pair = tuple[np.ndarray, np.ndarray]


def calibration_pairs(
    datasets: Sequence[Dataset], seed: int, count: int = CALIBRATION_PAIRS
) -> tuple[list[str], list[Pair]]:
    """Draw neighbouring frames from the train splits, the same ones for the same seed.

    Returns:
        Names `dataset/video/index` of the drawn frames, and the pairs.
    """
    rng = np.random.default_rng(seed)
    names, pairs = [], []
    for _ in range(count):
        dataset = datasets[rng.integers(len(datasets))]
        shards = dataset.split("train")
        shard = shards[rng.integers(len(shards))]
        chosen = int(rng.integers(shard.frames))
        start = max(chosen - 1, 0)
        drawn = list(read_records(dataset, shard, start=start, count=chosen - start + 1))
        record, previous = drawn[-1], drawn[0]
        if previous.video != record.video:  # of another photograph
            previous = record
        names.append(f"{dataset.folder.name}/{record.video}/{record.index}")
        pairs.append((record.frame, previous.frame))
    return names, pairs


def step_inputs(
    pairs: Sequence[Pair], side: int, float_step: bytes, top: float = 0.0
) -> Calibration:
    """Inputs of the `step` form.

    Each pair is fed both ways round: the states going in are then the same set as those
    coming out, and both get the same range. They come from LiteRT's own kernels, those
    that calibration runs.

    Args:
        float_step: the model as a float .tflite file whose frames are normalised.
        top: a value that the state's range must reach.
    """
    frames = _frames(pairs, side)
    interpreter = Interpreter(
        model_content=float_step,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner("step")
    nothing = np.zeros(runner.get_input_details()["state"]["shape"], np.float32)

    def inputs() -> Iterator[dict[str, np.ndarray]]:
        highest = top
        for one, two in frames:
            for frame, other in ((one, two), (two, one)):
                state = runner(frame=other, state=nothing)["state"]
                state[0, 0, 0, 0], highest = max(state[0, 0, 0, 0], highest), 0.0  # once
                yield {"frame": frame, "state": state}

    return inputs


def _frames(pairs: Sequence[Pair], side: int) -> list[list[np.ndarray]]:
    """Pairs as a model sees them, `[1, side, side, 3]` float32 in -1..1."""
    frames = [[normalise(shrink(frame, side)[None]).numpy() for frame in pair] for pair in pairs]
    # The 256 bytes must span -1..1 whatever the frames hold: one pixel of each end.
    for frame in frames[0]:
        frame[0, 0, 0], frame[0, 0, 1] = -1.0, 1.0
    return frames
