"""Frames as a decoder or a camera gives them, made small for a model or whole for drawing."""

from __future__ import annotations

import functools
from typing import NamedTuple

import av
import cv2
import numpy as np

from uva_tf.core.resize import shrink

# The weights of red and blue in luma, by FFmpeg's number of the colour space; all others, and
# what a file does not say, are taken for BT.601, as FFmpeg and OpenCV do.
LUMA = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
BT601 = (0.299, 0.114)
RGB = 0  # FFmpeg's number of a picture without such a matrix
CONVERTED = 128  # the size at which a decoded frame becomes RGB
LIMITED_RANGE, FULL_RANGE = 1, 2  # FFmpeg's numbers
# FFmpeg's quick conversion of whole frames, which most pictures have passed through, rounds each
# term down: red, green and blue come out this much too low. Ours must not be brighter.
ROUNDED_DOWN = (0.9, 1.5, 1.1)
PLANAR = ("yuv420p", "yuvj420p")


class Colours(NamedTuple):
    """What a file states of its colours, in FFmpeg's numbers; 2 is unknown, as is range 0.

    Attributes:
        space: the matrix between R, G, B and Y, U, V.
        range: 1 if luma goes from 16 to 235, 2 if from 0 to 255.
        primaries, transfer: of the display.
    """

    space: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2

    @property
    def full(self) -> bool:
        """Whether levels go from 0 to 255."""
        return self.range == FULL_RANGE


BT601_LIMITED = Colours(6, LIMITED_RANGE)  # what FFmpeg makes of R, G and B


