"""Make the test vectors of docs/model-file.md again, from the models that come with the package.

python tests/vectors/make.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from uva_tf.core.resize import shrink
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import FOLDER as WEIGHTS

FOLDER = Path(__file__).parent
WIDTH, HEIGHT, LENGTH = 99, 57, 3


def draw() -> np.ndarray:
    """A bright disc that moves to the right over a coarse pattern, `[3, 57, 99, 3]` uint8 RGB."""
    t, y, x = np.mgrid[:LENGTH, :HEIGHT, :WIDTH]
    grain = (7 * x + 13 * y + 5 * t) % 17
    frames = np.stack([2 * x + grain, 3 * y + grain, 90 + grain], axis=-1)
    disc = (x - 24 - 14 * t) ** 2 + (y - 30) ** 2 < 64
    frames[disc] = (250, 220, 40)
    return frames.astype(np.uint8)


def main() -> None:
    """Write frames, the first of them made small, the maps of every model, and an index."""
    frames, models = draw(), {}
    (FOLDER / "frames.rgb").write_bytes(frames.tobytes())
    for path in sorted(WEIGHTS.glob("*.tflite")):
        predictor = Predictor(path, persistence=0, brighten=0)
        maps = np.stack([predictor.step(frame) for frame in frames])
        (FOLDER / f"{path.stem}.maps").write_bytes(maps.tobytes())
        side, checksum = predictor.manifest.resolution, predictor.manifest.sha256
        (FOLDER / f"small-{side}.rgb").write_bytes(shrink(frames[0], side).tobytes())
        models[path.stem] = {"resolution": side, "sha256": checksum}
    index = {"width": WIDTH, "height": HEIGHT, "frames": LENGTH, "models": models}
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
