"""Recorded gaze drawn over frames, and contact sheets of such pictures."""

from __future__ import annotations

import colorsys
import functools
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from uva_tf.core.frames import Frame, to_yuv
from uva_tf.core.outputs import as_text
from uva_tf.data.fixations import Fixations
from uva_tf.runtime.overlay import heat

LEAST_WIDTH = 320  # of a film; smaller frames are enlarged, or marks and words would hide them
DARK, WHITE, RED = (20, 20, 20), (255, 255, 255), (40, 40, 255)  # BGR
GOLDEN = (5**0.5 - 1) / 2  # of a turn: hues of successive observers are far apart
VALUES = (1.0, 0.8, 0.9)  # brightness, so that observers of a like hue differ too

# Of a sheet, in its pixels.
PANEL, GAP, LINE, SMALL_LINE = 256, 10, 24, 17
PANELS = 8  # in a row
INK, PAPER, GREY, ALARM = "#1a1a1a", "white", "#666666", "#c00000"
LEGEND = (
    "Colours over a picture: where people look, red the most.  Rings: fixations, in one colour for "
    "each observer, white if observers are not known.  Small dots: the tracker's samples.",
    "Red squares on the border: gaze that lies outside the frame.",
)
LEGEND_OF_MEAN = (
    "  Last picture: the mean of all frames; white lines mark its middle, a green cross the centre "
    "of the gaze."
)


@dataclass(frozen=True)
class Panel:
    """A picture of a sheet, `[h, w, 3]` uint8 BGR, and the words below it."""

    picture: np.ndarray
    caption: str


@dataclass(frozen=True)
class Strip:
    """What a sheet shows of one recording: its name, lines of text, a problem, and pictures."""

    name: str
    facts: str
    problem: str
    remarks: tuple[str, ...]
    panels: tuple[Panel, ...]
    still: bool


@functools.cache
def colour_of(observer: int) -> tuple[int, int, int]:
    """An observer's colour, always the same: BGR."""
    hue = observer * GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 - 0.35 * (observer % 2), VALUES[observer % 3])
    return round(255 * blue), round(255 * green), round(255 * red)


def enlarged(frame: Frame) -> Frame:
    """The frame, a whole number of times as large if it is narrower than `LEAST_WIDTH`."""
    times = -(-LEAST_WIDTH // frame.width)
    return frame if times == 1 else frame.resized(times * frame.width, times * frame.height)


def draw_gaze(
    frame: Frame,
    attention: np.ndarray,
    fixations: Fixations,
    samples: Fixations | None = None,
    caption: str = "",
    *,
    named: bool = True,
    size: float = 1.0,
) -> Frame:
    """Draw a density map, samples, fixations and a caption over a frame.

    Args:
        attention: `[h, w]` uint8, 255 where people look most; all 0 for none.
        fixations, samples: places outside 0 to 1 are drawn on the border, as red squares.
        caption: ASCII, in the lower left corner.
        named: whether fixations have observers; otherwise all are white.
        size: of the marks.

    Returns:
        A new frame of the same size.
    """
    drawn = heat(frame, attention)
    canvas = _Canvas(drawn)
    width, height = frame.width, frame.height
    radius, thick = max(4.0, size * width / 80), max(1, round(size * width / 500))
    if samples is not None:
        canvas.dots(samples.points * (width, height), samples.observers, max(2, round(width / 320)))
    places = np.clip(fixations.points, 0, 1) * (width, height)  # (n, 2)
    outside = ((fixations.points < 0) | (fixations.points > 1)).any(axis=1)  # (n,)
    for (x, y), observer in zip(places[~outside], fixations.observers[~outside], strict=True):
        canvas.ring(x, y, radius, DARK, thick + 2)
        canvas.ring(x, y, radius, colour_of(int(observer)) if named else WHITE, thick)
    for x, y in places[outside]:
        canvas.square(x, y, round(radius), RED)
    if caption:
        canvas.words(caption)
    return drawn


def thumbnail(frame: Frame) -> Frame:
    """The frame in twice the size that a sheet shows, so that marks on it become smooth."""
    scale = 2 * min(PANEL / frame.width, PANEL / frame.height)
    size = (max(2, round(scale * frame.width)), max(2, round(scale * frame.height)))
    return Frame(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), frame.seconds)


