"""Look at recorded gaze before anything is trained on it: films, contact sheets, tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import cv2
import numpy as np

from uva_tf.config import DHF1K_SIGMA
from uva_tf.core.centre_prior import PRIOR_SIGMA
from uva_tf.core.errors import InputError, counted, some
from uva_tf.core.frames import Frame
from uva_tf.core.outputs import as_text, new_folder
from uva_tf.core.text_tables import aligned, write_csv
from uva_tf.core.video import VIDEO_SUFFIXES, VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.fixations import Fixations, density_map, fixation_map
from uva_tf.data.recordings import GazeFrame, Recording, remarks
from uva_tf.evaluation.gaze_pictures import (
    Panel,
    Strip,
    as_attention,
    draw_gaze,
    enlarged,
    mean_panel,
    panel_of,
    thumbnail,
    write_sheet,
)

GRID = 64  # side of density maps
SHOWN = 7  # frames of a clip on a sheet
CLIPS, STILLS = 20, 40  # recordings on a sheet
MOST_ROWS = 40  # of a printed table
MARKS = 1.6  # size of fixations on a sheet, of those in a film
JPEG_QUALITY = 90  # of photographs
RATE = 25.0  # frames/s of films of numbered pictures, which have no times
# The mean density of other clips reaches 0 to 4 standard deviations where people look in a clip.
# It reaches far more where the gaze of all clips lies in one place, as in wrong units.
MOST_PRIOR = 10.0
# An observer is noted whose gaze is farther from the others' than so many times the median, and
# than so many widths of the frame.
FAR, LEAST_FAR = 2.0, 0.25

Progress = Callable[[Iterable[Recording], int], Iterator[Recording]]


@dataclass
class Person:
    """What one observer did, in one recording or several.

    Attributes:
        fixations, samples, frames: how many; the frames are those with a fixation of theirs.
        durations: of their fixations in ms, arrays; none if they are not known.
        taken, tracked: how many samples there were, and how many of them with gaze.
        apart: the distance of their mean place from the median place of all who look, in widths
            of the frame, summed over `met` frames in which others looked too.
    """

    fixations: int = 0
    samples: int = 0
    frames: int = 0
    durations: list[np.ndarray] = field(default_factory=list)
    taken: int = 0
    tracked: float = 0.0
    apart: float = 0.0
    met: int = 0

    def add(self, other: Person) -> None:
        """Add what the same observer did in another recording."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def distance(self) -> float:
        """The mean distance from the others' gaze, in widths; NaN if there is none."""
        return self.apart / self.met if self.met else float("nan")


@dataclass
class Look:
    """What was seen of one recording.

    Attributes:
        problem: why it can't be read; what was drawn is then what its files hold.
        width, height: of its frames; 0 if none could be read.
        frames, empty: how many, and how many without gaze.
        fixations: how many; 0 of published density maps.
        people: by observer; empty if observers are not known.
        density: `[GRID, GRID]` float32, the mean density map of its frames.
        centre: mean x and y of its gaze; None without gaze.
        cells, weights: `[k]`, the cells of the grid with fixations, and how much of its frames'
            fixations each holds. A fixed map's NSS is the sum of its normed values there, weighted.
        tracked: the fraction of samples with gaze; None if it is not known.
        left_out, notes: as of the recording.
    """

    name: str
    still: bool
    problem: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    empty: int = 0
    fixations: int = 0
    people: dict[int, Person] = field(default_factory=dict)
    density: np.ndarray = field(default_factory=lambda: np.zeros((GRID, GRID), np.float32))
    centre: tuple[float, float] | None = None
    cells: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))
    tracked: float | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def off_centre(self) -> float:
        """How far the centre of its gaze is from the frame's middle, in widths."""
        x, y = self.centre
        return float(np.hypot(x - 0.5, (y - 0.5) * self.height / self.width))


