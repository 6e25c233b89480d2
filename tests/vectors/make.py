"""Make the test vectors of docs/model-file.md again, from the models that come with the package.

python tests/vectors/make.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from uva_tf.core.resize import shrink
from uva_tf.runtime.brighten import brightened
from uva_tf.runtime.persistence import Persistence
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import FOLDER as WEIGHTS

FOLDER = Path(__file__).parent
WIDTH, HEIGHT, LENGTH = 99, 57, 3
SIDE, PERSISTENCE, BRIGHTEN = 8, 0.9, 100
SEED = 116  # of maps one pixel of which exact fractions would round otherwise


def draw() -> np.ndarray:
    """A bright disc that moves to the right over a coarse pattern, `[3, 57, 99, 3]` uint8 RGB."""
    t, y, x = np.mgrid[:LENGTH, :HEIGHT, :WIDTH]
    grain = (7 * x + 13 * y + 5 * t) % 17
    frames = np.stack([2 * x + grain, 3 * y + grain, 90 + grain], axis=-1)
    disc = (x - 24 - 14 * t) ** 2 + (y - 30) ** 2 < 64
    frames[disc] = (250, 220, 40)
    return frames.astype(np.uint8)


def draw_stream() -> tuple[np.ndarray, np.ndarray]:
    """Small frames `[28, 8, 8, 3]` and a map of each: all cases of model-file.md, and their edges.

    Frame 10 differs from frame 9 by 32 levels, which is no cut yet. Frame 22 is after a cut; it and
    those after it are dark, and the last is too dark to become as bright. Map 22 is black.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    frames = np.stack(28 * [np.stack([20 * x, 25 * y, 60 + 9 * x + 7 * y], axis=-1)])
    frames[10:22] += 32
    frames[22:] //= 6
    frames[27] //= 5
    maps = np.random.default_rng(SEED).integers(0, 256, (28, SIDE, SIDE))
    maps[22] = 0
    return frames.astype(np.uint8), maps.astype(np.uint8)


def main() -> None:
    """Write frames, the first one made small, the maps of every model, a stream, and an index."""
    small, maps = draw_stream()
    joined = Persistence(PERSISTENCE)
    for name, content in {
        "stream.rgb": small,
        "stream.maps": maps,
        "bright.rgb": np.stack([brightened(frame, BRIGHTEN) for frame in small]),
        "joined.maps": np.stack(list(map(joined.add, maps, small))),
    }.items():
        (FOLDER / name).write_bytes(content.tobytes())
    frames, models = draw(), {}
    (FOLDER / "frames.rgb").write_bytes(frames.tobytes())
    for path in sorted(WEIGHTS.glob("*.tflite")):
        predictor = Predictor(path, persistence=0, brighten=0, gap=1)
        maps = np.stack([predictor.step(frame) for frame in frames])
        (FOLDER / f"{path.stem}.maps").write_bytes(maps.tobytes())
        side, checksum = predictor.manifest.resolution, predictor.manifest.sha256
        (FOLDER / f"small-{side}.rgb").write_bytes(shrink(frames[0], side).tobytes())
        models[path.stem] = {"resolution": side, "sha256": checksum}
    stream = {"side": SIDE, "persistence": PERSISTENCE, "brighten": BRIGHTEN}
    index = {"width": WIDTH, "height": HEIGHT, "frames": LENGTH, "stream": stream, "models": models}
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
