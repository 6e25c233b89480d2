"""From the trials of a clip to its fixations: those that were recorded, or found in samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze import movements
from uva_tf.gaze.fixation_table import (
    AT_EXACTLY,
    BESIDE,
    BESIDE_BLINKS,
    FAR_OFF,
    INVALID,
    LEAST_LOST,
    LOST,
    SAMPLES_BESIDE,
    SHORT,
    UNTRACKED,
    FixationTable,
)
from uva_tf.gaze.lost import lost_places
from uva_tf.gaze.movements import Track
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.placing import check_stated, clip_on, of_clip, on_clip, on_screen, screen_of
from uva_tf.gaze.plausible import check_pixels
from uva_tf.gaze.trials import RecordedFixations, Samples, Trial

# An eye that is lost is often reported outside the screen, by web cameras for a seventh of the
# time. If more than this fraction of the samples is there, the screen is another one. Of a clip it
# may be more, since who wears a tracker also looks elsewhere.
MOST_OFF_SCREEN, MOST_OFF_CLIP = 0.25, 0.5
# People look beside a small clip too. If more than this fraction of their gaze is there, the clip
# was elsewhere.
MOST_BESIDE = 0.75
# Errors put gaze outside a screen by up to this fraction of its width. Further out, tracking was
# lost. There is more to see beside a clip.
MARGIN_OF_SCREEN, MARGIN_OF_CLIP = 0.1, 1.0
# In ms. A sample of a slower tracker lasts until the next one, so that every frame has one; that of
# a faster one belongs to the frame that is shown when it is taken.
FAST = 10.0

_CLEANED = (
    f"gaps up to {movements.LONGEST_GAP:g} ms filled, {movements.BLINK_EDGE:g} ms beside longer "
    "ones dropped"
)
DONE = {
    "recorded": "fixations: as the tracker's software found them",
    "samples": "fixations: none; in each frame the mean of an observer's samples counts",
    "ivt": (
        f"fixations: found by I-VT, slower than {movements.VELOCITY:g} deg/s over "
        f"{movements.SPEED_WINDOW:g} ms or more where noise demands it, "
        f"{_CLEANED}, merged within {movements.MERGED_WITHIN:g} ms and "
        f"{movements.MERGED_CLOSER:g} deg, at least {movements.SHORTEST:g} ms long"
    ),
    "idt": (
        f"fixations: found by I-DT, dispersion below {movements.DISPERSION:g} deg of means over "
        f"{movements.IDT_STEP:.0f} ms, {_CLEANED}, at least {movements.SHORTEST_IDT:g} ms long; "
        "pursuit faster than "
        f"{1000 * movements.DISPERSION / movements.SHORTEST_IDT:g} deg/s is lost"
    ),
}
PURSUIT = (
    f"pursuit: where gaze moves between saccades by more than {movements.MOVED:.0%} of the clip's "
    f"width, and than its noise, it is cut into pieces of {movements.PIECE:g} ms"
)


@dataclass
class _Gaze:
    """What one trial gives.

    Attributes:
        method: one of `METHODS`.
        columns: of the rows, `[n]` by name.
        samples: columns of the samples with gaze, `[m]` by name.
        taken, tracked, off: number of samples; of those with gaze; and of places outside the
            screen, or the clip if they are its own.
        window: over which speed was taken, in ms; 0 if it was not.
        still, moving: number of fixations during which gaze stays, or moves as in pursuit.
    """

    method: str
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: Counter = field(default_factory=Counter)
    taken: int = 0
    tracked: int = 0
    off: int = 0
    window: float = 0.0
    still: int = 0
    moving: int = 0


def fixations_of(
    trials: Sequence[Trial],
    size: tuple[int, int],
    options: GazeOptions,
    numbering: Mapping[str, int],
    *,
    checked: bool = True,
) -> FixationTable:
    """The fixations of one clip, in its pixels.

    They are those that `options.fixations` asks for, else those that were recorded, else found by
    I-VT; samples that are numbered by frame count as they are. If gaze moves during a fixation,
    as it does when an eye follows something, the rows are pieces of it, each at its own place,
    with the same `event`.

    Args:
        trials: of this clip.
        size: its width and height in pixels.
        numbering: the number of each observer.
        checked: whether to check that places can be pixels of the screen.

    Raises InputError if a trial lacks what the method needs, or if that check fails.
    """
    for trial in trials:
        check_stated(trial, size, options)
    if checked:
        _check_pixels(trials, size, options)
    gazes = [_gaze_of(trial, size, options, beside=not checked) for trial in trials]
    if checked:
        _check_on_screen(trials, gazes, size, options)
    if len({"frame" in gaze.columns for gaze in gazes}) > 1:
        raise InputError(
            f"{trials[0].file}: some trials of its clip have samples numbered by frame, others "
            "have times, expected the same of all"
        )
    if checked:
        _check_on_clip(trials, gazes, size, options)
    events, left_out = 0, Counter()
    for trial, gaze in zip(trials, gazes, strict=True):
        left_out += trial.left_out + gaze.left_out
        gaze.columns["event"] = gaze.columns["event"] + events
        events = int(gaze.columns["event"].max(initial=events - 1)) + 1
    people = np.array([numbering[trial.observer] for trial in trials], np.int32)
    rows = _joined([gaze.columns for gaze in gazes], people)
    sampled = [n for n, gaze in enumerate(gazes) if gaze.samples]
    samples = _joined([gazes[n].samples for n in sampled], people[sampled])
    if samples:
        order = np.argsort(samples["frame" if "frame" in samples else "time"], kind="stable")
        samples = {name: column[order] for name, column in samples.items()}
    taken, tracked = (
        np.bincount(people, [getattr(gaze, name) for gaze in gazes])
        for name in ("taken", "tracked")
    )
    return FixationTable(
        rows.pop("observer"),
        rows,
        left_out,
        (*dict.fromkeys(note for trial in trials for note in trial.notes), *_notes(gazes)),
        tuple(numbering),
        {int(n): float(tracked[n] / taken[n]) for n in np.flatnonzero(taken)},
        {int(n): int(taken[n]) for n in np.flatnonzero(taken)},
        samples,
    )


def _joined(parts: Sequence[dict[str, np.ndarray]], people: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of several trials as one, with a column `observer`."""
    if not parts:
        return {}
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    joined["observer"] = np.repeat(people, [len(part["x"]) for part in parts])
    return joined


