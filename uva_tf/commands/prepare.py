"""Turn a folder of recordings into a prepared dataset.

uva-tf prepare --layout gaze --root RECORDINGS --out SHARDS
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.arguments import add_layout_arguments, number
from uva_tf.commands.command import Parser, command, progress
from uva_tf.commands.recorded_gaze import add_gaze_arguments, gaze_options
from uva_tf.config import KINDS, DataConfig

MOST_JOBS = 256  # threads on this machine

if TYPE_CHECKING:
    from uva_tf.data.prepare import Request
    from uva_tf.data.writer import Elsewhere


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, prepare, print."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.address is None and (args.jobs or 1) > MOST_JOBS:
        parser.error(f"--jobs {args.jobs}: expected at most {MOST_JOBS} without --address")

    from uva_tf.data.prepare import prepare, summary

    maps = {"spatial": args.spatial_maps, "temporal": args.temporal_maps}
    dataset = prepare(
        args.layout,
        args.root,
        args.out,
        DataConfig(size=args.size, sigma=args.sigma),
        split=args.split,
        maps={kind: folder for kind, folder in maps.items() if folder is not None},
        hints=args.hints,
        options=gaze_options(args),
        map_sigma=args.map_sigma,
        skip_bad=args.skip_bad,
        jobs=args.jobs,
        progress=progress("prepare", "shard"),
        elsewhere=_on_cluster(args.address, args.jobs) if args.address is not None else None,
    )
    print(summary(dataset))


def _on_cluster(address: str, jobs: int | None) -> Callable[[Request], Elsewhere]:
    """A way for `prepare` to let a cluster's machines write the shards."""
    from uva_tf.archives.engine import check_listens, done_by_ray
    from uva_tf.data.shard_actor import ShardActor, spread

    check_listens(address)
    engine = functools.partial(done_by_ray, address=address, jobs=jobs, actor=ShardActor)
    return functools.partial(spread, engine)


def _parser() -> Parser:
    from uva_tf.data.layouts import LAYOUTS

    defaults = DataConfig()
    parser = Parser("prepare", __doc__)
    add_layout_arguments(parser, sorted(LAYOUTS))
    add_gaze_arguments(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder to write the dataset to; must not exist yet",
    )
    parser.add_argument(
        "--split",
        metavar="FILE",
        type=Path,
        help="CSV with columns name,split, each train, val or test (default: the recordings' own "
        "split)",
    )
    for kind in KINDS:
        parser.add_argument(
            f"--{kind}-maps",
            metavar="DIR",
            type=Path,
            help=f"maps of another model as {kind} teacher: DIR/NAME/000001.png, one per frame",
        )
    parser.add_argument(
        "--hints",
        metavar="DIR",
        type=Path,
        help="features of another network, as uva-tf hints writes them: DIR/NAME/000001.npy",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out and list recordings that can't be used"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=number(1, 100_000),
        help="shards to write at a time (default: one for each core, here or in the cluster)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster whose machines write the shards; all must see the same folders "
        "(default: this machine, without Ray)",
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=int,
        default=defaults.size,
        help="side of the stored frames in pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--sigma",
        metavar="SIGMA",
        type=float,
        default=defaults.sigma,
        help="standard deviation of a fixation's Gaussian in image widths "
        f"(default: {defaults.sigma:.4f})",
    )
    parser.add_argument(
        "--map-sigma",
        metavar="SIGMA",
        type=float,
        default=0.0,
        help="sigma of density maps that are published in place of fixations (default: --sigma); "
        "if it is wider, the student's map is blurred to match before the two are compared",
    )
    return parser
