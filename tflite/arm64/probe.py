"""Map a stream by every model and both kinds of kernels, on the machine that this runs on.

python tflite/arm64/probe.py FRAMES.npz MAPS.npz MODEL.tflite [...]

FRAMES.npz holds `small`, `[N, S, S, 3]` uint8 RGB, and `whole`, frames to make small here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from uva_tf.core.resize import shrink
from uva_tf.runtime.predictor import Predictor

KERNELS = {"reference": True, "XNNPACK": False}


def main(arguments: list[str]) -> None:
    """Read frames, map them, write maps by `KERNELS/number of the model`."""
    frames, out, *models = map(Path, arguments)
    with np.load(frames, allow_pickle=False) as given:
        small, whole = given["small"], given["whole"]
    maps = {"shrunk": np.stack([shrink(frame, small.shape[1]) for frame in whole])}
    for number, model in enumerate(models):
        for kernels, reference in KERNELS.items():
            predictor = Predictor(model, reference=reference, exact=True, persistence=0, brighten=0)
            maps[f"{kernels}/{number}"] = np.stack([predictor.step(frame) for frame in small])
    np.savez(out, **maps)


if __name__ == "__main__":
    main(sys.argv[1:])
