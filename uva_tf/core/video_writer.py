"""Videos out: H.264 or another codec, with the sound of the input."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.core.frames import BT601_LIMITED, Colours, Frame
from uva_tf.core.video import open_container, start_of

WARM_UP = 0.1  # seconds of sound that a decoder may need before the first that is heard
TICK = Fraction(1, 90_000)  # seconds: the unit of time that is written, or somewhat less
MOST_TICKS = 2**31 - 1  # for which FFmpeg lets a frame of an MP4 stand


class Codec(NamedTuple):
    """How FFmpeg encodes: its encoder, its options, and the one that sets the quality.

    Attributes:
        quality: default of the constant rate factor, less is better.
        worst: its largest value.
        even: whether sides must be even.
    """

    encoder: str
    options: dict[str, str]
    quality: int
    worst: int
    even: bool


# The presets are fast: drawing must not wait for the encoder. Frames that are coded out of order
# (bf) cost x264 more time than they are worth here.
CODECS = {
    "h264": Codec("libx264", {"preset": "superfast", "bf": "0"}, 24, 51, True),
    "h265": Codec("libx265", {"preset": "superfast", "x265-params": "log-level=-1"}, 26, 51, True),
    "vp9": Codec(
        "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}, 33, 63, False
    ),
    "av1": Codec("libsvtav1", {"preset": "12", "svtav1-params": "progress=0"}, 35, 63, True),
}
# What a container takes: video codecs, the first by default, and codecs of sound, the first of
# which replaces sound that it does not take.
MP4 = ("h264", "h265", "av1"), ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
CONTAINERS = {
    ".mp4": MP4,
    ".m4v": MP4,
    # FFmpeg writes no AV1, Opus or FLAC into QuickTime.
    ".mov": (("h264", "h265"), ("aac", "mp3", "ac3", "eac3", "alac")),
    ".mkv": (
        ("h264", "h265", "vp9", "av1"),
        ("aac", "mp3", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "dts", "pcm_s16le"),
    ),
    ".webm": (("vp9", "av1"), ("opus", "vorbis")),
}
BOXES = (".mp4", ".m4v", ".mov")  # the containers with an index and edit lists, as an MP4 has
ENCODERS = {"aac": "aac", "opus": "libopus"}
LEAST_MP3 = 16_000  # samples per second: FFmpeg writes no slower MP3 into an MP4
SOUND_RATE = 48_000  # samples per second of what is encoded again: every encoder takes it
WHOLE_MP4 = {"movflags": "faststart"}
# A live video is on the disk after a second at most, whatever becomes of the process.
LIVE_MP4 = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}
LIVE_MKV = {"cluster_time_limit": "1000", "flush_packets": "1"}  # milliseconds


def check_codec(path: Path, codec: str | None = None, quality: int | None = None) -> str:
    """The name in CODECS of what a file's name and options ask for.

    Raises InputError for a suffix, a codec or a quality that can't be.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(CONTAINERS)} to write a video"
        )
    takes = CONTAINERS[path.suffix.lower()][0]
    codec = codec or takes[0]
    if codec not in takes:
        raise InputError(
            f"{path}: {path.suffix} does not take {codec}, expected {' or '.join(takes)}"
        )
    if quality is not None and not 0 <= quality <= CODECS[codec].worst:
        raise InputError(
            f"quality {quality}: expected 0 to {CODECS[codec].worst} for {codec}, less is better"
        )
    return codec


