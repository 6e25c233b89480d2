"""Arguments that several commands take, each described once, and the types of their values."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from uva_tf.commands.command import Parser
from uva_tf.config import OLDER_FIELDS
from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.runtime.default_model import choose_model
from uva_tf.runtime.manifest import (
    FORMS,
    MOST_AHEAD,
    MOST_CENTRE,
    MOST_CENTRE_SHARE,
    MOST_LEVEL,
    MOST_PERSISTENCE,
)


def add_data_argument(parser: Parser, more: str = "") -> None:
    """`--data`, which may be repeated; `more` says what several of them mean."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        action="append",
        required=True,
        help=f"prepared dataset (made by uva-tf prepare); may be repeated{more}",
    )


def add_run_argument(parser: Parser) -> None:
    """`--run`, the training that a command takes."""
    parser.add_argument(
        "--run", metavar="DIR", type=Path, required=True, help="run folder (made by uva-tf train)"
    )


def add_layout_arguments(parser: Parser, layouts: Sequence[str]) -> None:
    """`--layout` and `--root`, the recordings to prepare."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        choices=layouts,
        required=True,
        help="how the recordings' folder is arranged: %(choices)s",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of recordings (the layout synthetic draws clips there if it does not exist)",
    )


def add_reading_arguments(parser: Parser) -> None:
    """`--stream`, `--deinterlace` and `--strict`: how a video is read."""
    parser.add_argument(
        "--stream",
        metavar="N",
        type=number(0, 999),
        help="read the file's stream N (default: the one marked as default, else the largest)",
    )
    parser.add_argument("--deinterlace", action="store_true", help="deinterlace the video")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse a video that is damaged or cut short instead of noting it",
    )


def add_model_argument(parser: Parser) -> None:
    """`--model`, as `choose_model` takes it."""
    parser.add_argument(
        "--model",
        metavar="NAME|FILE.tflite",
        type=Path,
        help="a shipped student, such as uva-32 or uva-64-int8, or a model file with its manifest "
        "beside it (default: the best student, int8 if the processor has fast 8-bit instructions, "
        "else fp16)",
    )


def add_threads_argument(parser: Parser) -> None:
    """`--threads`, of the model."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=number(1, 256),
        default=1,
        help="threads that the model runs on (default: %(default)s)",
    )


def add_rounds_argument(parser: Parser, default: int) -> None:
    """`--rounds`, the turns of a measurement."""
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=number(1, 1000),
        default=default,
        help="turns to take medians over (default: %(default)s)",
    )


def add_persistence_argument(parser: Parser, default: float | None = None) -> None:
    """`--persistence`, which joins maps; None stands for what the model's manifest says."""
    said = "what the model's manifest says, 0 without one" if default is None else default
    parser.add_argument(
        "--persistence",
        metavar="WEIGHT",
        type=decimal(0, MOST_PERSISTENCE),
        default=default,
        help="join each map with those before it, back to the last cut: the map K frames ago "
        f"weighs WEIGHT to the power K (0 to {MOST_PERSISTENCE}) (default: {said})",
    )


def add_ahead_argument(parser: Parser) -> None:
    """`--ahead`, which joins maps with those after them too."""
    parser.add_argument(
        "--ahead",
        metavar="N",
        type=number(0, MOST_AHEAD),
        default=0,
        help="where maps are joined, join each with the N after it too, as a recorded video allows "
        f"(0 to {MOST_AHEAD}) (default: 0)",
    )


def add_brighten_argument(parser: Parser) -> None:
    """`--brighten`, for the manifest of a model that is converted."""
    parser.add_argument(
        "--brighten",
        metavar="LEVEL",
        type=number(0, MOST_LEVEL),
        default=0,
        help="brighten frames with a mean below LEVEL (of 255) up to LEVEL before the model sees "
        f"them: 0, which changes none, to {MOST_LEVEL} (default: 0)",
    )


def add_centre_arguments(parser: Parser) -> None:
    """`--centre` and `--centre-share`, of students whose maps lean to the middle."""
    parser.add_argument(
        "--centre",
        metavar="WEIGHT",
        type=decimal(0, MOST_CENTRE),
        default=0.0,
        help="multiply what a student draws by a centre prior to the power WEIGHT: 0, which "
        f"changes nothing, to {MOST_CENTRE} (default: 0)",
    )
    parser.add_argument(
        "--centre-share",
        metavar="SHARE",
        type=decimal(0, MOST_CENTRE_SHARE),
        default=0.0,
        help="then give SHARE of each map to the centre prior, whatever the frame shows: 0, which "
        f"changes nothing, to {MOST_CENTRE_SHARE} (default: 0)",
    )


