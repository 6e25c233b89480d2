"""A long video in segments that are predicted apart, with the maps of an uncut run.

A segment begins at a key frame, from which a decoder can start, and ends with the key frame that
the next one begins with. Both decode that frame. Its map comes from the segment that has the frame
that it is paired with: from the earlier one if that lies before it, from the later one if it is the
next. Where it lies more than a frame before, or maps persist, the earlier segment goes on for as
many frames as a map depends on, and the maps of those come from it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.error import FFmpegError

from uva_tf.core.frames import Frame
from uva_tf.core.video import VideoReader, open_container

LONGER = 1.5  # segments that a video must last to be cut


class Cuts(NamedTuple):
    """Where a video is cut.

    Attributes:
        at: times of key frames in ticks; each is the end of a segment and the start of the next.
        frames: of the whole video.
    """

    at: list[int]
    frames: int


def find_cuts(path: Path, reader: VideoReader, seconds: float) -> Cuts | None:
    """Where a video can be cut into segments of about so many seconds; None if it can't be.

    It is read to its end, and not decoded. A video that is short, damaged, cut short, without
    times or without key frames is not cut, nor one whose container has no index to find a key
    frame by, such as MPEG-TS.

    Args:
        reader: of the video, for its stream and its clock.
    """
    try:
        times, keys = _times(path, reader, LONGER * seconds)
    except FFmpegError:  # it is damaged
        return None
    if len(times) < reader.length or keys != sorted(keys):
        return None
    last, step = max(times, default=0), seconds / float(reader.tick)
    begin, at = min(times, default=0), []
    for key in keys:
        if key - begin >= step and last - key >= step * (LONGER - 1):
            at.append(key)
            begin = key
    return Cuts(at, len(times)) if at else None


def _times(path: Path, reader: VideoReader, shortest: float) -> tuple[set[int], list[int]]:
    """The times of a video's frames, and of its key frames in the order of the file, in ticks.

    Both are empty if the video can't be cut, or lasts less than so many seconds.
    """
    times, keys = set(), []
    with open_container(path) as container:
        length = container.duration or 0
        live = container.format.flags & av.format.Flags.ts_discont.value
        if live or 0 < length / av.time_base < shortest:
            return set(), []
        for packet in container.demux(container.streams[reader.number]):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt or packet.pts in times:
                return set(), []
            times.add(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    return times, keys


class Segment:
    """The frames of a video from one key frame to another, and some beyond.

    Args:
        begin: in ticks; None for the beginning of the video.
        end: in ticks; None for its end.
        pairing: the neighbour that frames are paired with, `next` or `previous`.
        beyond: frames to read after that at `end`.
        options: of a VideoReader.

    Attributes:
        reader: of the video.
        foreign: times in seconds of the frames read so far whose maps come from another segment.
    """

    live = False

    def __init__(
        self,
        path: Path,
        begin: int | None,
        end: int | None,
        *,
        pairing: str,
        beyond: int = 0,
        **options: Any,
    ):
        self.foreign: set[float] = set()
        self._beyond, self._pairing = beyond, pairing
        self.reader = VideoReader(path, start=begin, **options)
        self._end = None if end is None else self.reader.seconds_at(end)
        self._begin = None if begin is None else self.reader.seconds_at(begin)
        self._met = begin is None, end is None

    @property
    def exact(self) -> bool:
        """Whether these are the frames that an uncut run has here, as far as can be told."""
        return self.reader.exact and all(self._met) and not self.reader.incomplete

    def timed(self) -> Iterator[Frame]:
        """Every frame, with its presentation time in seconds."""
        begins, ends = (at is not None for at in (self._begin, self._end))
        lead = self._beyond + (self._pairing == "previous")  # frames that the segment before maps
        left = self._beyond
        for number, frame in enumerate(self.reader.timed()):
            last = False
            if ends and frame.seconds >= self._end:
                if left < 0:
                    return
                last, left = left == 0, left - 1
            if (begins and number < lead) or (last and self._pairing == "next"):
                self.foreign.add(frame.seconds)
            begun, ended = self._met
            self._met = begun or frame.seconds == self._begin, ended or frame.seconds == self._end
            yield frame

    def close(self) -> None:
        """Release the file."""
        self.reader.close()
