"""Exports of Tobii's software: Pro Lab, Studio, and tables of the Pro SDK's samples.

All versions name their columns alike once case, blanks and units are taken out of the names, so
one reader does for all. Names and meanings: the user manuals of Tobii Pro Lab and Tobii Studio,
chapters on data export.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.row_order import in_order
from uva_tf.gaze.exports.stimuli import Event, Piece, mean_of_eyes, numbered, pieces, rising
from uva_tf.gaze.fixation_table import REPEATED
from uva_tf.gaze.lost import without_lost
from uva_tf.gaze.names import matched
from uva_tf.gaze.options import TIME_UNITS, GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS, TextTable
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

Pair = tuple[np.ndarray, np.ndarray]  # x and y, `[n]` each

TIME = "Recording timestamp"
# Names of other versions, as `_plain` writes them.
SAME = {
    "recordingtimestamp": TIME,
    "timestamp": TIME,
    "devicetimestamp": TIME,
    "gazeeventtype": "eyemovementtype",
    "fixationindex": "eyemovementtypeindex",
    "eyemovementindex": "eyemovementtypeindex",
    "fixationduration": "gazeeventduration",
    "gazepointindex": "number",
    "studioevent": "event",
    "studioeventdata": "eventvalue",
    "descriptor": "eventvalue",
    "medianame": "presentedmedianame",
    "stimuliname": "presentedmedianame",
    "presentedmediawidth": "mediawidth",
    "presentedmediaheight": "mediaheight",
    "presentedmediapositionx": "mediaposx",
    "presentedmediapositiony": "mediaposy",
    "mappedfixationpointx": "fixationpointx[mcspx]",
    "mappedfixationpointy": "fixationpointy[mcspx]",
    "mappedgazedatapointx": "gazepointx[mcspx]",
    "mappedgazedatapointy": "gazepointy[mcspx]",
    "gazepointxleft": "gazepointleftx",
    "gazepointyleft": "gazepointlefty",
    "gazepointxright": "gazepointrightx",
    "gazepointyright": "gazepointrighty",
    "leftgazepointvalidity": "validityleft",
    "rightgazepointvalidity": "validityright",
    "leftgazepointvalid": "validityleft",
    "rightgazepointvalid": "validityright",
}
UNIT = re.compile(r"([^\[(]{1,200})[\[(]([^\[\]()]{1,12})[\])]")
# Of glasses: gaze that was mapped onto a picture of the scene, a snapshot.
MAPPED = re.compile(
    r"mapped (fixation|gaze (?:point|data)|eye movement type(?: index)?|eye movement index)"
    r"(?: ([xy]))? \[(.{1,200})\]",
    re.IGNORECASE,
)
# In the lines before the table.
SIZE = re.compile(r"(\d{2,5}) ?x ?(\d{2,5})")
PERSON = re.compile(r"(?:Participant|Subject):\s{0,9}(\S.{0,200})")

TEXT = """
    sensor participantname recordingname event eventvalue presentedstimulusname presentedmedianame
    eyemovementtype validityleft validityright recordingresolution leftgazepointondisplayarea
    rightgazepointondisplayarea
"""
FRAMES = ("[mcsnorm]", "[mcspx]", "")  # of the media, as fractions and in pixels; of the screen
OTHER_NUMBERS = """
    number eyemovementtypeindex gazeeventduration mediawidth mediaheight mediaposx mediaposy
    originalmediawidth originalmediaheight recordingmediawidth recordingmediaheight
    recordingresolutionwidth recordingresolutionheight
