"""Write another network's features, for a student to learn.

uva-tf hints --model NETWORK.tflite --layer NAME --root FOOTAGE/videos --out HINTS
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_threads_argument, number
from uva_tf.commands.command import Parser, command, progress, use_one_blas_thread


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, run the network, print."""
    parser = _parser()
    args = parser.parse_args(argv)

    use_one_blas_thread()  # more would wait for the network's, and round in another order

    from uva_tf.core.outputs import new_folder
    from uva_tf.data.hint_files import find, write
    from uva_tf.data.hint_network import Network

    with new_folder(args.out) as folder:
        network = Network(args.model, args.layer, args.threads)
        if args.components > network.channels:
            have = f"the layers have {network.channels} channels"
            parser.error(f"--components {args.components}: {have}")
        basis, count = write(
            network,
            find(args.root, args.every),
            folder,
            components=args.components,
            every=args.every,
            seed=args.seed,
            progress=progress("hints", "frame"),
        )
    for layer, (height, width, channels) in zip(network.layers, network.shapes, strict=True):
        print(f"{layer}: {height} x {width}, {channels} channels")
    kept = f"{args.components} components, {100 * basis.share:.0f} % of the variance"
    print(f"wrote {args.out}: {count} hints of {kept}")


def _parser() -> Parser:
    parser = Parser("hints", __doc__)
    parser.add_argument(
        "--model",
        metavar="FILE",
        type=Path,
        required=True,
        help="the network, .tflite or .onnx: it takes one picture, float32 RGB from 0 to 1, "
        "[1, h, w, 3] or [1, 3, h, w]; frames are stretched to its size, averaged over areas if "
        "both sides shrink, else bilinearly",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        action="append",
        required=True,
        help="tensor of the file whose features are taken, [1, h, w, c] or [1, c, h, w] as the "
        "picture is; may be repeated, their channels are joined",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        action="append",
        required=True,
        help="folder of videos or pictures; may be repeated; its hints go to OUT/DIR, those of "
        "SET/videos and SET/images to OUT/SET",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder to write; must not exist yet"
    )
    parser.add_argument(
        "--components",
        metavar="N",
        type=number(1, 1024),
        default=32,
        help="principal components of the features to keep (default: %(default)s)",
    )
    parser.add_argument(
        "--every",
        metavar="N",
        type=number(1, 10**6),
        default=1,
        help="write hints of every Nth frame of each video, from the first (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=number(0, 10**9 - 1),
        default=1,
        help="random seed of the sample of at most 2,000 frames in which the components are found "
        "(default: %(default)s)",
    )
    add_threads_argument(parser)
    return parser