class Planes(NamedTuple):
    """A picture in 4:2:0: luma `[H, W]`, and chroma `[ceil(H / 2), ceil(W / 2)]`, all uint8."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    colours: Colours


class Frame:
    """A frame of a stream, upright, and when it is shown.

    Args:
        pixels: `[H, W, 3]` uint8 BGR, of a picture or a camera.
        seconds: its presentation time.
        decoded: in place of pixels, what FFmpeg decoded.
        turns, mirrored: how that is made upright: left and right are exchanged, if it is mirrored;
            then it is turned by so many quarters counter-clockwise.
    """

    def __init__(
        self,
        pixels: np.ndarray | None = None,
        seconds: float = 0.0,
        *,
        decoded: av.VideoFrame | None = None,
        turns: int = 0,
        mirrored: bool = False,
    ):
        self.seconds = seconds
        self._pixels, self._decoded = pixels, decoded
        self._turns, self._mirrored = turns % 4, mirrored

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._size()[self._turns % 2]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._size()[1 - self._turns % 2]

    @property
    def length(self) -> float:
        """For how many seconds the decoder says that it is shown; 0 if it does not say."""
        video = self._decoded
        return float(video.duration * video.time_base) if video and video.time_base else 0.0

    @property
    def pixels(self) -> np.ndarray:
        """The whole frame, `[H, W, 3]` uint8 BGR, as FFmpeg converts it; made once."""
        if self._pixels is None:
            self._pixels = self.converted()
        return self._pixels

    def converted(self) -> np.ndarray:
        """The pixels of a decoded frame, made anew."""
        return self._upright(self._decoded.to_ndarray(format="bgr24"))

    def planes(self) -> Planes:
        """The whole frame in 4:2:0, as decoded where that is 4:2:0 already."""
        video = self._decoded
        if video is None:
            whole = np.ascontiguousarray(self._pixels)
            video = av.VideoFrame.from_ndarray(whole, format="bgr24")
        colours = colours_of(video)
        if video.format.name not in PLANAR:
            video = video.reformat(
                format="yuv420p", src_color_range=colours.range, dst_color_range=colours.range
            )
        planes = (self._upright(_view(plane)) for plane in video.planes)
        return Planes(*planes, colours)

    def video(self, size: tuple[int, int] | None = None) -> av.VideoFrame:
        """The whole frame in 4:2:0 for an encoder, at its right and bottom padded to a size."""
        video, size = self._decoded, size or (self.width, self.height)
        fits = video is not None and (video.width, video.height) == size
        fits = fits and not self._turns and not self._mirrored
        if fits and video.format.name == "yuv420p":
            return video
        planes = self.planes()
        made, targets = new_frame(*size, planes, self)
        for plane, target in zip(planes[:3], targets, strict=True):
            down, right = np.subtract(target.shape, plane.shape)
            cv2.copyMakeBorder(plane, 0, down, 0, right, cv2.BORDER_REPLICATE, dst=target)
        return made._decoded

    def resized(self, width: int, height: int) -> Frame:
        """The frame at another size, aspect not kept."""
        if self._decoded is None:
            return Frame(cv2.resize(self._pixels, (width, height)), self.seconds)
        size = (height, width) if self._turns % 2 else (width, height)
        made = self._decoded.reformat(*size)
        return Frame(seconds=self.seconds, decoded=made, turns=self._turns, mirrored=self._mirrored)

    def small(self, size: int) -> np.ndarray:
        """The frame as a model sees it, `[size, size, 3]` uint8 RGB, aspect not kept.

        A decoded frame's planes are shrunk, and RGB is made of 128 x 128 pixels instead of the
        whole frame. A picture's or a camera's pixels are shrunk as they are. The two ways differ
        by less than a level in the mean.
        """
        if self._decoded is None:
            return np.ascontiguousarray(shrink(self._pixels, size)[..., ::-1])
        y, u, v, colours = self.planes()
        side = max(CONVERTED, size)
        u, v = (cv2.resize(p, (side, side), interpolation=cv2.INTER_LINEAR) for p in (u, v))
        yuv = cv2.merge([shrink(y, side), u, v])  # (side, side, 3)
        return shrink(cv2.transform(yuv, _to_rgb(colours.space, colours.full)), size)

    def _upright(self, stored: np.ndarray) -> np.ndarray:
        return np.rot90(stored[:, ::-1] if self._mirrored else stored, self._turns)

    def _size(self) -> tuple[int, int]:
        """Width and height as stored."""
        if self._decoded is None:
            return self._pixels.shape[1], self._pixels.shape[0]
        return self._decoded.width, self._decoded.height


def new_frame(
    width: int, height: int, planes: Planes, frame: Frame
) -> tuple[Frame, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """An upright frame in 4:2:0, to draw on its planes: in other planes' colours, shown as another.

    Args:
        planes: whose colours it has.
        frame: which it is shown in place of.
    """
    made, colours = av.VideoFrame(width, height, "yuv420p"), planes.colours
    made.colorspace, made.color_range = colours.space, colours.range
    made.color_primaries, made.color_trc = colours.primaries, colours.transfer
    if frame.length:
        made.duration, made.time_base = frame._decoded.duration, frame._decoded.time_base
    views = tuple(_view(plane) for plane in made.planes)
    return Frame(seconds=frame.seconds, decoded=made), views


def colours_of(video: av.VideoFrame) -> Colours:
    """What a decoded frame states of its colours; of R, G and B, those that it is converted to."""
    if video.colorspace == RGB:
        return BT601_LIMITED
    full = video.color_range == FULL_RANGE or video.format.name.startswith("yuvj")
    return Colours(
        video.colorspace,
        FULL_RANGE if full else LIMITED_RANGE,
        video.color_primaries,
        video.color_trc,
    )


def _view(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """A decoder's plane `[h, w]`, not copied."""
    rows = np.frombuffer(plane, np.uint8, plane.height * plane.line_size)
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]


@functools.cache
def _to_rgb(space: int, full: bool) -> np.ndarray:
    """The matrix `[3, 4]` from Y, U, V and 1 to R, G, B."""
    inverse = np.linalg.inv(np.vstack([to_yuv(space, full), [0, 0, 0, 1]]))[:3]
    inverse[:, 3] -= ROUNDED_DOWN
    return inverse.astype(np.float32)


def to_yuv(space: int, full: bool) -> np.ndarray:
    """The matrix `[3, 4]` from R, G, B and 1 to Y, U, V (ITU-R BT.601, BT.709, BT.2020)."""
    red, blue = LUMA.get(space, BT601)
    y = np.array([red, 1 - red - blue, blue])
    u, v = (np.array([0, 0, 1]) - y) / (2 - 2 * blue), (np.array([1, 0, 0]) - y) / (2 - 2 * red)
    luma, chroma, black = (1.0, 1.0, 0) if full else (219 / 255, 224 / 255, 16)
    return np.column_stack([np.stack([luma * y, chroma * u, chroma * v]), [black, 128, 128]])
