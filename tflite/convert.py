"""Convert a trained run to a .tflite file with its manifest.

python tflite/convert.py --run RUN --recipe int8 --form step --out MODEL.tflite
"""

from __future__ import annotations

import sys
from pathlib import Path

from uva_tf.command import Parser, command
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.manifest import FORMS, manifest_path


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, convert, print."""
    from uva_tf.compression.export import convert
    from uva_tf.compression.recipes import RECIPES
    from uva_tf.training.run import Run

    parser = Parser(description="Convert a trained run to a .tflite file with its manifest.")
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="by train.py")
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument(
        "--form", choices=FORMS, default="pair", help="two frames, or a stream (default pair)"
    )
    parser.add_argument("--out", metavar="FILE.tflite", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.out.suffix != ".tflite":
        raise InputError(f"{args.out}: expected a name that ends in .tflite")

    manifest = convert(Run.open(args.run), args.recipe, args.form, args.out)
    print(
        f"wrote {args.out} ({args.out.stat().st_size / 1000:.0f} kB, {manifest.recipe}, "
        f"{manifest.form}) and {manifest_path(args.out).name}"
    )
    for name, value in manifest.metrics.items():
        print(f"{name} {value}")


if __name__ == "__main__":
    sys.exit(main())
