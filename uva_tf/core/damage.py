"""What of a stream is damaged, though its decoder says nothing."""

from __future__ import annotations

from collections import deque

import av

# Decoders that leave out, without an error, what they can't decode, of codecs of which every
# packet has a frame; and the bytes of the smallest one, below which it says "as before" or "the
# end". VP8 and VP9 hide some frames, and MPEG-2's times are guessed in part.
SILENT = {"h264": 16, "hevc": 16, "mpeg4": 16, "av1": 3, "libdav1d": 3}


class Damage:
    """Compares a stream's packets with the frames that came of them, by their times.

    Nothing is said where a sound stream can look the same: before the first key frame, of what is
    shown before that, and of interlaced frames, which may be two packets.

    Args:
        codec: FFmpeg's name of the decoder.
    """

    def __init__(self, codec: str):
        self._codec, self._ended, self._fields = codec, False, False
        self._before, self._key, self._shown = 0, None, None  # packets; times of the first
        self._from: int | None = None  # time of the key frame from which frames are counted
        self._due: set[int] = set()  # times of packets without a frame
        self._sent = self._made = 0
        self._flawed: dict[int | None, bool] = {}  # times of damaged packets, if a frame came
        self._newest: deque[int | None] = deque(maxlen=2)

    def packet(self, packet: av.Packet) -> None:
        """Note a packet that goes to the decoder."""
        time, self._ended = packet.pts, not packet.size
        if not packet.size or packet.is_discard or time is None:
            return
        if packet.is_corrupt:
            self._flawed[time] = False
        if packet.is_keyframe:
            for last in self._newest:  # one recording ends, which tells nobody, and another begins
                self._flawed.pop(last, None)
            self._key = time if self._key is None else self._key
            if self._from is None and (not self._before or self._shown is not None):
                self._from = time
        self._newest.append(time)
        self._before += self._key is None
        silent = self._codec in SILENT and packet.size >= SILENT[self._codec]
        if silent and self._counts(time):
            self._due.add(time)
            self._sent += 1

    def frame(self, video: av.VideoFrame) -> None:
        """Note a frame that came out of it."""
        time = video.pts
        self._shown = time if self._shown is None else self._shown
        self._fields |= video.interlaced_frame
        self._made += self._counts(time)
        self._due.discard(time)
        if video.is_corrupt or time in self._flawed:
            self._flawed[time] = True

    @property
    def shown(self) -> int:
        """Frames that are shown though they are damaged, so far."""
        return sum(self._flawed.values())

    def before(self, errors: int) -> int:
        """Packets before the first key frame that gave neither a frame nor an error."""
        late = self._key is not None and self._shown is not None and self._shown >= self._key
        return max(0, self._before - errors) if late else 0

    def missing(self, errors: int) -> int:
        """Frames that are missing beside those of packets with an error; 0 until the end."""
        if self._codec not in SILENT or self._fields or not self._ended:
            return 0
        # A film may begin with a picture that comes in parts, and is shown once it is whole.
        late = self._shown is None or any(time > self._shown for time in self._due)
        whole = late or self._codec != "h264" or errors
        return max(0, self._sent - self._made - errors) if self._due and whole else 0

    def _counts(self, time: int | None) -> bool:
        return time is not None and self._from is not None and time >= self._from
