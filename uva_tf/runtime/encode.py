"""Encode a video with regions of interest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.video import VideoReader
from uva_tf.runtime.regions import Attach, read_regions

TICKS = 90_000  # a second, as in MPEG


def encode_with_regions(
    video: Path, table: Path | None, out: Path, crf: int = 23, preset: str = "medium"
) -> int:
    """Encode a video as H.264 with x264, its sound copied.

    Args:
        table: regions of its frames (`read_regions`); None encodes without any.
        out: an MP4 file.
        crf: x264's constant rate factor, 0 to 51.
        preset: x264's, such as `veryfast`.

    Returns:
        The number of frames.

    Raises InputError for a table that is broken or has another number of frames.
    """
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(VideoReader(video))
        found = None
        if table is not None:
            for _ in read_regions(table, reader.width, reader.height):
                pass  # nothing is encoded before the whole table has been checked
            found = read_regions(table, reader.width, reader.height)
        target = stack.enter_context(
            av.open(str(out), "w", format="mp4", options={"movflags": "faststart"})
        )
        stream = target.add_stream("libx264", rate=Fraction(reader.rate).limit_denominator(65535))
        stream.width, stream.height = (side + side % 2 for side in (reader.width, reader.height))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.options = {"crf": str(crf), "preset": preset}
        source = stack.enter_context(av.open(str(video.absolute())))
        sound = _Sound(source, target)
        attach, count = Attach(), 0
        for frame in reader.timed():
            picture = _even(frame.pixels)
            made = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="yuv420p")
            made.pts, made.time_base = round(frame.seconds * TICKS), Fraction(1, TICKS)
            if found is not None:
                if (one := next(found, None)) is None:
                    raise InputError(_other_length(table, f"only {count} frames", video))
                made = attach(made, one)
            target.mux(stream.encode(made))
            sound.copy_until(frame.seconds)
            count += 1
        if found is not None and next(found, None) is not None:
            raise InputError(_other_length(table, f"more than {count} frames", video))
        target.mux(stream.encode(None))
        sound.copy_until(float("inf"))
    return count


def _other_length(table: Path, what: str, video: Path) -> str:
    return f"{table}: {what}, expected the regions of each frame of {video}"


def _even(pixels: np.ndarray) -> np.ndarray:
    """A frame with even sides, as H.264 takes them: its last row and column repeated."""
    down, across = (side % 2 for side in pixels.shape[:2])
    if not (down or across):
        return pixels
    return cv2.copyMakeBorder(pixels, 0, down, 0, across, cv2.BORDER_REPLICATE)


class _Sound:
    """The first sound of one file, copied to another, as far as its video has come."""

    def __init__(self, source: av.container.InputContainer, target: av.container.OutputContainer):
        self._target, self._next = target, None
        self._packets: Iterator[av.Packet] = iter(())
        if source.streams.audio:
            self._stream = target.add_stream_from_template(source.streams.audio[0])
            self._packets = (one for one in source.demux(source.streams.audio[0]) if one.size)

    def copy_until(self, seconds: float) -> None:
        """Copy all that begins before this time."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            if packet.dts is not None and packet.dts * packet.time_base > seconds:
                return
            packet.stream, self._next = self._stream, None
            self._target.mux(packet)
