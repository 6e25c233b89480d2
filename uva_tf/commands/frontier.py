"""Train variants alike and compare their accuracy and speed.

uva-tf frontier --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from uva_tf.commands.arguments import add_study_arguments
from uva_tf.commands.command import Parser, as_typed, command, use_one_blas_thread
from uva_tf.commands.study import trained_and_scored
from uva_tf.core.names import current
from uva_tf.presets import PRESETS


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, time, write."""
    args = _parser().parse_args(argv)
    use_one_blas_thread()
    from uva_tf.models.variants import VARIANTS
    from uva_tf.studies.frontier import FILES, measure, trainings, write_study

    preset = PRESETS[args.preset]()
    runs = trainings(preset, args.variants or list(VARIANTS), args.seeds, args.changes)
    with trained_and_scored("frontier", argv, args, preset, runs, FILES) as scores:
        with tempfile.TemporaryDirectory() as files:
            points = measure(scores, Path(files), preset.changed(*args.changes).student)
        write_study(args.out, points, scores, as_typed("frontier", argv))


def _parser() -> Parser:
    parser = Parser("frontier", __doc__)
    add_study_arguments(parser, list(PRESETS))
    parser.add_argument(
        "--variants",
        metavar="NAME",
        type=current,
        nargs="+",
        help="students to train, such as uva-64 paper-64 (default: all); the plain network is "
        "trained too",
    )
    return parser
