"""Messages between a tracker's samples: which clip was shown, and from when to when.

Experiments write them in their own words. What is recognised without `--onset`: names of the
clips, and the usual messages of the moment in which a clip or a picture appears.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from uva_tf.core.errors import InputError
from uva_tf.core.video import VIDEO_SUFFIXES
from uva_tf.gaze.names import composed, without_suffix

MOST_TEXT = 2000  # characters of a message that are looked at
WORDS = re.compile(r"[\s\"'/\\=:;,|()<>\[\]{}]+")
BEFORE_PATH = re.compile(r"[\s\"'=;,|()<>\[\]{}]")
# Messages that describe a trial; they may be sent long before or after a clip is shown.
DESCRIBES = re.compile(r"!V (?!VFRAME)|TRIALID\b|TRIAL_RESULT\b|stop_trial\b|var ")
FRAME = re.compile(r"!V VFRAME (\d{1,9})\b")
# Messages that say when a clip begins; the first kind that a trial has counts.
ONSETS = (
    FRAME,
    re.compile(
        r"(?<![a-z])(?:(?:video|movie|clip|film)[ _-]?\d{0,3}[ _-]?"
        r"(?:start(?:ed|s)?|on|onset|begins?)|(?:start|play|show|begin)(?:ing)?[ _-](?:the )?"
        r"(?:video|movie|clip|film))(?![a-z])",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?<![a-z])(?:SYNCTIME|STARTTIME|(?:display|stim|stimulus|image|picture)[ _-]?"
        r"(?:start|on|onset))(?![a-z])",
        re.IGNORECASE,
    ),
)
NAMED_ONLY = "a clip that is only named while another is shown begins nothing"
NONE = len(ONSETS)  # the kind of all other messages
END = re.compile(
    r"(?<![a-z])(?:(?:video|movie|clip|film)[ _-]?\d{0,3}[ _-]?"
    r"(?:end|ended|ends|stop|stopped|off|offset|finished|terminates|terminated)|"
    r"(?:end(?:ed|ing|s)?|stop(?:ped|ping|s)?|finish(?:ed|ing|es)?)[ _-]?(?:of[ _-])?"
    r"(?:(?:play|show)ing )?(?:the )?(?:video|movie|clip|film))(?![a-z])",
    re.IGNORECASE,
)
# Words beside a clip's name that say that it begins, ends, or is only made ready.
BEGINS, ENDS, PREPARES = (
    re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE)
    for words in (
        r"start(?:ed|s|ing)?|onset|begin(?:s|ning)?|began|play(?:s|ing)?",
        r"end(?:ed|s)?|stop(?:ped|s|time)?|off|offset|finish(?:ed|es)?|done|over|completed?|"
        r"terminate[ds]?",
        r"(?:img|pre)?[ _-]?load(?:ed|ing|s)?|buffer(?:ed|ing)?|prepar(?:e|ed|ing)|next",
    )
)


@dataclass(frozen=True)
class Message:
    """A message and the time of what it reports, in ms."""

    time: float
    text: str


@dataclass(frozen=True)
class Section:
    """Part of a recording, in which one trial or several took place.

    Attributes:
        where: the file, for errors.
        begins, ends: in ms.
        within: messages that were sent while it was recorded, in order.
        around: other messages that belong to it, sent before or after.
        start: what its beginning is called, for notes.
    """

    where: str
    begins: float
    ends: float
    within: Sequence[Message]
    around: Sequence[Message] = ()
    start: str = "its recording's START"


@dataclass(frozen=True)
class Shown:
    """A clip on the screen: from when to when, in ms; `clip` is "" if no message names it."""

    clip: str
    begins: float
    ends: float
    notes: tuple[str, ...] = ()


class ClipNames:
    """Finds names of clips in messages.

    A name counts as a word of its own, with or without the extension of a video and a path
    before it, in any case if that is unambiguous. A name of nothing but digits needs the
    extension, since messages are full of numbers.

    Args:
        clips: names of clips, without extension.
    """

    def __init__(self, clips: Collection[str]) -> None:
        self._clips = {composed(clip): clip for clip in clips}
        folded: dict[str, list[str]] = {}
        for clip in clips:
            folded.setdefault(composed(clip).casefold(), []).append(clip)
        self._folded = {name: found[0] for name, found in folded.items() if len(found) == 1}
        self._long = [name for name in self._clips if len(_words(name)) > 1]

    def named(self, text: str) -> str:
        """The clip that a message names; a video's file name if it is of no clip; else ""."""
        return self.split(text)[0]

    def split(self, text: str) -> tuple[str, str]:
        """What `named` gives, and the rest of the message, without that name and its path."""
        text = composed(text[:MOST_TEXT])
        words = _words(text)
        files = [word for word in words if word.lower().endswith(VIDEO_SUFFIXES)]
        for name in self._long:
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                return self._clips[name], _without(text, name)
        for name in files:
            if clip := self.clip(name):
                return clip, _without(text, name)
        if files:
            return files[-1], _without(text, files[-1])
        for word in words:
            if not word.isdecimal() and (clip := self.clip(word)):
                return clip, _without(text, word)
        return "", text

    def clip(self, name: str) -> str:
        """The clip of that name, with or without extension; "" if there is none."""
        for one in (composed(name), composed(without_suffix(name))):
            if found := self._clips.get(one) or self._folded.get(one.casefold()):
                return found
        return ""

    def only(self, found: Iterable[str]) -> str:
        """The one clip among names that were found, else the one other video; "" if unclear."""
        found = set(found) - {""}
        clips = {name for name in found if name in self._clips.values()} or found
        return clips.pop() if len(clips) == 1 else ""


