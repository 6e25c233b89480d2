"""A recording cut into trials: where each stimulus was shown, by its name or by events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.gaze.names import without_suffix
from uva_tf.gaze.trials import Trial

MOST_TEXT = 1000  # characters of a message that a pattern is tried on
FIRST_ROW = "no event says when a stimulus began: its first row does"


@dataclass(frozen=True)
class Event:
    """Something that happened in a recording.

    Attributes:
        time: in ms.
        text: as it is in the file.
        name: of the stimulus that it is about, "" if of none.
        kind: `begin` or `end` of a stimulus, or "".
    """

    time: float
    text: str
    name: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Piece:
    """A stimulus shown once: when it began, in ms, and its samples, from `first` up to `last`."""

    name: str
    onset: float
    first: int
    last: int


def pieces(
    time: np.ndarray, shown: np.ndarray, events: Sequence[Event], pattern: str, what: object
) -> tuple[list[Piece], list[str]]:
    """Cut a recording into the stimuli that were shown.

    Args:
        time: `[n]` of its samples in ms, rising.
        shown: `[n]` object, the stimulus that was on the screen, "" for none.
        pattern: regular expression of the events with which stimuli begin; "" to take those
            of kind `begin`.
        what: the recording, for the message.

    Returns:
        The pieces in order, none if nothing tells stimuli apart; and notes.

    Raises InputError if no event matches the pattern.
    """
    if pattern:
        return _matching(time, shown, events, pattern, what), []
    events = sorted(events, key=lambda event: event.time)
    begins = [event for event in events if event.kind == "begin"]
    if not (shown != "").any():
        ends = np.array([event.time for event in events if event.kind in ("begin", "end")])
        found = []
        for event in begins:
            end = ends[ends > event.time].min(initial=np.inf)
            found.append(_between(time, event.name, event.time, end))
        return found, []
    found, notes = [], []
    edges = [0, *(np.flatnonzero(shown[1:] != shown[:-1]) + 1), len(time)]
    for first, last in pairwise(edges):
        name = shown[first]
        if not name:
            continue
        before = time[first - 1] if first else -np.inf
        own = [event for event in begins if before < event.time <= time[last - 1]]
        same = [event for event in own if _alike(event.name, name)]
        onsets = [event.time for event in same or own]
        if not onsets:
            onsets, notes = [time[first]], [FIRST_ROW]
        cuts = [first, *np.searchsorted(time, onsets[1:]), last]
        for n, onset in enumerate(onsets):
            found.append(Piece(name, float(onset), int(cuts[n]), int(cuts[n + 1])))
    return found, notes


def _matching(
    time: np.ndarray, shown: np.ndarray, events: Sequence[Event], pattern: str, what: object
) -> list[Piece]:
    tried = [(event, re.search(pattern, event.text[:MOST_TEXT])) for event in events]
    matches = sorted([pair for pair in tried if pair[1]], key=lambda pair: pair[0].time)
    if not matches:
        there = some([repr(text[:60]) for text in dict.fromkeys(event.text for event in events)])
        raise InputError(
            f"{what}: no message matches --onset {pattern!r}, found {there or 'no messages'}"
        )
    ends = [event.time for event, _ in matches[1:]] + [np.inf]
    found = []
    for (event, match), end in zip(matches, ends, strict=True):
        piece = _between(time, "", event.time, end)
        seen = shown[piece.first : piece.first + 1]
        name = match.groupdict().get("clip") or event.name or (seen[0] if len(seen) else "")
        found.append(replace(piece, name=name))
    return found


def _between(time: np.ndarray, name: str, onset: float, end: float) -> Piece:
    first, last = np.searchsorted(time, [onset, end])
    return Piece(name, float(onset), int(first), int(last))


def _alike(one: str, other: str) -> bool:
    return not one or without_suffix(one).casefold() == without_suffix(other).casefold()


def rising(time: np.ndarray) -> np.ndarray:
    """Times that never fall, `[n]`, with equal ones spread evenly up to the next.

    A clock of whole milliseconds gives several samples of a fast tracker the same time.
    """
    values, first, count = np.unique(time, return_index=True, return_counts=True)
    if len(values) == len(time) or len(values) < 2:
        return time
    steps = np.append(np.diff(values), np.median(np.diff(values)))
    place = np.arange(len(time)) - np.repeat(first, count)
    return time + place * np.repeat(steps / count, count)


def mean_of_eyes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The mean of both, or the one that is not NaN."""
    mean = (left + right) / 2
    return np.where(np.isnan(left), right, np.where(np.isnan(right), left, mean))


def numbered(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of one file, numbered from 1."""
    return [replace(trial, number=number) for number, trial in enumerate(trials, start=1)]
