"""Packets become frames: on several threads, and on one from where something is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import av
from av.error import FFmpegError

KEPT = 64  # packets from a key frame on, more than any decoder holds back
MOST_KEPT = 2**26  # bytes


class Decoder:
    """The frames of a stream, as one thread decodes them.

    Several threads decode a frame each, which is faster. But something damaged then costs sound
    frames near it, and at the end of a stream all that wait behind it. So packets are kept from a
    key frame on. When one can't be decoded, or frames are missing at the end, those are decoded
    again on one thread, and so is all that follows.

    Args:
        stream: whose packets come.
        threads: for decoding.
        again: opens the stream another time; without it, threads share each frame.

    Attributes:
        errors: packets that could not be decoded, so far.
    """

    def __init__(
        self,
        stream: av.video.stream.VideoStream,
        threads: int,
        again: Callable[[], av.video.stream.VideoStream] | None = None,
    ):
        self._context, self._again = stream.codec_context, again if threads > 1 else None
        self._context.thread_count = threads
        self._context.thread_type = "AUTO" if self._again else "SLICE"
        self._packets: list[av.Packet] = []
        self._key = self._bytes = 0  # where the newest key frame is in them, and their size
        self._sent = self._made = self.errors = 0
        self._last = None  # the time of the newest frame
        self._emptied = False  # whether too many bytes were kept, and thrown away

    def frames(self, packet: av.Packet) -> Iterator[av.VideoFrame]:
        """The frames that are ready after one more packet; the last packet is empty."""
        videos, refused = [], False
        try:
            videos = self._context.decode(packet)
        except FFmpegError:
            refused = True
        if self._again is not None:
            self._keep(packet)
            short = not packet.size and self._made + len(videos) < self._sent
            if (refused or short) and self._goes_back():
                yield from self._repeated()
                return
        self.errors += refused
        for video in videos:
            self._made, self._last = self._made + 1, video.pts
            yield video

    def _keep(self, packet: av.Packet) -> None:
        self._sent += packet.size > 0 and not packet.is_discard
        if packet.is_keyframe and len(self._packets) - self._key >= KEPT:
            del self._packets[: self._key]
            self._key, self._bytes = len(self._packets), sum(p.size for p in self._packets)
        if self._bytes > MOST_KEPT:
            self._packets, self._key, self._bytes, self._emptied = [], 0, 0, True
        if self._packets or packet.is_keyframe or self._sent <= 1:
            self._packets.append(packet)
            self._bytes += packet.size

    def _goes_back(self) -> bool:
        """Whether what is kept can be decoded again; sets out to do so."""
        if not self._packets or (self._made and self._last is None):
            return False
        if self._emptied and len(self._packets) < KEPT:  # frames before these may be waiting
            return False
        try:
            self._context = self._again().codec_context
        except (FFmpegError, IndexError):  # the file is gone, or another one
            return False
        self._context.thread_count, self._again = 1, None
        return True

    def _repeated(self) -> Iterator[av.VideoFrame]:
        """The frames of the packets that are kept, after the last that was handed out."""
        packets, self._packets, last = self._packets, [], self._last
        found, later = last is None, []
        for packet in packets:
            for video in self.frames(packet):
                if found:
                    yield video
                elif video.pts == last:
                    found = True
                elif video.pts is not None and video.pts > last:
                    later.append(video)
        if not found:  # one thread gives another frame in its place
            yield from later
