"""Convert a trained run to a .tflite file with its manifest.

uva-tf convert --run RUN --recipe int8 --form step --out MODEL.tflite
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file, refuse_existing
from uva_tf.runtime.manifest import FORMS, manifest_path

TOP = 8  # layers shown of a report


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, convert, print."""
    from uva_tf.compression.export import convert, layers_of
    from uva_tf.compression.noise import noise_csv, noise_table
    from uva_tf.compression.recipes import RECIPES
    from uva_tf.training.run import Run

    parser = Parser("convert", __doc__)
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="by train.py")
    parser.add_argument("--recipe", choices=list(RECIPES), required=True)
    parser.add_argument(
        "--form", choices=FORMS, default="pair", help="two frames, or a stream (default pair)"
    )
    parser.add_argument("--out", metavar="FILE.tflite", type=Path, required=True)
    parser.add_argument(
        "--report", metavar="FILE.csv", type=Path, help="what int8 does to every layer"
    )
    args = parser.parse_args(argv)
    if args.out.suffix != ".tflite":
        raise InputError(f"{args.out}: expected a name that ends in .tflite")
    if args.report:
        refuse_existing(args.report)
        if args.report in (args.out, manifest_path(args.out)):
            raise InputError(f"--report: {args.report} is where the model goes, name another")
        if args.recipe != "int8":
            raise InputError(f"--report: expected the recipe int8, not {args.recipe}")

    run = Run.open(args.run)
    manifest = convert(run, args.recipe, args.form, args.out)
    print(
        f"wrote {args.out} ({args.out.stat().st_size / 1000:.0f} kB, {manifest.recipe}, "
        f"{manifest.form}) and {manifest_path(args.out).name}"
    )
    for name in ("with_float", "with_reference_kernels"):
        figures = ", ".join(f"{key} {value}" for key, value in manifest.metrics[name].items())
        print(f"{name.replace('_', ' ')}: {figures}")
    if args.report:
        layers = layers_of(run, manifest, args.out.read_bytes())
        with new_file(args.report) as path:
            path.write_text(noise_csv(layers))
        print(f"\n{noise_table(layers, TOP)}\nwrote {args.report}")