@dataclass(frozen=True)
class Told:
    """What a message says.

    Attributes:
        time, text: as the message has them.
        clip: that it names, as in `ClipNames.named`.
        describes: whether it describes a trial, whenever it was sent.
        ends: whether it says that a clip ends; then it is never the onset of one.
        kind: of the onset that it reports, a place in `ONSETS`; `NONE` if it reports none.
        matched: the words that say so.
        begins: whether it says in other words that the clip begins that it names.
        prepares: whether it says that a clip is made ready.
    """

    time: float
    text: str
    clip: str
    describes: bool = False
    ends: bool = False
    kind: int = NONE
    matched: str = ""
    begins: bool = False
    prepares: bool = False

    @property
    def names(self) -> bool:
        """Whether it names a clip at about the time at which that is shown."""
        return bool(self.clip) and not self.describes


def told(message: Message, names: ClipNames) -> Told:
    """What a message says."""
    text = message.text[:MOST_TEXT]
    clip, rest = names.split(text)
    plain = Told(message.time, message.text, clip)
    if DESCRIBES.match(text):
        return replace(plain, describes=True)
    # Words that are part of a clip's own name say nothing of it.
    words = rest if names.clip(clip) else text
    kind, matched = NONE, ""
    for number, pattern in enumerate(ONSETS):
        if found := pattern.search(words):
            kind, matched = number, found[0]
            break
    prepares = bool(clip and PREPARES.search(rest))
    ended = clip and kind == NONE and not prepares and ENDS.search(rest)
    if kind > 0 and (ended or END.search(rest)):  # a frame is no end
        return replace(plain, ends=True)
    begins = bool(clip and not prepares and BEGINS.search(rest))
    return replace(plain, kind=kind, matched=matched, begins=begins, prepares=prepares)


