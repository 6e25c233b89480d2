"""SMI: what iView X, IDF Converter and BeGaze write as text.

Four kinds of tables: samples with times in microseconds (`Time`, `Type`, `Trial`, `L POR X [px]`),
BeGaze's raw data in milliseconds (`RecordingTime [ms]`, `Point of Regard Left X [px]`), lists of
events (`Fixation L,1,1,...` under `Table Header for Fixations`), and BeGaze's event statistics
(`Event Start Trial Time [ms]`, `Fixation Position X [px]`).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file, read_input
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.messages import ClipNames, Message, Section, Shown, shown, told
from uva_tf.gaze.lost import without_lost
from uva_tf.gaze.names import composed
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import NO_VALUE, Rows, TextTable
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

SNIFFED = 2**16  # bytes in which the kind of a file is looked for
BLANK = b"\0 \t\r\n" + codecs.BOM_UTF8 + codecs.BOM_UTF16_LE  # bytes of a file without text
EYES = {"L": "Left", "R": "Right", "B": "Binocular"}
FIXATION = ("Fixation", "Visual Intake")  # the second from glasses
MESSAGE = re.compile(r"#?\s*Message:\s*|UE-\S*\s+")
EVENT = re.compile(r"(Fixation|Visual Intake|Saccade|Blink|User ?Event)(?: ([LRB]))?\s*([,;\t])")
# Rows of BeGaze's raw data that are no samples.
OTHER_ROWS = ("user event", "separator", "annotation", "mouse", "key")

MOST_EVENTS = 2**28  # bytes of a list of events
PREAMBLE = 60  # lines in which a header is looked for

TIMELESS = "samples without a time"
SAME_TIME = "samples at the time of another"
PLACELESS = "fixations without a place"
UNMATCHED = "trials without a message that matches --onset"
FIRST_ROW = "the trial's first row"
TWICE = "{} of trials that another file has, too, were left out"

Named = tuple[str, Trial]  # a trial's name, as the file has it, and the trial


@dataclass
class Eye:
    """What was recorded of an eye, sample by sample.

    Attributes:
        x, y: `[n]` float64 pixels of the screen, NaN if lost.
        fixating: `[n]` int64, a number for each fixation, 0 for none; None if not labelled.
    """

    x: np.ndarray
    y: np.ndarray
    fixating: np.ndarray | None = None


@dataclass
class Recording:
    """Samples of a file, and what was sent meanwhile.

    Attributes:
        time: `[n]` float64, in ms.
        part: `[n]` int64, the number of each sample's trial, rising.
        names: by number of the trial: the trial's name, its stimulus, its observer.
        eyes: by "L", "R" and "B" (for both).
        messages: with the number of samples before each, and its trial's name.
        screen: as the file states it.
        notes: what was guessed.
    """

    time: np.ndarray
    part: np.ndarray
    names: list[tuple[str, str, str]]
    eyes: dict[str, Eye]
    messages: list[tuple[int, str, Message]]
    screen: Screen | None = None
    notes: tuple[str, ...] = ()
    left_out: Counter = field(default_factory=Counter)


def smi(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """SMI: `*.txt`, `*.csv` or `*.tsv`, samples or events, each with one trial or several.

    The clip is that of the column or line `Stimulus`, or the one that a message names, or with
    which the file's name ends. It begins with a message that `options.onset` matches, or as in
    `messages.shown`; if there is none, with the trial's first row. Gaze at exactly 0,0, with a
    pupil of size 0, or labelled as a blink is lost. Of two eyes, the fixations are those of the
    one that was tracked more often. A trial whose samples are in one file and whose fixations are
    in another is read from one of them.

    Raises InputError for a file that is none of these tables.
    """
    if options.times not in ("", "ms", "us"):
        raise InputError(
            f"--units {options.times}: SMI's times are microseconds, or milliseconds where the "
            "column says so"
        )
    files = files_in(folder, (".txt", ".csv", ".tsv"))
    if not files:
        raise InputError(f"{folder}: expected files *.txt, *.csv or *.tsv from BeGaze in it")
    names = ClipNames(clips)
    trials: list[Named] = []
    for path in files:
        found = _read(path, names, options.onset)
        if not found and options.onset:
            raise InputError(f"{path}: no message matches --onset {options.onset!r}")
        trials += _named_after_file(found, clips)
    return _once(trials, len(clips) == 1, options.fixations in ("", "recorded"))


def _once(found: list[Named], only: bool, recorded: bool) -> list[Trial]:
    """The trials without those that another file has, too: as samples, or as fixations.

    They are the same trial if its number, the observer and the clip are. Its samples are kept,
    with the fixations that are labelled in them.

    Args:
        only: whether there is but one clip, so that a trial without a name is of it.
        recorded: whether fixations are kept instead if no samples are labelled.
    """
    by_trial: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for name, trial in found:
        if trial.observer:
            number = (re.findall(r"\d+", name) or [name])[-1].lstrip("0")
            by_trial[trial.observer, number].append(trial)
    left_out: set[int] = set()  # ids of trials
    notes: dict[int, str] = {}  # by the ids of those that are kept
    for trials in by_trial.values():
        listed = [one for one in trials if one.samples is None]
        for sampled in (one for one in trials if one.samples is not None):
            for one in listed:
                if one.clip == sampled.clip or (only and not (one.clip and sampled.clip)):
                    kept, left = sampled, one
                    if recorded and sampled.fixations is None:
                        kept, left = one, sampled
                    left_out.add(id(left))
                    notes[id(kept)] = TWICE.format("samples" if left is sampled else "fixations")
    once = []
    counts: dict[Path, Counter] = defaultdict(Counter)  # of files whose first trial is left out
    for _, one in found:
        if id(one) in left_out:
            counts[one.file].update(one.left_out)
            continue
        one.left_out.update(counts.pop(one.file, {}))
        once.append(replace(one, notes=(*one.notes, notes[id(one)])) if id(one) in notes else one)
    return once


def _read(path: Path, names: ClipNames, onset: str) -> list[Named]:
    check_file(path)
    with path.open("rb") as file:
        content = file.read(SNIFFED)
    if not content.strip(BLANK):
        raise InputError(f"{path}: empty, expected samples or events from BeGaze")
    begin = content.decode("utf-16" if b"\0" in content else "latin-1", "ignore")
    if "Table Header for" in begin:
        return _of_events(path, names, onset)
    if "Event Start Trial Time" in begin:
        return _of_statistics(path, names, onset)
    recording = _raw_data(path) if "RecordingTime" in begin else _samples(path)
    return _of_recording(path, recording, names, onset)


def _of_recording(path: Path, whole: Recording, names: ClipNames, onset: str) -> list[Named]:
    """The trials of samples."""
    eye = _labelled_eye(whole.eyes)
    notes = whole.notes
    if eye and sum(one.fixating is not None for one in whole.eyes.values()) > 1:
        notes = (*notes, f"fixations are those of the {EYES[eye].lower()} eye, tracked more often")
    x, y = _mean(whole.eyes)
    edges = np.searchsorted(whole.part, np.arange(len(whole.names) + 1))
    sent: dict[int, list[Message]] = defaultdict(list)
    for before, trial, message in whole.messages:
        sent[_part_of(before, trial, whole)].append(message)
    trials: list[Named] = []
    left_out = whole.left_out
    for part, (first, last) in enumerate(pairwise(edges)):
        time = whole.time[first:last]
        section = Section(str(path), time[0], time[-1] + 0.001, sent[part], start=FIRST_ROW)
        found = _shown(section, names, whole.names[part][1], onset)
        left_out[UNMATCHED] += not found
        for one in found:
            inside = slice(*(first + np.searchsorted(time, (one.begins, one.ends))))
            if inside.start == inside.stop:
                continue
            trial = Trial(
                one.clip,
                whole.names[part][2],
                path,
                len(trials) + 1,
                Samples(whole.time[inside] - one.begins, x[inside], y[inside]),
                _runs(whole, eye, slice(first, last), one) if eye else None,
                screen=whole.screen,
                notes=(*notes, *one.notes),
            )
            trials.append((whole.names[part][0], trial))
    if trials:
        trials[0][1].left_out.update(left_out)
    return trials


def _shown(section: Section, names: ClipNames, stimulus: str, onset: str) -> list[Shown]:
    """The clips of a trial, of which a column or a line may name the stimulus."""
    clip = names.clip(stimulus)
    if clip and not onset:
        # A message may name another clip, the next one for example. The trial ends with it.
        said = ((one, told(one, names)) for one in section.within)
        mine = [one for one, it in said if not it.ends and names.clip(it.clip) in ("", clip)]
        found = shown(replace(section, within=mine), names)
        return [replace(found[0], clip=clip, ends=section.ends)]
    found = []
    for one in shown(section, names, onset):
        # BeGaze writes names in lower case in some places; a message has them as they are.
        same = composed(one.clip).casefold() == composed(stimulus).casefold()
        message = names.clip(one.clip) or same
        found.append(replace(one, clip=one.clip if message else clip or stimulus or one.clip))
    return found


def _part_of(before: int, trial: str, whole: Recording) -> int:
    """The trial to which a message belongs, sent after so many samples."""
    last, following = (
        int(whole.part[min(max(n, 0), len(whole.part) - 1)]) for n in (before - 1, before)
    )
    return last if trial == whole.names[last][0] != whole.names[following][0] else following


def _runs(whole: Recording, eye: str, part: slice, one: Shown) -> RecordedFixations:
    """Runs of samples that the tracker's software labelled as a fixation, at their mean place."""
    of_eye = whole.eyes[eye]
    tracked = ~np.isnan(of_eye.x[part])
    label = of_eye.fixating[part][tracked]
    time, x, y = whole.time[part][tracked], of_eye.x[part][tracked], of_eye.y[part][tracked]
    step = float(np.median(np.diff(whole.time[part]))) if len(whole.time[part]) > 1 else 0.0
    edges = np.flatnonzero(np.diff(label, prepend=0, append=0))
    first, after = edges[:-1], edges[1:]
    kept = label[first] > 0 if len(first) else np.zeros(0, bool)
    first, after = first[kept], after[kept]
    until = time[after - 1] + step
    kept = (until > one.begins) & (time[first] < one.ends)
    first, after, until = first[kept], after[kept], until[kept]
    places = [
        np.array([values[a:b].mean() for a, b in zip(first, after, strict=True)])
        for values in (x, y)
    ]
    means = np.ones(len(first), bool)
    return RecordedFixations(time[first] - one.begins, until - time[first], *places, means)


