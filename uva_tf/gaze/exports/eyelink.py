"""EyeLink: the text files `*.asc` that SR Research's EDF2ASC writes of a recording.

They are read here rather than by a library, since remote mode, HREF coordinates and the places of
fixations are needed too. Lines are read as the EyeLink user manual describes them ("The ASC File
Format"): samples `time x y pupil ...` for each eye, events such as `EFIX` with the times of their
first and last sample, messages `MSG time text`. If a text begins with an integer, its event was at
the message's time minus that integer, in ms, as SR Research's Data Viewer reads it.
"""

from __future__ import annotations

import codecs
import io
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.files import check_file
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.messages import ClipNames, Message, Section, shown
from uva_tf.gaze.lost import FARTHEST, without_lost
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import CHUNK, MOST_BYTES, NO_VALUE
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

MOST_LINE = 10_000  # bytes; a message has 260 at most
# An integer before a message's text: how many ms before the message its event happened.
OFFSET = re.compile(r"(-?\d{1,9})\s+(?=\S)")
# Messages of the tracker itself, which name no clip.
OWN = re.compile(
    r"!CAL|!MODE|VALIDATE|DRIFTCORRECT|RECCFG|ELCL|THRESHOLDS|PUPIL_DATA_TYPE|CAMERA_|"
    r"RETRACE_INTERVAL|GAZE_COORDS|DISPLAY_COORDS|TRACKER_TIME"
)
COORDS = re.compile(r"(?:GAZE|DISPLAY)_COORDS((?:\s+-?\d{1,6}(?:\.\d{1,6})?){4})\s*$")
# Messages with which a trial begins; the first kind that a recording has counts.
TRIALS = (re.compile(r"TRIALID\b"), re.compile(r"start_trial\b"))
RESULT = re.compile(r"(?:TRIAL_RESULT|stop_trial)\b")
# What experiment software notes of a trial: the name, without the value.
VARIABLE = re.compile(r"var \S+|!V TRIAL_VAR \S+|!V \S+")
# PyGaze's messages, which it sends while it records, and variables often afterwards.
PYGAZE = re.compile(r"(?:start|stop)_trial\b")

UNFINISHED = "fixations whose end is not in the file"
PLACELESS = "fixations without a place"
CUT = "lines that end too early, at the end of a file"
UNMATCHED = "recordings without a message that matches --onset"
SUBTRACTED = "the integer before a message's text was subtracted from its time"
EYES = {"L": "left", "R": "right"}


@dataclass
class Block:
    """A recording from `START` to `END`; times in ms.

    Attributes:
        start: that of START, or of the first sample if that is earlier.
        end: that of END, or just after the last sample if that is later.
        eyes: L, R or LR, in the order of the columns.
        samples_in, events_in: coordinates of samples and events: GAZE, HREF or PUPIL.
        rate: samples per second, 0 if not stated.
        coords: left, top, right and bottom of the screen, if stated.
        values: parts of `samples`.
        fixations: of each `EFIX`: eye, time of the first and the last sample, x, y.
        saccades, blinks: eye, time of the first and the last sample.
        within, before, after: messages while it was recorded, and those around it.
        subtracted: whether a number before a message's text was subtracted from its time.
        notes: what was taken for lost tracking; complete after `samples`.
    """

    start: float
    eyes: str
    coords: tuple[float, ...]
    end: float = -np.inf
    samples_in: str = "GAZE"
    events_in: str = "GAZE"
    rate: float = 0.0
    values: list[np.ndarray] = field(default_factory=list)
    fixations: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    saccades: list[tuple[str, float, float]] = field(default_factory=list)
    blinks: list[tuple[str, float, float]] = field(default_factory=list)
    within: list[Message] = field(default_factory=list)
    before: list[Message] = field(default_factory=list)
    after: list[Message] = field(default_factory=list)
    subtracted: bool = False
    notes: list[str] = field(default_factory=list)

    @cached_property
    def samples(self) -> np.ndarray:
        """`[n, 1 + 3 * eyes]` float64: time, and x, y and pupil of each eye; NaN if lost."""
        parts = self.values or [np.zeros((0, 1 + 3 * len(self.eyes)))]
        samples = np.concatenate(parts)
        centred = bool(self.coords) and self.coords[0] < 0
        for n in range(1, samples.shape[1], 3):
            *places, notes = without_lost(*samples[:, n : n + 2].T, centred=centred)
            samples[:, n : n + 2] = np.stack(places, axis=1)
            self.notes += notes
        return samples

    @cached_property
    def step(self) -> float:
        """Time from sample to sample, in ms; an event lasts until its last sample ends."""
        if self.rate:
            return 1000 / self.rate
        return float(np.diff(self.samples[:2, 0]).sum()) or 1.0


