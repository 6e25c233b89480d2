"""Videos in: a file or a URL as frames with their presentation times."""

from __future__ import annotations

import contextlib
import math
import re
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.error import ExitError, FFmpegError, HTTPError
from av.sidedata.sidedata import SideData, SideDataContainer, Type

from uva_tf.core.clock import Clock
from uva_tf.core.damage import Damage
from uva_tf.core.decoder import Decoder
from uva_tf.core.errors import InputError, counted
from uva_tf.core.file_kinds import HEAD, kind_of, why_no_frame, why_no_frame_of_pipe
from uva_tf.core.files import check_file
from uva_tf.core.frames import Frame, colours_of
from uva_tf.core.pictures import MOST_PIXELS
from uva_tf.core.processors import processors
from uva_tf.core.urls import is_url, masked, url_options, why_unreachable

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
RATE = 25.0  # frames per second, where nothing is known
MOST_RATE = 1000  # above which a rate is taken for an error
LOOKAHEAD = 4  # frames that are decoded before one is handed out, to see whether times are in order
JUMP = 5.0  # seconds between frames; in MPEG-TS, one recording may end and another begin
MOST_ERRORS = 100  # in a row, after which a container is given up
ATTACHED = av.stream.Disposition.attached_pic
LOST = (OSError, ExitError, HTTPError)  # how the connection to a URL ends
# Transfer characteristics of high dynamic range, by FFmpeg's numbers.
HDR = {16: "PQ", 18: "HLG"}


