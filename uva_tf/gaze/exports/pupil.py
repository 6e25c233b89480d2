"""What the exports of Pupil Core, Invisible and Neon share: events, names, gaze cut into trials."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.files import read_input
from uva_tf.gaze.names import composed, matched
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import RecordedFixations, Samples, Trial

MOST_INFO = 2**20  # bytes in a file that describes a recording
MOST_LABEL = 500  # characters of an event in which a name or a pattern is looked for
# Words in the name of an event that say that something ends.
ENDS = {"end", "ended", "ends", "exit", "finish", "finished", "off", "offset", "stop", "stopped"}

OFF_SURFACE = "fixations off the surface, or without a place"
SAME_TIME = "samples at the time of another"
NO_TIME = "rows without a time"
GAZE_OFF_SURFACE = "gaze off the surface counts as lost"
NOT_OF_CLIP = (
    "gaze is on the scene camera's video, and nothing says that a clip is that video: name its "
    "folder like the clip, list it in trials.csv, or export gaze on a surface"
)


@dataclass(frozen=True)
class Mark:
    """When a clip was shown, as an event says it.

    Attributes:
        clip: its name; "" if the event does not hold one.
        begin, end: in ms; the end is infinite if no event says when it was.
        lead: how long before the beginning gaze still belongs to it, in ms.
    """

    clip: str
    begin: float
    end: float = np.inf
    lead: float = 0.0


def marks_of(
    labels: Sequence[str],
    times: np.ndarray,
    clips: Collection[str],
    options: GazeOptions,
    where: object,
    ends: np.ndarray | None = None,
) -> list[Mark]:
    """The events at which clips began, in order of time.

    A clip begins at an event that `options.onset` matches, or else at one whose name holds the
    clip's name. It ends at the next one, or at an event with a word such as `end` or `stop` in
    its name, unless that names another clip.

    Args:
        times: `[n]` in ms.
        where: the events are from, for messages.
        ends: `[n]` in ms, of events that last; else infinite.

    Raises InputError if `options.onset` matches no event, or a name holds several clips' names.
    """
    labels = [label[:MOST_LABEL] for label in labels]
    marks: list[Mark] = []
    for row in np.argsort(times, kind="stable"):
        label, time = labels[row], float(times[row])
        begins, clip = _begins(label, clips, options, where)
        of_shown = marks and (not clip or marks[-1].clip in ("", clip))
        if marks and (begins or (of_shown and _ends(label, clip))):
            marks[-1] = replace(marks[-1], end=min(time, marks[-1].end))
        if begins:
            marks.append(Mark(clip, time, np.inf if ends is None else float(ends[row])))
    if options.onset and not marks:
        raise InputError(
            f"{where}: no event in it matches --onset {options.onset!r}, found "
            f"{some(sorted(set(labels))) or 'none'}"
        )
    return marks


def _begins(
    label: str, clips: Collection[str], options: GazeOptions, where: object
) -> tuple[bool, str]:
    """Whether a clip begins at an event, and the clip's name that the event holds."""
    if options.onset:
        found = re.search(options.onset, label)
        if found and (named := found.groupdict().get("clip")):
            return True, matched({named}, clips).get(named, named)
        return bool(found), clip_in(label, clips, where)
    clip = clip_in(label, clips, where)
    return clip != "" and not _ends(label, clip), clip


def _ends(label: str, clip: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label.replace(clip, " ") if clip else label)
    return not ENDS.isdisjoint(word.lower() for word in words)


def clip_in(label: str, clips: Collection[str], where: object) -> str:
    """The clip whose name a label holds, as a whole word; "" if there is none.

    Of names within each other the longest counts. Raises InputError if several are left.
    """
    if label in ("recording.begin", "recording.end"):  # each recording has them
        return ""
    found = []
    for clip in clips:
        name = composed(clip)
        if name in label and re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", label):
            found.append(clip)
    found = [clip for clip in found if not any(clip != one and clip in one for one in found)]
    if len(found) > 1:
        raise InputError(
            f"{where}: the event {label!r} names {len(found)} clips: {some(sorted(found))}; say "
            "which with --onset and (?P<clip>...) in it"
        )
    return found[0] if found else ""