def add_encoding_arguments(parser: Parser, what: str) -> None:
    """`--codec` and `--quality`, of `what` is written."""
    from uva_tf.core.video_writer import CODECS  # late: it needs PyAV

    defaults = ", ".join(f"{codec.quality} for {name}" for name, codec in CODECS.items())
    parser.add_argument(
        "--codec", choices=CODECS, help=f"codec of {what} (default: h264; vp9 in .webm)"
    )
    parser.add_argument(
        "--quality",
        metavar="N",
        type=number(0, 63),
        help=f"constant rate factor of {what}, lower is better (default: {defaults})",
    )


def add_recordings_arguments(parser: Parser, layouts: Sequence[str], together: str) -> None:
    """`--layout`, and `--root`, which may be repeated; `together` says what several mean."""
    parser.add_argument(
        "--layout",
        choices=layouts,
        required=True,
        help="how the recordings' folders are arranged",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        action="append",
        required=True,
        help=f"folder of recordings; may be repeated, {together}",
    )


def add_form_argument(parser: Parser) -> None:
    """`--form`, how a student takes its frames."""
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="step",
        help="step: one frame and the state of a stream; pair: two frames (default: step)",
    )


def check_ahead(args: argparse.Namespace) -> None:
    """Raise InputError for `--ahead` without `--persistence`, where maps of runs are joined."""
    if args.ahead and not args.persistence:
        raise InputError(f"--ahead {args.ahead} joins no maps of a run: give --persistence too")


def add_every_argument(parser: Parser, default: int) -> None:
    """`--every`, which scores fewer frames."""
    parser.add_argument(
        "--every",
        metavar="N",
        type=number(1, 10**6),
        default=default,
        help="score every Nth frame of each clip (default: %(default)s)",
    )


class _AppendChange(argparse._AppendAction):
    """Appends FIELD=VALUE; refuses a field given twice."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        given = [change.partition("=")[0] for change in [*getattr(namespace, self.dest), values]]
        *before, field = [OLDER_FIELDS.get(name, name) for name in given]
        if field in before:
            parser.error(f"{self.option_strings[-1]} {field} given twice: expected once")
        super().__call__(parser, namespace, values, option_string)


def add_training_arguments(parser: Parser, presets: Sequence[str]) -> None:
    """The options of every command that trains: `--data`, `--preset`, `--set` (as `changes`)."""
    add_data_argument(parser)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        type=current,
        choices=presets,
        required=True,
        help="configuration to start from: %(choices)s",
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action=_AppendChange,
        default=[],
        dest="changes",
        help="change a field of the preset, such as joint.steps=600; once per field",
    )


def add_study_arguments(parser: Parser, presets: Sequence[str]) -> None:
    """The options of every study that trains: those above, and its folder, seeds and pace."""
    add_training_arguments(parser, presets)
    add_study_folder_argument(parser)
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=number(0, 10**6),
        nargs="+",
        default=[1, 2, 3],
        help="random seeds; each training runs once per seed (default: 1 2 3)",
    )
    add_every_argument(parser, default=8)
    add_jobs_argument(parser, "trainings")


def add_kinds_arguments(parser: Parser) -> None:
    """`--kinds` and `--external-maps`, of scores by kind of scene."""
    parser.add_argument(
        "--kinds",
        metavar="FILE",
        type=Path,
        required=True,
        help="CSV with columns set,name,kind: the kind of scene of every clip in --data",
    )
    parser.add_argument(
        "--external-maps",
        metavar="DIR",
        type=Path,
        help="also score another model's maps: DIR/DATASET/CLIP/000001.png, 8-bit grey",
    )


def add_study_folder_argument(parser: Parser) -> None:
    """`--out`, the folder of a study."""
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="study folder; an interrupted study in it is resumed",
    )


def add_jobs_argument(parser: Parser, work: str) -> None:
    """`--jobs`, how many pieces of work run at a time."""
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=number(1, 256),
        default=1,
        help=f"{work} to run at a time (default: 1)",
    )


def model_or_run(text: str) -> Path:
    """An argument type: a model file or a run, or a shipped student's name for its file."""
    path = Path(text)
    if not (path.exists() or path.suffix):
        with contextlib.suppress(InputError):
            return choose_model(text)[0]
    return path


def file_of_video(text: str) -> Path:
    """An argument type: a video file, no URL and no pipe."""
    from uva_tf.core.urls import is_url  # late: it needs PyAV, whose absence has a line of its own

    if text == "-" or is_url(text):
        raise argparse.ArgumentTypeError(
            f"{text}: expected a file, since it is read twice: record the stream first"
        )
    return Path(text)


def number(low: int, high: int) -> Callable[[str], int]:
    """An argument type: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) < 10
        if not (digits and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {low} to {high}")
        return int(text)

    return parse


def decimal(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """An argument type: a number from `low` to `high`; `unit` is what the message adds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {low:g} to {high:g}{unit}")
        return value

    return parse