def _notes(gazes: Sequence[_Gaze]) -> list[str]:
    """For each method what was done, and what it gave."""
    notes = []
    for method in dict.fromkeys(gaze.method for gaze in gazes):
        mine = [gaze for gaze in gazes if gaze.method == method]
        still, moving = sum(gaze.still for gaze in mine), sum(gaze.moving for gaze in mine)
        notes.append(DONE[method])
        if moving or method in ("ivt", "idt"):
            notes.append(PURSUIT)
        if method != "samples":
            windows = sorted({round(gaze.window) for gaze in mine if gaze.window})
            span = " to ".join(str(one) for one in dict.fromkeys(windows[:1] + windows[-1:]))
            over = f", speed over {span} ms" if windows else ""
            notes.append(f"fixations: {still} still, {moving} moving ({method}{over})")
    return list(dict.fromkeys(notes))


def _check_pixels(trials: Sequence[Trial], size: tuple[int, int], options: GazeOptions) -> None:
    """Raise InputError if what should be pixels are fractions or percent."""
    if options.units:
        return
    for kind in ("samples", "fixations"):
        given = [t for t in trials if t.units == "pixels" and getattr(t, kind) is not None]
        if not given:
            continue
        x, y = (
            np.concatenate([getattr(getattr(trial, kind), axis) for trial in given])
            for axis in ("x", "y")
        )
        there = np.isfinite(x) & np.isfinite(y)
        screen = None if of_clip(given[0], options) else screen_of(given[0], options)
        width, height = (screen.width, screen.height) if screen else size
        if there.any():
            check_pixels(x[there], y[there], width, height, given[0].file)


def _check_on_screen(
    trials: Sequence[Trial], gazes: Sequence[_Gaze], size: tuple[int, int], options: GazeOptions
) -> None:
    """Raise InputError if too many of the samples are outside the screen, or the clip.

    Those of trials whose place on the clip is certain do not count.
    """
    open_ = [gaze for trial, gaze in zip(trials, gazes, strict=True) if trial.shown is None]
    there = sum(gaze.tracked + gaze.left_out[FAR_OFF] for gaze in open_)
    off = sum(gaze.off for gaze in open_)
    own = of_clip(trials[0], options)
    if off <= (MOST_OFF_CLIP if own else MOST_OFF_SCREEN) * there:
        return
    *_, (width, height) = on_screen(trials[0], np.zeros(0), np.zeros(0), size, options)
    raise InputError(
        f"{trials[0].file}: {off} of {there} samples lie outside the {width}x{height} "
        f"{'clip' if own else 'screen'}: state what their places are with --screen WxH and --units"
    )


