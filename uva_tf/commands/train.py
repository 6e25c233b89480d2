"""Train a student, with or without teachers.

uva-tf train --data SHARDS --data MORE_SHARDS --preset quick --run RUN
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from uva_tf.commands.arguments import add_training_arguments, number
from uva_tf.commands.command import Parser, as_typed, command, goes_on, losses_printed
from uva_tf.config import STAGES
from uva_tf.core.errors import InputError
from uva_tf.presets import PRESETS


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, print."""
    args = _parser().parse_args(argv)
    stages = args.stages.split(",")
    if unknown := set(stages) - set(STAGES):
        raise InputError(f"no stage {sorted(unknown)[0]!r}: choose from {','.join(STAGES)}")

    from uva_tf.training.checks import check_new
    from uva_tf.training.devices import is_chief
    from uva_tf.training.examples import kinds_to_teach, kinds_used, open_data, with_data
    from uva_tf.training.provenance import note_resumed, provenance
    from uva_tf.training.run import Run
    from uva_tf.training.stages import train

    if args.seed is not None and any(change.startswith("seed=") for change in args.changes):
        raise InputError("--seed and --set seed: give one of them")
    config = PRESETS[args.preset]().changed(*args.changes)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    config = with_data(config, args.data, args.weight)
    if not is_chief(config.loop):
        train(Run(args.run, config), stages)  # the chief creates and writes the run
        return
    if args.resume and args.run.exists():
        run = Run.open(args.run).continued(config)
        note_resumed(run)
    elif (
        "teach" not in stages
        and (taught := kinds_to_teach(config, open_data(config)))
        and (missing := [kind for kind in taught if kind in kinds_used(config, stages)])
    ):
        raise InputError(
            f"--stages {args.stages} needs teachers: add teach, --resume a run that has them, or "
            + " ".join(f"--set soft_targets.{kind}=none" for kind in missing)
        )
    else:
        check_new(config, stages)
        origin = provenance(as_typed("train", argv))
        run = Run.create(args.run, config, origin)
    with goes_on("train", argv, "--resume"), losses_printed():
        train(run, stages)
    for stage, losses in run.last_losses().items():
        print(f"{stage}: {losses}")
    print(f"wrote {run.folder}")
    if run.student.is_file():
        print(f"next: {_next(args.run, args.data)}")


def _next(run: Path, data: Sequence[Path]) -> str:
    """The command that scores a trained student, or converts it if no --data has a val split."""
    from uva_tf.data.dataset import open_dataset

    held_out = [folder for folder in data if open_dataset(folder, verify=False).has("val")]
    if not held_out:
        out = f"{run.name}.tflite"
        return as_typed("convert", ["--run", str(run), "--recipe", "int8", "--out", out])
    words = [word for folder in held_out for word in ("--data", str(folder))]
    return as_typed("evaluate", ["--model", str(run), *words])


def _parser() -> Parser:
    parser = Parser("train", __doc__)
    add_training_arguments(parser, list(PRESETS))
    parser.add_argument(
        "--weight",
        metavar="WEIGHT",
        type=float,
        action="append",
        default=[],
        help="how often to draw from a dataset, in proportion; one for each --data, in their order "
        "(default: equally often)",
    )
    parser.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        required=True,
        help="run folder to write; must not exist yet, unless --resume is given",
    )
    parser.add_argument(
        "--stages",
        metavar="NAMES",
        default=",".join(STAGES),
        help="stages to run, separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=number(0, 10**6),
        help="random seed of the training (default: the preset's, 1)",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in --run")
    return parser
