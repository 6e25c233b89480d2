"""Train the teachers and distil them into a student.

python pipelines/train.py --data SHARDS --data MORE_SHARDS --preset quick --run RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

from uva_tf.command import Parser, command
from uva_tf.config import PRESETS, STAGES
from uva_tf.runtime.errors import InputError


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, print."""
    parser = Parser(description="Train the teachers and distil them into a student.")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, action="append", required=True, help="by prepare.py"
    )
    parser.add_argument(
        "--weight",
        type=float,
        action="append",
        default=[],
        help="how often a --data is drawn, one for each in their order (default: equally often)",
    )
    parser.add_argument("--preset", choices=list(PRESETS), required=True)
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="the run folder")
    parser.add_argument("--stages", default=",".join(STAGES), help=f"default {','.join(STAGES)}")
    parser.add_argument("--resume", action="store_true", help="go on with an existing run")
    args = parser.parse_args(argv)
    stages = args.stages.split(",")
    if unknown := set(stages) - set(STAGES):
        raise InputError(f"no stage {sorted(unknown)[0]!r}: choose from {','.join(STAGES)}")

    from uva_tf.training.run import Run
    from uva_tf.training.stages import kinds_to_teach, open_data, train, with_data

    config = with_data(PRESETS[args.preset](), args.data, args.weight)
    if args.resume and args.run.exists():
        run = Run.open(args.run)
        if run.config != config:
            raise InputError(
                f"{args.run} was started with another preset or other data, see its config.json"
            )
    elif "teach" not in stages and "distill" in stages and kinds_to_teach(open_data(config)):
        raise InputError("--stages distill needs teachers: add teach, or --resume a run with them")
    else:
        run = Run.create(args.run, config)
    train(run, stages)
    for stage, (step, loss) in run.last_losses().items():
        print(f"{stage}: loss {loss:.3f} after {step} steps")
    print(f"wrote {run.folder}")


if __name__ == "__main__":
    sys.exit(main())
