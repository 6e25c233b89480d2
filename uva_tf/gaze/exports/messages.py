"""Messages between a tracker's samples: which clip was shown, and from when to when.

Experiments write them in their own words. What is recognised without `--onset`: names of the
clips, and the usual messages of the moment in which a clip or a picture appears.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from uva_tf.core.video import VIDEO_SUFFIXES
from uva_tf.gaze.names import composed, without_suffix

MOST_TEXT = 2000  # characters of a message that are looked at
WORDS = re.compile(r"[\s\"'/\\=:;,|()<>\[\]{}]+")
# Messages that describe a trial; they may be sent long before or after a clip is shown.
DESCRIBES = re.compile(r"!V (?!VFRAME)|TRIALID\b|var ")
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
END = re.compile(
    r"(?<![a-z])(?:video|movie|clip|film)[ _-]?\d{0,3}[ _-]?"
    r"(?:end|ended|ends|stop|stopped|off|offset|finished|terminates|terminated)(?![a-z])",
    re.IGNORECASE,
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
        begins, ends: in ms.
        within: messages that were sent while it was recorded, in order.
        around: other messages that belong to it, sent before or after.
        start: what its beginning is called, for notes.
    """

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
        text = composed(text[:MOST_TEXT])
        words = _words(text)
        files = [word for word in words if word.lower().endswith(VIDEO_SUFFIXES)]
        for name in self._long:
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                return self._clips[name]
        for name in files:
            if clip := self.clip(name):
                return clip
        if files:
            return files[-1]
        for word in words:
            if not word.isdecimal() and (clip := self.clip(word)):
                return clip
        return ""

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


def shown(section: Section, names: ClipNames, onset: str = "") -> list[Shown]:
    """The clips that were shown in a part of a recording.

    Args:
        onset: regular expression of the messages with which clips begin; a group `clip` in it is
            the clip's name. Where none matches, no clip was shown.

    Returns:
        At least one without `onset`. A clip ends where the next one begins, at a message that
        says so, or with the section.
    """
    begun = _stated(section, names, onset) if onset else _recognised(section, names)
    begun.sort(key=lambda one: one[0])
    ends = [one.time for one in section.within if END.search(one.text[:MOST_TEXT])]
    found = []
    for number, (begins, clip, notes) in enumerate(begun, start=1):
        last = begun[number][0] if number < len(begun) else section.ends
        stopped = min((time for time in ends if begins < time < last), default=None)
        if stopped is not None and begins != section.begins:
            notes = (*notes, "clips end at the first message that says so, such as VIDEO_END")
            last = stopped
        found.append(Shown(clip, begins, last, notes))
    return found


Begun = tuple[float, str, tuple[str, ...]]  # when a clip begins, its name, notes


def _stated(section: Section, names: ClipNames, onset: str) -> list[Begun]:
    pattern = re.compile(onset)
    messages = [*section.around, *section.within]
    described = names.only(names.named(one.text) for one in messages)
    begun = []
    for one in messages:
        found = pattern.search(one.text[:MOST_TEXT])
        if not found or one.time >= section.ends:
            continue
        if name := found.groupdict().get("clip") or "":
            clip = names.clip(name) or names.named(name) or name
        else:
            clip = names.named(one.text) or described
        begun.append((one.time, clip, ()))
    return begun


def _recognised(section: Section, names: ClipNames) -> list[Begun]:
    named = [(one, clip) for one in section.within if (clip := names.named(one.text))]
    telling = [(one, clip) for one, clip in named if FRAME.match(one.text)]
    telling = telling or [(one, clip) for one, clip in named if not DESCRIBES.match(one.text)]
    runs = [
        (one, clip) for n, (one, clip) in enumerate(telling) if n == 0 or telling[n - 1][1] != clip
    ]
    first, kind = _onset(section.within)
    if len(runs) > 1:
        # Each clip begins at the first usual message after its name, if names come before them.
        begun = []
        for n, (one, clip) in enumerate(runs):
            until = runs[n + 1][0].time if n + 1 < len(runs) else section.ends
            span = [other for other in section.within if one.time <= other.time < until]
            after, kind = _onset(span) if first and first.time >= runs[0][0].time else (None, "")
            begun.append(((after or one).time, clip, _note(after, kind)))
        return begun
    if runs:
        ((one, clip),) = runs
        return [((first or one).time, clip, _note(first, kind))]
    clip = names.only(names.named(one.text) for one in (*section.around, *section.within))
    if first:
        return [(first.time, clip, _note(first, kind))]
    note = f"no message says when a clip begins: {section.start} was taken"
    return [(section.begins, clip, (note,))]


def _onset(messages: Sequence[Message]) -> tuple[Message | None, str]:
    """The first message of the first kind of `ONSETS` that there is, and what it matched."""
    for pattern in ONSETS:
        for one in messages:
            if found := pattern.search(one.text[:MOST_TEXT]):
                return one, found[0]
    return None, ""


def _note(message: Message | None, kind: str) -> tuple[str, ...]:
    if message is None:
        return ("clips begin at the first message that names them",)
    frame = FRAME.search(message.text)
    if frame and int(frame[1]) > 1:
        return ("the first !V VFRAME of a clip is not of frame 0 or 1: its time counts as 0",)
    return (f"clips begin at the first message {'!V VFRAME' if frame else kind}",)


def _words(text: str) -> list[str]:
    return [word for part in WORDS.split(text) if (word := part.strip(".!?#"))]
