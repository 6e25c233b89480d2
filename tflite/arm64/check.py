"""Compare models' maps on 64-bit ARM, under qemu, with those of this machine.

python tflite/arm64/check.py --model FILE.tflite [--model OTHER.tflite] VIDEO
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from probe import KERNELS
from root import MACHINE, arm_python, make_root

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command
from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader
from uva_tf.runtime.manifest import read_manifest

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1]
ROOT = Path.home() / ".cache" / "uva_tf" / "arm64"
WHOLE = 3  # frames that are made small on both
CLOSE, CLOSE_HALF = 2, 4  # steps of 255; of maps that were computed in float16
EQUAL = 1e-4  # of floats from 0 to 1
HALF = b"fp16accfp16"  # in a file: XNNPACK may compute in float16


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, run on both, compare, print; raises ExportError if they differ too much."""
    parser = Parser("check", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=Path, help="any video")
    parser.add_argument("--model", metavar="FILE.tflite", type=Path, action="append", required=True)
    parser.add_argument("--frames", type=number(2, 1000), default=20, help="of the video (20)")
    parser.add_argument(
        "--root", metavar="DIR", type=Path, default=ROOT, help=f"kept for the next time ({ROOT})"
    )
    parser.add_argument(
        "--cpu",
        metavar="NAME",
        default=MACHINE[1],
        help=f"processor, by qemu's name; cortex-a72 has no float16 ({MACHINE[1]})",
    )
    args = parser.parse_args(argv)
    manifests = [read_manifest(model)[0] for model in args.model]
    if len({manifest.resolution for manifest in manifests}) > 1:
        raise InputError("the models' resolutions differ: check them one after the other")
    make_root(args.root)
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npz"
        _write_frames(args.video, manifests[0].resolution, args.frames, frames)
        here = _maps([sys.executable], frames, args.model)
        python = arm_python(args.root.resolve(), LIBRARY, cpu=args.cpu)
        there = _maps(python, frames, args.model)
    levels = int(np.abs(here["shrunk"].astype(int) - there["shrunk"]).max())
    print(f"frames made small differ by {levels} of 255 at most; below both get the same ones")
    missed = []
    for place, (model, manifest) in enumerate(zip(args.model, manifests, strict=True)):
        for kernels in KERNELS:
            key = f"{kernels}/{place}"
            exact = kernels == "reference"
            half = not exact and HALF in model.read_bytes()
            told, met = compare(here[key], there[key], exact=exact, half=half)
            print(f"{model.stem}, {kernels}: {told}: {'met' if met else 'missed'}")
            if not met:
                missed.append(f"{manifest.recipe} by {kernels}")
    if missed:
        raise ExportError(f"maps on ARM differ by more than asked: {', '.join(missed)}")


def compare(
    here: np.ndarray, there: np.ndarray, *, exact: bool, half: bool = False
) -> tuple[str, bool]:
    """How two streams of maps `[N, R, R]` agree, and whether that is enough.

    Float maps must be equal to 1e-4, unless `half`: they may be computed in float16. These must
    correlate by 0.999 in every frame, with 99 % of the pixels within 4 steps of 255. Integer maps
    must be equal bit for bit if `exact`, else correlate as much, within 2 steps.
    """
    difference = np.abs(here.astype(float) - there.astype(float))
    within, how = CLOSE, ""
    if here.dtype != np.uint8:
        equal = bool(difference.max() <= EQUAL)
        if equal or not half:
            return f"largest difference {difference.max():.1e}", equal
        difference, within, how = 255 * difference, CLOSE_HALF, ", computed in float16"
    flat = zip(here.reshape(len(here), -1), there.reshape(len(there), -1), strict=True)
    worst = min(np.corrcoef(one, other)[0, 1] for one, other in flat)
    close = float((difference <= within).mean())
    equal = not difference.any()
    told = f"worst CC {worst:.5f}, {100 * close:.2f} % within {within} of 255, " + (
        "equal bit for bit" if equal else f"largest difference {difference.max():.3g}"
    )
    return told + how, equal if exact else bool(worst >= 0.999 and close >= 0.99)


def _write_frames(video: Path, side: int, count: int, path: Path) -> None:
    with VideoReader(video) as reader:
        frames = [frame for frame, _ in zip(reader, range(count), strict=False)]
    frames = [cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames]
    small = np.stack([shrink(frame, side) for frame in frames])
    np.savez(path, small=small, whole=np.stack(frames[:WHOLE]))


def _maps(python: list[str], frames: Path, models: list[Path]) -> dict[str, np.ndarray]:
    """What `probe.py` makes of the frames under some Python."""
    out = frames.with_name("maps.npz")
    command = [*python, HERE / "probe.py", frames, out, *(model.resolve() for model in models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise ExportError(f"the models do not run there: {reason}")
    with np.load(out, allow_pickle=False) as maps:
        return dict(maps)


if __name__ == "__main__":
    sys.exit(main())
