"""Convert a trained run to a .tflite file and its manifest.

uva-tf convert --run RUN --recipe int8 --form step --out MODEL.tflite
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import (
    add_brighten_argument,
    add_centre_arguments,
    add_form_argument,
    add_persistence_argument,
    add_run_argument,
)
from uva_tf.commands.command import Parser, command
from uva_tf.compression.recipes import RECIPES
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file, refuse_existing, refuse_overlap
from uva_tf.runtime.manifest import manifest_path

# Of a manifest's metrics, which maps a file's are compared with, and what each figure is.
COMPARED = {"with_float": "the float student", "with_reference_kernels": "the reference kernels"}
FIGURES = {
    "mean_cc": "mean correlation",
    "worst_cc": "lowest correlation",
    "close": "fraction of pixels within 2 of 255",
    "flat": "flat maps left out",
}
TOP = 8  # layers of the report that are printed


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, convert, print."""
    parser = Parser("convert", __doc__)
    add_run_argument(parser)
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        choices=list(RECIPES),
        required=True,
        help="how to compress: %(choices)s (int8-qat and int8-pruned after uva-tf qat)",
    )
    add_form_argument(parser)
    parser.add_argument(
        "--out",
        metavar="FILE.tflite",
        type=Path,
        required=True,
        help="model file to write; its manifest goes beside it as FILE.json",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="write how much error 8 bits add in each layer, as CSV (int8 only)",
    )
    add_persistence_argument(parser, default=0.0)
    add_brighten_argument(parser)
    add_centre_arguments(parser)
    args = parser.parse_args(argv)
    if args.out.suffix != ".tflite":
        raise InputError(f"{args.out}: expected a name that ends in .tflite")
    if args.report:
        refuse_existing(args.report)
        for place in (args.out, manifest_path(args.out)):
            refuse_overlap({"--out": place, "--report": args.report})
        if args.recipe != "int8":
            raise InputError(f"--report: expected --recipe int8, not {args.recipe}")

    from uva_tf.compression.export import convert, layers_of
    from uva_tf.compression.noise import noise_csv, noise_table
    from uva_tf.training.run import Run

    run = Run.open(args.run)
    manifest = convert(
        run,
        args.recipe,
        args.form,
        args.out,
        persistence=args.persistence,
        brighten=args.brighten,
        centre=args.centre,
        centre_share=args.centre_share,
    )
    print(
        f"wrote {args.out} ({args.out.stat().st_size / 1000:.0f} kB, {manifest.recipe}, "
        f"{manifest.form}) and {manifest_path(args.out).name}"
    )
    for name, other in COMPARED.items():
        figures = ", ".join(f"{FIGURES[k]} {v}" for k, v in manifest.metrics[name].items())
        print(f"its maps beside those of {other}: {figures}")
    if args.report:
        layers = layers_of(run, manifest, args.out.read_bytes())
        with new_file(args.report) as path:
            path.write_text(noise_csv(layers))
        print(f"\n{noise_table(layers, TOP)}\nwrote {args.report}")