def _check_on_clip(
    trials: Sequence[Trial], gazes: Sequence[_Gaze], size: tuple[int, int], options: GazeOptions
) -> None:
    """Raise InputError if most of the gaze on a screen is beside the clip.

    That of trials whose place on the clip is certain does not count.
    """
    gazes = [gaze for trial, gaze in zip(trials, gazes, strict=True) if trial.shown is None]
    beside = sum(gaze.left_out[BESIDE] + gaze.left_out[SAMPLES_BESIDE] for gaze in gazes)
    there = sum(len(np.unique(gaze.columns["event"])) for gaze in gazes)
    if gazes and gazes[0].method == "samples":
        there = sum(len(gaze.columns["x"]) for gaze in gazes)
    units = trials[0].units
    # Units that a plain table does not state itself say nothing of whether its places are right.
    right = options.units == units and (units == "pixels" or not trials[0].on_clip)
    if right or beside <= MOST_BESIDE * (beside + there):
        return
    what = "samples" if gazes[0].method == "samples" else "fixations"
    raise InputError(
        f"{trials[0].file}: {beside} of {beside + there} {what} lie beside the clip of "
        f"{size[0]}x{size[1]} pixels: see whether --placed says where it was on the screen "
        f"(--units {units} if it does)"
    )


def _gaze_of(
    trial: Trial, size: tuple[int, int], options: GazeOptions, *, beside: bool = False
) -> _Gaze:
    """The fixations of one trial, by the method that is stated, else the one that fits it.

    Args:
        beside: whether to keep those beside the clip.
    """
    samples = trial.samples
    by_frame = samples is not None and samples.frame is not None
    fitting = "recorded" if trial.fixations is not None else "samples" if by_frame else "ivt"
    gaze = _Gaze(options.fixations or fitting)
    if gaze.method == "recorded" and trial.fixations is None:
        raise InputError(f"{trial.file}: no fixations in it, only samples: --fixations ivt or idt")
    if gaze.method != "recorded" and samples is None:
        raise InputError(f"{trial.file}: no samples in it, only fixations: --fixations recorded")
    if gaze.method in ("ivt", "idt") and by_frame:
        raise InputError(
            f"{trial.file}: samples numbered by frame, but it takes times to find fixations: "
            "--fixations samples"
        )
    track, places = None, np.zeros((0, 2))
    if samples is not None:
        screen, places = _tracked_places(trial, size, options, gaze)
        there = np.isfinite(places[:, 0])
        key, when = ("frame", samples.frame) if by_frame else ("time", samples.time)
        gaze.samples = {key: when[there], "x": places[there, 0], "y": places[there, 1]}
    if gaze.method == "samples":
        _keep_samples(gaze, trial, size, beside=beside)
        return gaze
    if gaze.method == "recorded":
        if samples is not None and not by_frame:
            with suppress(InputError):  # too slow to tell whether gaze moved
                unknown = np.full_like(places, np.nan)
                track = movements.tracked(samples.time, places, unknown, trial.file)
        _keep_recorded(gaze, trial, track, places, size, options)
        return gaze
    degrees = _degrees(trial, screen, size, options)
    track = movements.tracked(samples.time, places, degrees, trial.file)
    gaze.left_out[BESIDE_BLINKS] = track.beside_blinks
    if gaze.method == "ivt":
        bounds, times, gaze.left_out[SHORT], gaze.window = movements.by_velocity(track)
    else:
        bounds, times = movements.by_dispersion(track)
    means = [track.places[a:b].mean(axis=0) for a, b in bounds]
    _keep(gaze, *times.T, np.reshape(means, (-1, 2)), track, bounds, size)
    if not beside:
        _drop(gaze, ~_inside(gaze.columns["x"], gaze.columns["y"], size), BESIDE)
    return gaze


