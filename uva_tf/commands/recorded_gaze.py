"""The options that state what files of recorded gaze leave open."""

from __future__ import annotations

import argparse
import re

from uva_tf.commands.command import Parser
from uva_tf.gaze.options import (
    METHODS,
    ORIGINS,
    PLACE_UNITS,
    PLACED,
    ROLES,
    TIME_UNITS,
    GazeOptions,
)


def add_gaze_arguments(parser: Parser) -> None:
    """`--units`, `--origin`, `--screen` and so on, the fields of `GazeOptions`."""
    group = parser.add_argument_group("what the files of recorded gaze leave open")
    group.add_argument(
        "--units",
        metavar="UNITS",
        type=_units,
        default=("", ""),
        help="units of places and times, one of each at most: "
        f"{', '.join(PLACE_UNITS)}; {', '.join(TIME_UNITS)}; such as fractions,s (default: the "
        "layout's)",
    )
    group.add_argument(
        "--origin",
        metavar="NAME",
        choices=ORIGINS,
        default="",
        help="where x and y are 0: %(choices)s; in the last two y goes up (default: the layout's)",
    )
    group.add_argument(
        "--screen",
        metavar="WxH",
        type=_screen,
        help="size in pixels of the screen on which gaze was recorded (default: the export's)",
    )
    group.add_argument(
        "--placed",
        metavar="PLACE",
        type=_placed,
        help="how a clip was shown on a screen of another size: "
        f"{', '.join(PLACED)} (in its own size) or X,Y,W,H in pixels of the screen",
    )
    group.add_argument(
        "--fixations",
        metavar="NAME",
        choices=METHODS,
        default="",
        help="fixations as the tracker recorded them, or found in its samples by ivt or idt, or "
        "none, only samples: %(choices)s (default: recorded, else ivt)",
    )
    group.add_argument(
        "--screen-cm",
        metavar="CM",
        type=_cm,
        default=0.0,
        help="width of the screen, or of the clip as it was shown if places are the clip's, for "
        "angles that the eye turned (default: the export's)",
    )
    group.add_argument(
        "--distance-cm",
        metavar="CM",
        type=_cm,
        default=0.0,
        help="distance of the eye from the screen (default: the export's)",
    )
    group.add_argument(
        "--onset",
        metavar="PATTERN",
        type=_pattern,
        default="",
        help="regular expression of the message with which a clip begins; (?P<clip>...) in it is "
        "the clip's name (default: the layout's)",
    )
    group.add_argument(
        "--columns",
        metavar="NAMES",
        type=_columns,
        default={},
        help="columns of the layouts samples and frames by what they hold, such as "
        "t=time,x=L_X+R_X,y=L_Y+R_Y (with + those of two eyes), of "
        f"{', '.join(ROLES)} (default: those with usual names)",
    )


def gaze_options(args: argparse.Namespace) -> GazeOptions:
    """The options as they were typed."""
    places, times = args.units
    return GazeOptions(
        units=places,
        times=times,
        origin=args.origin,
        screen=args.screen,
        placed=args.placed or "",
        fixations=args.fixations,
        screen_cm=args.screen_cm,
        distance_cm=args.distance_cm,
        onset=args.onset,
        columns=args.columns,
    )


def _units(text: str) -> tuple[str, str]:
    names = text.split(",")
    places, times = ([name for name in names if name in of] for of in (PLACE_UNITS, TIME_UNITS))
    if len(places) > 1 or len(times) > 1 or len(places) + len(times) != len(names):
        raise argparse.ArgumentTypeError(
            f"{text!r}, expected one of {', '.join(PLACE_UNITS)}, or one of "
            f"{', '.join(TIME_UNITS)}, or both with a comma between"
        )
    return "".join(places), "".join(times)


def _screen(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}, expected such as 1920x1080")
    return int(found[1]), int(found[2])


def _placed(text: str) -> str | tuple[int, ...]:
    if text in PLACED:
        return text
    if not re.fullmatch(r"-?\d{1,5},-?\d{1,5},[1-9]\d{0,4},[1-9]\d{0,4}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}, expected {', '.join(PLACED)}, or x, y, width and height such as "
            "320,180,1280,720"
        )
    return tuple(int(part) for part in text.split(","))


def _cm(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected centimetres such as 53.1")
    return float(text)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return text


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=")[::2] for part in text.split(",")]
    columns = {role.strip(): name.strip() for role, name in pairs}
    if len(columns) < len(pairs) or set(columns) - set(ROLES) or not all(columns.values()):
        raise argparse.ArgumentTypeError(
            f"{text!r}, expected such as t=time,x=gaze_x,y=gaze_y, each of {', '.join(ROLES)} once "
            "at most"
        )
    return columns