def shown(section: Section, names: ClipNames, onset: str = "") -> list[Shown]:
    """The clips that were shown in a part of a recording.

    A message that says that a clip ends is never its onset, but may name it.

    Args:
        onset: regular expression of the messages with which clips begin; a group `clip` in it is
            the clip's name. Where none matches, no clip was shown.

    Returns:
        At least one without `onset`. A clip ends where the next one begins, at a message that
        says so, or with the section.

    Raises InputError if a message ends a clip by its name and none says when that began.
    """
    within = [told(one, names) for one in section.within]
    around = [told(one, names) for one in section.around]
    if onset:
        begun = _stated(section, within, around, names, re.compile(onset))
    else:
        begun = _recognised(section, within, around, names)
    begun.sort(key=lambda one: one[0])
    ends = [one for one in within if one.ends]
    found = []
    for number, (begins, clip, notes) in enumerate(begun, start=1):
        last = begun[number][0] if number < len(begun) else section.ends
        stops = (one.time for one in ends if not clip or one.clip in ("", clip))
        stopped = min((time for time in stops if begins < time < last), default=None)
        if stopped is not None and begins != section.begins:
            notes = (*notes, "clips end at the first message that says so, such as VIDEO_END")
            last = stopped
        found.append(Shown(clip, begins, last, notes))
    return found


Begun = tuple[float, str, tuple[str, ...]]  # when a clip begins, its name, notes


def _stated(
    section: Section,
    within: list[Told],
    around: list[Told],
    names: ClipNames,
    onset: re.Pattern[str],
) -> list[Begun]:
    matches = [
        (one, found)
        for one in (*around, *within)
        if one.time < section.ends and (found := onset.search(one.text[:MOST_TEXT]))
    ]
    ends = [one for one in within if one.ends and one.clip]
    described = _described([*around, *within], names)
    begun = []
    for (one, found), following in zip_longest(matches, matches[1:]):
        if name := found.groupdict().get("clip") or "":
            clip = names.clip(name) or names.named(name) or name
        else:
            until = following[0].time if following else math.inf
            ended = (end.clip for end in ends if one.time < end.time <= until)
            clip = one.clip or next(ended, described)
        begun.append((one.time, clip, ()))
    return begun


def _recognised(
    section: Section, within: list[Told], around: list[Told], names: ClipNames
) -> list[Begun]:
    first = _first_onset(within)
    named = [one for one in within if one.names and not one.ends]
    telling = (
        [one for one in named if one.kind == 0]
        or [one for one in named if one.kind < NONE]
        or [one for one in named if one.begins]
    )
    if telling:
        return _begun_by_name(section, within, telling, first)
    if any(one.names for one in within if one.ends):
        return _begun_before_ends(section, within, names)
    begun = _begun_near_names(section, within, named, first)
    if begun:
        return begun
    clip = _described([*around, *within], names)
    if first:
        return [(first.time, clip, _note(first))]
    note = f"no message says when a clip begins: {section.start} was taken"
    return [(section.begins, clip, (note,))]


def _begun_by_name(
    section: Section, within: list[Told], telling: list[Told], first: Told | None
) -> list[Begun]:
    """Clips of which messages say that they begin, by their names."""
    chosen = set(telling)
    runs: list[Told] = []
    ended = False
    for one in within:
        ended |= one.ends
        if one not in chosen:
            continue
        again = ended and 0 < one.kind == runs[-1].kind < NONE if runs else True
        if again or one.clip != runs[-1].clip:
            runs.append(one)
        ended = False
    if len(runs) == 1:
        return [((first or runs[0]).time, runs[0].clip, _note(first))]
    begun = []
    for one, span in _spans(section, within, runs):
        after = _first_onset(span) if first and first.time >= runs[0].time else None
        after = after or (one if one.kind < NONE else None)
        begun.append(((after or one).time, one.clip, _note(after)))
    return begun


def _begun_before_ends(section: Section, within: list[Told], names: ClipNames) -> list[Begun]:
    """Clips whose names come with their ends; each began at the onset before."""
    begun: list[Begun] = []
    before: list[Told] = []
    for one in within:
        if not one.ends:
            before.append(one)
            continue
        onset = _first_onset(before)
        began = onset or next(
            (o for o in before if o.names and o.clip == one.clip and not o.prepares), None
        )
        if began:
            begun.append((began.time, one.clip or _only_named(before, names), _note(onset)))
        elif one.clip and begun and begun[-1][1] in ("", one.clip):  # it ends once more
            begun[-1] = (begun[-1][0], one.clip, begun[-1][2])
        elif one.clip:
            raise InputError(
                f"{section.where}: {one.text[:60]!r} at {one.time:.15g} ms ends a clip, but no "
                "message before it says when that began: state one with --onset"
            )
        before = []
    onset = _first_onset(before)
    if onset and onset.kind < 2:
        begun.append((onset.time, _only_named(before, names), _note(onset)))
    return begun


