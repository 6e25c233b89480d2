"""Time .tflite files side by side on this machine's CPU.

python tflite/benchmark.py A.tflite B.tflite --threads 1 2
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from uva_tf.command import Parser, command, number
from uva_tf.runtime.benchmark import benchmark, machine, table, to_json
from uva_tf.runtime.outputs import new_file, refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, time, print."""
    parser = Parser(description="Time .tflite files side by side on this machine's CPU.")
    parser.add_argument("files", metavar="FILE.tflite", nargs="+", type=Path)
    parser.add_argument("--threads", metavar="N", nargs="+", type=number(1, 256), default=[1])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    args = parser.parse_args(argv)
    if args.json:
        refuse_existing(args.json)

    timings = benchmark(args.files, args.threads)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(table(timings))
    if args.json:
        with new_file(args.json) as path:
            path.write_text(json.dumps(to_json(timings), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
