"""WebGazer's gaze, as experiments in a browser store it: JSON, or CSV with JSON in its cells."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import read_input
from uva_tf.gaze.exports.columns import usual
from uva_tf.gaze.exports.plausible_samples import check_clock, check_places, check_steps, counted
from uva_tf.gaze.exports.viewings import tables_in
from uva_tf.gaze.lost import lost_places
from uva_tf.gaze.names import composed, named_by, without_suffix
from uva_tf.gaze.options import TIME_UNITS, GazeOptions
from uva_tf.gaze.tables import TextTable, first_lines
from uva_tf.gaze.trials import Samples, Screen, Trial

MOST_BYTES = 2**26  # of a file: an hour at 30 Hz has 2**23
DEEPEST = 3  # lists or objects around those of a participant's trials
MOST_SIDE = 20_000  # pixels of a window
# Times that begin later, or go on from trial to trial, are of a clock that started before the clip.
LATE = 10_000.0  # ms
# Predictions come from workers of the browser, which may overtake each other.
OVERTAKEN = 200.0  # ms
SAME_TIME = "samples at the time of another"
EMPTY = "trials without gaze"
FROM_FIRST = "times are those of a whole session: counted from the first sample of each trial"
ON_ELEMENT = "places are relative to the page's element that showed the clip (webgazer_targets)"
REMEDY = "expected WebGazer's data: JSON, or CSV with a column webgazer_data"


@dataclass(frozen=True)
class _Shown:
    """One trial as it is stored: `[n]` times and places, and what was shown.

    Attributes:
        element: left, top, width and height of the clip in the window, if that was stored.
        window: its width and height, if that was stored.
    """

    stimulus: str
    observer: str
    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    where: str
    element: tuple[float, float, float, float] | None = None
    window: tuple[int, int] | None = None


def webgazer(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of `.json` and `.csv` files with gaze that WebGazer predicted.

    Read are points `{t, x, y}` with the `trial` or `img` that they belong to; jsPsych's trials
    with `webgazer_data`, in JSON (one array, or one a line) or CSV; and CSV with arrays in the
    columns `webgazer_time`, `x` and `y`. Times are in ms, places in pixels of the window, or of
    the element that showed a clip where jsPsych stored its rectangle.

    Raises InputError for a file that can't be read as one of these.
    """
    listed = folder.parent / "trials.csv"
    onsets = listed.exists() and any("onset_ms" in line for line in first_lines(listed)[:2])
    trials = []
    for path in tables_in(folder, (".json", ".csv")):
        as_json = path.suffix.lower() == ".json"
        stored, notes = (_json_trials(path), []) if as_json else _csv_trials(path)
        for trial in _trials(path, stored, folder, clips, options, keep_clock=onsets):
            trials.append(replace(trial, notes=(*notes, *trial.notes)))
    return trials


def _trials(
    path: Path,
    stored: Sequence[_Shown],
    folder: Path,
    clips: Collection[str],
    options: GazeOptions,
    *,
    keep_clock: bool,
) -> list[Trial]:
    empty = sum(not len(one.t) for one in stored)
    stored = [one for one in stored if len(one.t)]
    if not stored:
        raise InputError(f"{path}: no gaze in it, {REMEDY}")
    factor = TIME_UNITS[options.times or "ms"]
    stored = [_in_order(replace(one, t=one.t * factor)) for one in stored]
    people = {one.observer for one in stored}
    late = {who for who in people if _is_session([one for one in stored if one.observer == who])}
    x, y = (np.concatenate([getattr(one, axis) for one in stored]) for axis in "xy")
    lost = list(lost_places(x, y, centred=options.origin == "centre").values())
    x = np.where(np.logical_or.reduce([np.isnan(x) | np.isnan(y), *lost]), np.nan, x)
    check_places(x, y, str(path), options)
    clip, observer = named_by(path, folder, clips)
    moved = options.units or options.screen or options.placed or options.origin
    trials = []
    for number, one in enumerate(stored, start=1):
        first = np.concatenate([[True], np.diff(one.t) > 0])
        t, x, y = (part[first] for part in (one.t, one.x, one.y))
        if not options.times:
            check_steps(np.diff(t), one.where)
        session = one.observer in late and not keep_clock
        if not keep_clock and not session:
            check_clock(t, one.where)
        lost = lost_places(x, y, centred=options.origin == "centre")
        gone = np.logical_or.reduce([np.isnan(x), np.isnan(y), *lost.values()])
        x, y = np.where(gone, np.nan, x), np.where(gone, np.nan, y)
        notes = [FROM_FIRST] if session else []
        on_element = one.element and not moved
        if on_element:
            left, top, width, height = one.element
            x, y = (x - left) / width, (y - top) / height
            notes.append(ON_ELEMENT)
        trials.append(
            Trial(
                _clip_of(one.stimulus, clips) if one.stimulus else clip,
                one.observer or observer,
                path,
                number,
                Samples(t - t[0] if session else t, x, y),
                units="fractions" if on_element else options.units or "pixels",
                on_clip=bool(on_element),
                screen=Screen(*one.window) if one.window else None,
                left_out=counted(lost, np.arange(len(x)))
                + Counter({SAME_TIME: int((~first).sum()), EMPTY: empty if number == 1 else 0}),
                notes=tuple(notes),
            )
        )
    return trials


