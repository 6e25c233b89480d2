"""From places on a screen to places on the clip that it showed, and to fractions of a frame."""

from __future__ import annotations

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen, Trial

# A tracker's errors put a few fixations outside the frame. If more than this fraction of a
# recording's lies there, its coordinates are not pixels of this frame.
MOST_OUTSIDE = 0.1
MOST_OUTSIDE_RIGHT = 0.5  # if a user stated that they are right
FAR = 1e9  # frames outside; no place is
# Where a user and an export say that a clip was may differ by this fraction of its size.
SAME_PLACE = 0.02


def on_clip(
    trial: Trial, x: np.ndarray, y: np.ndarray, size: tuple[int, int], options: GazeOptions
) -> tuple[np.ndarray, np.ndarray]:
    """A trial's places as pixels of its clip.

    Args:
        x, y: `[n]` in the trial's units.
        size: width and height of the clip.
        options: what the user stated; it counts before what the export says.

    Returns:
        x and y, `[n]` float64 pixels of the clip, origin upper left.

    Raises InputError if it is not known where the clip was on the screen.
    """
    x, y, span = on_screen(trial, x, y, size, options)
    left, top, shown_width, shown_height = clip_on(span, trial, size, options)
    return (x - left) * size[0] / shown_width, (y - top) * size[1] / shown_height