"""
NUMBERS = [
    TIME,
    *OTHER_NUMBERS.split(),
    *(f"gazepoint{eye}{a}{f}" for f in FRAMES for a in "xy" for eye in ("", "left", "right")),
    *(f"fixationpoint{a}{f}" for f in FRAMES for a in "xy"),
    *(f"{eye}gazepointondisplayarea{a}" for a in "xy" for eye in ("left", "right")),
]
EYES = ("left", "right")
SAME_PLACE = 0.02  # of the media; its own coordinates and those of the screen agree so far
MOST_PAIR = 200  # characters in a cell of two numbers
# Of cells, in lower case. Studio's codes go from 0, tracked, to 4, lost.
EYE_LOST = {"3", "4", "invalid", "false"}
EYE_LOST_SDK = {"0", "false"}
NO_MEDIA = {"", "no media", "screenrec"}
WORN = {"gyroscope", "accelerometer", "magnetometer"}
BEGINS = re.compile(r"(?:video|image|movie)(?:stimulus)?start")
ENDS = re.compile(r"(?:video|image|movie)(?:stimulus)?(?:end|stop)")
RECORDED = re.compile(r"screenrec(?:ording)?start(?:ed)?")
# Trackers take 20 to 2000 samples/s: the step between them in ms, and in microseconds.
STEP_MS, STEP_US = (0.4, 60.0), (450.0, 60_000.0)
# What places are of, their units, and whether that is the clip.
PLACES = {
    "clip": ("fractions", True),
    "media": ("pixels", True),
    "screen": ("pixels", False),
    "display": ("fractions", False),
}

NO_STIMULUS = "exports name no stimulus: times count from the start of the recording"
NO_UNIT = "timestamps without a unit: by the step between them they are {}"
MEANS = "places of fixations are the means of their samples"
ON_SCREEN = "fixations of no stimulus: their places are taken as pixels of the screen"
SNAPSHOT = "fixations on a snapshot last as long as their samples"
NO_SNAPSHOT = "gaze that was mapped onto snapshots is left out: no clip has the name of one"
NOWHERE = "fixations without a place"


def tobii(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of Pro Lab's and Studio's tables, and of tables of the Pro SDK's samples.

    A trial is one showing of a stimulus in one recording; a recording that names no stimulus is
    one trial. Rows may be in any order if they name their recording. Places are fractions of the
    clip where the export has them, or says where the media was on the screen; else pixels of the
    screen (of the SDK: fractions of it).

    Raises InputError for a recording that is in two files, and for tables that can't be read.
    """
    found: list[Trial] = []
    shown: dict[tuple[tuple[str, str], str], list[tuple[float, float, Path]]] = {}
    listed = (folder.parent / "trials.csv").is_file()
    for path in files_in(folder, (".tsv", ".csv", ".txt", ".xlsx")):
        export = _Export(path, clips, options)
        found += numbered(export.trials())
        for (person, recording), name, begin, end in export.showings:
            mine = shown.setdefault(((person, recording), name), [])
            others = [one for *span, one in mine if span[0] <= end and begin <= span[1]]
            if recording and others and others[0] != path and not listed:
                of_whom = f"recording {recording!r}" + (f" of {person!r}" if person else "")
                raise InputError(
                    f"{path}: {of_whom} has gaze on {name or 'a clip'!r} at the same times as in "
                    f"{others[0]}: keep one of the files, or if they are two recordings, list "
                    "their trials in trials.csv with names of observers"
                )
            mine.append((begin, end, path))
    return found


@dataclass(frozen=True)
class _Gaze:
    """What one set of columns says of gaze: `[n]` arrays, by row of the table.

    Attributes:
        gaze, fixation: places by what they are of, one of `PLACES`.
        index: of the fixation that a row belongs to, -1 of none.
        duration: of that fixation in ms.
        sampled: whether there are columns of gaze.
    """

    gaze: dict[str, Pair]
    fixation: dict[str, Pair]
    index: np.ndarray
    duration: np.ndarray
    sampled: bool


@dataclass(frozen=True)
class _Runs:
    """The fixations of a recording: `[k]` arrays.

    Attributes:
        first, last: their samples.
        onset, duration: in ms.
    """

    first: np.ndarray
    last: np.ndarray
    onset: np.ndarray
    duration: np.ndarray