def _is_session(trials: Sequence[_Shown]) -> bool:
    """Whether the times of one observer's trials are those of a clock that goes on."""
    goes_on = all(before.t[-1] < after.t[0] for before, after in pairwise(trials))
    return goes_on if len(trials) > 1 else trials[0].t[0] > LATE


def _in_order(one: _Shown) -> _Shown:
    """The trial with its samples in the order of time; InputError if many are in disorder."""
    back = -np.diff(one.t).min(initial=0)
    if back > OVERTAKEN:
        raise InputError(
            f"{one.where}: times fall back by {back:.15g} ms, expected one trial in the order of "
            "time"
        )
    order = np.argsort(one.t, kind="stable")
    return replace(one, t=one.t[order], x=one.x[order], y=one.y[order])


def _json_trials(path: Path) -> list[_Shown]:
    content = read_input(path, MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8, {REMEDY}") from None
    try:
        people = [_parsed(text, str(path))]
    except InputError:
        # Some servers store an array for each participant, one a line.
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        people = [_parsed(line, f"{path} line {n}") for n, line in enumerate(lines, start=1)]
    people = [part for one in people for part in _people(one)]
    several = len(people) > 1
    found = []
    for number, items in enumerate(people, start=1):
        name = f"{path.stem} {number}" if several else ""
        found += [replace(one, observer=one.observer or name) for one in _shown(items, path)]
    return found


def _people(document: object, depth: int = 0) -> list[list[dict]]:
    """The participants of a document, each as objects: points or trials."""
    if isinstance(document, dict):
        inner = [document[key] for key in ("trials", "data") if isinstance(document.get(key), list)]
        return _people(inner[0], depth + 1) if inner and depth < DEEPEST else [[document]]
    if not isinstance(document, list) or depth > DEEPEST:
        return []
    if document and all(isinstance(one, list) for one in document):
        return [part for one in document for part in _people(one, depth + 1)]
    return [[one for one in document if isinstance(one, dict)]]


def _shown(items: list[dict], path: Path) -> Iterator[_Shown]:
    """The trials of one participant."""
    if any({"x", "y", "t"} <= one.keys() for one in items):
        points = [one for one in items if {"x", "y", "t"} <= one.keys()]
        keyed = groupby(points, lambda one: (str(one.get("trial")), _stimulus(one)))
        for number, ((_, stimulus), group) in enumerate(keyed, start=1):
            first, *_ = these = list(group)
            where = f"{path} trial {number}"
            yield _Shown(stimulus, _observer(first), *_points(these, where), where)
        return
    observer = next(filter(None, map(_observer, items)), "")
    window = next(filter(None, map(_window, items)), None)
    for number, one in enumerate(items, start=1):
        if "webgazer_data" not in one:
            continue
        where = f"{path} trial {number}"
        points = _objects(one["webgazer_data"], where)
        yield _Shown(
            _stimulus(one),
            _observer(one) or observer,
            *_points(points, where),
            where,
            _element(one.get("webgazer_targets"), str(one.get("trial_type", "")), where),
            window,
        )


def _csv_trials(path: Path) -> tuple[list[_Shown], list[str]]:
    """The trials in the rows of a CSV, and what was guessed to read it."""
    head = next((line for line in first_lines(path) if line.strip()), "")
    in_cells = "webgazer_data" not in head
    needed = ("webgazer_time", "x", "y") if in_cells else ("webgazer_data",)
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES} bytes, expected at most that many")
    table = TextTable(path, needed, remedy=REMEDY)
    names = list(dict.fromkeys(name for name in table.names if _is_used(name)))
    rows = table.read(names)
    found = []
    windows: dict[str, tuple[int, int]] = {}  # by observer
    for row, line in enumerate(rows.line):
        one = {name: rows.text[name][row] for name in names if rows.text[name][row]}
        if window := _window(one):
            windows.setdefault(_observer(one), window)
        where = f"{path} line {line}"
        if in_cells:
            t, x, y = (
                _numbers(_parsed(one[name], where) if name in one else [], where) for name in needed
            )
            if not len(t) == len(x) == len(y):
                raise InputError(
                    f"{where}: {len(t)} times, {len(x)} x and {len(y)} y, expected as many of each"
                )
        elif "webgazer_data" in one:
            t, x, y = _points(_objects(one["webgazer_data"], where), where)
        else:
            continue
        element = _element(one.get("webgazer_targets"), one.get("trial_type", ""), where)
        found.append(_Shown(_stimulus(one), _observer(one), t, x, y, where, element))
    # A row without an observer is that of the only one.
    alone = len({one.observer for one in found} - {""}) < 2
    shared = windows.get("") if alone else None
    found = [replace(one, window=windows.get(one.observer, shared)) for one in found]
    return found, table.notes