class VideoReader:
    """The frames of a video, in order, once.

    `timed()` yields Frames; iterating yields their pixels, `[H, W, 3]` uint8 BGR. Frames are
    turned upright as the file's metadata say, and scaled to the size of the first if that changes.
    What is damaged is left out and counted.

    A frame's time is the one of the container, in seconds. Containers of live streams, whose
    clocks begin anywhere, are counted from their start. Frames without a time are counted at the
    mean rate; `notes` says so.

    Raises InputError on opening if the source is missing, is not a video, has no frames, or
    announces frames of more than `MOST_PIXELS`.

    Args:
        source: a file; a pipe that is open for reading, buffered; or, as text, a URL that FFmpeg
            opens, with `options` for its protocol.
        stream: number of the video stream in the container; by default the one that is marked as
            default, of several the largest, but no attached picture, nor a still beside a film.
        threads: for decoding; 0 takes two more than there are cores.
        deinterlace: make whole pictures of interlaced ones.
        options: FFmpeg's options for a URL, by default `url_options`.
        timeout: seconds without data, or two numbers for opening and reading.
        start: of a file, the time of a key frame, in ticks: frames before it are left out.

    Attributes:
        name: of the source, for messages.
        number: of the stream in the container.
        width, height: of the first frame in pixels, upright.
        pixel_aspect: a pixel's width divided by its height.
        colours: of the first frame.
        rate: frames per second, the mean where it varies.
        tick: the container's unit of time, in seconds.
        length: number of frames that the container announces; 0 if it does not.
        path: the file, of which sound can be taken; None for a pipe or a URL.
        has_sound: whether there is sound.
        live: whether frames come as they are made, and must not wait.
    """

    live = False
    lookahead = LOOKAHEAD

    def __init__(
        self,
        source: Path | str | BinaryIO,
        *,
        stream: int | None = None,
        threads: int = 0,
        deinterlace: bool = False,
        options: dict[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        start: int | None = None,
    ):
        self.name, self._head = str(source), None
        if isinstance(source, str) and not is_url(source):
            source = Path(source)
        if isinstance(source, Path):
            check_file(source, "video file")
            with source.open("rb") as file:
                head = file.read(HEAD)
            if kind_of(head) == "a playlist":  # which may never end, or lead anywhere
                raise InputError(f"{source}: it is a playlist: give the videos that it lists")
        elif isinstance(source, str):
            options = options or url_options(source)
            self.name = masked(source)
        else:
            self.name, self._head = "stdin", source.peek(HEAD)
        self._unread, self._packets, self._shown, self._notes = 0, 0, 0, []
        self._changes, self._doubts = 0, set()
        self._jumps: list[tuple[float, float]] = []  # when and by how many seconds
        self._from = start
        self.path = source if isinstance(source, Path) else None
        self._remote = isinstance(source, str)
        self._deinterlace, self._filter, self._filtered = deinterlace, None, None
        self._containers = contextlib.ExitStack()
        try:
            self._container = open_container(source, options or {}, timeout)
        except FFmpegError as error:
            raise self._refusal(error=error) from None
        self._containers.callback(self._container.close)
        try:
            self._open(stream, threads)
        except BaseException:
            self.close()
            raise

    def _open(self, number: int | None, threads: int) -> None:
        self._stream = stream = self._chosen(number)
        context = stream.codec_context
        if context is None:
            raise self._refusal(built_in=False)
        self._check(context.width, context.height)
        self.number = stream.index
        timeless = self._container.format.flags & av.format.Flags.no_timestamps.value
        # One more than FFmpeg itself takes, so that a thread that waits leaves no core idle.
        threads = threads or min(16, processors() + 2)
        again = self._again if self.path and not timeless else None
        self._decoder = Decoder(stream, threads, again)
        self._damage = Damage(context.name)
        if self._from is not None:
            self._container.seek(self._from, stream=stream)
        rate = stream.average_rate or stream.guessed_rate or 0
        self.rate = float(rate) if 0 < rate <= MOST_RATE else RATE
        self.tick = stream.time_base
        self.has_sound = bool(self._container.streams.audio)
        self.length, self._last = (stream.frames if self._from is None else 0), 0.0
        self._lists = self._container.format.name.startswith("mov")  # MP4 lists its frames
        self._begins = float((stream.start_time or 0) * self.tick)
        # When it ends by what the container states, and after its last packet; 0 if unknown.
        self._ends, self._until = _end_of(stream, self._container), 0.0
        self._clock = Clock(1 / (self.rate * self.tick))
        self._start = start_of(self._container)
        self._joined = bool(self._container.format.flags & av.format.Flags.ts_discont.value)
        self._frames = self._decoded()
        self._pending: deque[av.VideoFrame] = deque()
        self._fill()
        if not self._pending:
            raise self._refusal(context.name)
        self._size = self._pending[0].width, self._pending[0].height  # as stored
        self.colours = colours_of(self._pending[0])
        first = self._frame(self._pending[0], 0.0)
        self.width, self.height = first.width, first.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        sideways = _orientation(self._pending[0])[0] % 2
        self.pixel_aspect = 1 / aspect if sideways else aspect

    @property
    def notes(self) -> list[str]:
        """What was chosen, guessed, damaged or missing, one line each; complete at the end."""
        notes = list(self._notes)
        errors = self._decoder.errors
        if refused := self._unread + errors:
            notes.append(f"{counted(refused, 'damaged packet')} left out")
        if missing := self._damage.missing(errors):
            notes.append(f"{counted(missing, 'frame')} missing: damaged, or built on damaged ones")
        if shown := self._damage.shown:
            notes.append(f"{counted(shown, 'damaged frame')} shown")
        if before := self._damage.before(errors):
            notes.append(f"{counted(before, 'packet')} before the first key frame left out")
        if self._clock.missing:
            every = self._clock.missing == self._shown
            whose = "the file has no times" if every else "some frames have no time"
            notes.append(f"{whose}: frame number / {self.rate:g} is used")
        if self._clock.moved:
            notes.append(
                f"{counted(self._clock.moved, 'frame')} out of order: shown between the neighbours"
            )
        if self._jumps:
            (at, by), times = self._jumps[0], counted(len(self._jumps), "time")
            at -= self._start
            notes.append(f"its clock jumps {times}, first at {at:.2f} s by {by:.2f} s")
        if self._changes:
            notes.append(f"{counted(self._changes, 'frame')} scaled to the size of the first")
        if self.missing:
            notes.append(f"cut short: {self.missing} of the frames that it announces are not there")
        elif self.incomplete:
            notes.append(
                f"cut short: the last frame is at {self._last:.2f} s, of {self._ends:.2f} s that "
                "it announces"
            )
        return notes + sorted(self._doubts)

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded, or not wholly, so far; complete at the end."""
        errors = self._decoder.errors
        return self._unread + errors + self._damage.missing(errors) + self._damage.shown

    @property
    def exact(self) -> bool:
        """Whether all frames so far are undamaged, of one size, and shown when they say."""
        return self._clock.exact and not (self.damaged or self._changes)

    def seconds_at(self, ticks: int) -> float:
        """When a frame is shown that carries a time in ticks."""
        return float(ticks * self.tick) - self._start

    @property
    def missing(self) -> int:
        """How many frames the container announces and does not hold; complete at the end."""
        if self._frames:
            return 0
        # Other containers estimate, and are wrong by a frame or two.
        lost, most = self.length - self._packets, 0 if self._lists else max(2, self.length // 100)
        return lost if lost > most else 0

    @property
    def incomplete(self) -> bool:
        """Whether it ends before its container says; complete at the end."""
        if self._lists and self.length:
            return bool(self.missing)
        # Matroska, WebM and FLV state only how long they last, and not to the frame.
        lasts = self._ends - self._begins
        most = max(2.5 / self.rate, min(0.5, 0.05 * lasts), 0.02 * lasts)
        return bool(self.missing) or (not self._frames and self._ends - self._until > most)

    def timed(self) -> Iterator[Frame]:
        """Every frame, with its presentation time in seconds."""
        while self._pending:
            video = self._pending.popleft()
            ticks = self._clock.frame(video.pts, [later.pts for later in self._pending])
            self._shown += 1
            last, self._last = self._last, float(ticks * self.tick)
            if self._shown > 1 and self._joined and self._last - last > JUMP:
                self._jumps.append((last, self._last - last))
            if (video.width, video.height) != self._size:
                self._changes += 1
                video = video.reformat(*self._size)
            yield self._frame(video, float(ticks * self.tick) - self._start)
            self._fill()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame.pixels for frame in self.timed())

    def _fill(self) -> None:
        while self._frames and len(self._pending) <= self.lookahead:
            video = next(self._frames, None)
            if video is None:
                self._frames = None
            else:
                self._pending.append(video)

    def _frame(self, video: av.VideoFrame, seconds: float) -> Frame:
        turns, mirrored = _orientation(video)
        return Frame(decoded=video, seconds=seconds, turns=turns, mirrored=mirrored)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Everything that can be decoded, in order."""
        for packet in self._demuxed():
            if not self._remote:  # a connection may lose packets
                self._damage.packet(packet)
            for video in self._decoder.frames(packet):
                if not self._remote:
                    self._damage.frame(video)
                if self._from is not None and video.pts is not None and video.pts < self._from:
                    continue
                self._check(video.width, video.height)
                self._look_at(video)
                yield from self._whole(video)
        yield from self._rest()

    def _demuxed(self) -> Iterator[av.Packet]:
        """The stream's packets, past errors; the last is empty and flushes the decoder."""
        errors, packets = 0, self._container.demux(self._stream)
        while errors < MOST_ERRORS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (FFmpegError, IndexError) as error:  # IndexError: of a stream that is not listed
                if self._remote and isinstance(error, LOST):
                    raise OSError(f"{self.name}: {why_unreachable(error, self.name)}") from None
                if isinstance(error, OSError):  # the disk
                    raise
                errors, packets = errors + 1, self._container.demux(self._stream)
                self._unread += 1
                continue
            if packet.pts is not None and not packet.is_corrupt:
                stands = float((packet.duration or 0) * self.tick) or 1 / self.rate
                self._until = max(self._until, float(packet.pts * self.tick) + stands)
            if packet.size:
                errors, self._packets = 0, self._packets + (not packet.is_corrupt)
                self._clock.packet(packet.pts)
            yield packet
        if self._remote:  # a demuxer may take the end of a connection for damage
            self._unread -= errors
            raise OSError(f"{self.name}: the connection was lost, or what came is damaged")

    def _look_at(self, video: av.VideoFrame) -> None:
        if video.interlaced_frame and not self._deinterlace:
            self._doubts.add("interlaced: --deinterlace makes whole pictures of its lines")
        if video.color_trc in HDR:
            self._doubts.add(
                f"high dynamic range ({HDR[video.color_trc]}): not tone-mapped, colours are dull"
            )

    def _whole(self, video: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The frame itself, or what deinterlacing makes of it and those before."""
        if not self._deinterlace:
            yield video
            return
        picture = video.width, video.height, video.format.name
        if picture != self._filtered:
            yield from self._rest()
            self._filter, self._filtered = av.filter.Graph(), picture
            width, height, form = picture
            source = self._filter.add_buffer(
                width=width, height=height, format=form, time_base=self.tick
            )
            # Only frames that are marked as interlaced, and one for each.
            weave = self._filter.add("bwdif", "mode=send_frame:deint=interlaced")
            sink = self._filter.add("buffersink")
            source.link_to(weave)
            weave.link_to(sink)
            self._filter.configure()
        self._filter.push(video)
        yield from self._pulled()

    def _rest(self) -> Iterator[av.VideoFrame]:
        """What the filter holds back."""
        if self._filter is not None:
            self._filter.push(None)
            yield from self._pulled()

    def _pulled(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                video = self._filter.pull()
                if video.pts is not None:  # the filter counts in a unit of time of its own
                    video.pts = round(video.pts * video.time_base / self.tick)
                yield video
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _chosen(self, number: int | None) -> av.video.stream.VideoStream:
        """The stream that is read; a note if there are others."""
        streams = list(self._container.streams.video)
        films = [s for s in streams if not s.disposition & ATTACHED]
        listed = ", ".join(f"{s.index}: {_described(s)}" for s in streams)
        if number is not None:
            chosen = next((s for s in streams if s.index == number), None)
            if chosen is None:
                raise InputError(
                    f"{self.name}: no video stream {number}, expected one of {listed or 'none'}"
                )
            return chosen
        if streams and not films:
            raise InputError(f"{self.name}: no frame can be read: its only picture is a cover")
        if not films and self._container.streams.audio:
            raise InputError(f"{self.name}: no frame can be read: it has sound but no video")
        if not films:
            raise self._refusal()
        moving = [s for s in films if not _is_still(s, self._container)] or films
        default = [s for s in moving if s.disposition & av.stream.Disposition.default]
        chosen = max(default or moving, key=_pixels)
        if len(films) > 1:
            self._notes.append(
                f"stream {chosen.index} of several ({listed}): --stream N reads another"
            )
        return chosen

    def _check(self, width: int, height: int) -> None:
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{self.name}: frames of {width * height} pixels, expected at most {MOST_PIXELS}"
            )

    def _refusal(
        self, codec: str = "", *, built_in: bool = True, error: FFmpegError | None = None
    ) -> InputError:
        """The error for a source without a readable frame."""
        why = "it has no video"
        if self.path:
            why = why_no_frame(self.path, codec, built_in=built_in)
        elif self._head is not None:
            why = why_no_frame_of_pipe(self._head)
        elif error:
            why = why_unreachable(error, self.name)
        return InputError(f"{self.name}: no frame can be read: {why}")

    def _again(self) -> av.video.stream.VideoStream:
        """The stream, opened another time."""
        container = open_container(self.path)
        self._containers.callback(container.close)
        return container.streams[self.number]

    def close(self) -> None:
        """Release the file."""
        self._containers.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refuse_damage(source: VideoReader) -> None:
    """Raise InputError if frames of a video, which was read to its end, are damaged or missing."""
    if source.damaged or source.incomplete:
        notes = "; ".join(source.notes)
        raise InputError(f"{source.name}: {notes} (leave out --strict to take the rest)")


def open_container(
    source: Path | str | BinaryIO,
    options: dict[str, str] | None = None,
    timeout: float | tuple[float, float] | None = None,
) -> av.container.InputContainer:
    """Open a file, a pipe, or a URL with options for its protocol; raises FFmpegError."""
    # A playlist must not make FFmpeg open other addresses, and one in a pipe no files.
    if isinstance(source, Path):
        # Absolute, since FFmpeg takes what stands before a colon for a protocol.
        source, options = str(source.absolute()), {"protocol_whitelist": "file"}
    elif not isinstance(source, str):
        options = {"protocol_whitelist": "none"}
    return av.open(source, options=options or {}, timeout=timeout, metadata_errors="replace")


def start_of(container: av.container.InputContainer) -> float:
    """The time in seconds from which a container's times count: 0 except for live streams'."""
    live = container.format.flags & av.format.Flags.ts_discont.value
    return container.start_time / av.time_base if live and container.start_time else 0.0


def _end_of(stream: av.video.stream.VideoStream, container: av.container.InputContainer) -> float:
    """When a stream ends by what its container states, in seconds; 0 if it does not."""
    if container.format.flags & av.format.Flags.ts_discont.value:  # FFmpeg's guess from its end
        return 0.0
    # Matroska's tag, written by most programs: 00:01:02.345000000.
    if tagged := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tagged.groups())
        return 3600 * hours + 60 * minutes + seconds
    if stream.duration is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    alone = len(container.streams) == 1  # else another stream may be the longest
    return container.duration / av.time_base if alone and container.duration else 0.0


def _is_still(stream: av.video.stream.VideoStream, container: av.container.InputContainer) -> bool:
    """Whether a stream is one frame by what its container states, such as a preview."""
    if stream.frames:
        return stream.frames == 1
    start = float((stream.start_time or 0) * stream.time_base)
    return 0 < _end_of(stream, container) - start < 1.5 / (stream.average_rate or RATE)


def _orientation(video: av.VideoFrame) -> tuple[int, bool]:
    """How a frame is made upright: first mirrored or not, then turned counter-clockwise.

    Returns the number of quarter turns, and whether left and right are exchanged.
    """
    stated = _display_matrix(video)
    if stated is None:
        return 0, False
    # Where x and y are shown: right and down are positive.
    a, b, _, c, d = np.frombuffer(bytes(stated), np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    right = (-a, -b) if mirrored else (a, b)  # where the row goes
    if right == (0, 0):  # says nothing
        return 0, False
    return round(-math.degrees(math.atan2(right[1], right[0])) / 90) % 4, mirrored


def _display_matrix(video: av.VideoFrame) -> SideData | None:
    try:
        return video.side_data.get(Type.DISPLAYMATRIX)
    except ValueError:  # PyAV does not know all that comes with a frame, such as EXIF
        known = SideDataContainer.__new__(SideDataContainer)
        with contextlib.suppress(ValueError):
            known.__init__(video)  # keeps all up to that, which is last; the matrix is before EXIF
        return next((one for one in list(known)[:-1] if one.type == Type.DISPLAYMATRIX), None)


def _pixels(stream: av.video.stream.VideoStream) -> int:
    return math.prod(_size(stream))


def _size(stream: av.video.stream.VideoStream) -> tuple[int, int]:
    context = stream.codec_context
    return (context.width, context.height) if context else (0, 0)


def _described(stream: av.video.stream.VideoStream) -> str:
    width, height = _size(stream)
    return f"{width}x{height} {stream.codec_context.name if stream.codec_context else '?'}"
