"""Put a trained student among the package's own weights.

uva-tf ship --run RUN --out uva_tf/weights
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import (
    add_brighten_argument,
    add_centre_arguments,
    add_persistence_argument,
    add_run_argument,
)
from uva_tf.commands.command import Parser, command
from uva_tf.core.outputs import new_file, refuse_existing
from uva_tf.runtime.manifest import manifest_path
from uva_tf.weights import FOLDER

SHIPPED = ("int8", "fp16")


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, convert, print."""
    parser = Parser("ship", __doc__)
    add_run_argument(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=FOLDER,
        help="folder to write to (default: the package's uva_tf/weights)",
    )
    add_persistence_argument(parser, default=0.0)
    add_brighten_argument(parser)
    add_centre_arguments(parser)
    args = parser.parse_args(argv)

    from uva_tf.compression.export import convert
    from uva_tf.models.shipped import save_weights
    from uva_tf.training.run import Run
    from uva_tf.training.weights import load_student

    run = Run.open(args.run)
    variant = run.config.student.variant
    files = {recipe: args.out / f"{variant}-{recipe}-step.tflite" for recipe in SHIPPED}
    weights = args.out / f"{variant}.npy"
    for path in (*files.values(), *map(manifest_path, files.values()), weights):
        refuse_existing(path)
    for recipe, file in files.items():
        convert(
            run,
            recipe,
            "step",
            file,
            persistence=args.persistence,
            brighten=args.brighten,
            centre=args.centre,
            centre_share=args.centre_share,
        )
        print(f"wrote {file}")
    with new_file(weights) as path:
        save_weights(load_student(run), path)
    print(f"wrote {weights}")