class VideoWriter:
    """A video of frames of one size; it can be played when its block ends, whatever ended it.

    Raises InputError if the file can't be opened for writing, and OSError at the end of its
    block if the file lacks some of the frames, their length or the sound.

    Args:
        path: its suffix, one of CONTAINERS, chooses the container.
        rate: frames per second.
        width, height: of a frame in pixels.
        tick: the input's unit of time in seconds; times are rounded to a part of it, about TICK.
        sound_of: a video whose sound goes along, up to the last frame: copied if the container
            takes it, else encoded again.
        pixel_aspect: a pixel's width divided by its height.
        colours: of the frames, for the player; by default of frames made from arrays.
        codec, quality: see `check_codec`.
        preset: of x264 or x265, by default the one in CODECS.
        live: write a file that can be played after a kill, in fragments.

    Attributes:
        notes: what became of odd sides and of sound, one line each.
        copied: whether the sound is a bit-exact copy.
    """

    def __init__(
        self,
        path: Path | str,
        rate: float,
        width: int,
        height: int,
        *,
        tick: Fraction | None = None,
        sound_of: Path | None = None,
        pixel_aspect: Fraction = Fraction(1),
        colours: Colours = BT601_LIMITED,
        codec: str | None = None,
        quality: int | None = None,
        preset: str | None = None,
        live: bool = False,
    ):
        path = Path(path)
        self._codec = CODECS[check_codec(path, codec, quality)]
        if preset:
            others = {key: o for key, o in self._codec.options.items() if key != "bf"}
            self._codec = self._codec._replace(options=others | {"preset": preset})
        self._path, self._size = path.absolute(), (width, height)
        self._count, self._first, self._last, self._step = 0, None, None, 1 / rate
        # A part of a long one, since frames within a tick of the input have times of their own. No
        # far shorter one, of which an MP4 does not count enough for a pause of minutes.
        self._tick = tick / math.ceil(tick / TICK) if tick and tick > TICK / 10 else TICK
        self._shown, self._stated, self._doubted = 0.0, 0.0, False
        self._lengths: dict[int, int] = {}  # of the frames in the encoder, by their times
        self.notes: list[str] = []
        even = self._codec.even
        self._coded = (width + width % 2, height + height % 2) if even else (width, height)
        if self._coded != self._size:
            self.notes.append(
                f"{width}x{height} padded to {self._coded[0]}x{self._coded[1]}: "
                f"{self._codec.encoder} needs even sides"
            )
        suffix = path.suffix.lower()
        boxes = suffix in BOXES
        options = (LIVE_MP4 if live else WHOLE_MP4) if boxes else LIVE_MKV if live else {}
        # By its name, FFmpeg takes an .m4v for a file for an iPod, with few codecs.
        kind = "mp4" if suffix == ".m4v" else None
        self._file = self._sound = self._broken = None
        try:
            self._file = av.open(str(self._path), "w", kind, options=options)
            self._stream = self._open(
                Fraction(rate).limit_denominator(1001), pixel_aspect, colours, quality, live
            )
            self._sound = _Sound(sound_of, self._file, path) if sound_of else None
            self._file.start_encoding()
        except (FFmpegError, InputError) as error:
            self._release()
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path.name}: can't be written as {width}x{height} {self._codec.encoder} at "
                f"{rate:g} frames/s: {error.strerror}"
            ) from None
        self.copied, self._sounds = bool(self._sound and self._sound.copied), 0

    @classmethod
    def like(
        cls,
        source: Any,
        path: Path,
        *,
        width: int | None = None,
        height: int | None = None,
        **options: Any,
    ) -> VideoWriter:
        """A writer for frames of a stream: with its rate, times, colours, pixels and sound.

        Args:
            source: a VideoReader, or any stream with its attributes.
            width, height: of a frame, where it is not the stream's.
            options: others of a VideoWriter.
        """
        return cls(
            path,
            source.rate,
            width or source.width,
            height or source.height,
            tick=source.tick,
            sound_of=source.path,
            pixel_aspect=source.pixel_aspect,
            colours=source.colours,
            **options,
        )

    def _open(
        self, rate: Fraction, aspect: Fraction, colours: Colours, quality: int | None, live: bool
    ) -> av.video.stream.VideoStream:
        codec = self._codec
        options = codec.options | {"crf": str(codec.quality if quality is None else quality)}
        if live and codec.encoder == "libvpx-vp9":
            options["lag-in-frames"] = "0"
        stream = self._file.add_stream(codec.encoder, rate=rate, options=options)
        stream.width, stream.height = self._coded
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= Flags.frame_duration
        stream.time_base = stream.codec_context.time_base = self._tick
        context = stream.codec_context
        context.sample_aspect_ratio = aspect
        context.colorspace, context.color_range = colours.space, colours.range
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        if live:
            # Frames that are coded out of order would put the first one after 0 in fragments.
            stream.codec_context.max_b_frames = 0
        if codec.encoder == "libvpx-vp9":
            stream.bit_rate = 0  # else it is no constant quality
        if codec.encoder == "libx265":
            stream.codec_context.codec_tag = "hvc1"  # the one that Apple's players know
        return stream

    def write(
        self,
        frame: Frame | np.ndarray,
        seconds: float | None = None,
        mark: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
    ) -> None:
        """Append one frame.

        Args:
            frame: a Frame, which knows its time; or `[H, W, 3]` uint8 BGR.
            seconds: its time; by default the frame's, of an array the next at the mean rate.
            mark: adds side data for the encoder to the frame (`runtime/regions.py`).

        Raises InputError for a frame of another size, and OSError when the disk is nearly full,
        early enough to finish the file so that the frames before can be seen.
        """
        if not isinstance(frame, Frame):
            frame = Frame(frame, self._count * self._step)
        seconds = frame.seconds if seconds is None else seconds
        if (frame.width, frame.height) != self._size:
            width, height = self._size
            raise InputError(
                f"frame {self._count + 1} is {frame.width}x{frame.height}, the first was "
                f"{width}x{height}: all frames of a video have the same size"
            )
        if shutil.disk_usage(self._path.parent).free < self._reserve():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path.name)
        video = frame.video(self._coded)
        ticks = round(seconds / self._tick)
        self._first = ticks if self._last is None else self._first
        # Two frames within a tick are still two.
        before, self._last = self._last, ticks if self._last is None else max(ticks, self._last + 1)
        if before in self._lengths:
            self._lengths[before] = self._last - before
        length = round(self._length_of(frame, seconds) / self._tick)
        self._length = self._lengths[self._last] = min(max(1, length), MOST_TICKS)
        video.pts, video.time_base, video.duration = self._last, self._tick, self._length
        video.pict_type = 0  # the encoder's own choice, not the input's
        with self._told():
            if self._sound:
                self._sound.until(seconds)
            self._mux(mark(video) if mark else video)
        self._count += 1

    def _mux(self, video: av.VideoFrame | None) -> None:
        packets = self._stream.encode(video)
        for packet in packets:
            # SVT-AV1 forgets it, and x265 makes it up.
            packet.duration = self._lengths.pop(packet.pts, self._length)
            if video is None and packet is packets[-1]:  # which need not be shown last
                packet.duration = self._last + self._length - packet.pts
            if video is None and self._count <= 2:
                packet.dts = packet.pts  # x265 makes one up
            self._file.mux(packet)

    def _length_of(self, frame: Frame, seconds: float) -> float:
        """For how many seconds a frame is shown if none follows."""
        length, before = frame.length, self._stated
        if self._count:
            gap = seconds - self._shown
            # Some containers state how long frames wait in the order of decoding.
            self._doubted = self._doubted or (before > 0 and abs(gap - before) > self._step / 2)
            if length and before and self._doubted:
                length = min(length, before)
            length = length or min(self._step, max(gap, 0.0))
        self._shown, self._stated = seconds, frame.length
        return length or self._step

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise OSError for what FFmpeg refuses to encode or to write."""
        try:
            yield
        except FFmpegError as error:
            if isinstance(error, OSError):
                raise
            self._broken = f"{self._path.name}: frame {self._count + 1}: {error.strerror}"
            if self._sound:
                self._broken += ", which may be its sound"
            raise OSError(self._broken) from None

    def _reserve(self) -> int:
        """Bytes that the next frames, the encoder's buffers and the file's index may need."""
        width, height = self._size
        return 2**20 + width * height + 64 * self._count

    def close(self, *, check: bool = True) -> None:
        """Complete the file; with `check`, compare it with what was written."""
        try:
            with self._told():
                if self._sound and self._count:
                    self._sound.until((self._last + self._length) * self._tick)
                self._mux(None)
            if self._sound:
                self._sounds = self._sound.count if self._sound.copied else 0
                self.notes += self._sound.told()
        finally:
            with self._told():  # the end of the file, such as an index
                self._release()
        if check and self._count:
            self._check()

    def _release(self) -> None:
        for file in (self._sound, self._file):
            if file is not None:
                file.close()

    def _check(self) -> None:
        """Raise OSError unless the file holds all that was written."""
        times = self._times("video")
        sounds = len(self._times("audio")) if self._sounds else 0
        if sounds < self._sounds:  # damaged, as the input's own are
            self.notes.append(f"{self._sounds - sounds} packets of sound are not in the file")
        if len(times) != self._count:
            lost = f"{self._path.name}: not all frames were written, is the disk full?"
            raise OSError(self._broken or lost)
        length, meant = max(times) - min(times), (self._last - self._first) * self._tick
        if abs(length - meant) > max(self._step, 0.1):
            raise OSError(
                f"{self._path.name}: it lasts {float(length):.2f} s, expected {float(meant):.2f} s"
            )

    def _times(self, kind: str) -> list[Fraction]:
        """The times of a stream's packets in the file, in seconds, as far as it can be read."""
        times = []
        with suppress(FFmpegError), av.open(str(self._path)) as file:
            for packet in file.demux(**{kind: 0}):
                if packet.size:
                    times.append(packet.pts * packet.time_base)
        return times

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.close(check=kind is None)


