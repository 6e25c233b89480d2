"""Encode a video with regions of interest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from uva_tf.core.errors import InputError
from uva_tf.core.video import VideoReader, refuse_damage
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime.regions import Attach, read_regions

T = TypeVar("T")


def encode_with_regions(
    video: Path,
    table: Path | None,
    out: Path,
    *,
    codec: str = "h264",
    quality: int | None = None,
    preset: str = "medium",
    stream: int | None = None,
    deinterlace: bool = False,
    strict: bool = False,
    progress: Callable[[Iterator[T], int], Iterator[T]] = lambda items, total: items,
) -> tuple[int, list[str]]:
    """Encode a video, with its sound, as the regions of its frames ask for.

    Args:
        table: the regions (`read_regions`); None encodes without any.
        out, quality: as `VideoWriter` takes them.
        codec: `h264` or `h265`, whose encoders read regions.
        stream, deinterlace: of a VideoReader.
        strict: refuse a video that is damaged or cut short.
        progress: wraps the iterator over frames, of which there will be `total`.
        preset: of x264 or x265, but `ultrafast`: it turns off what regions need.

    Returns:
        The number of frames, and what the reader and the writer noted.

    Raises InputError for a table that is broken or has another number of frames.
    """
    with VideoReader(video, stream=stream, deinterlace=deinterlace) as reader:
        size, found = (reader.width, reader.height), None
        if table is not None:
            for _ in read_regions(table, *size):
                pass  # nothing is encoded before the whole table has been checked
            found = read_regions(table, *size)
        attach, count = Attach(), 0
        with VideoWriter.like(reader, out, codec=codec, quality=quality, preset=preset) as writer:
            for count, frame in enumerate(progress(reader.timed(), reader.length), 1):
                one = [] if found is None else next(found, None)
                if one is None:
                    raise _other_length(table, f"only {count - 1} frames", video)
                writer.write(frame, mark=functools.partial(attach, found=one))
            if found is not None and next(found, None) is not None:
                raise _other_length(table, f"more than {count} frames", video)
        if strict:
            refuse_damage(reader)
        return count, [*reader.notes, *writer.notes]


def _other_length(table: Path, what: str, video: Path) -> InputError:
    return InputError(f"{table}: {what}, expected the regions of each frame of {video}")
