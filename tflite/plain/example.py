"""Map raw RGB frames with nothing but LiteRT and NumPy.

python example.py MODEL.tflite WIDTH HEIGHT FRAMES.rgb MAPS
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def places(length, ends):
    """Two neighbours of each of 256 output pixels among `length`, and their weights."""
    exact = ((np.arange(256) + 0.5) * (1 / (256 / length)) - 0.5).astype(np.float32)
    first = np.floor(exact).astype(int)
    part = exact - first.astype(np.float32)
    if ends:
        part[(first < 0) | (first >= length - 1)] = 0
    weights = np.rint(2048 * np.stack([1 - part, part])).astype(int)
    return *np.clip([first, first + 1], 0, length - 1), *weights[..., None]


def halve(frame):
    """Means of 2 x 2 pixels."""
    return (frame[::2, ::2] + frame[1::2, ::2] + frame[::2, 1::2] + frame[1::2, 1::2] + 2) >> 2


def shrink(frame, side):
    """A frame `[H, W, 3]` uint8 RGB as the model sees it, `[side, side, 3]`."""
    (height, width), frame = frame.shape[:2], frame.astype(int)
    if height == width == 512:
        frame = halve(frame)
    elif height != width or 256 % width:
        left, right, a, b = places(width, ends=True)
        frame = (frame[:, left] * a + frame[:, right] * b) >> 4
        upper, lower, a, b = places(height, ends=False)
        above, below = frame[upper] * a[..., None] >> 16, frame[lower] * b[..., None] >> 16
        frame = (above + below + 2) >> 2
    while len(frame) > side:
        frame = halve(frame)
    times = side // len(frame)
    return frame.repeat(times, 0).repeat(times, 1).astype(np.uint8)


path, width, height, frames, maps = sys.argv[1:]
stream = np.fromfile(frames, np.uint8).reshape(-1, int(height), int(width), 3)
interpreter = Interpreter(path)
step = interpreter.get_signature_runner("step")
inputs = step.get_input_details()
zero = inputs["state"]["quantization"][1]  # 0 in a float file
made = {"state": np.full(inputs["state"]["shape"], zero, inputs["state"]["dtype"])}
with Path(maps).open("xb") as out:
    for number, frame in enumerate(stream):
        small = shrink(frame, inputs["frame"]["shape"][1])[None]
        for _ in range(1 if number else 2):  # the first frame runs twice
            made = step(frame=small, state=made["state"])
        attention = made["attention"]
        if attention.dtype != np.uint8:
            attention = np.rint(255 * attention.clip(0, 1)).astype(np.uint8)
        out.write(attention.tobytes())
