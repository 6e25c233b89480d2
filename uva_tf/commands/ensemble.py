"""Combine several models' maps into those of one teacher.

uva-tf ensemble --maps TEMPORAL --power 1.3 --maps SPATIAL --power 0.3 --out MAPS
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import decimal
from uva_tf.commands.command import Parser, command, progress

LEAST_POWER, MOST_POWER = 0.001, 10
MOST_SMOOTH = 100  # frames


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, join, print."""
    parser = _parser()
    args = parser.parse_args(argv)
    powers = args.power or [1.0] * len(args.maps)
    if len(powers) != len(args.maps):
        parser.error(f"{len(powers)} --power for {len(args.maps)} --maps, expected one for each")
    if bool(args.smooth) != bool(args.videos):
        parser.error("--smooth and --videos: expected both or neither")

    import cv2

    from uva_tf.core.outputs import new_folder
    from uva_tf.data.ensemble import joined_maps

    count = 0
    with new_folder(args.out) as folder:
        joined = joined_maps(
            args.maps, powers, centre=args.centre, smooth=args.smooth, videos=args.videos
        )
        for path, picture in progress("ensemble", "map")(joined, None):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            count += 1
    print(f"wrote {args.out}: {count} maps")


def _parser() -> Parser:
    parser = Parser("ensemble", __doc__)
    parser.add_argument(
        "--maps",
        metavar="DIR",
        type=Path,
        action="append",
        required=True,
        help="a model's maps: DIR/NAME/000001.png, one per frame; may be repeated",
    )
    parser.add_argument(
        "--power",
        metavar="WEIGHT",
        type=decimal(LEAST_POWER, MOST_POWER),
        action="append",
        help="power to raise the maps of each --maps to, in their order (default: 1)",
    )
    parser.add_argument(
        "--centre",
        metavar="WEIGHT",
        type=decimal(0, MOST_POWER),
        default=0.0,
        help="power of a centre prior that the maps are multiplied with too (default: 0, none)",
    )
    parser.add_argument(
        "--smooth",
        metavar="N",
        type=decimal(0, MOST_SMOOTH, " frames"),
        default=0.0,
        help="smooth the maps over time first, not across cuts, with a Gaussian of N frames' "
        "standard deviation; needs --videos (default: 0, not smoothed)",
    )
    parser.add_argument(
        "--videos", metavar="DIR", type=Path, help="the clips that the maps are of: DIR/NAME.mp4"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder to write; must not exist yet"
    )
    return parser
