"""Fine-tune a trained student for 8 bits; tflite/convert.py then takes the recipe.

uva-tf qat --run RUN [--recipe int8-pruned]
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command, goes_on, losses_printed


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, fine-tune, print."""
    from uva_tf.compression.recipes import TRAINED
    from uva_tf.training.run import Run

    parser = Parser("qat", __doc__)
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="by train.py")
    parser.add_argument("--recipe", choices=list(TRAINED), default="int8-qat")
    args = parser.parse_args(argv)

    from uva_tf.compression.qat import fine_tune

    run = Run.open(args.run)
    with goes_on("qat", argv), losses_printed():
        path = fine_tune(run, args.recipe)
    for stage, losses in run.last_losses().items():
        print(f"{stage}: {losses}")
    print(f"wrote {path}: tflite/convert.py --recipe {args.recipe} makes a model file of it")