def _begun_near_names(
    section: Section, within: list[Told], named: list[Told], first: Told | None
) -> list[Begun]:
    """Clips that messages only name, at the onsets after the names, or before."""
    runs = [one for n, one in enumerate(named) if n == 0 or named[n - 1].clip != one.clip]
    if not runs:
        return []
    if first is None:  # while a clip is made ready, it is not shown yet
        runs = [one for one in runs if not one.prepares] or runs
        return [(one.time, one.clip, _note(None)) for one in runs]
    before = first.time >= runs[0].time  # names come before the onsets
    several = len(runs) > 1
    if several and not before and (begun := _begun_before_names(section, within)):
        return begun
    begun, notes = [], ()
    for one, span in _spans(section, within, runs):
        onset = next((other for other in span if other.kind == first.kind), None)
        if onset is None and (one.prepares or (several and before and first.kind < 2)):
            notes = (NAMED_ONLY,)
            continue
        begun.append((onset if before else None, one))
    if len(begun) == 1:
        return [(first.time, begun[0][1].clip, (*_note(first), *notes))]
    return [((onset or one).time, one.clip, (*_note(onset), *notes)) for onset, one in begun]


def _begun_before_names(section: Section, within: list[Told]) -> list[Begun]:
    """Clips at messages such as VIDEO_START, if just one clip is named after each of them."""
    onsets = [one for one in within if one.kind == 1]
    clips = [
        sorted({one.clip for one in span if one.names and not one.prepares})
        for _, span in _spans(section, within, onsets)
    ]
    if not all(clips[:-1]) or any(len(found) > 1 for found in clips):
        return []
    return [
        (one.time, "".join(found), _note(one)) for one, found in zip(onsets, clips, strict=True)
    ]


def _spans(
    section: Section, within: list[Told], runs: list[Told]
) -> Iterator[tuple[Told, list[Told]]]:
    """Each of the runs with the messages from it to the next one."""
    for one, following in zip_longest(runs, runs[1:]):
        until = following.time if following else section.ends
        yield one, [other for other in within if one.time <= other.time < until]


def _first_onset(messages: Iterable[Told]) -> Told | None:
    """The first message of the first kind of `ONSETS` that there is."""
    return min((one for one in messages if one.kind < NONE), key=lambda one: one.kind, default=None)


def _described(messages: Sequence[Told], names: ClipNames) -> str:
    """The one clip that messages name, first of all those that do not prepare it."""
    return names.only(one.clip for one in messages if not one.prepares) or names.only(
        one.clip for one in messages
    )


def _only_named(messages: Iterable[Told], names: ClipNames) -> str:
    return names.only(one.clip for one in messages if one.names and not one.prepares)


def _note(onset: Told | None) -> tuple[str, ...]:
    if onset is None:
        return ("clips begin at the first message that names them",)
    frame = FRAME.search(onset.text)
    if frame and int(frame[1]) > 1:
        return ("the first !V VFRAME of a clip is not of frame 0 or 1: its time counts as 0",)
    return (f"clips begin at the first message {'!V VFRAME' if frame else onset.matched}",)


def _words(text: str) -> list[str]:
    return [word for part in WORDS.split(text) if (word := part.strip(".!?#"))]


def _without(text: str, name: str) -> str:
    """A text without a name, and the path before it."""
    head, _, tail = text.partition(name)
    path = BEFORE_PATH.split(head)[-1]
    if "/" in path or "\\" in path:
        head = head[: -len(path)]
    return f"{head} {tail}"