def eyelink(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """EyeLink: `*.asc`, a file per observer, with samples, events and messages.

    A trial begins with a message that `options.onset` matches, or as in `messages.shown`; if
    there is none, with the recording's START. Gaze during a blink, and in the saccade that the
    tracker sees around it, is lost. Of two eyes, the fixations are those of the one that was
    tracked in more samples.

    Raises InputError for a file that is no such text or has no gaze in pixels.
    """
    if options.times not in ("", "ms"):
        raise InputError(f"--units {options.times}: the times of an EyeLink are milliseconds")
    files = files_in(folder, (".asc",))
    if not files:
        binary = files_in(folder, (".edf",))
        found = f", found {binary[0].name}: convert it with edf2asc" if binary else ""
        raise InputError(f"{folder}: expected files *.asc, as edf2asc writes them{found}")
    names = ClipNames(clips)
    return [trial for path in files for trial in _trials(path, names, options.onset)]


def _trials(path: Path, names: ClipNames, onset: str) -> list[Trial]:
    blocks, left_out = read_blocks(path)
    sampled = any(len(block.samples) and block.samples_in == "GAZE" for block in blocks)
    fixated = any(block.fixations for block in blocks)
    if not sampled and not fixated:
        raise _without_gaze(path, blocks)
    both, eye = _eye(blocks)
    note = (f"fixations are those of the {EYES[eye]} eye, tracked more often",) if both else ()
    trials: list[Trial] = []
    number = 0
    for block in blocks:
        time, x, y = _gaze(path, block)
        for section in _sections(path, block):
            found = shown(section, names, onset)
            left_out[UNMATCHED] += not found
            for one in found:
                number += 1
                part = slice(*np.searchsorted(time, (one.begins, one.ends)))
                samples = Samples(time[part] - one.begins, x[part], y[part])
                fixations = _fixations(block, eye, one.begins, one.ends)
                if not len(samples.x) and not len(fixations.x):
                    continue
                told = block.subtracted and one.begins != section.begins
                subtracted = (SUBTRACTED,) if told else ()
                trials.append(
                    Trial(
                        one.clip,
                        "",
                        path,
                        number,
                        samples if sampled else None,
                        fixations if fixated else None,
                        screen=_screen(block.coords),
                        notes=(*note, *one.notes, *subtracted, *dict.fromkeys(block.notes)),
                    )
                )
    if onset and not number:
        texts = {one.text: 0 for b in blocks for one in (*b.before, *b.within, *b.after)}
        there = some([repr(text[:60]) for text in texts]) or "none"
        raise InputError(f"{path}: no message matches --onset {onset!r}, its messages are {there}")
    if trials:
        trials[0].left_out.update(left_out)
    return trials


def _without_gaze(path: Path, blocks: list[Block]) -> InputError:
    kinds = {block.samples_in for block in blocks} | {block.events_in for block in blocks}
    if other := " and ".join(sorted(kinds - {"GAZE"})):
        return InputError(
            f"{path}: its coordinates are {other}, expected GAZE, which are pixels: convert the "
            "recording with edf2asc -sg"
        )
    return InputError(f"{path}: neither samples nor fixations in it, expected a recording")


def _sections(path: Path, block: Block) -> Iterator[Section]:
    """The trials of a recording, where several were recorded at once, else the whole of it."""
    begins: list[float] = []
    for pattern in TRIALS:
        begins = [one.time for one in block.within if pattern.match(one.text)]
        announced = any(pattern.match(one.text) for one in block.before)
        if begins or announced:
            begins = begins if announced else begins[1:]
            break
    edges = [block.start, *sorted(time for time in begins if time > block.start), block.end]
    for first, last in pairwise(edges):
        whole = first == block.start, last == block.end
        inside = [
            one
            for one in block.within
            if (whole[0] or one.time >= first) and (whole[1] or one.time < last)
        ]
        around = [*(block.before if whole[0] else ()), *(block.after if whole[1] else ())]
        yield Section(str(path), first, last, inside, around)


def _eye(blocks: list[Block]) -> tuple[bool, str]:
    """Whether there are fixations of both eyes, and the eye that was tracked more often."""
    tracked: Counter = Counter()
    lasted: Counter = Counter()
    for block in blocks:
        for n, eye in enumerate(block.eyes):
            tracked[eye] += int((~np.isnan(block.samples[:, 1 + 3 * n])).sum())
        for eye, first, last, *_ in block.fixations:
            lasted[eye] += last - first
    eye = max("LR", key=lambda one: (one in lasted, tracked[one], lasted[one]))
    return len(lasted) > 1, eye


def _gaze(path: Path, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time in ms, rising, x and y of a recording's samples, `[n]` each; empty if not in pixels."""
    # (n, 1 + 3 * eyes)
    values = block.samples[: None if block.samples_in == "GAZE" else 0].copy()
    time = values[:, 0].copy()
    # At 2000 Hz, EDF2ASC writes every millisecond twice, unless asked for fractions.
    time[1:][np.diff(time) == 0] += block.step / 2 if block.step > 0.5 else 0.5
    if (back := np.diff(time) <= 0).any():
        n = int(back.argmax())
        raise InputError(
            f"{path}: time goes from {time[n]:.15g} to {time[n + 1]:.15g} ms within a recording, "
            "expected it to rise: convert the recording again with edf2asc"
        )
    for n, eye in enumerate(block.eyes):
        for first, last in _blinks(block, eye):
            values[slice(*np.searchsorted(time, (first, last + block.step / 2))), 1 + 3 * n] = (
                np.nan
            )
    x, y = values[:, 1::3], values[:, 2::3]  # (n, eyes)
    tracked = ~(np.isnan(x) | np.isnan(y))
    count = np.where(tracked.any(axis=1), tracked.sum(axis=1), np.nan)
    x, y = (np.where(tracked, one, 0).sum(axis=1) / count for one in (x, y))
    return time, *_from_corner(x, y, block.coords)


def _blinks(block: Block, eye: str) -> list[tuple[float, float]]:
    """First and last sample of each blink with the saccade around it, in which gaze is no gaze."""
    saccades = sorted(one[1:] for one in block.saccades if one[0] == eye)
    starts = [first for first, _ in saccades]
    found = []
    for _, first, last in (one for one in block.blinks if one[0] == eye):
        n = bisect_right(starts, last) - 1
        if n >= 0 and saccades[n][1] >= first:
            first, last = min(first, saccades[n][0]), max(last, saccades[n][1])
        found.append((first, last))
    return found


def _fixations(block: Block, eye: str, begins: float, ends: float) -> RecordedFixations:
    """The fixations of an eye that lasted at some time between two others, from the first."""
    rows = [
        one[1:] for one in block.fixations if one[0] == eye and one[2] >= begins and one[1] < ends
    ]
    first, last, x, y = np.array(rows).reshape(-1, 4).T
    # The durations in the file are no help: some versions wrote them with 2^32 added.
    return RecordedFixations(
        first - begins, last - first + block.step, *_from_corner(x, y, block.coords)
    )


def _from_corner(
    x: np.ndarray, y: np.ndarray, coords: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Places with the origin at the screen's upper left corner."""
    if not coords:
        return x, y
    left, top, _, bottom = coords
    return x - left, top - y if bottom < top else y - top


def _screen(coords: tuple[float, ...]) -> Screen | None:
    """The screen's size. Some experiments give its last pixel, 1919, others its width, 1920."""
    if not coords:
        return None
    left, top, right, bottom = coords
    width, height = (2 * math.ceil(abs(side) / 2) for side in (right - left, bottom - top))
    return Screen(width, height) if width and height else None


def read_blocks(path: Path) -> tuple[list[Block], Counter]:
    """The recordings in a file, and how many of its lines were left out, by reason.

    Raises InputError, which names the line, for one that is not of its kind.
    """
    size = check_file(path)
    if size > MOST_BYTES:
        raise InputError(f"{path}: {size} bytes, expected at most {MOST_BYTES} in a file")
    reader = _Reader(path)
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), start=1):
            reader.read(number, line)
    return reader.finished()


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, cut to `MOST_LINE` bytes each: of one in UTF-16, in UTF-8."""
    mark = file.read(3)
    if mark.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        file.seek(0)
        text = io.TextIOWrapper(file, "utf-16", "replace")
        for line in iter(partial(text.readline, MOST_LINE), ""):
            yield line.encode("utf-8", "replace")[:MOST_LINE]
        return
    file.seek(len(mark) if mark == codecs.BOM_UTF8 else 0)
    yield from iter(partial(file.readline, MOST_LINE), b"")


class _Reader:
    """Reads a file line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self.left_out: Counter = Counter()
        self.recording = False  # between START and END
        self.settled = True  # whether a message has ended the last recording's trial
        self.begun = True  # whether a message has begun another trial since
        self.trial = TRIALS[1]  # with what trials begin
        self.early: set[str] = set()  # variables sent before the first recording
        self.waiting: list[Message] = []  # sent while nothing was recorded
        self.coords: dict[str, tuple[float, ...]] = {}
        self.open: dict[tuple[bytes, str], float] = {}  # events that began: kind and eye
        self.wrong = ""  # what is wrong with the last line, unless the file ends there
        self.lines: list[bytes] = []  # of samples, which are not read yet
        self.numbers: list[int] = []  # of these lines
        self.first = b""

    def read(self, number: int, line: bytes) -> None:
        """Take in a line."""
        self.first = self.first or line.strip()
        if self.wrong and line.strip():
            raise InputError(self.wrong)
        if len(line) >= MOST_LINE:
            raise InputError(
                f"{self.path} line {number}: {MOST_LINE} bytes or more, expected a line of what "
                "edf2asc writes"
            )
        if line[:1].isdigit():
            if len(self.lines) >= CHUNK:
                self._samples()
            if self.blocks:
                self.lines.append(line)
                self.numbers.append(number)
            return
        try:
            if line[:3] == b"MSG":
                self._message(line)
            elif line[:1].isalpha() and (cells := line.split()):
                self._event(cells)
        except InputError:  # of a line before
            raise
        except (ValueError, IndexError):
            self.wrong = self._not_a_line(number, line)

    def _not_a_line(self, number: int, line: bytes) -> str:
        text = line.decode("latin-1").strip()
        return (
            f"{self.path} line {number}: {text[:60]!r}, expected a line that edf2asc writes: "
            "convert the recording again"
        )

    def finished(self) -> tuple[list[Block], Counter]:
        """What was read.

        Raises InputError if the file has no recording.
        """
        if not self.first:
            raise InputError(f"{self.path}: empty, expected the text that edf2asc writes")
        if not self.blocks:
            kind = ", not an EDF file" if self.first.startswith(b"SR_RESEARCH") else ""
            raise InputError(
                f"{self.path}: no line START in it, expected the text that edf2asc writes of a "
                f"recording{kind}"
            )
        self._samples(last=True)
        self._close()
        self._leave(everything=not self.settled)
        self.left_out[CUT] += bool(self.wrong)
        for block in self.blocks:
            time = block.samples[:, 0]
            if len(time):
                block.start = min(block.start, time[0])
                block.end = max(block.end, time[-1] + 1)
                if block.samples_in != "GAZE":
                    self.left_out[f"samples in {block.samples_in}, not in pixels"] += len(time)
            block.end = max(block.end, block.start, *(one[2] + 1 for one in block.fixations))
        return self.blocks, self.left_out

    def _samples(self, last: bool = False) -> None:
        """Read the lines of samples that wait; the `last` one of a file may be cut off."""
        if not self.lines:
            return
        count = 1 + 3 * len(self.blocks[-1].eyes)
        cells, width = b" ".join(self.lines).split(), len(self.lines[0].split())
        try:
            if width < count or len(cells) != width * len(self.lines):
                raise ValueError
            columns = [_numbers(cells[column::width]) for column in range(count)]
            values = np.stack(columns, axis=1)  # (n, 1 + 3 * eyes)
        except ValueError:
            values = self._one_by_one(count, last)
        self.blocks[-1].values.append(values)
        self.lines, self.numbers = [], []

    def _one_by_one(self, count: int, last: bool) -> np.ndarray:
        rows = []
        for number, line in zip(self.numbers, self.lines, strict=True):
            cells = line.split()
            try:
                rows.append([float(cells[0]), *(_number(cells[n]) for n in range(1, count))])
            except (ValueError, IndexError):
                self.wrong = self._not_a_line(number, line)
                if not last or number != self.numbers[-1]:
                    raise InputError(self.wrong) from None
        return np.array(rows).reshape(-1, count)

    def _message(self, line: bytes) -> None:
        cells = line.split(None, 2)
        if len(cells) < 3:
            return
        time, text = float(cells[1]), _decoded(cells[2]).strip()
        if found := COORDS.match(text):
            self.coords[text[:4]] = tuple(map(float, found[1].split()))
        if OWN.match(text):
            return
        if TRIALS[0].match(text):
            self.trial = TRIALS[0]
        if (offset := OFFSET.match(text)) and int(offset[1]):
            time -= int(offset[1])
            if self.recording:
                self.blocks[-1].subtracted = True
        message = Message(time, text[offset.end() :] if offset else text)
        if self.recording:
            self.blocks[-1].within.append(message)
            return
        if not self.blocks and (variable := VARIABLE.match(message.text)):
            self.early.add(variable[0])
        if RESULT.match(message.text):
            self.waiting.append(message)
            self._leave(everything=not self.settled)
            self.settled, self.waiting = True, []
            return
        if self.trial.match(message.text):
            certain = self.trial is TRIALS[0]
            self._leave(everything=certain and not self.settled)
            self.settled = self.begun = True
            if certain:
                self.waiting = []
        self.waiting.append(message)

    def _leave(self, *, everything: bool) -> None:
        """Give what was sent since the last recording to its trial, or only its variables.

        Those that were sent before the first recording, too, are of the trial that follows.
        """
        if self.begun:
            return
        kept = []
        for one in self.waiting:
            variable = VARIABLE.match(one.text)
            of_last = everything or (variable and variable[0] not in self.early)
            (self.blocks[-1].after if of_last else kept).append(one)
        self.waiting = kept

    def _event(self, cells: list[bytes]) -> None:
        kind = cells[0]
        if kind in (b"START", b"SAMPLES"):
            self._samples()
        if kind == b"START":
            self._start(cells)
            return
        if not self.blocks:
            return
        block = self.blocks[-1]
        if kind == b"END":
            block.end = max(block.end, float(cells[1]))
            self._close()
            self.recording = False
        elif kind in (b"SAMPLES", b"EVENTS"):
            self._columns(kind, [cell.decode("latin-1") for cell in cells])
        elif kind in (b"SFIX", b"SSACC", b"SBLINK"):
            self.open[kind[1:], _eye_of(cells[1])] = float(cells[2])
        elif kind in (b"EFIX", b"ESACC", b"EBLINK"):
            eye, first, last = _eye_of(cells[1]), float(cells[2]), float(cells[3])
            if kind == b"EFIX":
                # Gaze comes after HREF, if both are there.
                x, y = cells[5:7] if block.events_in == "GAZE" else cells[8:10] or (b".", b".")
                self._fixation((eye, first, last, _number(x), _number(y)))
            else:
                (block.saccades if kind == b"ESACC" else block.blinks).append((eye, first, last))
            self.open.pop((kind[1:], eye), None)

    def _start(self, cells: list[bytes]) -> None:
        eyes = "".join(eye for eye, name in (("L", b"LEFT"), ("R", b"RIGHT")) if name in cells)
        if not eyes:
            raise ValueError
        # Some versions write a START for samples and one for events.
        last = self.blocks[-1] if self.recording else None
        if last and last.start == float(cells[1]) and not last.values and not last.fixations:
            return
        self._close()
        if self.blocks and any(PYGAZE.match(one.text) for one in self.blocks[-1].within):
            self._leave(everything=False)
        coords = self.coords.get("GAZE") or self.coords.get("DISP") or ()
        self.blocks.append(Block(float(cells[1]), eyes, coords, before=self.waiting))
        self.waiting, self.recording = [], True
        self.settled = self.begun = False

    def _columns(self, kind: bytes, cells: list[str]) -> None:
        block = self.blocks[-1]
        eyes = "".join(eye for eye, name in EYES.items() if name.upper() in cells)
        if kind == b"SAMPLES":
            block.samples_in = cells[1]
            if eyes and not block.values:
                block.eyes = eyes
        else:
            block.events_in = cells[1]
        if "RATE" in cells:
            block.rate = float(cells[cells.index("RATE") + 1])

    def _fixation(self, fixation: tuple[str, float, float, float, float]) -> None:
        if np.isnan(fixation[3:]).any():
            self.left_out[PLACELESS] += 1
        else:
            self.blocks[-1].fixations.append(fixation)

    def _close(self) -> None:
        """Events that the recording does not end last until it ends."""
        for (kind, eye), first in self.open.items():
            if kind == b"FIX":
                self.left_out[UNFINISHED] += 1
            else:
                events = self.blocks[-1].saccades if kind == b"SACC" else self.blocks[-1].blinks
                events.append((eye, first, np.inf))
        self.open = {}


def _eye_of(cell: bytes) -> str:
    eye = cell.decode("latin-1")
    if eye not in EYES:
        raise ValueError
    return eye


def _numbers(cells: list[bytes]) -> list[float]:
    try:
        return list(map(float, cells))
    except ValueError:
        return list(map(_number, cells))


def _number(cell: bytes) -> float:
    """A number, NaN where there is none."""
    if cell.decode("latin-1").lower() in NO_VALUE:
        return math.nan
    value = float(cell)
    return value if abs(value) < FARTHEST else math.nan


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