@dataclass(frozen=True)
class Seen:
    """What was seen of a dataset: its recordings, and its observers' names by number."""

    looks: tuple[Look, ...]
    observers: tuple[str, ...]

    @property
    def drawn(self) -> list[Look]:
        """The recordings of which frames could be read."""
        return [look for look in self.looks if look.frames]

    @property
    def fitting(self) -> list[Look]:
        """Those without a problem."""
        return [look for look in self.looks if not look.problem]

    def people(self) -> dict[str, Person]:
        """By observer's name, what they did in the recordings without a problem."""
        found: dict[int, Person] = defaultdict(Person)
        for look in self.fitting or self.drawn:
            for number, person in look.people.items():
                found[number].add(person)
        return {self.observers[number]: found[number] for number in sorted(found)}

    def priors(self) -> dict[str, float]:
        """By recording, the NSS of a centre prior; left out are those without fixations.

        The prior is the mean density of the other recordings without a problem, or a Gaussian
        in the middle if there is no other.
        """
        total = sum((look.density.astype(float) for look in self.fitting), np.zeros((GRID, GRID)))
        middle = density_map(np.array([[0.5, 0.5]]), GRID, GRID, PRIOR_SIGMA)
        scores = {}
        for look in self.drawn:
            prior = total if look.problem else total - look.density
            alone = len(self.fitting) == (0 if look.problem else 1)
            prior = middle if alone else prior
            if len(look.cells) and (deviation := prior.std(ddof=1)) > 0:
                normed = (prior.ravel()[look.cells] - prior.mean()) / deviation
                scores[look.name] = float(normed @ look.weights)
        return scores