class _Export:
    """One file."""

    def __init__(self, path: Path, clips: Collection[str], options: GazeOptions) -> None:
        self._path, self._clips, self._options = path, clips, options
        self._stamp = ("", "")  # name and unit of the column of times
        self._snapshots: dict[str, None] = {}
        table = TextTable(path, (TIME,), preamble=True, rename=self._renamed, short="skipped")
        of = ("gazex", "gazey", "fixationx", "fixationy", "eyemovementtypeindex")
        numbers = NUMBERS + [f"mapped{name}[{s}]" for s in self._snapshots for name in of]
        text = TEXT.split() + [f"mappedeyemovementtype[{s}]" for s in self._snapshots]
        text, numbers = ([n for n in names if n in table.names] for names in (text, numbers))
        for name in (*text, *numbers):
            if (count := table.names.count(name)) > 1:
                raise InputError(f"{path}: {count} columns {name!r}, expected one")
        rows = table.read(text, numbers)
        if rows.bad:
            raise InputError(next(iter(rows.bad.values())))
        self._short = rows.skipped
        if not len(rows.line):
            raise InputError(f"{path}: no rows under the names of its columns")
        self._count, self._text, self._numbers = len(rows.line), rows.text, rows.numbers
        tabs = "with '\\t' between cells"  # as it should be
        self._notes = [note for note in table.notes if not note.endswith(tabs)]
        self._before = table.before
        sensors = np.array([cell.lower() for cell in self._texts("sensor")], object)
        self._worn = bool(self._snapshots) or bool(np.isin(sensors, list(WORN)).any())
        self._sdk = any(name.startswith("leftgazepointondisplay") for name in (*text, *numbers))
        self._sample = self._are_samples(sensors) & ~np.isnan(self._number(TIME))
        self._sort(rows.line)
        self.showings: list[tuple[tuple[str, str], str, float, float]] = []
        self._looked = self._gaze()
        self._time = self._number(TIME) * self._milliseconds()

    def _renamed(self, name: str) -> str:
        if found := MAPPED.fullmatch(name):
            self._snapshots[found[3]] = None
            what = found[1].lower().replace(" ", "").removesuffix("point").removesuffix("data")
            return f"mapped{SAME.get(what, what)}{(found[2] or '').lower()}[{found[3]}]"
        plain, unit = _plain(name)
        if plain == TIME:
            self._stamp = (name, unit)
        return plain

    def _texts(self, name: str) -> np.ndarray:
        """A column, `[n]` strings: empty if it is not there."""
        return self._text.get(name, np.full(self._count, "", object))

    def _number(self, name: str) -> np.ndarray:
        """A column, `[n]` float64: NaN if it is not there."""
        return self._numbers.get(name, np.full(self._count, np.nan))

    def _pair(self, name: str, frame: str = "") -> Pair:
        return self._number(f"{name}x{frame}"), self._number(f"{name}y{frame}")

    def trials(self) -> list[Trial]:
        """All trials of the file, in order."""
        snapshots = {s for s in self._snapshots if s in self._clips}
        snapshots |= set(matched(self._snapshots, self._clips))
        found: list[Trial] = []
        for rows, key, observer in self._recordings():
            samples = rows[self._sample[rows]]
            time, events = self._time[samples], self._events(rows)
            for name in sorted(snapshots):
                begun = [one.time for one in events if one.text == f"{name} IntervalStart"]
                piece = Piece(name, begun[0] if begun else time[0], 0, len(samples))
                who = (key, observer)
                found += self._trials([piece], self._mapped(name), samples, who, [SNAPSHOT])
            if snapshots:
                continue
            cut, notes = pieces(
                time, self._stimuli[samples], events, self._options.onset, self._path
            )
            if not cut:
                cut, notes = [Piece("", self._start(time, events), 0, len(samples))], [NO_STIMULUS]
            if self._snapshots:
                notes = [*notes, NO_SNAPSHOT]
            found += self._trials(cut, self._looked, samples, (key, observer), notes)
        if found:
            left_out = Counter({SHORT_ROWS: self._short, REPEATED: self._copies})
            found[0] = replace(found[0], left_out=found[0].left_out + left_out)
        return found

    def _are_samples(self, sensors: np.ndarray) -> np.ndarray:
        """Which rows are of the eye tracker, `[n]` bool."""
        if (sensors == "eye tracker").any():
            return sensors == "eye tracker"
        if "number" in self._numbers:
            return ~np.isnan(self._number("number"))
        if (self._texts("eyemovementtype") != "").any():
            return self._texts("eyemovementtype") != ""
        return self._texts("event") == ""

    def _sort(self, line: np.ndarray) -> None:
        """Put the rows of each recording together, in the order of time, without copies.

        Args:
            line: `[n]` in which each row is.
        """
        people, recordings = self._texts("participantname"), self._texts("recordingname")
        keys: dict[tuple[str, str], int] = {}
        pairs = zip(people, recordings, strict=True)
        code = np.array([keys.setdefault(pair, len(keys)) for pair in pairs], np.int64)
        parts, self._copies, notes = in_order(
            self._number(TIME),
            self._sample,
            code,
            [recording != "" for _, recording in keys],
            [*self._text.values(), *self._numbers.values()],
            (self._path, line),
        )
        if not parts:
            raise InputError(f"{self._path}: no rows with a time in {self._stamp[0]!r}")
        self._notes += notes
        rows = np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts])
        self._parts = [
            np.arange(end - len(part), end) for part, end in zip(parts, ends, strict=True)
        ]
        if len(rows) == self._count and (np.diff(rows) == 1).all():
            return
        self._count, self._sample = len(rows), self._sample[rows]
        self._text = {name: column[rows] for name, column in self._text.items()}
        self._numbers = {name: column[rows] for name, column in self._numbers.items()}

    def _recordings(self) -> list[tuple[np.ndarray, tuple[str, str], str]]:
        """The rows of each recording, its participant and name, and its observer."""
        people, recordings = self._texts("participantname"), self._texts("recordingname")
        before = PERSON.search("".join(self._before))
        found = []
        for rows in self._parts:
            if self._sample[rows].any():
                key = (people[rows[0]], recordings[rows[0]])
                found.append((rows, key, key[0] or (before[1].strip() if before else key[1])))
        return found

    def _events(self, rows: np.ndarray) -> list[Event]:
        event, value = self._texts("event"), self._texts("eventvalue")
        found = []
        for row in rows[event[rows] != ""]:
            what = event[row].lower().replace(" ", "")
            kind = "begin" if BEGINS.fullmatch(what) else "end" if ENDS.fullmatch(what) else ""
            text = f"{event[row]} {value[row]}".strip()
            found.append(Event(float(self._time[row]), text, value[row] if kind else "", kind))
        return found

    @cached_property
    def _stimuli(self) -> np.ndarray:
        """The stimulus that each row names, `[n]` strings, from the column that names clips."""
        columns = [self._texts(f"presented{what}name") for what in ("media", "stimulus")]
        names = [{name for name in column if name.lower() not in NO_MEDIA} for column in columns]
        clips = [len(one & set(self._clips)) + len(matched(one, self._clips)) for one in names]
        best = int(clips[1] > clips[0] or not names[0])
        return np.array([name if name in names[best] else "" for name in columns[best]], object)

    def _start(self, time: np.ndarray, events: Sequence[Event]) -> float:
        """When a recording without stimuli starts: at 0, unless it is by a device's clock."""
        if "device" in self._stamp[0].lower():
            return float(time[0])
        return next((one.time for one in events if RECORDED.match(one.text.lower())), 0.0)

    def _gaze(self) -> _Gaze:
        """Gaze and fixations, but for those on snapshots."""
        columns = (*self._text, *self._numbers)
        sampled = any("gazepoint" in name for name in columns)
        placed = sampled or any("fixationpoint" in name for name in columns) or self._snapshots
        if not placed:
            raise InputError(
                f"{self._path}: no columns of gaze or fixations, such as 'Gaze point X': export "
                "them too"
            )
        gaze, fixation = self._places(self._eyes), self._places(self._fixation_points)
        if not sampled and not self._worn and "presentedmedianame" not in self._text:
            fixation = {"screen": fixation["media"]} if self._size() else fixation
        index = self._fixated("eyemovementtype", "eyemovementtypeindex")
        return _Gaze(gaze, fixation, index, self._number("gazeeventduration"), sampled)

    def _mapped(self, snapshot: str) -> _Gaze:
        """Gaze and fixations on a snapshot."""
        gaze, fixation = (
            self._seen(*(self._number(f"mapped{what}{a}[{snapshot}]") for a in "xy"))
            for what in ("gaze", "fixation")
        )
        names = (f"mappedeyemovement{what}[{snapshot}]" for what in ("type", "typeindex"))
        index = self._fixated(*names)
        sampled = f"mappedgazex[{snapshot}]" in self._numbers
        return _Gaze({"media": gaze}, {"media": fixation}, index, self._number(""), sampled)

    def _fixated(self, types: str, counts: str) -> np.ndarray:
        """Numbers of fixations, `[n]`, -1 in other rows."""
        index = np.nan_to_num(self._number(counts), nan=-1.0)
        if types not in self._text:
            return np.where(index > 0, index, -1.0)
        fixated = np.array([cell.lower() == "fixation" for cell in self._text[types]])
        if counts not in self._numbers:  # they are told apart by what is between them
            index = np.zeros(self._count)
            index[self._sample] = np.cumsum(np.diff(fixated[self._sample], prepend=False) != 0)
        return np.where(fixated, index, -1.0)

    def _places(self, read: Callable[[str], Pair]) -> dict[str, Pair]:
        """Places by what they are of.

        Args:
            read: gives those of a frame, one of `FRAMES`.
        """
        if self._sdk:
            return {"display": read("display")}
        norm, media, screen = (read(frame) for frame in FRAMES)
        if self._worn:  # what the export names the screen is the scene camera's picture
            media = tuple(np.where(np.isnan(m), s, m) for m, s in zip(media, screen, strict=True))
            screen = self._pair("")
        sides = ("width", "height")
        shown = [self._number(f"media{side}") for side in sides]
        of = [f"{what}media" for what in ("original", "recording", "")]
        of = next((one for one in of if f"{one}width" in self._numbers), "media")
        clip = []
        for n, side in enumerate(sides):
            with np.errstate(divide="ignore", invalid="ignore"):
                one = np.where(np.isnan(norm[n]), media[n] / self._number(of + side), norm[n])
                other = (screen[n] - self._pair("mediapos")[n]) / shown[n]
            # Places beside the media may be left out. Those on the screen have them.
            apart = np.abs(one - other)
            if np.isnan(apart).all() or np.nanmedian(apart) < SAME_PLACE:
                one = np.where(np.isnan(one), other, one)
            clip.append(one)
        return {"clip": tuple(clip), "media": media, "screen": screen}

    def _fixation_points(self, frame: str) -> Pair:
        return self._seen(*self._pair("fixationpoint", frame))

    @cached_property
    def _lost(self) -> list[np.ndarray]:
        """Where the left and the right eye were not tracked, `[n]` bool each."""
        bad = EYE_LOST_SDK if self._sdk else EYE_LOST
        return [
            np.array(
                [cell.lower().removesuffix(".0") in bad for cell in self._texts(f"validity{eye}")]
            )
            for eye in EYES
        ]

    def _eyes(self, frame: str) -> Pair:
        """Gaze: the column of both eyes' mean, or the mean of those that are tracked."""
        lost = self._lost
        if f"gazepointx{frame}" in self._numbers:
            x, y = self._pair("gazepoint", frame)
        else:
            both = [self._eye(eye, frame, gone) for eye, gone in zip(EYES, lost, strict=True)]
            x, y = (mean_of_eyes(*values) for values in zip(*both, strict=True))
        gone = lost[0] & lost[1]
        return self._seen(np.where(gone, np.nan, x), y)

    def _eye(self, eye: str, frame: str, lost: np.ndarray) -> Pair:
        if frame != "display":
            x, y = self._pair(f"gazepoint{eye}", frame)
        elif f"{eye}gazepointondisplayarea" in self._text:
            x, y = self._tuples(f"{eye}gazepointondisplayarea")
        else:
            x, y = self._pair(f"{eye}gazepointondisplayarea")
        return self._seen(np.where(lost, np.nan, x), y)

    def _seen(self, x: np.ndarray, y: np.ndarray) -> Pair:
        """Gaze or fixations, NaN where they are lost."""
        x, y, notes = without_lost(x, y)
        self._notes += notes
        return x, y

    def _tuples(self, name: str) -> Pair:
        """A column of cells such as `(0.1, 0.6)`."""
        pairs = np.full((self._count, 2), np.nan)
        for row, cell in enumerate(self._text[name]):
            parts = cell[:MOST_PAIR].strip("()[] ").replace(",", " ").split()
            try:
                if parts:
                    pairs[row] = [float(part) for part in parts]
            except ValueError:
                raise InputError(
                    f"{self._path}: {name} is {cell[:40]!r}, expected such as (0.1, 0.6)"
                ) from None
        return pairs[:, 0], pairs[:, 1]

    def _milliseconds(self) -> float:
        """What a timestamp is to be multiplied by."""
        name, unit = self._stamp
        unit = self._options.times or unit
        if not unit and " " not in name:  # of Studio, or of the SDK
            unit = "us" if "device" in name.lower() else "ms"
        if unit:
            return TIME_UNITS[unit]
        time, index = self._number(TIME)[self._sample], self._looked.index[self._sample]
        steps = np.diff(time)
        step = np.median(steps[steps > 0]) if (steps > 0).any() else np.nan
        on = index >= 0
        if on.sum() > 2 and len(np.unique(index[on])) == on.sum():
            # A row for each fixation, whose duration is in ms.
            lasted = np.nanmedian(self._looked.duration[self._sample][on])
            step = 20 * np.median(np.diff(time[on])) / lasted
        for unit, (least, most) in (("ms", STEP_MS), ("us", STEP_US)):
            if least <= step <= most:
                self._notes.append(
                    NO_UNIT.format({"ms": "milliseconds", "us": "microseconds"}[unit])
                )
                return TIME_UNITS[unit]
        raise InputError(
            f"{self._path}: its timestamps have no unit, and step by {step:g}: state --units ms or "
            "--units us"
        )

    def _size(self, rows: np.ndarray | slice = slice(None)) -> tuple[int, int] | None:
        """Width and height of the screen, if the file has them."""
        sides = [self._number(f"recordingresolution{side}")[rows] for side in ("width", "height")]
        sides = [side[~np.isnan(side)] for side in sides]
        if len(sides[0]) and len(sides[1]):
            return int(sides[0][0]), int(sides[1][0])
        lines = [*self._texts("recordingresolution")[rows][:1]]
        lines += [line for line in self._before if "resolution" in line.lower()]
        found = next(filter(None, map(SIZE.search, lines)), None)
        return (int(found[1]), int(found[2])) if found else None

    def _trials(
        self,
        cut: Sequence[Piece],
        looked: _Gaze,
        samples: np.ndarray,
        who: tuple[tuple[str, str], str],
        notes: Sequence[str],
    ) -> list[Trial]:
        """The trials of one recording, whose samples are in these rows.

        Args:
            who: names of the participant and of the recording, and of the observer.
        """
        time = self._time[samples]
        runs = _runs(looked.index[samples], looked.duration[samples], time)
        any_fixations = bool((looked.index >= 0).any())
        found = []
        for piece in cut:
            rows = samples[piece.first : piece.last]
            if not len(rows):
                continue
            own = [*self._notes, *notes]
            what, shown = self._frame(looked, rows, piece.name)
            units, on_clip = PLACES[what]
            left_out = Counter()
            fixations = recorded = None
            if looked.sampled:
                x, y = (values[rows] for values in looked.gaze[what])
                recorded = Samples(rising(time[piece.first : piece.last] - piece.onset), x, y)
            if any_fixations:
                fixations = _fixations(looked, what, samples, piece, runs, own, left_out)
            if what == "screen" and not looked.sampled:
                own.append(ON_SCREEN)
            self.showings.append((who[0], piece.name, time[piece.first], time[piece.last - 1]))
            size = None if on_clip and shown is None else self._size(rows)
            found.append(
                Trial(
                    piece.name,
                    who[1],
                    self._path,
                    samples=recorded,
                    fixations=fixations,
                    units=units,
                    on_clip=on_clip,
                    screen=Screen(*size) if size else None,
                    shown=shown,
                    left_out=left_out,
                    notes=tuple(dict.fromkeys(own)),
                )
            )
        return found

    def _frame(
        self, looked: _Gaze, rows: np.ndarray, name: str
    ) -> tuple[str, tuple[float, ...] | None]:
        """What the places in some rows are of: the clip itself if they can be; and where it was.

        What a user states of the screen counts if the media is not the clip, but something that
        showed it, or if the file does not say where the media was.
        """
        gaze = looked.gaze
        there = [what for what in gaze if not np.isnan(gaze[what][0][rows]).all()]
        if not there:
            gaze = looked.fixation
            there = [what for what in gaze if not np.isnan(gaze[what][0][rows]).all()]
        what = there[0] if there else list(looked.gaze)[-1]
        names = {*self._stimuli[rows], name} - {""}
        is_clip = not names or bool(names & set(self._clips) or matched(names, self._clips))
        shown = self._shown(gaze, rows) if what == "clip" else None
        stated = self._options.screen or self._options.placed
        if stated and not (shown and is_clip):
            what, shown = "screen" if "screen" in there else what, None
            if PLACES[what][1]:
                raise InputError(
                    f"{self._path}: its places are of the media, not of a screen: leave --screen "
                    "and --placed out"
                )
        return what, shown

    def _shown(self, gaze: dict[str, Pair], rows: np.ndarray) -> tuple[float, ...] | None:
        """Where the media was on the screen: left, top, width, height in pixels.

        As the file states it, else by places that it has both on the media and on the screen.
        """
        names = [f"media{what}" for what in ("posx", "posy", "width", "height")]
        place = [self._number(name)[rows] for name in names]
        if not any(np.isnan(side).all() for side in place) and (place[2] * place[3] > 0).any():
            return tuple(float(np.nanmedian(side)) for side in place)
        fits = []
        for on, screen in zip(gaze["clip"], gaze["screen"], strict=True):
            both = np.isfinite(on[rows]) & np.isfinite(screen[rows])
            if both.sum() < 2 or np.ptp(on[rows][both]) < SAME_PLACE:
                return None
            fits.append(np.polyfit(on[rows][both], screen[rows][both], 1))
        (width, left), (height, top) = fits
        return (float(left), float(top), float(width), float(height))


