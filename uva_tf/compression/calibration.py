"""The frames that fix an integer model's ranges: its representative dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from uva_tf.compression.recipes import Calibration
from uva_tf.config import AugmentConfig
from uva_tf.core.resize import shrink
from uva_tf.data import augment
from uva_tf.data.dataset import Dataset
from uva_tf.data.records import read_records
from uva_tf.models.maps import normalise

CALIBRATION_PAIRS = 64

# Two neighbouring frames, `[S, S, 3]` uint8 RGB.
Pair = tuple[np.ndarray, np.ndarray]


def calibration_pairs(
    datasets: Sequence[Dataset], seed: int, count: int = CALIBRATION_PAIRS, gap: int = 1
) -> tuple[list[str], list[Pair]]:
    """Draw pairs of neighbouring frames from the train splits, always the same for a seed.

    A photograph has no neighbour and is paired with itself. If nothing moves in any pair, as with
    photographs alone, the layer that sees changes would see only zeros; each pair is then two
    views of its frame by a moving camera, as in training.

    Args:
        gap: frames from the neighbour to the frame; at a clip's beginning as many as there are.

    Returns:
        The frames' names, `dataset/video/index`, and the pairs.
    """
    rng = np.random.default_rng(seed)
    names, pairs = [], []
    for _ in range(count):
        dataset = datasets[rng.integers(len(datasets))]
        shards = dataset.split("train")
        shard = shards[rng.integers(len(shards))]
        chosen = int(rng.integers(shard.frames))
        start = max(chosen - gap, 0)
        drawn = list(read_records(dataset, shard, start=start, count=chosen - start + 1))
        record = drawn[-1]
        previous = next(one for one in drawn if one.video == record.video)  # not another photograph
        names.append(f"{dataset.folder.name}/{record.video}/{record.index}")
        pairs.append((record.frame, previous.frame))
    # Photographs among clips stay as they are: otherwise files made from both would change.
    if all(np.array_equal(frame, previous) for frame, previous in pairs):
        pairs = [_moved(frame, rng) for frame, _ in pairs]
    return names, pairs


def _moved(frame: np.ndarray, rng: np.random.Generator) -> Pair:
    """Two views of a frame by a camera that moves and zooms a little."""
    motion, size = AugmentConfig().camera_motion, len(frame)
    draws = augment.Draws.of(tf.constant(rng.integers(2**31, size=2)), 1)
    side = 1 - 2 * motion  # leaves room to move
    first = tf.concat([(1 - side) * draws.crop[:, :2], [[side]]], axis=1)
    views = [
        augment.crop_pictures(frame[None], crop, tf.constant([False]), size)[0]
        for crop in (first, augment.move_camera(first, motion, draws.camera))
    ]
    one, two = (np.rint(view.numpy()).astype(np.uint8) for view in views)
    return one, two


def step_inputs(
    pairs: Sequence[Pair], side: int, float_step: bytes, top: float = 0.0
) -> Calibration:
    """Calibration inputs of a `step`.

    Each pair is fed in both orders, so that the states going in are the same set as those
    coming out and both get the same range. The states are computed by LiteRT's own kernels, as
    in calibration.

    Args:
        side: of the model's frames in pixels.
        float_step: the model as a float .tflite file that takes normalised frames.
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
                state = runner(frame=other, state=nothing)["state"]  # (1, R/4, R/4, C)
                state[0, 0, 0, 0], highest = max(state[0, 0, 0, 0], highest), 0.0  # once
                yield {"frame": frame, "state": state}

    return inputs


def _frames(pairs: Sequence[Pair], side: int) -> list[list[np.ndarray]]:
    """Pairs as a model sees them, `[1, side, side, 3]` float32 in -1..1."""
    frames = [[normalise(shrink(frame, side)[None]).numpy() for frame in pair] for pair in pairs]
    # One pixel at each end: the 256 levels must span -1..1 whatever the frames hold.
    for frame in frames[0]:
        frame[0, 0, 0], frame[0, 0, 1] = -1.0, 1.0
    return frames
