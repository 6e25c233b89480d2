"""Encode a video with fewer bits where nobody looks.

uva-tf encode VIDEO --regions FILE --out OUT.mp4
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_reading_arguments, file_of_video, number
from uva_tf.commands.command import Parser, command, progress
from uva_tf.core.errors import counted
from uva_tf.core.outputs import new_file

# Those whose encoders read regions. x264's preset ultrafast does not, it turns off what they need.
ENCODED = ("h264", "h265")
PRESETS = ("superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, encode, print."""
    parser = Parser("encode", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=file_of_video, help="video file")
    parser.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="regions of its frames, as uva-tf predict --regions writes them (default: none)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="write the encoded video, with its sound: .mp4, .mkv, .mov",
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--codec", choices=ENCODED, default="h264", help="video codec (default: %(default)s)"
    )
    parser.add_argument(
        "--quality",
        metavar="N",
        type=number(0, 51),
        help="constant rate factor: lower is better and larger (default: 24 for h264, 26 for h265)",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="medium",
        help="the slower, the smaller the file (default: %(default)s)",
    )
    args = parser.parse_args(argv)

    from uva_tf.core.video_writer import check_codec
    from uva_tf.runtime.encode import encode_with_regions

    check_codec(args.out, args.codec, args.quality)
    with new_file(args.out) as path:
        count, notes = encode_with_regions(
            args.video,
            args.regions,
            path,
            codec=args.codec,
            quality=args.quality,
            preset=args.preset,
            stream=args.stream,
            deinterlace=args.deinterlace,
            strict=args.strict,
            progress=progress("encode", "frame"),
        )
    print(f"{counted(count, 'frame')}, {args.out.stat().st_size / 1e6:.2f} MB")
    print(f"wrote {args.out}")
    for note in notes:
        print(f"note: {note}")