def on_screen(
    trial: Trial, x: np.ndarray, y: np.ndarray, size: tuple[int, int], options: GazeOptions
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """A trial's places as pixels of the screen; of the clip, if its places are the clip's own.

    Args:
        x, y, size, options: as `on_clip` takes them.

    Returns:
        x and y, `[n]` float64 pixels, origin upper left; and the width and height in pixels of
        what they are places on.

    Raises InputError if the size of the screen is not known.
    """
    units, origin = options.units or trial.units, options.origin or trial.origin
    screen = screen_of(trial, options)
    if of_clip(trial, options):
        if options.placed and trial.shown is None:
            raise InputError(
                f"--placed: places are pixels of the clip itself in {trial.file.name}: state "
                "--screen WxH too if they are of a screen"
            )
        span = size
    elif screen:
        span = (screen.width, screen.height)
    elif options.placed == "stretch" and units != "pixels":
        span = size
    else:
        raise InputError(
            f"{trial.file}: the size of the screen is not in it: give it as --screen WxH, in pixels"
        )
    width, height = span
    if units != "pixels":
        scale = 1.0 if units == "fractions" else 0.01
        x, y = x * width * scale, y * height * scale
    if origin == "lower-left":
        y = height - y
    elif origin == "centre":  # y upwards, as in PsychoPy
        x, y = width / 2 + x, height / 2 - y
    return x, y, span


def of_clip(trial: Trial, options: GazeOptions) -> bool:
    """Whether a trial's places are those of the clip itself, not of a screen that showed it."""
    return trial.on_clip and (trial.shown is not None or not options.screen)


def check_stated(trial: Trial, size: tuple[int, int], options: GazeOptions) -> None:
    """Raise InputError if a user states another place of the clip than the trial's export.

    Args:
        size: width and height of the clip.
    """
    if trial.shown is None or not (options.screen or options.placed):
        return
    own, screen = trial.screen, screen_of(trial, options)
    same = not own or (own.width, own.height) == (screen.width, screen.height)
    placed: str | tuple[float, ...] = options.placed
    if screen and placed:
        placed = shown_at(size, (screen.width, screen.height), options.placed, trial.file)
    if isinstance(placed, tuple):
        (one, other), sides = (_edges(place) for place in (placed, trial.shown)), trial.shown[2:]
        same &= bool((np.abs(one - other) <= SAME_PLACE * np.array([*sides, *sides])).all())
    elif placed:
        same = False
    if same:
        return
    states = _told(own and (own.width, own.height), trial.shown)
    stated = " and ".join(f"--{n}" for n in ("screen", "placed") if getattr(options, n))
    raise InputError(
        f"{trial.file}: it states that the clip was {states}, but by {stated} it was "
        f"{_told(options.screen, placed)}: leave {stated} out"
    )


def _edges(place: tuple[float, ...]) -> np.ndarray:
    """Left, top, right and bottom, `[4]`."""
    left, top, width, height = place
    return np.array([left, top, left + width, top + height])


def _told(screen: tuple[int, int] | None, placed: str | tuple[float, ...]) -> str:
    """A place of a clip for people, such as `at 320,180,1280,720 of a screen of 1920x1080`."""
    at = f"at {','.join(f'{side:.0f}' for side in placed)}" if isinstance(placed, tuple) else placed
    return " ".join(filter(None, [at, screen and f"on a screen of {screen[0]}x{screen[1]}"]))


def clip_on(
    span: tuple[int, int], trial: Trial, size: tuple[int, int], options: GazeOptions
) -> tuple[float, float, float, float]:
    """Where a trial's clip was on the `span` of `on_screen`: left, top, width and height in pixels.

    Raises InputError if that is not known.
    """
    if of_clip(trial, options):
        return 0, 0, *size
    return shown_at(size, span, options.placed, trial.file)


def screen_of(trial: Trial, options: GazeOptions) -> Screen | None:
    """The screen of a trial: what the user states counts before what the export says."""
    given = trial.screen
    size = options.screen or (given and (given.width, given.height))
    if not size:
        return None
    width_cm = options.screen_cm or (given.width_cm if given else 0.0)
    distance_cm = options.distance_cm or (given.distance_cm if given else 0.0)
    return Screen(*size, width_cm, distance_cm)


def shown_at(
    size: tuple[int, int],
    screen: tuple[int, int],
    placed: str | tuple[int, int, int, int],
    name: object,
) -> tuple[float, float, float, float]:
    """Where a clip was on a screen: left, top, width and height in pixels of the screen.

    Args:
        size, screen: width and height of the clip and of the screen.
        placed: one of `PLACED`, or the answer itself; needed if clip and screen differ in size.
        name: of the recording, for the message.

    Raises InputError if that is not known.
    """
    if isinstance(placed, tuple):
        return placed
    if placed == "stretch" or screen == size:
        return 0, 0, *screen
    if not placed:
        raise InputError(
            f"{name}: the clip has {size[0]}x{size[1]} pixels, the screen {screen[0]}x{screen[1]}: "
            "say how it was shown with --placed fit, stretch, centre or X,Y,W,H"
        )
    scale = min(screen[0] / size[0], screen[1] / size[1]) if placed == "fit" else 1.0
    width, height = scale * size[0], scale * size[1]
    return (screen[0] - width) / 2, (screen[1] - height) / 2, width, height


def to_unit(
    x: np.ndarray,
    y: np.ndarray,
    width: int,
    height: int,
    name: object,
    right: bool | None = None,
    *,
    checked: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as fractions of the frame, and which of the fixations lie inside it.

    Args:
        x, y: `[n]` pixels, origin upper left.
        name: of the recording, for the message.
        right: whether a user stated that they are right; None where none can.
        checked: whether most of them must lie inside.

    Returns:
        `[n, 2]` float32 points, x and y from 0 to 1 inside the frame, and `[n]` bool.

    Raises InputError if they are checked and more than `MOST_OUTSIDE` of them lie outside.
    """
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside = int((~inside).sum())
    most = MOST_OUTSIDE_RIGHT if right else MOST_OUTSIDE
    hint = "" if right is None else ": of a screen? state its size and --placed"
    if checked and outside > most * len(x):
        raise InputError(
            f"{name}: {outside} of {len(x)} fixations lie outside the {width}x{height} frame, x "
            f"is {x.min():g} to {x.max():g} and y {y.min():g} to {y.max():g}, expected pixels of "
            f"this file{_lost(x[~inside], y[~inside])}{hint}"
        )
    points = np.stack([x / width, y / height], axis=1)
    return points.clip(-FAR, FAR).astype(np.float32), inside  # float32 does not hold 1e300


def _lost(x: np.ndarray, y: np.ndarray) -> str:
    """A hint if most of the places outside the frame are the same place."""
    places, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    (column, row), most = places[:, counts.argmax()], int(counts.max())
    if most < 2 or 2 * most < len(x):
        return ""
    return (
        f"; {most} of them lie at exactly {column:g},{row:g}, as if tracking was lost: leave such "
        "rows out"
    )