def _tracked_places(
    trial: Trial, size: tuple[int, int], options: GazeOptions, gaze: _Gaze
) -> tuple[np.ndarray, np.ndarray]:
    """A trial's samples in pixels of the screen and of the clip, `[n, 2]` each.

    Both are NaN where tracking was lost. Counts in `gaze` how many there are, and lost ones.
    """
    samples, own = trial.samples, of_clip(trial, options)
    if samples.time is not None and not (np.diff(samples.time) >= 0).all():
        raise InputError(f"{trial.file}: trial {trial.number} has times that fall, expected rising")
    given = np.stack([samples.x, samples.y], axis=1).astype(np.float64)
    given[~np.isfinite(given).all(axis=1)] = np.nan
    told = sum(
        count
        for reason, count in trial.left_out.items()
        if reason == INVALID or reason.startswith(AT_EXACTLY)
    )
    gaze.left_out[UNTRACKED] = max(0, int(np.isnan(given[:, 0]).sum()) - told)
    corner = (given == 0).all(axis=1)
    if not _is_centred(trial, options) and corner.sum() >= LEAST_LOST:
        gaze.left_out[LOST] = int(corner.sum())
        given[corner] = np.nan
    x, y, span = on_screen(trial, *given.T, size, options)
    there = np.isfinite(x)
    gaze.off = int((there & ~_inside(x, y, span)).sum())
    margin = (MARGIN_OF_CLIP if own else MARGIN_OF_SCREEN) * span[0]
    far = there & ~_inside(x, y, span, margin)
    if trial.shown is not None and trial.screen is not None:
        left, top, width, height = trial.shown
        ends = (trial.screen.width, trial.screen.height)
        on = (x * width / span[0] + left, y * height / span[1] + top)
        far = there & ~_inside(*on, ends, MARGIN_OF_SCREEN * ends[0])
    gaze.left_out[FAR_OFF] = int(far.sum())
    gaze.taken, gaze.tracked = len(x), int((there & ~far).sum())
    screen = np.stack([x, y], axis=1)
    screen[far] = np.nan
    left, top, width, height = clip_on(span, trial, size, options)
    return screen, (screen - [left, top]) * size / [width, height]


def _degrees(
    trial: Trial, screen: np.ndarray, size: tuple[int, int], options: GazeOptions
) -> np.ndarray:
    """Pixels of the screen as degrees of visual angle from its centre, `[n, 2]`.

    Raises InputError if the screen's width in cm or its distance is not known.
    """
    from pymovements.transforms.numpy import pix2deg  # late: it takes seconds

    *_, span = on_screen(trial, np.zeros(0), np.zeros(0), size, options)
    known = screen_of(trial, options) or trial.screen
    width_cm = options.screen_cm or (known.width_cm if known else 0.0)
    distance_cm = options.distance_cm or (known.distance_cm if known else 0.0)
    own = of_clip(trial, options)
    if own and options.screen:  # it was measured on that screen, on which the export has the clip
        width_cm *= trial.shown[2] / options.screen[0]
        own = False
    if not (width_cm and distance_cm):
        what = "clip as it was shown" if own else "screen"
        raise InputError(
            f"{trial.file}: it takes angles to find fixations: give the width of the {what} as "
            "--screen-cm and the eye's distance as --distance-cm, or take samples as they are with "
            "--fixations samples"
        )
    # Pixels are square.
    size_cm = (width_cm, width_cm * span[1] / span[0])
    return pix2deg(screen, span, size_cm, distance_cm, origin="upper left")


def _keep_samples(gaze: _Gaze, trial: Trial, size: tuple[int, int], *, beside: bool) -> None:
    """Make rows of a trial's samples: of one observer and frame there is one event."""
    columns = gaze.samples.copy()
    if "frame" in columns:
        gaze.columns = columns | {"event": columns["frame"]}
    else:
        step = movements.interval(trial.samples.time)
        onset = columns.pop("time")
        duration = np.full_like(onset, step if step >= FAST else 0.0)
        event = np.zeros(len(onset), np.int64)
        gaze.columns = {"onset_ms": onset, "duration_ms": duration, **columns, "event": event}
    if not beside:
        _drop(gaze, ~_inside(columns["x"], columns["y"], size), SAMPLES_BESIDE)