def _plain(name: str) -> tuple[str, str]:
    """A column's name as `SAME` has it, and its unit if that is one of time."""
    found = UNIT.fullmatch(name)
    base, unit = (found[1], found[2]) if found else (name, "")
    unit = re.sub(r"[µμ]", "u", unit).replace(" ", "").lower().replace("adcs", "dacs")
    if unit not in ("ms", "us", "s", "px", "dacspx", "mcspx", "mcsnorm", ""):
        base, unit = name, ""
    base = re.sub(r"[ _-]", "", base).lower()
    base = SAME.get(base, base)
    if unit.startswith("mcs"):
        return f"{base}[{unit}]", ""
    return base, unit if unit in TIME_UNITS else ""


def _runs(index: np.ndarray, duration: np.ndarray, time: np.ndarray) -> _Runs:
    """The fixations of a recording.

    Args:
        index: `[n]` of the fixation that a sample belongs to, -1 of none.
        duration: `[n]` of that fixation in ms; NaN: as long as its samples.
        time: `[n]` of the samples in ms.
    """
    on = np.flatnonzero(index >= 0)
    new = np.flatnonzero(np.diff(index[on]) != 0) + 1
    first = on[np.append(0, new)] if len(on) else on
    last = on[np.append(new - 1, len(on) - 1)] if len(on) else on
    step = np.median(np.diff(time)) if len(time) > 1 else 0.0
    onset, lasts = time[first], duration[first]
    lasts = np.where(np.isnan(lasts), time[last] - onset + step, lasts)
    if (last > first).any():
        # Rows were cut off before those of a fixation that ends earlier than it should.
        after = np.append(time, np.inf)[last + 1]
        onset = np.where(onset + lasts > after + 2 * step, time[last] + step - lasts, onset)
    return _Runs(first, last, onset, lasts)


