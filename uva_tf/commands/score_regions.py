"""Compare file sizes with and without regions of interest.

uva-tf score-regions --layout gaze --root RECORDINGS
"""

from __future__ import annotations

from uva_tf.commands.arguments import add_model_argument, add_recordings_arguments, number
from uva_tf.commands.command import Parser, command, progress
from uva_tf.commands.encode import PRESETS
from uva_tf.config import SPLITS
from uva_tf.core.errors import InputError
from uva_tf.core.text_tables import aligned


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, encode, print."""
    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.runtime.regions import FLOOR

    parser = Parser("score-regions", __doc__)
    add_recordings_arguments(parser, sorted(LAYOUTS), "each has a centre prior of its own")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="val",
        help="the clips to encode; the centre prior is always of train (default: %(default)s)",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=number(1, 10**6),
        default=100,
        help="encode the first N frames of each clip (default: %(default)s)",
    )
    add_model_argument(parser)
    parser.add_argument(
        "--preset", choices=PRESETS, default="medium", help="preset of x264 (default: %(default)s)"
    )
    parser.add_argument(
        "--floor",
        metavar="WEIGHT",
        type=float,
        nargs="+",
        default=[],
        help=f"weights of what nobody looks at, to compare (default: {FLOOR:g})",
    )
    args = parser.parse_args(argv)
    for floor in args.floor:
        if not 0 < floor < float("inf"):
            raise InputError(f"--floor {floor:g}: expected finite weights above 0")
    for root in args.root:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder of recordings")

    from uva_tf.bench.regions import CRFS, SOURCES, compare, means, split_clips
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.trial import check_model

    model, why = choose_model(args.model)
    check_model(model)
    floors, found = args.floor or [FLOOR], []
    for root in args.root:
        clips, train = split_clips(LAYOUTS[args.layout](root), root, args.split)
        bar = progress(f"encode {root.name}", "clip")
        found += compare(bar(clips, len(clips)), train, floors, args.frames, model, args.preset)
    print(
        f"x264 {args.preset} at crf {', '.join(map(str, CRFS))}, the first {args.frames} frames: "
        "% of bits saved at equal luma PSNR"
    )
    head = ["clip", "floor", *SOURCES, *(f"all pixels: {source}" for source in SOURCES)]
    rows = [
        [one.clip, f"{one.floor:g}", *(f"{100 * share:.1f}" for share in (*one.eye, *one.plain))]
        for one in [*found, *means(found)]
    ]
    print(aligned([head, *rows]))
    if why:
        print(f"note: model {why}")
