"""Measure what distillation brings, over several seeds.

uva-tf ablate --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_study_arguments
from uva_tf.commands.command import Parser, as_typed, command
from uva_tf.commands.study import trained_and_scored
from uva_tf.presets import PRESETS


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, write."""
    args = _parser().parse_args(argv)
    from uva_tf.studies.ablation import FILES, ROWS, trainings, write_study

    preset = PRESETS[args.preset]()
    runs = trainings(preset, args.rows or list(ROWS), args.seeds, args.changes)
    with trained_and_scored(
        "ablate", argv, args, preset, runs, FILES, external=args.external_maps
    ) as scores:
        write_study(args.out, scores, as_typed("ablate", argv))


def _parser() -> Parser:
    parser = Parser("ablate", __doc__)
    add_study_arguments(parser, list(PRESETS))
    parser.add_argument(
        "--rows",
        metavar="ROW",
        nargs="+",
        help="rows of the study's table to train, such as coupled 'no teacher' (default: all)",
    )
    parser.add_argument(
        "--external-maps",
        metavar="DIR",
        type=Path,
        help="also score an external teacher's maps: DIR/DATASET/CLIP/000001.png, 8-bit grey",
    )
    return parser
