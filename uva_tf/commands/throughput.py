"""Time whole videos and single frames with a .tflite model, beside OpenCV alone.

uva-tf throughput VIDEO --model FILE.tflite [--model OTHER.tflite]
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command, number, show


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, time, print."""
    from uva_tf.bench.model_files import machine
    from uva_tf.bench.videos import ROUNDS, measure_frame, measure_growth, measure_video
    from uva_tf.runtime.trial import check_model

    parser = Parser("throughput", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=Path)
    parser.add_argument("--model", metavar="FILE.tflite", type=Path, action="append", required=True)
    parser.add_argument(
        "--rounds", metavar="N", type=number(1, 1000), default=ROUNDS, help="turns of the video (5)"
    )
    parser.add_argument(
        "--growth", action="store_true", help="only how memory grows after the first minute"
    )
    args = parser.parse_args(argv)
    for model in args.model:
        check_model(model)
    if args.growth:
        for model in args.model:
            grown = measure_growth(model, args.video)
            line = f"{model.stem}: memory grew by {grown:.1f} MB after the first minute"
            show(line, kept=False)
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for model in args.model:
        speed = measure_video(model, args.video, rounds=args.rounds)
        line = (
            f"{model.stem}, frames/s: decoding {speed.decoding:.0f}, with attention "
            f"{speed.attention:.0f} ({speed.predicted:.2f} of it); decoding and "
            f"encoding {speed.encoding:.0f}, with an overlay {speed.overlay:.0f} "
            f"({speed.drawn:.2f} of it)"
        )
        show(line, kept=False)
        if speed.noise:
            show(f"noisy: {model.stem}: {speed.noise}", kept=False)
    print("ms from a decoded frame to its map, one thread:")
    for name, latency in measure_frame(args.model, args.video).items():
        doubt = latency.noise and f" (noisy: {latency.noise})"
        show(f"  {name} {latency.median:.3f}{doubt}", kept=False)
