"""Peak memory and start-up of the C program beside those of Python, measured in turn.

python tflite/c/compare.py BUILD/attention [--model FILE.tflite] [--rounds N]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command
from uva_tf.core.errors import InputError
from uva_tf.runtime.manifest import read_manifest
from uva_tf.weights import shipped_model

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "tests" / "vectors"
SIZE = ("99", "57")  # of the vectors' frames
PREDICTOR = (
    "import sys, numpy as np; from pathlib import Path;"
    "from uva_tf.runtime.predictor import Predictor;"
    "model, width, height, frames, maps = sys.argv[1:];"
    "stream = np.fromfile(frames, np.uint8).reshape(-1, int(height), int(width), 3);"
    "drawn = Predictor(model).run(stream);"
    "Path(maps).write_bytes(b''.join(m.tobytes() for m in drawn))"
)
# Linux counts the memory of the process that starts another as the other's own: a small one starts
# it, and measures.
WATCH = (
    "import os, sys, time; begun = time.perf_counter();"
    "pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ);"
    "_, status, usage = os.wait4(pid, 0);"
    "print(time.perf_counter() - begun, usage.ru_maxrss);"
    "sys.exit(os.waitstatus_to_exitcode(status))"
)


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, run each way once to warm up and then in turn, print medians of ratios."""
    parser = Parser("compare", __doc__)
    parser.add_argument("program", metavar="PROGRAM", type=Path, help="attention, as built")
    parser.add_argument(
        "--model",
        metavar="FILE.tflite",
        type=Path,
        default=shipped_model(),
        help="(the best shipped student, int8)",
    )
    parser.add_argument("--rounds", metavar="N", type=number(1, 1000), default=9, help="(9)")
    args = parser.parse_args(argv)
    if not args.program.is_file():
        raise InputError(f"{args.program}: no such program: build it as in tflite/c/README.md")
    manifest, _ = read_manifest(args.model)
    # What Predictor reads there itself.
    asked = [str(manifest.brighten), str(manifest.persistence), str(manifest.gap)]
    ways = {
        "C": ([args.program.resolve()], asked),
        "LiteRT and NumPy": ([sys.executable, HERE.parent / "plain" / "example.py"], []),
        "Predictor": ([sys.executable, "-c", PREDICTOR], []),
    }
    rounds = [
        {name: _measured(way, args.model, more) for name, (way, more) in ways.items()}
        for _ in range(args.rounds + 1)
    ][1:]
    print(f"{args.model.stem}, 3 frames, medians of {args.rounds} rounds in turn")
    for name in list(ways)[1:]:
        seconds, memory = (
            statistics.median(one[name][i] / one["C"][i] for one in rounds) for i in range(2)
        )
        print(f"{name}: {seconds:.1f} times the C program's time, {memory:.1f} times its memory")
    peak = statistics.median(one["C"][1] for one in rounds)
    print(f"C: peak memory {peak / 1024:.1f} MiB")


def _measured(way: list, model: Path, more: list[str]) -> tuple[float, int]:
    """Seconds from start to end of a process, and its peak memory in KiB."""
    with tempfile.TemporaryDirectory() as folder:
        maps = Path(folder) / "maps"
        call = [*way, model.resolve(), *SIZE, VECTORS / "frames.rgb", maps, *more]
        watched = [sys.executable, "-I", "-S", "-c", WATCH, *call]
        done = subprocess.run(watched, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{way[0]}: exit code {done.returncode}, expected 0: run it alone")
        if not maps.exists() or not maps.stat().st_size:
            raise InputError(
                f"{way[0]}: it wrote no maps, expected the program attention, as in "
                f"tflite/c/README.md"
            )
        seconds, memory = done.stdout.split()
    return float(seconds), int(memory)


if __name__ == "__main__":
    sys.exit(main())
