"""Encode a video as H.264, with fewer bits where nobody looks.

uva-tf encode VIDEO --regions FILE --out OUT.mp4
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command, number
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, encode, print."""
    parser = Parser("encode", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=Path, help="video file")
    parser.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="regions of its frames, as uva-tf predict --regions writes them (default: none)",
    )
    parser.add_argument(
        "--out", metavar="FILE.mp4", type=Path, required=True, help="write the encoded video"
    )
    parser.add_argument(
        "--crf",
        metavar="N",
        type=number(0, 51),
        default=23,
        help="x264's constant rate factor; less is better and larger (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        choices=PRESETS,
        default="medium",
        help="x264's preset: %(choices)s (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if args.out.suffix.lower() != ".mp4":
        raise InputError(f"{args.out}: expected a name that ends in .mp4")

    from uva_tf.runtime.encode import encode_with_regions

    with new_file(args.out) as path:
        count = encode_with_regions(args.video, args.regions, path, args.crf, args.preset)
    print(f"{count} frames, {args.out.stat().st_size / 1e6:.2f} MB")
    print(f"wrote {args.out}")