def ordered(
    time: np.ndarray, x: np.ndarray, y: np.ndarray, frame: np.ndarray | None = None
) -> tuple[Samples, Counter]:
    """Samples in order of time, one of each time: the first that is not lost, if any.

    Args:
        time: `[n]` in ms.
        x, y: `[n]`, of which both become NaN if one is.
        frame: `[n]` int64; if given, samples are numbered by it, and `time` only orders them.

    Returns:
        The samples, and how many were left out.
    """
    lost = np.isnan(x) | np.isnan(y)
    order = np.lexsort((lost, time))
    kept = order[np.diff(time[order], prepend=-np.inf) > 0]
    x, y = (np.where(lost, np.nan, values)[kept] for values in (x, y))
    left_out = Counter({SAME_TIME: len(time) - len(kept)})
    if frame is not None:
        return Samples(None, x, y, frame[kept]), left_out
    return Samples(time[kept], x, y), left_out


def cut(whole: Trial, marks: Sequence[Mark]) -> list[Trial]:
    """A recording's gaze cut into trials, with times from each mark; times are in ms.

    A fixation belongs to each trial that it overlaps. Marks of another clip than the trial's,
    where that has one, and marks during which there is no gaze make no trial.
    """
    trials = []
    for mark in marks:
        if whole.clip and mark.clip and mark.clip != whole.clip:
            continue
        since = mark.begin - mark.lead
        samples, fixations, left_out = whole.samples, whole.fixations, whole.left_out.copy()
        if samples is not None:
            now = (samples.time >= since) & (samples.time < mark.end)
            samples = Samples(samples.time[now] - mark.begin, samples.x[now], samples.y[now])
        if fixations is not None:
            last = fixations.onset + fixations.duration
            now = (last > since) & (fixations.onset < mark.end)
            placed = now & ~np.isnan(fixations.x) & ~np.isnan(fixations.y)
            left_out[OFF_SURFACE] += int((now & ~placed).sum())
            fixations = RecordedFixations(
                fixations.onset[placed] - mark.begin,
                fixations.duration[placed],
                fixations.x[placed],
                fixations.y[placed],
            )
        if (samples is not None and len(samples.x)) or (fixations is not None and len(fixations.x)):
            trials.append(
                replace(
                    whole,
                    clip=whole.clip or mark.clip,
                    samples=samples,
                    fixations=fixations,
                    left_out=left_out,
                    number=whole.number + len(trials),
                )
            )
    return trials


def clip_folder(path: Path, folder: Path, clips: Collection[str]) -> str:
    """The clip after which a folder is named that holds a file, within `folder`; "" if none is.

    The numbers that Pupil Capture and Pupil Player give to recordings and exports (`000`) are no
    names.
    """
    for parent in path.parents:
        if parent == folder:
            return ""
        own = re.fullmatch(r"\d{3}", parent.name) and (
            parent.parent.name == "exports" or (parent / "exports").is_dir()
        )
        if not own:
            if parent.name in clips:
                return parent.name
            if meant := matched({parent.name}, clips):
                return meant[parent.name]
    return ""


def beside(path: Path, folder: Path, name: str) -> Path | None:
    """The file of that name in the nearest folder that holds `path`, within `folder`."""
    for parent in path.parents:
        if (parent / name).is_file():
            return parent / name
        if parent == folder:
            break
    return None


def read_info(path: Path | None) -> dict[str, object]:
    """A JSON file that describes a recording; {} if there is none.

    Raises InputError if it is damaged.
    """
    if path is None:
        return {}
    try:
        info = json.loads(read_input(path, MOST_INFO))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not JSON: export it again, or delete it") from None
    return info if isinstance(info, dict) else {}


def named_apart(
    trials: Sequence[Trial], recordings: Sequence[str], *names: Sequence[str]
) -> list[Trial]:
    """Trials with the names of their observers.

    Args:
        recordings: what tells the trials' recordings apart.
        names: of their observers, as exports give them, "" if they don't; the best first. Names
            that several recordings of one clip share are not used, since such names are often
            those that a device gives by default.
    """
    clips = [trial.clip for trial in trials]
    apart = len(set(zip(clips, recordings, strict=True)))
    usable = [one for one in names if all(one) and len(set(zip(clips, one, strict=True))) == apart]
    one = usable[0] if usable else recordings
    note = "several recordings have the same name or wearer: each counts as an observer of its own"
    notes = (note,) if any(names[0]) and one is not names[0] else ()
    return [
        replace(trial, observer=name, notes=trial.notes + notes)
        for trial, name in zip(trials, one, strict=True)
    ]