class _Sound:
    """The sound of a video, written along with the frames of another."""

    def __init__(self, source: Path, file: av.container.OutputContainer, path: Path):
        self._file, self._packets, self._next = file, iter(()), None
        self.notes: list[str] = []
        self.copied, self.count, self._samples, self._skipped = False, 0, 0, 0
        check_file(source, "video file")
        self._input = open_container(source)
        self._start = start_of(self._input)
        chosen = self._input.streams.best("audio")
        if chosen is None:
            return
        suffix = path.suffix.lower()
        self._lists_edits, takes = suffix in BOXES, CONTAINERS[suffix][1]
        name = chosen.codec_context.codec.canonical_name if chosen.codec_context else "unknown"
        if name == "mp3" and takes is MP4[1] and chosen.rate < LEAST_MP3:
            name = f"mp3 of {chosen.rate} Hz"
        if name in takes:
            self.copied = True
            self._packets = self._as_they_are(chosen, file.add_stream_from_template(chosen))
        elif chosen.codec_context:
            out = file.add_stream(ENCODERS[takes[0]], rate=SOUND_RATE)
            out.layout = "stereo" if chosen.codec_context.channels > 1 else "mono"
            self.notes.append(f"sound encoded again, as {takes[0]}: {path.suffix} takes no {name}")
            self._packets = self._encoded(chosen, out)
        else:
            self.notes.append("no sound: its codec is unknown")

    def until(self, seconds: float) -> None:
        """Write the sound up to a time; what is wrong with it costs the pictures nothing."""
        try:
            while True:
                self._next = self._next or next(self._packets, None)
                if self._next is None or self._next.pts * self._next.time_base >= seconds:
                    return
                self._file.mux(self._next)
                self._next, self.count = None, self.count + 1
        except (FFmpegError, IndexError, ValueError, TypeError) as error:
            if isinstance(error, OSError):  # the disk
                raise
            self._packets, self._next = iter(()), None
            self.notes.append(f"the sound stops early: it is damaged ({error})")

    def told(self) -> list[str]:
        """What became of the sound, one line each; complete at the end."""
        skipped = f"{self._skipped} packets of sound left out: their times step back"
        return [*self.notes, *([skipped] if self._skipped else [])]

    def close(self) -> None:
        """Release the input."""
        self._input.close()

    def _demuxed(self, stream: av.audio.stream.AudioStream) -> Iterator[av.Packet]:
        """Packets whose times rise, from the start of the pictures' clock."""
        shift, last = round(self._start / stream.time_base), None
        for packet in self._input.demux(stream):
            if not packet.size or packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if last is not None and packet.dts <= last:
                self._skipped += 1
                continue
            if last is not None and not packet.duration:
                packet.duration = packet.dts - last  # an MP4 hides a last packet that has none
            last = packet.dts
            yield packet

    def _as_they_are(
        self, stream: av.audio.stream.AudioStream, out: av.audio.stream.AudioStream
    ) -> Iterator[av.Packet]:
        for packet in self._demuxed(stream):
            # Before the start, by the file's edit list: of no use but to warm up the decoder,
            # which only an MP4 can tell.
            early = packet.pts * packet.time_base < -WARM_UP or not self._lists_edits
            if not (packet.is_discard and early):
                packet.stream = out
                yield packet

    def _encoded(
        self, stream: av.audio.stream.AudioStream, out: av.audio.stream.AudioStream
    ) -> Iterator[av.Packet]:
        context = out.codec_context
        resampler = av.AudioResampler(
            context.format, context.layout, context.sample_rate, context.frame_size or None
        )
        bad, first, pieces = 0, None, []
        for packet in self._demuxed(stream):
            try:
                sounds = packet.decode()
            except FFmpegError:
                bad += 1
                continue
            for sound in sounds:
                first = sound.time if first is None else first
                pieces += resampler.resample(sound)
                yield from self._packed(pieces, first, out)
        pieces += resampler.resample(None)
        yield from self._packed(pieces, first or 0.0, out)
        yield from out.encode(None)
        if bad:
            self.notes.append(f"{bad} damaged packets of sound left out")

    def _packed(
        self, pieces: list[av.AudioFrame], first: float, out: av.audio.stream.AudioStream
    ) -> Iterator[av.Packet]:
        """Encode pieces and empty the list; their times count samples from the first on."""
        for piece in pieces:
            piece.pts = round(first * SOUND_RATE) + self._samples
            piece.time_base = Fraction(1, SOUND_RATE)
            self._samples += piece.samples
            yield from out.encode(piece)
        pieces.clear()