def _is_used(name: str) -> bool:
    special = ("webgazer_data", "webgazer_time", "webgazer_targets", "trial_type", "x", "y")
    return (
        name in special
        or usual(name) in ("video", "observer")
        or bool(_side(name))
        or (name in ("img", "image"))
    )


def _side(name: str) -> str:
    """Which side of the window a name says it holds, or ""."""
    key = re.sub(r"[\W_]", "", name[-40:].casefold())
    for side in ("width", "height"):
        if key == side or key.endswith((f"window{side}", f"window{side[0]}", f"inner{side}")):
            return side
    return ""


def _window(one: Mapping[str, object]) -> tuple[int, int] | None:
    """The size of the window that a row or an object states, if it does."""
    found = {}
    for name, value in one.items():
        side = _side(name)
        plain = name in ("width", "height")
        if side and (not plain or one.get("trial_type") == "browser-check"):
            try:
                found[side] = round(float(str(value)))
            except (ValueError, OverflowError):
                continue
    size = found.get("width", 0), found.get("height", 0)
    return size if all(0 < side <= MOST_SIDE for side in size) else None


def _stimulus(one: Mapping[str, object]) -> str:
    """What an object says was shown; "" if it does not."""
    names = [name for name in one if usual(name) == "video"] + ["img", "image"]
    return next((_plain(one[name])[:10_000] for name in names if one.get(name)), "")


def _observer(one: Mapping[str, object]) -> str:
    names = (name for name in one if usual(name) == "observer")
    return next((_plain(one[name])[:200] for name in names if one[name] not in ("", None)), "")


def _plain(value: object) -> str:
    """A value as text that can be encoded; JSON may hold halves of characters."""
    return str(value).encode(errors="replace").decode()


def _clip_of(stimulus: str, clips: Collection[str]) -> str:
    """The clip that a stimulus names: a path, a list of paths, or HTML with paths in it."""
    known = {composed(clip): clip for clip in clips}
    last = re.split(r"[/\\]", stimulus)[-1]
    inside = re.findall(r"[^\s\"'<>\[\](),/\\]+", stimulus)
    for name in (last, *inside):
        if (plain := composed(without_suffix(name))) in known:
            return known[plain]
    return "" if "<" in stimulus else last.strip("[]\"' ")


def _element(targets: object, trial_type: str, where: str) -> tuple[float, ...] | None:
    """Left, top, width and height of the element that showed a video, if they were stored."""
    targets = _parsed(targets, where) if isinstance(targets, str) else targets
    if not isinstance(targets, dict):
        return None
    video = [one for name, one in targets.items() if "video" in name]
    if not video and "video" in trial_type:
        video = list(targets.values())
    if len(video) != 1 or not isinstance(video[0], dict):
        return None
    rectangle = [
        _number(video[0].get(a, video[0].get(b)), where)
        for a, b in (("left", "x"), ("top", "y"), ("width", "width"), ("height", "height"))
    ]
    return (
        tuple(rectangle) if all(map(math.isfinite, rectangle)) and min(rectangle[2:]) > 0 else None
    )


def _objects(value: object, where: str) -> list[dict]:
    """A list of objects, or the JSON of one."""
    value = _parsed(value, where) if isinstance(value, str) and value else value or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{where}: webgazer_data is no list of objects with t, x and y")
    return value


def _points(points: list[dict], where: str) -> tuple[np.ndarray, ...]:
    """Times and places, `[n]` each, of objects with t, x and y; those without a time left out."""
    t, x, y = (_numbers([one.get(name) for one in points], where) for name in ("t", "x", "y"))
    timed = ~np.isnan(t)
    return t[timed], x[timed], y[timed]


def _numbers(values: object, where: str) -> np.ndarray:
    if not isinstance(values, list):
        raise InputError(f"{where}: expected a list of numbers, found {str(values)!r:.40}")
    return np.array([_number(value, where) for value in values], float)


def _number(value: object, where: str) -> float:
    """A number; NaN for null."""
    if value is None:
        return math.nan
    try:
        found = math.nan if isinstance(value, bool | list | dict) else float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where}: {str(value)!r:.40}, expected a number")
    return found


def _parsed(text: str, where: str) -> object:
    """What JSON says; InputError if it is none, or nested too deeply."""
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except RecursionError:
        raise InputError(f"{where}: JSON that is nested too deeply, {REMEDY}") from None
    except ValueError as error:
        raise InputError(f"{where}: no JSON ({error}), {REMEDY}") from None
