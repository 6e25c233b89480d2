"""Time whole videos and single frames, beside OpenCV alone.

uva-tf throughput VIDEO [--model FILE.tflite --model OTHER.tflite]
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command, show


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, time, print."""
    from uva_tf.bench.model_files import machine
    from uva_tf.bench.videos import ROUNDS, measure_frame, measure_growth, measure_video
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.trial import check_model

    parser = Parser("throughput", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=Path, help="video file")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE.tflite",
        type=Path,
        action="append",
        help="shipped student, such as uva-32, or model file with its manifest beside it; may be "
        "repeated (default: the best student, in the form that suits this processor)",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=number(1, 1000),
        default=ROUNDS,
        help="times to run the whole video (default: %(default)s)",
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="only measure how much memory grows after the first minute of video",
    )
    args = parser.parse_args(argv)
    models = [choose_model(model)[0] for model in args.model or [None]]
    for model in models:
        check_model(model)
    if args.growth:
        for model in models:
            grown = measure_growth(model, args.video)
            line = f"{model.stem}: memory grew by {grown:.1f} MB after the first minute"
            show(line, kept=False)
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for model in models:
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
    for name, latency in measure_frame(models, args.video).items():
        doubt = latency.noise and f" (noisy: {latency.noise})"
        show(f"  {name} {latency.median:.3f}{doubt}", kept=False)
