"""Time the models of the package in headless Chromium beside Python, in turn.

python tflite/web/compare.py [--model FILE.tflite] [--rounds N]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command
from uva_tf.core.errors import InputError
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

HERE = Path(__file__).parent
SHIPPED = [f"uva-{side}-{recipe}-step" for side in (64, 32) for recipe in ("int8", "fp16")]
FRAMES = 100  # of a turn


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, time each model in Python and in the browser in turn, print medians of ratios."""
    parser = Parser("compare", __doc__)
    parser.add_argument(
        "--model",
        metavar="FILE.tflite",
        type=Path,
        action="append",
        help="file of the form step; may be repeated (default: those that come with the package)",
    )
    parser.add_argument("--rounds", metavar="N", type=number(1, 1000), default=9, help="(9)")
    args = parser.parse_args(argv)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium or not (HERE / "node_modules").is_dir():
        raise InputError("expected chromium on the PATH, and npm ci run in tflite/web")
    models = args.model or list(map(shipped_model, SHIPPED))
    predictors = [Predictor(model, threads=1) for model in models]
    ms: dict[str, list[tuple[float, float]]] = {model.stem: [] for model in models}
    command = ["node", "time.js", chromium, *(str(model.resolve()) for model in models)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True) as browser:
        if browser.stdout.readline() != "ready\n":
            raise InputError("the browser did not start: run npm ci in tflite/web again")
        for turn in range(-1, args.rounds):
            for n, (model, predictor) in enumerate(zip(models, predictors, strict=True)):
                browser.stdin.write(f"{n} {FRAMES}\n")
                browser.stdin.flush()
                pair = float(browser.stdout.readline()), _milliseconds(predictor)
                if turn >= 0:  # the first one warms up
                    ms[model.stem].append(pair)
        browser.stdin.close()
    print(f"medians of {args.rounds} turns of {FRAMES} frames, from bytes to the finished map")
    for name, pairs in ms.items():
        there, here = map(statistics.median, zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"{name}: browser {there:.2f} ms, Python {here:.2f} ms, ratio {ratio:.1f}")


def _milliseconds(predictor: Predictor) -> float:
    """Of a frame: the mean of the middle half, as in the browser."""
    side = predictor.manifest.resolution
    frame = (37 * np.arange(3 * side**2) % 256).astype(np.uint8).reshape(side, side, 3)
    taken = []
    for _ in range(FRAMES):
        start = time.perf_counter()
        predictor.step(frame)
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.mean(sorted(taken)[FRAMES // 4 : FRAMES - FRAMES // 4])


if __name__ == "__main__":
    sys.exit(main())