def _fixations(
    looked: _Gaze,
    what: str,
    samples: np.ndarray,
    piece: Piece,
    runs: _Runs,
    notes: list[str],
    left_out: Counter,
) -> RecordedFixations:
    """The fixations that have samples in a piece; one that runs over its onset begins before 0."""
    at = np.arange(piece.first, piece.last)
    at = at[looked.index[samples[at]] >= 0]
    run = np.searchsorted(runs.first, at, side="right") - 1
    count = len(runs.first)

    def means(places: dict[str, Pair]) -> np.ndarray:
        """Of each fixation, `[2, k]`; NaN where it has none."""
        of = np.stack(places.get(what, (np.full(len(looked.index), np.nan),) * 2))[:, samples[at]]
        there = ~np.isnan(of).any(axis=0)
        total = [np.bincount(run[there], values[there], count) for values in of]
        with np.errstate(invalid="ignore"):
            return np.array(total) / np.bincount(run[there], minlength=count)

    stated, seen = means(looked.fixation), means(looked.gaze)
    place = np.where(np.isnan(stated), seen, stated)  # (2, k)
    inside = np.zeros(count, bool)
    inside[run] = True
    known = inside & ~np.isnan(place).any(axis=0)
    of_samples = np.isnan(stated).any(axis=0)
    if (known & of_samples).any():
        notes.append(MEANS)
    if missing := int((inside & ~known).sum()):
        left_out[NOWHERE] = missing
    onset = runs.onset[known] - piece.onset
    return RecordedFixations(onset, runs.duration[known], *place[:, known], of_samples[known])
