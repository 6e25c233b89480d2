"""Turn a folder of recordings into training shards.

uva-tf prepare --layout gaze --root RECORDINGS --out SHARDS
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command, number, progress
from uva_tf.config import DataConfig


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, prepare, print."""
    from uva_tf.data.layouts import LAYOUTS

    defaults = DataConfig()
    parser = Parser("prepare", __doc__)
    parser.add_argument("--layout", choices=sorted(LAYOUTS), required=True)
    parser.add_argument(
        "--root", metavar="DIR", type=Path, required=True, help="the recordings (synthetic: made)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="must not exist")
    parser.add_argument(
        "--split", metavar="FILE", type=Path, help="name,split rows (default: split.csv in DIR)"
    )
    for kind in ("spatial", "temporal"):
        parser.add_argument(
            f"--{kind}-maps",
            metavar="DIR",
            type=Path,
            help=f"a {kind} teacher's maps of every frame: DIR/NAME/000001.png",
        )
    parser.add_argument(
        "--skip-bad", action="store_true", help="go on without recordings that can't be read"
    )
    parser.add_argument(
        "--jobs", type=number(1, 256), help="shards written at a time (one for each processor)"
    )
    parser.add_argument(
        "--size", type=int, default=defaults.size, help=f"side of the frames ({defaults.size})"
    )
    parser.add_argument(
        "--sigma",
        type=float,
        default=defaults.sigma,
        help=f"width of a fixation's Gaussian in image widths ({defaults.sigma:.4f})",
    )
    args = parser.parse_args(argv)

    from uva_tf.data.prepare import prepare, summary

    maps = {"spatial": args.spatial_maps, "temporal": args.temporal_maps}
    dataset = prepare(
        args.layout,
        args.root,
        args.out,
        DataConfig(size=args.size, sigma=args.sigma),
        split=args.split,
        maps={kind: folder for kind, folder in maps.items() if folder is not None},
        skip_bad=args.skip_bad,
        jobs=args.jobs,
        progress=progress("prepare", "shard"),
    )
    print(summary(dataset))