def panel_of(drawn: Frame, caption: str) -> Panel:
    """A thumbnail that was drawn on, as a sheet shows it."""
    size = (max(1, drawn.width // 2), max(1, drawn.height // 2))
    return Panel(cv2.resize(drawn.pixels, size, interpolation=cv2.INTER_AREA), caption)


def mean_panel(
    density: np.ndarray, centre: tuple[float, float] | None, size: tuple[int, int]
) -> Panel:
    """A mean density map with its middle and the centre of the gaze.

    Args:
        density: `[h, w]` on any scale.
        centre: x and y from 0 to 1.
        size: width and height of the recording's frames.
    """
    grey = thumbnail(Frame(np.full((*size[::-1], 3), 40, np.uint8)))
    picture = heat(grey, as_attention(density)).pixels.copy()
    height, width = picture.shape[:2]
    cv2.line(picture, (width // 2, 0), (width // 2, height), WHITE, 1)
    cv2.line(picture, (0, height // 2), (width, height // 2), WHITE, 1)
    if centre:
        x, y = np.clip(centre, 0, 1) * (width - 1, height - 1)
        place = (round(x), round(y))
        for colour, thickness in ((DARK, 9), ((80, 255, 80), 4)):
            cv2.drawMarker(picture, place, colour, cv2.MARKER_TILTED_CROSS, 30, thickness)
    return panel_of(Frame(picture), "mean of all frames")


def as_attention(density: np.ndarray) -> np.ndarray:
    """A density map `[h, w]` for drawing: uint8, 255 at its maximum.

    The square root shows places that few people look at, too.
    """
    return np.rint(255 * np.sqrt(density / max(float(density.max()), 1e-12))).astype(np.uint8)


def write_sheet(path: Path, title: str, strips: Sequence[Strip]) -> None:
    """Write a contact sheet as PNG: a row for each clip, photographs side by side."""
    width = PANELS * (PANEL + GAP) + GAP
    clips = [strip for strip in strips if not strip.still]
    stills = [strip for strip in strips if strip.still]
    rows = [stills[n : n + PANELS] for n in range(0, len(stills), PANELS)]
    top = GAP + LINE + len(LEGEND) * SMALL_LINE + GAP
    height = top + sum(map(_clip_height, clips)) + sum(map(_stills_height, rows))
    page = _Page(width, height)
    page.text(GAP, GAP, title, 15, weight="bold")
    words = (*LEGEND[:-1], LEGEND[-1] + (LEGEND_OF_MEAN if clips else ""))
    for n, line in enumerate(words):
        page.text(GAP, GAP + LINE + n * SMALL_LINE, line, 10, color=GREY)
    y = top
    for strip in clips:
        _draw_clip(page, strip, y)
        y += _clip_height(strip)
    for row in rows:
        for n, strip in enumerate(row):
            _draw_still(page, strip, GAP + n * (PANEL + GAP), y)
        y += _stills_height(row)
    page.save(path)


class _Canvas:
    """The planes of a Frame, which must be its own, to draw on in BGR and in its pixels."""

    def __init__(self, frame: Frame):
        planes = frame.planes()
        self._planes = list(zip(planes[:3], (1, 2, 2), strict=True))  # each with its pixels' size
        self._space, self._full = planes.colours.space, planes.colours.full
        self._width = frame.width

    def _painted(self, colour: tuple[int, int, int]) -> list[tuple[np.ndarray, int, int]]:
        levels = _levels(colour, self._space, self._full)
        return [(*plane, level) for plane, level in zip(self._planes, levels, strict=True)]

    def ring(self, x: float, y: float, radius: float, colour, thick: int) -> None:
        for plane, step, level in self._painted(colour):
            centre = (round(16 * x / step), round(16 * y / step))  # 4 fractional bits
            size = round(16 * radius / step)
            cv2.circle(plane, centre, size, level, -(-thick // step), cv2.LINE_AA, shift=4)

    def square(self, x: float, y: float, half: int, colour) -> None:
        for plane, step, level in self._painted(colour):
            low = round((x - half) / step), round((y - half) / step)
            high = round((x + half) / step), round((y + half) / step)
            cv2.rectangle(plane, low, high, level, -1)

    def dots(self, places: np.ndarray, observers: np.ndarray, side: int) -> None:
        """Squares of so many pixels, `[n, 2]` places; those outside are left out."""
        who, index = np.unique(observers, return_inverse=True)
        if not len(who):
            return
        levels = [_levels(colour_of(one), self._space, self._full) for one in who.tolist()]
        colours = np.array(levels)[index]  # (n, 3)
        for (plane, step), levels in zip(self._planes, colours.T, strict=True):
            size = -(-side // step)
            corner = np.floor(places / step - (size - 1) / 2)  # (n, 2)
            for dx in range(size):
                for dy in range(size):
                    x, y = (corner + np.array([dx, dy])).T
                    inside = (x >= 0) & (y >= 0) & (x < plane.shape[1]) & (y < plane.shape[0])
                    plane[y[inside].astype(int), x[inside].astype(int)] = levels[inside]

    def words(self, text: str) -> None:
        """White words on a dark bar at the lower left."""
        font, luma = cv2.FONT_HERSHEY_SIMPLEX, self._planes[0][0]
        scale = max(0.4, self._width / 1600)
        (width, height), below = cv2.getTextSize(text, font, scale, 1)
        margin = height // 2
        top = luma.shape[0] - height - below - 2 * margin
        for plane, step, level in self._painted(DARK):
            plane[max(0, top) // step :, : (width + 2 * margin) // step] = level
        thick = max(1, round(scale))
        place = (margin, luma.shape[0] - margin - below)
        cv2.putText(luma, text, place, font, scale, 235, thick, cv2.LINE_AA)


@functools.cache
def _levels(colour: tuple[int, int, int], space: int, full: bool) -> tuple[int, ...]:
    """The levels of Y, U and V of a colour in BGR."""
    matrix = to_yuv(space, full)  # (3, 4)
    return tuple(np.rint(matrix[:, :3] @ colour[::-1] + matrix[:, 3]).astype(int).tolist())


class _Page:
    """A picture on which matplotlib writes and pastes, in pixels from the upper left."""

    def __init__(self, width: int, height: int):
        self._size = width, height
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
        self._canvas = FigureCanvasAgg(self._figure)

    def text(self, x: float, y: float, words: str, points: float, **how) -> Text:
        """Write from (x, y), the upper left corner."""
        width, height = self._size
        how = {"color": INK, "va": "top"} | how
        words = as_text(words).replace("$", r"\$")  # else mathematics begins
        return self._figure.text(x / width, 1 - y / height, words, fontsize=points, **how)

    def end_of(self, text: Text) -> float:
        """Where words end, in pixels from the left."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # letters that the font lacks become boxes
            return text.get_window_extent(self._canvas.get_renderer()).x1

    def paste(self, x: int, y: int, picture: np.ndarray) -> None:
        bottom = self._size[1] - y - picture.shape[0]
        self._figure.figimage(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), x, bottom)

    def save(self, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._canvas.print_png(path)


def _clip_height(strip: Strip) -> int:
    pictures = max((panel.picture.shape[0] + SMALL_LINE for panel in strip.panels), default=0)
    return 2 * GAP + LINE + SMALL_LINE * len(_clip_lines(strip)) + pictures


def _stills_height(row: Sequence[Strip]) -> int:
    pictures = max((panel.picture.shape[0] for s in row for panel in s.panels), default=0)
    return 2 * GAP + pictures + SMALL_LINE * max(len(_still_lines(strip)) for strip in row)


def _clip_lines(strip: Strip) -> list[tuple[str, str]]:
    """Lines below a clip's first, with their colours."""
    wrapped = textwrap.wrap(strip.problem, 260)
    return [(line, ALARM) for line in wrapped] + [(line, GREY) for line in strip.remarks]


def _still_lines(strip: Strip) -> list[tuple[str, str]]:
    facts = textwrap.wrap(strip.facts, 40)
    problem = textwrap.wrap(strip.problem, 40)
    remarks = [line for one in strip.remarks for line in textwrap.wrap(one, 40)]
    return (
        [(textwrap.shorten(strip.name, 36, placeholder="..."), INK)]
        + [(line, ALARM) for line in problem]
        + [(line, GREY) for line in facts + remarks]
    )


def _draw_clip(page: _Page, strip: Strip, y: int) -> None:
    ends = page.end_of(page.text(GAP, y, strip.name, 13, weight="bold"))
    page.text(ends + 2 * GAP, y + 2, strip.facts, 11)
    y += LINE
    for line, colour in _clip_lines(strip):
        page.text(GAP, y, line, 10, color=colour)
        y += SMALL_LINE
    for n, panel in enumerate(strip.panels):
        x = GAP + n * (PANEL + GAP)
        page.paste(x, y, panel.picture)
        page.text(x, y + panel.picture.shape[0] + 2, panel.caption, 9, color=GREY)


def _draw_still(page: _Page, strip: Strip, x: int, y: int) -> None:
    for panel in strip.panels:
        page.paste(x, y, panel.picture)
        y += panel.picture.shape[0] + 3
    for n, (line, colour) in enumerate(_still_lines(strip)):
        page.text(x, y, line, 9, color=colour, weight="normal" if n else "bold")
        y += SMALL_LINE
