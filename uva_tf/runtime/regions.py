"""Regions of interest: how much finer or coarser an encoder should quantise each part of a frame.

They are rectangles with an offset of the quantiser, made from an attention map, kept as a table
(`frame,seconds,x,y,width,height,qoffset`), and attached to frames as FFmpeg's encoders take them.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.runtime.arrays import check_map, check_size

COLUMNS = ("frame", "seconds", "x", "y", "width", "height", "qoffset")
BLOCK = 16  # side of a macroblock in pixels: no edge lies inside one
QUANTISERS = 51  # steps of the H.264 and HEVC quantiser that a qoffset of 1 stands for
MOST = 32  # regions in a frame
CELLS = 64  # of the grid that regions are cut on, along the longer side: as many as maps have
# Weight of what nobody looks at, where the place that is looked at most has 1 more. A lower one
# saves more where people look and loses more elsewhere (docs/regions.md).
FLOOR = 0.1
# A cut must lower the mean squared error of the frame's offsets by this, in quantiser steps.
LEAST_GAIN = 0.02
MOST_READ = 256  # regions in a frame of a table that is read
MOST_LINE = 200  # characters


class Region(NamedTuple):
    """A rectangle of a frame in pixels, origin upper left, and its offset of the quantiser.

    Attributes:
        qoffset: -1 to 1, as in FFmpeg: a share of the quantiser's whole range, of which H.264 and
            HEVC have 51 steps at 8 bits. Negative is finer (more bits), positive is coarser.
    """

    x: int
    y: int
    width: int
    height: int
    qoffset: float


def regions(attention: np.ndarray, width: int, height: int, floor: float = FLOOR) -> list[Region]:
    """Cut a frame into rectangles by how much people look at them.

    A distortion that counts `w` times as much is worth `w` times the bits that it saves. An
    encoder's distortion is proportional to the square of its step, which doubles with every 6
    quantisers, so the best offset is `-3 log2(w)` steps plus a constant (Sullivan and Wiegand,
    "Rate-distortion optimization for video compression", IEEE Signal Processing Magazine 1998).
    Here `w` is `floor` plus the attention from 0 to 1. The constant makes the mean over what is
    looked at 0: at the same setting of the encoder, quality there stays, and bits elsewhere fall.

    Rectangles are cut one after the other, each where it lowers the offsets' squared error most.

    Args:
        attention: `[h, w]`, 0 or more, over the whole frame.
        width, height: of the frame in pixels.
        floor: above 0; the smaller, the larger the offsets.

    Returns:
        At most `MOST` regions that cover the frame without overlap, from top to bottom. Their
        edges are multiples of 16 pixels, except at the frame's right and lower edge. Offsets are
        whole quantiser steps.

    Raises ValueError for anything but a map, for sides that are not whole pixels, or for a floor
    that is not above 0.
    """
    check_map(attention, floats=True)
    check_size(width, height)
    if not 0 < floor < float("inf"):
        raise ValueError(f"expected a floor above 0, received {floor!r}")
    across, down = _edges(width, height)
    levels = _means(attention, down, across)  # (rows, columns)
    areas = np.outer(np.diff(down), np.diff(across)) / (width * height)  # (rows, columns)
    levels = levels / (levels.max() or 1)
    steps = -3 * np.log2((floor + levels) / (floor + 1))
    looked_at = areas * levels if levels.any() else areas
    steps -= (looked_at * steps).sum() / looked_at.sum()
    found = []
    for top, bottom, left, right in _tiles(steps, areas):
        part = slice(top, bottom), slice(left, right)
        step = round(np.average(steps[part], weights=areas[part]))
        step = min(max(step, -QUANTISERS), QUANTISERS)
        x, y = int(across[left]), int(down[top])
        size = int(across[right]) - x, int(down[bottom]) - y
        found.append(Region(x, y, *size, round(step / QUANTISERS, 4)))
    return sorted(found, key=lambda region: (region.y, region.x))


def _edges(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a frame may be cut, in pixels: `[columns + 1]` and `[rows + 1]` int, from 0."""
    cell = BLOCK * -(-max(width, height) // (BLOCK * CELLS))
    return tuple(np.append(np.arange(0, side, cell), side) for side in (width, height))


def _means(attention: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The map's mean in every cell of a grid, `[rows, columns]` float64."""

    def overlaps(edges: np.ndarray, count: int) -> np.ndarray:  # (cells, count), rows sum to 1
        ends = edges / edges[-1] * count
        marks = np.arange(count)
        low = np.maximum(ends[:-1, None], marks)
        high = np.minimum(ends[1:, None], marks + 1)
        return np.maximum(high - low, 0) / np.diff(ends)[:, None]

    rows, columns = attention.shape
    return overlaps(down, rows) @ attention.astype(np.float64) @ overlaps(across, columns).T


def _tiles(values: np.ndarray, areas: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Cut a grid into at most `MOST` rectangles that are each as even as possible.

    Args:
        values, areas: `[rows, columns]`; the areas sum to 1.

    Returns:
        Rectangles as first row, last row + 1, first column, last column + 1.
    """
    sums = np.zeros((2, values.shape[0] + 1, values.shape[1] + 1))
    sums[:, 1:, 1:] = np.stack([areas, areas * values]).cumsum(1).cumsum(2)
    whole = 0, values.shape[0], 0, values.shape[1]
    tiles = [(*_cut(sums, whole), whole)]  # the one that gains most by its cut first
    while len(tiles) < MOST and -tiles[0][0] >= LEAST_GAIN**2:
        for half in heapq.heappop(tiles)[1]:
            heapq.heappush(tiles, (*_cut(sums, half), half))
    return [tile for _, _, tile in tiles]


def _cut(sums: np.ndarray, tile: tuple[int, int, int, int]) -> tuple[float, tuple]:
    """The best cut of a tile in two: minus what the squared error falls by, and the halves."""
    top, bottom, left, right = tile
    columns = sums[:, bottom, left : right + 1] - sums[:, top, left : right + 1]
    rows = sums[:, top : bottom + 1, right] - sums[:, top : bottom + 1, left]
    best = 0.0, ()
    for lines, vertical in ((columns, True), (rows, False)):
        if lines.shape[1] < 3:
            continue
        whole = lines[:, -1] - lines[:, 0]
        one = lines[:, 1:-1] - lines[:, :1]
        other = whole[:, None] - one
        gains = one[1] ** 2 / one[0] + other[1] ** 2 / other[0] - whole[1] ** 2 / whole[0]
        place = int(gains.argmax())
        if -gains[place] < best[0]:
            at = place + 1 + (left if vertical else top)
            halves = (
                ((top, bottom, left, at), (top, bottom, at, right))
                if vertical
                else ((top, at, left, right), (at, bottom, left, right))
            )
            best = -float(gains[place]), halves
    return best


def read_regions(path: Path, width: int, height: int) -> Iterator[list[Region]]:
    """The regions of every frame in a table that `predict --regions` or another program wrote.

    Args:
        width, height: of the frames in pixels; regions must lie inside.

    Yields a list for each frame, in order. Where two regions overlap, the first one counts.

    Raises InputError, with the line, for anything else.
    """
    check_file(path, "table of regions")
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = iter(lambda: file.readline(MOST_LINE), "")
        if (head := next(lines, "").strip().removeprefix("\ufeff")) != ",".join(COLUMNS):
            raise InputError(
                f"{path}: expected {','.join(COLUMNS)} in the first line, found {head[:80]!r}"
            )
        found: list[Region] = []
        last = 0
        for line, text in enumerate(lines, 2):
            try:
                number, region = _parsed(text, width, height)
                if number not in (last, last + 1) or not number:
                    raise InputError(f"frame {number} after frame {last}, expected every frame")
                if number == last and len(found) == MOST_READ:
                    raise InputError(f"more than {MOST_READ} regions in frame {number}")
            except InputError as error:
                raise InputError(f"{path} line {line}: {error}") from None
            if number != last and last:
                yield found
                found = []
            found.append(region)
            last = number
    if not last:
        raise InputError(f"{path}: no regions in it")
    yield found


def _parsed(text: str, width: int, height: int) -> tuple[int, Region]:
    """The frame's number and the region of a row."""
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != len(COLUMNS):
        raise InputError(f"{len(cells)} cells, expected {len(COLUMNS)}")
    for column, cell in zip(COLUMNS, cells, strict=True):
        decimal = column in ("seconds", "qoffset")
        pattern = r"-?\d{1,12}(\.\d{1,12})?" if decimal else r"\d{1,9}"
        if not re.fullmatch(pattern, cell, re.ASCII):
            kind = "a decimal number" if decimal else "a whole number"
            raise InputError(f"{column} is {cell[:20]!r}, expected {kind}")
    number, x, y, across, down = (int(cells[n]) for n in (0, 2, 3, 4, 5))
    region = Region(x, y, across, down, float(cells[6]))
    if not (across and down and x + across <= width and y + down <= height):
        raise InputError(
            f"{across}x{down} pixels at {x},{y} are not inside the {width}x{height} frame"
        )
    if not -1 <= region.qoffset <= 1:
        raise InputError(f"qoffset is {cells[6]}, expected -1 to 1")
    return number, region


class Attach:
    """Attaches regions to frames of one size, as side data that FFmpeg's encoders read.

    libx264 and libx265 read it unless adaptive quantisation is off, VAAPI and QSV too; other
    encoders ignore it. FFmpeg's filter `addroi` adds one region; its options can't change while
    it runs, so there is a chain of them for each set of regions. Making one takes about 1 ms.
    """

    def __init__(self) -> None:
        self._last: tuple[object, ...] | None = None
        self._graph = self._source = self._sink = None

    def __call__(self, frame: av.VideoFrame, found: Sequence[Region]) -> av.VideoFrame:
        """The frame, its pixels shared, with regions; the first counts where two overlap."""
        wanted = [region for region in found if region.qoffset]
        if not wanted:
            return frame
        time_base = frame.time_base or Fraction(1, 1000)
        key = wanted, frame.width, frame.height, frame.format.name, time_base
        if key != self._last:
            self._open(frame, wanted, time_base)
            self._last = key
        self._source.push(frame)
        return self._sink.pull()

    def _open(self, frame: av.VideoFrame, wanted: Sequence[Region], time_base: Fraction) -> None:
        # The contexts do not keep their graph.
        self._graph = av.filter.Graph()
        self._source = last = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        for x, y, width, height, qoffset in wanted:
            options = f"x={x}:y={y}:w={width}:h={height}:qoffset={qoffset}"
            following = self._graph.add("addroi", options)
            last.link_to(following)
            last = following
        self._sink = self._graph.add("buffersink")
        last.link_to(self._sink)
        self._graph.configure()