def _labelled_eye(eyes: dict[str, Eye]) -> str:
    """The eye whose fixations are labelled; of several the one that was tracked more often."""
    labelled = [name for name, eye in eyes.items() if eye.fixating is not None]
    return max(labelled, key=lambda name: int((~np.isnan(eyes[name].x)).sum()), default="")


def _mean(eyes: dict[str, Eye]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of both eyes, else of the one that was tracked."""
    single = [eyes[name] for name in "LR" if name in eyes] or [eyes["B"]]
    tracked = np.stack([~np.isnan(eye.x) for eye in single])  # (eyes, n)
    count = np.where(tracked.any(axis=0), tracked.sum(axis=0), np.nan)
    x, y = (
        np.where(tracked, np.stack(values), 0).sum(axis=0) / count
        for values in ([eye.x for eye in single], [eye.y for eye in single])
    )
    return x, y


def _samples(path: Path) -> Recording:
    """Samples in microseconds: rows `SMP` below a preamble of lines `## `, and rows `MSG`."""
    table = TextTable(path, ("Time", "Type", "Trial"), preamble=True, short="filled")
    columns = {
        eye: Columns(f"{eye} POR # [px]", f"{eye} Event Info", f"{eye} Dia # [px]") for eye in EYES
    }
    columns = _there(table, columns)
    stimulus = ["Stimulus"] if "Stimulus" in table.names else []
    rows = _cells(table, "Time", ("Type", "Trial", *stimulus), columns)
    header = _header(table.before)
    count = len(rows.line)
    names = (
        rows.text["Trial"],
        rows.text["Stimulus"] if stimulus else np.full(count, ""),
        np.full(count, header.get("subject", "")),
    )
    messages = []
    if (rows.text["Type"] == "MSG").any():
        places = [table.names.index(name) for name in ("Time", "Type", "Trial")]
        for line, cells in table.lines_with("MSG"):
            row = int(np.searchsorted(rows.line, line))
            if row < count and rows.line[row] == line and rows.text["Type"][row] == "MSG":
                time, _, trial = (cells[place] for place in places)
                text = MESSAGE.sub("", " ".join(filter(None, cells[3:])), count=1)
                messages.append((row, trial, Message(_number(time) / 1000, text)))
    sampled = rows.text["Type"] == "SMP"
    found = _recording(path, rows, rows.numbers["Time"] / 1000, sampled, names, columns, messages)
    notes = (*_notes(table), *found.notes)
    return replace(found, screen=_screen(header), notes=notes)


def _raw_data(path: Path) -> Recording:
    """BeGaze's raw data: samples in milliseconds, of several participants and stimuli."""
    table = TextTable(path, ("RecordingTime [ms]",), preamble=True, short="filled")
    columns = {
        eye: Columns(f"Point of Regard {name} # [px]", f"Category {name}", "", f"Index {name}")
        for eye, name in EYES.items()
    }
    columns = _there(table, columns)
    texts = [name for name in table.names if name.startswith(("Annotation ", "Content"))]
    named = ("Trial", "Stimulus", "Participant")
    present = [name for name in named if name in table.names]
    rows = _cells(table, "RecordingTime [ms]", (*present, *texts), columns)
    count = len(rows.line)
    time = rows.numbers["RecordingTime [ms]"]
    names = tuple(rows.text[name] if name in present else np.full(count, "") for name in named)
    other = np.zeros(count, bool)
    told = np.zeros(count, bool)
    for label in {one.label for one in columns.values()} & set(rows.text):
        kinds = {kind: kind.lower() for kind in set(rows.text[label])}
        other |= np.isin(rows.text[label], [k for k in kinds if kinds[k].startswith(OTHER_ROWS)])
        told |= np.isin(rows.text[label], [k for k in kinds if kinds[k].startswith("user event")])
    messages = []
    for row in np.flatnonzero(told):
        text = " ".join(rows.text[name][row] for name in texts)
        messages.append(
            (int(row), names[0][row], Message(time[row], MESSAGE.sub("", text, count=1)))
        )
    found = _recording(path, rows, time, ~other, names, columns, messages)
    return replace(found, notes=(*_notes(table), *found.notes))


def _notes(table: TextTable) -> tuple[str, ...]:
    """What was guessed to read a table. SMI's own ones have tabs between cells."""
    return tuple(note for note in table.notes if not note.endswith("with '\\t' between cells"))


@dataclass(frozen=True)
class Columns:
    """Names of an eye's columns; `#` stands for X and Y, "" for none."""

    place: str
    label: str = ""
    pupil: str = ""
    index: str = ""


def _there(table: TextTable, columns: dict[str, Columns]) -> dict[str, Columns]:
    """The eyes of which a table has places, and of their columns those that it has."""
    found = {}
    for eye, one in columns.items():
        if not set(_xy(one.place)) <= set(table.names):
            continue
        label, index = (name if name in table.names else "" for name in (one.label, one.index))
        pupil = one.pupil if set(_xy(one.pupil)) <= set(table.names) else ""
        found[eye] = Columns(one.place, label, pupil, index)
    if not found:
        expected = " or ".join(_xy(one.place)[0] for one in columns.values())
        raise InputError(
            f"{table.path}: no column {expected}, found {', '.join(table.names):.200}: export the "
            "point of regard"
        )
    # A label of both eyes may come without a place of both.
    both = columns["B"]
    if "B" not in found and both.label in table.names and not any(o.label for o in found.values()):
        found = {eye: replace(one, label=both.label) for eye, one in found.items()}
    return found


def _xy(name: str) -> tuple[str, ...]:
    return (name.replace("#", "X"), name.replace("#", "Y")) if name else ()


def _cells(table: TextTable, time: str, text: Iterable[str], columns: dict[str, Columns]) -> Rows:
    """The cells of samples, by column."""
    eyes = columns.values()
    names = {name for one in eyes for name in (one.label, one.index) if name}
    numbers = {name for one in eyes for name in (*_xy(one.place), *_xy(one.pupil))}
    return table.read((*text, *sorted(names)), (time, *sorted(numbers)))


def _recording(
    path: Path,
    rows: Rows,
    time: np.ndarray,
    sampled: np.ndarray,
    names: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: dict[str, Columns],
    messages: Sequence[tuple[int, str, Message]],
) -> Recording:
    """The samples of a table.

    Args:
        time: `[n]` of all rows, in ms.
        sampled: `[n]` bool, which rows are samples.
        names: `[n]` each: trial, stimulus and observer.
        messages: with their row and trial.

    Raises InputError for a sample with something else than a number, or if time goes back.
    """
    for row in sorted(rows.bad):
        if sampled[row]:
            raise InputError(rows.bad[row])
    left_out = Counter({TIMELESS: int((sampled & np.isnan(time)).sum())})
    kept = np.flatnonzero(sampled & ~np.isnan(time))
    if not len(kept):
        raise InputError(f"{path}: no samples in it, expected rows with a time and a place")
    changed = np.zeros(len(kept), bool)
    for name in names:
        changed[1:] |= name[kept[1:]] != name[kept[:-1]]
    step = np.where(changed, 1.0, np.diff(time[kept], prepend=-np.inf))
    if (step < 0).any():
        row = int((step < 0).argmax())
        before, after = time[kept[row - 1 : row + 1]]
        raise InputError(
            f"{path} line {rows.line[kept[row]]}: time goes back from {before:.15g} to "
            f"{after:.15g} ms within a trial, expected it to rise"
        )
    left_out[SAME_TIME] = int((step == 0).sum())
    part = np.cumsum(changed)[step > 0]
    kept = kept[step > 0]
    starts = kept[np.searchsorted(part, np.arange(part[-1] + 1))]
    eyes, notes = {}, []
    for eye, one in columns.items():
        eyes[eye], lost_at = _eye(rows, one, kept)
        notes += lost_at
    fixated = any(eye.fixating is not None and eye.fixating.any() for eye in eyes.values())
    if not fixated:
        eyes = {name: Eye(eye.x, eye.y) for name, eye in eyes.items()}
    before = np.searchsorted(kept, [row for row, _, _ in messages])
    return Recording(
        time[kept],
        part,
        [tuple(str(name[row]) for name in names) for row in starts],
        eyes,
        [(int(n), trial, one) for n, (_, trial, one) in zip(before, messages, strict=True)],
        notes=tuple(dict.fromkeys(notes)),
        left_out=left_out,
    )


def _eye(rows: Rows, columns: Columns, kept: np.ndarray) -> tuple[Eye, list[str]]:
    """An eye, and notes on what was taken for lost tracking."""
    x, y, notes = without_lost(*(rows.numbers[name][kept] for name in _xy(columns.place)))
    lost = np.isnan(x)
    if columns.pupil:
        lost |= ~np.any([rows.numbers[name][kept] for name in _xy(columns.pupil)], axis=0)
    fixating = None
    if columns.label:
        label = rows.text[columns.label][kept]
        lost |= label == "Blink"
        fixating = np.isin(label, FIXATION).astype(np.int64)
        # Fixations that follow each other are told apart by their number.
        changed = np.diff(fixating, prepend=0) != 0
        if columns.index:
            index = rows.text[columns.index][kept]
            changed[1:] |= index[1:] != index[:-1]
        fixating *= np.cumsum(changed)
    x, y = (np.where(lost, np.nan, one) for one in (x, y))
    return Eye(x, y, fixating), notes


def _header(lines: Iterable[str]) -> dict[str, str]:
    """The values of a preamble, by name in lower case: `## Sample Rate:<tab>250`."""
    found = {}
    for line in lines:
        name, _, value = line.lstrip("# ").partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _screen(header: dict[str, str]) -> Screen | None:
    size = re.findall(r"\d{1,5}", header.get("calibration area", "")[:40])
    if len(size) != 2 or "0" in size:
        return None
    width = re.match(r"\d{1,5}", header.get("stimulus dimension [mm]", ""))
    distance = re.match(r"\d{1,5}", header.get("head distance [mm]", ""))
    return Screen(
        int(size[0]),
        int(size[1]),
        int(width[0]) / 10 if width else 0.0,
        int(distance[0]) / 10 if distance else 0.0,
    )


@dataclass
class Events:
    """The eye movements of a trial, in ms.

    Attributes:
        name, stimulus, observer: as the file has them.
        begins, ends: of its first and last row.
        fixations: of each its eye, begin, end, x and y.
        messages: that were sent meanwhile.
    """

    name: str
    stimulus: str
    observer: str
    begins: float = np.inf
    ends: float = -np.inf
    fixations: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def lasts(self, *times: float) -> None:
        """Take in that something happened at these times."""
        self.begins, self.ends = min(self.begins, *times), max(self.ends, *times)


def _of_events(path: Path, names: ClipNames, onset: str) -> list[Named]:
    """The trials of a list of events in microseconds, in which each kind has its own columns."""
    lines = _lines(path)
    header = _header(lines[:PREAMBLE])
    trials: dict[str, Events] = {}
    left_out: Counter = Counter()
    for number, line in enumerate(lines, start=1):
        found = EVENT.match(line)
        if not found:
            continue
        cells = [cell.strip() for cell in line.split(found[3])]
        try:
            trial = trials.setdefault(
                cells[1], Events(cells[1], header.get("stimulus", ""), header.get("subject", ""))
            )
            begins = _number(cells[3], found[3]) / 1000
            if found[1].startswith("User"):
                text = MESSAGE.sub("", " ".join(cells[4:]), count=1)
                trial.messages.append(Message(begins, text))
                trial.lasts(begins)
                continue
            ends = _number(cells[4], found[3]) / 1000
            trial.lasts(begins, ends)
            if found[1] in FIXATION:
                place = [_number(cells[n], found[3]) for n in (6, 7)]
                if not any(place) or np.isnan(place).any():
                    left_out[PLACELESS] += 1
                else:
                    trial.fixations.append((found[2] or "B", begins, ends, *place))
        except (ValueError, IndexError):
            raise InputError(
                f"{path} line {number}: {line[:60]!r}, expected an event, its trial, number, "
                "start, end, duration and place"
            ) from None
    return _of_fixations(path, list(trials.values()), names, onset, left_out)


def _of_statistics(path: Path, names: ClipNames, onset: str) -> list[Named]:
    """The trials of BeGaze's event statistics, in milliseconds from each trial's start."""
    times = ("Event Start Trial Time [ms]", "Event End Trial Time [ms]")
    table = TextTable(path, times, preamble=True)
    kind = next((one for one in FIXATION if f"{one} Position X [px]" in table.names), FIXATION[0])
    places = (f"{kind} Position X [px]", f"{kind} Position Y [px]")
    if missing := [name for name in places if name not in table.names]:
        raise InputError(
            f"{path}: no column {missing[0]!r}, found {', '.join(table.names):.200}: export the "
            "details of fixations"
        )
    named = ("Trial", "Stimulus", "Participant", "Category", "Eye L/R")
    rows = table.read([name for name in named if name in table.names], (*times, *places))
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    count = len(rows.line)
    trial, stimulus, observer, category, eye = (
        rows.text.get(name, np.full(count, "")) for name in named
    )
    values = np.stack([rows.numbers[name] for name in (*times, *places)], axis=1)  # (n, 4)
    fixated = np.ones(count, bool)
    if "Category" in rows.text:
        fixated &= np.isin(category, FIXATION)
    placed = ~np.isnan(values).any(axis=1) & values[:, 2:].any(axis=1)
    left_out = Counter({PLACELESS: int((fixated & ~placed).sum())})
    fixated &= placed
    trials: dict[tuple[str, str, str], Events] = {}
    for row in np.flatnonzero(fixated):
        key = (observer[row], trial[row], stimulus[row])
        one = trials.setdefault(key, Events(trial[row], stimulus[row], observer[row], begins=0.0))
        one.lasts(*values[row, :2])
        one.fixations.append((eye[row][:1].upper() or "B", *values[row]))
    return _of_fixations(path, list(trials.values()), names, onset, left_out)


def _of_fixations(
    path: Path, recorded: Sequence[Events], names: ClipNames, onset: str, left_out: Counter
) -> list[Named]:
    lasted: Counter = Counter()
    for one in recorded:
        for eye, begins, ends, *_ in one.fixations:
            lasted[eye] += ends - begins
    if not lasted:
        raise InputError(f"{path}: no fixations in it, expected lines such as 'Fixation L,1,1,...'")
    eye = max(sorted(lasted), key=lambda one: lasted[one])
    notes = ()
    if len(lasted) > 1:
        name = EYES.get(eye, eye).lower()
        notes = (f"fixations are those of the {name} eye, which fixated longer in total",)
    trials: list[Named] = []
    for one in recorded:
        section = Section(str(path), one.begins, one.ends + 0.001, one.messages, start=FIRST_ROW)
        clips = _shown(section, names, one.stimulus, onset)
        left_out[UNMATCHED] += not clips
        of_eye = [row[1:] for row in one.fixations if row[0] == eye]
        for clip in clips:
            kept = [row for row in of_eye if row[1] > clip.begins and row[0] < clip.ends]
            begins, ends, x, y = np.array(kept).reshape(-1, 4).T
            found = RecordedFixations(begins - clip.begins, ends - begins, x, y)
            trial = Trial(
                clip.clip,
                one.observer,
                path,
                len(trials) + 1,
                fixations=found,
                notes=(*notes, *clip.notes),
            )
            trials.append((one.name, trial))
    if trials:
        trials[0][1].left_out.update(left_out)
    return trials


def _named_after_file(trials: list[Named], clips: Collection[str]) -> list[Named]:
    """A file's only trial, if it names no clip, is of the clip with whose name the file's ends."""
    if len(trials) != 1 or trials[0][1].clip or len(clips) < 2:
        return trials
    ((name, trial),) = trials
    found = [clip for clip in clips if _ends_with(trial.file.stem, clip)]
    if len(found) != 1:
        return trials
    note = "files name no clip: the one with whose name a file's own ends was taken"
    return [(name, replace(trial, clip=found[0], notes=(*trial.notes, note)))]


def _ends_with(stem: str, clip: str) -> bool:
    """Whether a name ends with a clip's, and not in the middle of a word or a number."""
    before = stem.removesuffix(clip)[-1:]
    if not clip or not stem.endswith(clip):
        return False
    return not before or not (
        before.isdigit() if clip[0].isdigit() else before.isalnum() and clip[0].isalnum()
    )


def _lines(path: Path) -> list[str]:
    """The lines of a text in UTF-16 or UTF-8, else in cp1252."""
    content = read_input(path, MOST_EVENTS)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    return text.splitlines()


def _number(cell: str, separator: str = "\t") -> float:
    """A number, with a decimal comma where commas do not separate; NaN where there is none."""
    if cell.lower() in NO_VALUE:
        return float("nan")
    return float(cell if separator == "," else cell.replace(",", "."))
