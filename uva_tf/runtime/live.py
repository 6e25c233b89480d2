"""Streams from URLs: live ones, of which the newest frame counts, and files on a server."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import av

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.interruption import POLL, was_interrupted
from uva_tf.core.urls import masked, url_options
from uva_tf.core.video import RATE, VideoReader

T = TypeVar("T")

RECONNECT = 30.0  # seconds for which a lost stream is tried again
CONNECTING = 10.0  # seconds for each step of opening
OPENING = 20.0  # seconds from opening to the first picture, which may wait for a key frame
# Seconds without data after which a connection is lost; a playlist (HLS) comes in long pieces.
SILENCE, HLS_SILENCE = 10.0, 30.0
ANALYSIS = 2.0  # seconds of a stream in which FFmpeg finds out what it holds
PAUSES = 0.5, 8.0  # seconds between attempts to reconnect: the first, doubled up to the last
# Decoded frames wait for the predictor no longer and no more than this. Bursts of the network are
# shorter; a frame that waits longer is dropped for a newer one.
LAG, MOST_WAITING = 0.1, 32
# Seconds to wait for the thread: Python may crash if it ends while FFmpeg reads in another one.
CLOSING = 1.0
JUMP = 5.0  # seconds by which a stream's times may differ from the reader's clock
# Packets that reach the decoder this late, and not less late a while after, are skipped up to a
# key frame: decoding is too slow for the stream.
LATE, WHILE = 1.0, 1.0  # seconds
DRIFT = 0.001  # by how much the stream's clock and the reader's may differ, as a share
REORDERED = 1.0  # seconds by which a frame may come after its turn
JUST_AFTER = 0.001  # seconds
GAP = 1.0  # seconds between frames that count as without picture


def open_url(
    url: str, *, reconnect: float | None = None, transport: str = "tcp", **options
) -> LiveReader | FarReader:
    """Open a URL: of a live stream, or of a file on a server, which is read whole.

    A file is what comes by http or https and states its length, or a playlist with an end.

    Args:
        reconnect: seconds for which a lost stream is tried again; by default RECONNECT.
        transport: of RTSP, see `url_options`.
        options: of a VideoReader.

    Raises InputError if there is no video within OPENING, with the cause.
    """
    chosen = url_options(url, transport)
    reconnect = RECONNECT if reconnect is None else reconnect
    silence = HLS_SILENCE if ".m3u8" in url else SILENCE
    live = chosen | {"analyzeduration": str(round(ANALYSIS * 1e6))}

    def connect() -> _Connection:
        return _Connection(url, options=live, timeout=(CONNECTING, silence), **options)

    timeout = CONNECTING, max(SILENCE, reconnect)
    try:
        first = patiently(connect, OPENING)
        if not first.whole:
            return LiveReader(first, connect, reconnect, silence)
        first.close()
        whole = chosen | {"reconnect": "1", "reconnect_on_network_error": "1"}
        return patiently(lambda: FarReader(url, options=whole, timeout=timeout, **options), OPENING)
    except OSError as error:
        raise InputError(f"{masked(url)}: {str(error).removeprefix(f'{masked(url)}: ')}") from None


class FarReader(VideoReader):
    """A video file on a server, read whole; FFmpeg reconnects.

    As VideoReader, but a signal ends a wait for the network at once: see `patiently`.
    """

    _left = False

    def timed(self) -> Iterator[Frame]:
        """As of VideoReader; raises KeyboardInterrupt after a signal, while nothing comes."""
        frames = super().timed()
        try:
            while (frame := patiently(lambda: next(frames, None))) is not None:
                yield frame
        except KeyboardInterrupt:
            self._left = True
            raise

    def close(self) -> None:
        """Release the connection, unless a thread that was left behind uses it."""
        if not self._left:
            super().close()


class LiveReader:
    """A live stream, which a thread decodes as it comes; of its frames only the newest wait.

    A connection that is lost is made again, with growing pauses. A frame's time is the stream's
    own, in seconds from the first frame that is handed out. Where the stream's clock begins again
    or jumps, time goes on by the reader's clock, so that a gap in the stream is a gap in time.

    Attributes as of VideoReader, and:

        reconnections: connections after the first, so far.
        blank: seconds without picture so far, in gaps longer than GAP.

    Args:
        first: the first connection, open.
        connect: opens another.
        reconnect: seconds for which a lost connection is tried again.
        silence: seconds after which a connection ends by itself.
    """

    live, path, length, tick, incomplete = True, None, 0, None, False

    def __init__(
        self,
        first: _Connection,
        connect: Callable[[], _Connection],
        reconnect: float,
        silence: float,
    ):
        self.name, self.width, self.height = first.name, first.width, first.height
        self.rate = first.rate if 1 <= first.rate <= 240 else RATE
        self.pixel_aspect, self.has_sound = first.pixel_aspect, first.has_sound
        self.colours = first.colours
        self.reconnections, self.blank = 0, 0.0
        self._connection, self._connect, self._reconnect = first, connect, reconnect
        self._times, self._zero = Timeline(silence), None
        # A playlist's server sets the pace: its pieces come at once, and are not dropped.
        self._paced = first.is_playlist
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._ready = threading.Condition()
        # When the frames that are being worked on came.
        self._handed: deque[float] = deque(maxlen=100)
        self._latencies: Counter[int] = Counter()  # of finished frames, in milliseconds
        self._sizes: set[tuple[int, int]] = set()
        # Of earlier connections; and of what waited too long.
        self._damaged, self._dropped = 0, 0
        self._end, self._closed = None, threading.Event()
        self._newest = time.monotonic()  # when the newest frame came
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded, so far."""
        return self._damaged + self._connection.damaged

    @property
    def dropped(self) -> int:
        """Frames that were not handed out, decoded or not, so far."""
        return self._dropped + self._connection.skipped

    @property
    def notes(self) -> list[str]:
        """What was chosen, dropped or resized, one line each; complete at the end."""
        line = (
            f"live: frames dropped: {self.dropped}, reconnections: {self.reconnections}, "
            f"without picture: {self.blank:.1f} s"
        )
        if self._latencies:
            line += ", from decoded to finished: median {} ms, worst {} ms".format(*self.latency)
        notes = [line]
        if self.damaged:
            notes.append(f"damaged packets left out: {self.damaged}")
        for width, height in sorted(self._sizes):
            notes.append(
                f"frames of {width}x{height} are resized to the first one's "
                f"{self.width}x{self.height}"
            )
        if self._times.missing > self._times.count / 2:
            notes.append("the stream has no times: the reader's clock is used")
        return notes + self._connection.remarks

    @property
    def latency(self) -> tuple[int, int]:
        """Milliseconds from decoded to finished, median and worst; see `watched`."""
        ordered = sorted(self._latencies.elements())
        return ordered[len(ordered) // 2], ordered[-1]

    def watched(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, one for each frame handed out; times a frame until the next is asked for.

        Around what `annotate` iterates over, this times what is between decoding and writing.
        """
        for item in items:
            yield item
            self._latencies[round(1000 * (time.monotonic() - self._handed.popleft()))] += 1

    def timed(self) -> Iterator[Frame]:
        """The newest frame, again and again.

        Raises OSError once the stream is given up, and KeyboardInterrupt if a signal came.
        """
        while (item := self._next()) is not None:
            came, frame = item
            if self._zero is None:
                self._zero = frame.seconds
            frame.seconds -= self._zero
            self._handed.append(came)
            yield frame

    def close(self) -> None:
        """Let the thread end, which closes the connection; from a silent sender it ends later."""
        self._closed.set()
        self._thread.join(CLOSING)

    def _next(self) -> tuple[float, Frame] | None:
        """The next frame and when it came; None at the end of a stream that says so."""
        with self._ready:
            while not self._waiting:
                if self._end is not None:
                    raise self._end
                if was_interrupted():
                    raise KeyboardInterrupt
                if self._closed.is_set():
                    return None
                self._ready.wait(POLL)
            if not self._paced:
                self._drop()
            self._ready.notify_all()
            return self._waiting.popleft()

    def _drop(self) -> None:
        """Drop frames that waited too long, but not the newest."""
        oldest = time.monotonic() - LAG
        while len(self._waiting) > 1 and (
            len(self._waiting) > MOST_WAITING or self._waiting[0][0] < oldest
        ):
            self._waiting.popleft()
            self._dropped += self._zero is not None  # before that, nothing is recorded yet

    def _run(self) -> None:
        """Decode until closed or given up."""
        try:
            while not self._closed.is_set():
                why = self._decode()
                if why is None or not self._again(why):
                    return
        except BaseException as error:  # raised where the frames are asked for
            self._finish(error)
        finally:
            self._connection.close()

    def _decode(self) -> str | None:
        """Take the frames of a connection; why it ended, or None if it was closed here."""
        resumed = True
        try:
            with self._connection as connection:
                for frame, stated in connection.frames():
                    if self._closed.is_set():
                        return None
                    self._take(frame, stated, resumed)
                    resumed = False
        except (OSError, InputError) as error:
            return str(error).removeprefix(f"{self.name}: ")
        return "the sender ended it"

    def _take(self, frame: Frame, stated: float | None, resumed: bool) -> None:
        """Give a frame its time and size, and let it wait."""
        now = time.monotonic()
        frame.seconds = self._times(stated, now, resumed)
        if now - self._newest > GAP:
            self.blank += now - self._newest
        self._newest = now
        if (frame.width, frame.height) != (self.width, self.height):
            self._sizes.add((frame.width, frame.height))
            frame = frame.resized(self.width, self.height)
        with self._ready:
            while self._paced and len(self._waiting) >= MOST_WAITING and not self._closed.is_set():
                self._ready.wait(POLL)
            self._waiting.append((now, frame))
            if not self._paced:
                self._drop()
            self._ready.notify_all()

    def _again(self, why: str) -> bool:
        """Make the connection again; False if that was given up or closed."""
        pause, last = PAUSES
        deadline = time.monotonic() + self._reconnect
        while (left := deadline - time.monotonic()) > 0:
            if self._closed.wait(min(pause, left)):
                return False
            pause = min(2 * pause, last)
            try:
                connection = self._connect()
            except (OSError, InputError) as error:
                why = str(error).removeprefix(f"{self.name}: ")
                continue
            if connection.whole:  # a playlist that got an end
                connection.close()
                self._closed.set()
                return False
            self._damaged += self._connection.damaged
            self._dropped += self._connection.skipped
            self._connection = connection
            self.reconnections += 1
            return True
        tried = f", and not back within {self._reconnect:g} s" if self._reconnect else ""
        self._finish(OSError(f"{self.name}: lost{tried}: {why}"))
        return False

    def _finish(self, end: BaseException) -> None:
        with self._ready:
            self._end = end
            self._ready.notify_all()


class Timeline:
    """Gives the frames of a live stream times that rise, in seconds from the first frame.

    Args:
        silence: the longest time that may pass between two frames of a connection.

    Attributes:
        count: frames so far.
        missing: those without a time of their own.
    """

    def __init__(self, silence: float):
        self._silence, self._last, self._came, self._offset = silence, None, 0.0, None
        self.count = self.missing = 0

    def __call__(self, stated: float | None, now: float, resumed: bool) -> float:
        """The time of the next frame.

        Args:
            stated: by the stream.
            now: by the reader's clock.
            resumed: whether it is the first of a connection.
        """
        self.count, self.missing = self.count + 1, self.missing + (stated is None)
        last = -JUST_AFTER if self._last is None else self._last
        due = 0.0 if self._last is None else last + now - self._came
        shown = None if stated is None or self._offset is None else stated + self._offset
        earliest = due - (JUMP if resumed else JUMP + self._silence)
        if shown is not None and not resumed and last - REORDERED < shown <= last:
            shown = last + JUST_AFTER  # it came late
        elif shown is None or not max(last, earliest) < shown < due + JUMP:
            shown = max(due, last + JUST_AFTER)
            self._offset = None if stated is None else shown - stated
        self._last, self._came = shown, now
        return shown


class Lateness:
    """Decides which packets are skipped so that a decoder that is too slow does not fall behind.

    A packet's delay is the reader's clock minus the packet's own time; it is late by what its
    delay exceeds the least one. A burst after a break of the network is late too, but soon less;
    only lateness that stays is skipped.
    """

    def __init__(self) -> None:
        self._stated = self._now = self._least = None
        self._checked, self._before, self._skipping = 0.0, 0.0, False

    def skips(self, stated: float, now: float, key: bool) -> bool:
        """Whether to skip the next packet.

        Args:
            stated: its time by the stream.
            now: by the reader's clock.
            key: whether decoding can begin with it.
        """
        delay = now - stated
        if self._stated is None or abs(stated - self._stated) > JUMP:
            self._least, self._skipping = delay, False
        else:
            self._least = min(delay, self._least + DRIFT * (now - self._now))
        self._stated, self._now = stated, now
        late = delay - self._least
        if self._skipping:
            self._skipping = not (key and late < LATE / 2)
        elif now - self._checked > WHILE:
            self._skipping = late >= self._before > LATE
            self._checked, self._before = now, late
        return self._skipping


class _Connection(VideoReader):
    """One connection to a URL. Frames are handed out as they are decoded, none is waited for."""

    lookahead = 0
    skipped = 0  # packets, so far

    def _open(self, number: int | None, threads: int) -> None:
        self._lateness = None if self.is_playlist else Lateness()
        super()._open(number, threads)
        self._unread = self._decoder.errors = 0  # before the first key frame nothing can be decoded

    def _demuxed(self) -> Iterator[av.Packet]:
        for packet in super()._demuxed():
            if self._lateness and packet.size and packet.dts is not None:
                stated = float(packet.dts * packet.time_base)
                if self._lateness.skips(stated, time.monotonic(), packet.is_keyframe):
                    self.skipped += 1
                    continue
            yield packet

    @property
    def is_playlist(self) -> bool:
        """Whether it comes in pieces that a playlist names."""
        return self._container.format.name in ("hls", "dash")

    @property
    def whole(self) -> bool:
        """Whether it is a file with an end, not a live stream."""
        if not self._container.name.lower().startswith("http"):
            return False
        if self.is_playlist:
            return self._container.duration is not None
        # A duration says nothing: of an endless mp4 it is that of the fragments so far.
        return self._container.size > 0 or self.length > 0

    @property
    def remarks(self) -> list[str]:
        """What was chosen, what is left out and what is doubtful."""
        return [*self._notes, *sorted(self._doubts)]

    def frames(self) -> Iterator[tuple[Frame, float | None]]:
        """Every frame, with the time that the stream states, in seconds."""
        timeless = self._container.format.flags & av.format.Flags.no_timestamps.value
        while self._pending:
            video = self._pending.popleft()
            self._clock.frame(video.pts, ())  # else it keeps the times of all packets
            stated = None if timeless or video.pts is None else float(video.pts * self.tick)
            yield self._frame(video, 0.0), stated
            self._fill()


def patiently(function: Callable[[], T], most: float | None = None) -> T:
    """What a function returns or raises that may wait for the network.

    It runs in a thread of its own, which is left behind if a signal comes, since FFmpeg can't be
    interrupted. Raises KeyboardInterrupt then, and TimeoutError after `most` seconds, if given.
    """
    results: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            results.append((function(), None))
        except BaseException as error:
            results.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    begun = time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(POLL)
        if thread.is_alive() and was_interrupted():
            raise KeyboardInterrupt
        if thread.is_alive() and most is not None and time.monotonic() - begun > most:
            raise TimeoutError(f"no picture within {most:g} s: check the address and the sender")
    result, error = results[0]
    if error is not None:
        raise error
    return result