def look_at(
    recordings: Sequence[Recording],
    out: Path,
    *,
    films: bool = True,
    progress: Progress = lambda recordings, _: iter(recordings),
) -> Seen:
    """Read recordings once, and write films, contact sheets and tables of their gaze to a folder.

    `out` gets `NAME.mp4` of each clip, or `NAME.jpg` of each photograph; `sheet.png`, or
    `sheet-01.png` and so on; `clips.csv` and `observers.csv`. A recording that `read` refuses is
    drawn as its files have it, if that can be. Memory does not grow with a clip's length.

    Args:
        films: whether to write films and photographs.
        progress: wraps the iterator over recordings.

    Raises InputError if `out` exists or no frame of any recording can be read.
    """
    looks: list[Look] = []
    strips: list[Strip] = []
    most = STILLS if all(recording.still for recording in recordings) else CLIPS
    sheets = -(-len(recordings) // most)
    with new_folder(out) as folder:
        for recording in progress(recordings, len(recordings)):
            look, panels = _look_at(recording, folder if films else None)
            looks.append(look)
            strips.append(_strip(look, panels))
            if len(strips) == most or len(looks) == len(recordings):
                number = -(-len(looks) // most)
                name = "sheet.png" if sheets == 1 else f"sheet-{number:02d}.png"
                title = "Recorded gaze" + (f", sheet {number} of {sheets}" if sheets > 1 else "")
                write_sheet(folder / name, title, strips)
                strips.clear()
        if not any(look.frames for look in looks):
            raise InputError(looks[0].problem)
        names = max((recording.observers for recording in recordings), key=len)
        seen = Seen(tuple(looks), names)
        write_csv(folder / "clips.csv", _clip_rows(seen))
        write_csv(folder / "observers.csv", _observer_rows(seen))
    return seen


def report(seen: Seen) -> str:
    """Tables of recordings and observers, and below them what was left out, noted and refused.

    If everything was refused, the first cause is left to the caller's error.
    """
    clips = [row[:-1] for row in _clip_rows(seen)]  # problems are listed below
    parts = [_capped(clips, "clips.csv")]
    if len(people := _observer_rows(seen)) > 1:
        parts.append(_capped(people, "observers.csv"))
    notes = {look.name: look.notes for look in seen.drawn}
    lines = remarks({look.name: look.left_out for look in seen.fitting}, notes)
    lines += [f"note: {note}" for note in _suspicions(seen)]
    refused: dict[str, list[str]] = defaultdict(list)
    told = "" if seen.fitting else seen.looks[0].problem
    for look in seen.looks:
        if look.problem != told and look.problem:
            refused[look.problem].append(as_text(look.name))
    lines += [f"refused: {as_text(why)} ({some(names)})" for why, names in refused.items()]
    if len(seen.drawn) > len(seen.fitting):
        lines.append("refused recordings are drawn as their files have them")
    return "\n\n".join([*parts, "\n".join(lines)]).rstrip()


class _Reading:
    """What is gathered of a recording, frame by frame; within its block.

    Attributes:
        look: what was seen so far.
    """

    def __init__(self, recording: Recording, folder: Path | None):
        self.look = Look(recording.name, recording.still)
        self._recording = recording
        # Every so many frames one is kept for the sheet, small, with its density map and caption.
        self._kept: list[tuple[GazeFrame, np.ndarray, str]] = []
        self._stride, self._first = 1, 0.0
        self._film = _Film(recording, folder) if folder else None
        self._density, self._weights = np.zeros((2, GRID, GRID))
        self._sum = np.zeros(3)  # of x, of y, and how many
        self._people: dict[int, Person] = defaultdict(Person)
        self._before: Counter = Counter()

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *error: object) -> None:
        if self._film:
            self._film.stack.__exit__(*error)

    def add(self, gaze: GazeFrame) -> None:
        """Measure the next frame, draw it into the film, and keep some for the sheet."""
        look, frame = self.look, gaze.frame
        if not look.frames:
            look.width, look.height = frame.width, frame.height
            self._first = frame.seconds
        density = _density(gaze)
        self._density += density
        look.empty += not density.any()
        if len(gaze.fixations.points):
            self._measure(gaze.fixations)
        else:
            self._before = Counter()
        if gaze.samples is not None:
            for observer, count in Counter(gaze.samples.observers.tolist()).items():
                self._people[observer].samples += count
        attention, words = as_attention(density), self._words(gaze)
        if self._film:
            caption = "" if look.still else words
            self._film.write(self._drawn(enlarged(frame), gaze, attention, caption))
        if look.frames % self._stride == 0:
            self._kept.append((replace(gaze, frame=thumbnail(frame)), attention, words))
            if len(self._kept) > 4 * SHOWN:
                self._kept, self._stride = self._kept[::2], 2 * self._stride
        look.frames += 1

    def panels(self) -> list[Panel]:
        """Pictures for the sheet: frames across the length, and the mean density of a clip."""
        look, kept = self.look, self._kept
        chosen = np.linspace(0, len(kept) - 1, min(SHOWN, len(kept))).round().astype(int)
        panels = []
        for gaze, attention, words in (kept[n] for n in chosen):
            size = 1 if look.still else MARKS  # a photograph has many
            drawn = self._drawn(gaze.frame, gaze, attention, size=size)
            panels.append(panel_of(drawn, words))
        if panels and not look.still:
            panels.append(mean_panel(look.density, look.centre, (look.width, look.height)))
        return panels

    def _drawn(
        self, frame: Frame, gaze: GazeFrame, attention: np.ndarray, words: str = "", size: float = 1
    ) -> Frame:
        named = bool(self._recording.observers)
        return draw_gaze(
            frame, attention, gaze.fixations, gaze.samples, words, named=named, size=size
        )

    def _words(self, gaze: GazeFrame) -> str:
        """A caption: the time from the first frame, the frame's number, how many people look."""
        if self.look.still:
            return ""
        if gaze.density is not None:
            looks = "density map"
        elif self._recording.observers:
            looks = counted(len(np.unique(gaze.fixations.observers)), "observer")
        else:
            looks = counted(len(gaze.fixations.points), "fixation")
        time = f"{gaze.frame.seconds - self._first:.2f} s, " if _video(self._recording) else ""
        return f"{time}frame {gaze.index}, {looks}"

    def _measure(self, fixations: Fixations) -> None:
        points, observers = fixations.points, fixations.observers
        fixated = fixation_map(np.clip(points, 0, 1), GRID, GRID)
        self._weights += fixated / fixated.sum()
        self._sum += (*points.sum(axis=0, dtype=float), len(points))
        # A fixation that lasts is at the same place in the next frame.
        now = Counter(zip(observers.tolist(), *points.T.tolist(), strict=True))
        for (observer, *_), count in (now - self._before).items():
            self._people[observer].fixations += count
        self._before = now
        who, index, count = np.unique(observers, return_inverse=True, return_counts=True)
        places = np.stack([np.bincount(index, axis) / count for axis in points.T], axis=1)  # (m, 2)
        offsets = (places - np.median(places, axis=0)) * (1, self.look.height / self.look.width)
        apart = np.hypot(*offsets.T)  # (m,)
        for observer, distance in zip(who.tolist(), apart.tolist(), strict=True):
            person = self._people[observer]
            person.frames += 1
            if len(who) > 1:
                person.apart += distance
                person.met += 1

    def finish(self, problem: str) -> None:
        """Complete `look`, once all frames were read or a problem ended it."""
        look, recording, people = self.look, self._recording, self._people
        for observer, durations in recording.durations.items():
            people[observer].durations.append(durations)
            people[observer].fixations = len(durations)
        for observer, fraction in recording.tracked.items():
            people[observer].taken += recording.taken[observer]
            people[observer].tracked += fraction * recording.taken[observer]
        look.problem = problem
        look.fixations = sum(person.fixations for person in people.values())
        look.people = dict(people) if recording.observers else {}
        look.density = (self._density / max(look.frames, 1)).astype(np.float32)
        look.cells = np.flatnonzero(self._weights)
        look.weights = self._weights.flat[look.cells] / max(self._weights.sum(), 1e-9)
        if self._sum[2]:
            look.centre = tuple((self._sum[:2] / self._sum[2]).tolist())
        elif self._density.any():  # published density maps
            cells = (np.arange(GRID) + 0.5) / GRID
            whole = self._density.sum()
            x, y = (self._density.sum(axis=axis) @ cells / whole for axis in (0, 1))
            look.centre = (float(x), float(y))
        if recording.tracked:
            mine = [people[observer] for observer in recording.tracked]
            look.tracked = sum(one.tracked for one in mine) / sum(one.taken for one in mine)
        look.left_out = {reason: count for reason, count in recording.left_out.items() if count}
        look.notes = list(recording.notes)
        if self._film:
            look.notes += [f"film: {note}" for note in self._film.notes]


class _Film:
    """The film of a clip or the picture of a photograph; its file is opened at the first frame.

    Attributes:
        stack: completes the file when it is left.
        notes: of the writer, and on a rate that had to be chosen.
    """

    def __init__(self, recording: Recording, folder: Path):
        self.stack, self._notes = ExitStack(), []
        self._recording, self._writer, self._count = recording, None, 0
        self._path = folder / f"{recording.name}{'.jpg' if recording.still else '.mp4'}"

    @property
    def notes(self) -> list[str]:
        return self._notes + (self._writer.notes if self._writer else [])

    def write(self, frame: Frame) -> None:
        if self._recording.still:
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            self._path.write_bytes(cv2.imencode(".jpg", frame.pixels, quality)[1].tobytes())
            return
        if self._writer is None:
            self._writer = self.stack.enter_context(self._open(frame))
        seconds = None if _video(self._recording) else self._count / RATE
        self._writer.write(frame, seconds)
        self._count += 1

    def _open(self, frame: Frame) -> VideoWriter:
        if source := _video(self._recording):
            with VideoReader(source, threads=1) as video:
                size = {"width": frame.width, "height": frame.height}
                return VideoWriter.like(video, self._path, **size)
        self._notes.append(f"the frames are pictures: shown at {RATE:g} frames/s")
        return VideoWriter(self._path, RATE, frame.width, frame.height)


def _video(recording: Recording) -> Path | None:
    """The video file that a recording is read from; None if it is of pictures."""
    path = recording.paths[0]
    return path if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() else None


def _look_at(recording: Recording, folder: Path | None) -> tuple[Look, list[Panel]]:
    """Read one recording, and write its film to the folder."""
    problem = ""
    with _Reading(recording, folder) as reading:
        try:
            for gaze in recording.read():
                reading.add(gaze)
        except InputError as error:
            problem = str(error)
            if not reading.look.frames and recording.as_found:
                with suppress(InputError):
                    for gaze in recording.as_found():
                        reading.add(gaze)
    reading.finish(problem)
    return reading.look, reading.panels()


def _density(gaze: GazeFrame) -> np.ndarray:
    """A frame's density map `[GRID, GRID]`, which sums to 1, or all zero."""
    if gaze.density is None:
        points = np.clip(gaze.fixations.points, 0, 1)
        return density_map(points, GRID, GRID, DHF1K_SIGMA, gaze.aspect)
    small = cv2.resize(gaze.density.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return small / small.sum()


def _strip(look: Look, panels: Sequence[Panel]) -> Strip:
    """What a contact sheet shows of a recording."""
    facts = []
    if look.frames:
        facts.append(f"{look.width}x{look.height}")
        if not look.still:
            facts.append(counted(look.frames, "frame"))
        if look.people:
            facts.append(counted(len(look.people), "observer"))
        facts.append(counted(look.fixations, "fixation"))
        if look.tracked is not None:
            facts.append(f"tracked {_percent(look.tracked)}")
        if not look.still:
            facts.append(f"{_percent(look.empty / look.frames)} of frames without gaze")
        if look.centre:
            x, y = look.centre
            facts.append(f"centre {x:.2f}, {y:.2f}: {look.off_centre():.2f} widths from the middle")
    left_out = ", ".join(f"{count} {reason}" for reason, count in look.left_out.items())
    lines = (f"left out: {left_out}",) if left_out and not look.problem else ()
    problem = f"refused: {look.problem}" if look.problem else ""
    return Strip(look.name, ", ".join(facts), problem, lines, tuple(panels), look.still)


def _clip_rows(seen: Seen) -> list[list[str]]:
    """A row for each recording that was drawn, below the head."""
    head = ["recording", "size", "frames", "observers", "fixations", "tracked", "without gaze"]
    rows = [[*head, "centre x", "centre y", "prior NSS", "left out", "problem"]]
    priors = seen.priors()
    for look in seen.looks:
        if not look.frames:
            rows.append([as_text(look.name), *["-"] * 10, look.problem])
            continue
        x, y = look.centre or (None, None)
        rows.append(
            [
                as_text(look.name),
                f"{look.width}x{look.height}",
                str(look.frames),
                str(len(look.people) or "-"),
                str(look.fixations or "-"),
                _percent(look.tracked),
                _percent(look.empty / look.frames),
                _digits(x),
                _digits(y),
                _digits(priors.get(look.name)),
                "refused" if look.problem else str(sum(look.left_out.values())),
                look.problem,
            ]
        )
    return rows


def _observer_rows(seen: Seen) -> list[list[str]]:
    """A row for each observer, below the head."""
    rows = [
        ["observer", "fixations", "samples", "tracked", "frames", "median ms", "from the others"]
    ]
    for name, person in seen.people().items():
        durations = np.concatenate(person.durations) if person.durations else np.zeros(0)
        rows.append(
            [
                as_text(name),
                str(person.fixations),
                str(person.samples or "-"),
                _percent(person.tracked / person.taken if person.taken else None),
                str(person.frames),
                f"{np.median(durations):.0f}" if len(durations) else "-",
                _digits(person.distance if person.met else None),
            ]
        )
    return rows


def _suspicions(seen: Seen) -> Iterator[str]:
    """What the numbers say of wrong units, screens and calibrations."""
    for name, score in seen.priors().items():
        if score > MOST_PRIOR:
            yield (
                f"the prior has NSS {score:.0f} on {as_text(name)}, usual are 0 to 4: the gaze of "
                "all recordings is in one place, are the units right?"
            )
    distances = {name: one.distance for name, one in seen.people().items() if one.met}
    median = float(np.median(list(distances.values()))) if distances else 0.0
    for name, distance in distances.items():
        if distance > max(FAR * median, LEAST_FAR):
            yield (
                f"the gaze of observer {as_text(name)} is {distance:.2f} widths from the others', "
                f"the median is {median:.2f}: see the film: another screen, or a bad calibration?"
            )


def _capped(rows: list[list[str]], file: str) -> str:
    """The first rows of a table, and how many more there are in a file."""
    more = len(rows) - 1 - MOST_ROWS
    text = aligned(rows[: MOST_ROWS + 1])
    return f"{text}\n... and {more} more in {file}" if more > 0 else text


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