def _keep_recorded(
    gaze: _Gaze,
    trial: Trial,
    track: Track | None,
    places: np.ndarray,
    size: tuple[int, int],
    options: GazeOptions,
) -> None:
    """Make rows of a trial's fixations, which its samples, if there are any, may show to move.

    Args:
        places: `[n, 2]` of the samples in pixels of the clip, NaN where tracking was lost.
    """
    given = _seen(gaze, trial, options)
    x, y, span = on_screen(trial, given.x, given.y, size, options)
    beside = _inside(x, y, span)
    x, y = on_clip(trial, given.x, given.y, size, options)
    if given.means is not None and trial.samples is not None:
        means = _means_again(given, trial.samples, places)
        x, y = (np.where(np.isnan(own), one, own) for own, one in zip(means.T, (x, y), strict=True))
    beside = (beside | (trial.shown is not None)) & ~_inside(x, y, size)
    end = given.onset + given.duration
    bounds = np.zeros((len(x), 2), np.int64)
    if track is not None:
        bounds = np.stack([np.searchsorted(track.time, one) for one in (given.onset, end)], axis=1)
    _keep(gaze, given.onset, end, np.stack([x, y], axis=1), track, bounds, size)
    # `to_unit` judges those outside the screen.
    _drop(gaze, beside[gaze.columns["event"]], BESIDE)


def _seen(gaze: _Gaze, trial: Trial, options: GazeOptions) -> RecordedFixations:
    """A trial's fixations without those where tracking was lost, which are counted."""
    given = trial.fixations
    signs = lost_places(given.x, given.y, centred=_is_centred(trial, options))
    gaze.left_out.update({why: int(lost.sum()) for why, lost in signs.items()})
    kept = ~np.logical_or.reduce([np.zeros(len(given.x), bool), *signs.values()])
    columns = (None if column is None else column[kept] for column in vars(given).values())
    return RecordedFixations(*columns)


def _is_centred(trial: Trial, options: GazeOptions) -> bool:
    """Whether 0,0 is the centre, which is a place to look at."""
    return (options.origin or trial.origin) == "centre"


def _means_again(given: RecordedFixations, samples: Samples, places: np.ndarray) -> np.ndarray:
    """Where fixations are, `[k, 2]`, if some of their samples turned out to be lost; else NaN.

    The reader had these samples in its means; only here it is known where the screen ends.

    Args:
        places: as in `_keep_recorded`.
    """
    there = np.isfinite(places[:, 0])
    lost = np.isfinite(samples.x + samples.y) & ~there
    again = np.full((len(given.x), 2), np.nan)
    for n in np.flatnonzero(given.means) if lost.any() else ():
        span = (given.onset[n], given.onset[n] + given.duration[n])
        part = slice(*np.searchsorted(samples.time, span))
        if lost[part].any() and there[part].any():
            again[n] = places[part][there[part]].mean(axis=0)
    return again


def _keep(
    gaze: _Gaze,
    onset: np.ndarray,
    end: np.ndarray,
    places: np.ndarray,
    track: Track | None,
    bounds: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Make rows of fixations, those during which gaze moves in pieces.

    Args:
        onset, end: `[n]` in ms.
        places: `[n, 2]` pixels of the clip.
        track: the samples; None if there are none.
        bounds: `[n, 2]` first row of each fixation in the track and the row after its last.
    """
    moves = np.zeros(len(onset), bool)
    if track is not None and len(onset):
        moves = movements.pursued(track, bounds, size[0])
    gaze.still, gaze.moving = int((~moves).sum()), int(moves.sum())
    still = np.flatnonzero(~moves)
    parts = [(onset[still], end[still], places[still], still)]
    for event in np.flatnonzero(moves):
        begins, ends, path = movements.pieces(track, *bounds[event])
        begins[0], ends[-1] = onset[event], end[event]
        parts.append((begins, ends, path, np.full(len(begins), event)))
    onset, end, places, event = (np.concatenate(column) for column in zip(*parts, strict=True))
    gaze.columns = {
        "onset_ms": onset,
        "duration_ms": end - onset,
        "x": places[:, 0],
        "y": places[:, 1],
        "event": event,
    }


def _drop(gaze: _Gaze, rows: np.ndarray, reason: str) -> None:
    """Leave out rows, `[n]` bool, and count their events, or of samples themselves."""
    events = gaze.columns["event"]
    gaze.left_out[reason] = (
        int(rows.sum()) if gaze.method == "samples" else len(np.unique(events[rows]))
    )
    gaze.columns = {name: column[~rows] for name, column in gaze.columns.items()}


def _inside(x: np.ndarray, y: np.ndarray, size: tuple[int, int], margin: float = 0.0) -> np.ndarray:
    """Which places are within a frame, and a margin in pixels around it."""
    width, height = size
    return (x >= -margin) & (x < width + margin) & (y >= -margin) & (y < height + margin)
