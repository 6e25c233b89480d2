"""Random changes of training batches, the same for frame, other, maps and fixations.

The draws of a batch depend on its stateless seed alone, so that a resumed run repeats them.
All functions work on whole batches: on single examples they would take several times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

# The part of each picture that is kept, `[B, 3]`: left, top and side, as fractions of the picture.
Crops = tf.Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG
DARKEST = 0.1  # of the light that is left to an example


class Draws(NamedTuple):
    """Random numbers drawn for a batch, each from 0 to 1."""

    crop: tf.Tensor  # (B, 3) left, top, side
    camera: tf.Tensor  # (B, 3) shift right, shift down, zoom
    colour: tf.Tensor  # (B, 3) saturation, brightness, contrast
    mirror: tf.Tensor  # (B, 1)
    light: tf.Tensor  # (B, 3) whether without colour, whether dark, how dark

    @classmethod
    def of(cls, seed: tf.Tensor, batch: int) -> Draws:
        """Draw for `batch` examples from a stateless seed, `[2]`."""
        parts = tf.split(tf.random.stateless_uniform([batch, 10], seed), [3, 3, 3, 1], axis=1)
        # From a seed of its own, so that trainings without it draw what they always drew.
        return cls(*parts, tf.random.stateless_uniform([batch, 3], tf.random.split(seed, 4)[3]))


def whole(batch: tf.Tensor) -> Crops:
    """Crops that keep the whole picture."""
    return tf.tile([[0.0, 0.0, 1.0]], [batch, 1])


def draw_crops(points: tf.RaggedTensor | None, smallest: float, draw: tf.Tensor) -> Crops:
    """Crops of the pictures' own aspect that contain a fixation.

    Args:
        points: `[B, n, 2]` fixations, x and y from 0 to 1; None for crops of any content.
        smallest: side of the smallest crop, as a fraction of the picture's.
        draw: `[B, 3]` from 0 to 1.

    Returns:
        `[B, 3]`; the whole picture where the crop that was drawn contains no fixation.
    """
    side = smallest + (1 - smallest) * draw[:, 2:]
    crops = tf.concat([draw[:, :2] * (1 - side), side], axis=1)
    if points is None:
        return crops
    _, inside = _cropped(points, crops)
    batch = tf.shape(draw)[0]
    some = tf.math.unsorted_segment_max(tf.cast(inside, tf.int32), points.value_rowids(), batch) > 0
    return tf.where(some[:, None], crops, whole(batch))


def move_camera(crops: Crops, motion: float, draw: tf.Tensor) -> Crops:
    """The crops after a camera moved and zoomed a little within the picture, `[B, 3]`.

    Args:
        motion: largest shift and zoom, as a fraction of the crop's side.
        draw: `[B, 3]` from 0 to 1.
    """
    change = motion * (2 * draw - 1) * crops[:, 2:]
    side = tf.minimum(crops[:, 2:] + change[:, 2:], 1.0)
    # The camera zooms about the crop's middle.
    corner = crops[:, :2] + change[:, :2] + (crops[:, 2:] - side) / 2
    return tf.concat([tf.clip_by_value(corner, 0.0, 1 - side), side], axis=1)


def crop_points(points: tf.RaggedTensor, crops: Crops) -> tf.RaggedTensor:
    """The fixations inside the crops, `[B, n, 2]`, as fractions of the crops."""
    cropped, inside = _cropped(points, crops)
    kept = tf.where(inside)[:, 0]
    return by_rows(tf.gather(cropped, kept), tf.gather(points.value_rowids(), kept), points)


def _cropped(points: tf.RaggedTensor, crops: Crops) -> tuple[tf.Tensor, tf.Tensor]:
    """All fixations as fractions of the crops, `[N, 2]`, and which lie inside, `[N]`."""
    crop = tf.gather(crops, points.value_rowids())  # (N, 3)
    cropped = (points.flat_values - crop[:, :2]) / crop[:, 2:]
    return cropped, tf.reduce_all((cropped >= 0) & (cropped < 1), axis=1)


def by_rows(values: tf.Tensor, rows: tf.Tensor, like: tf.RaggedTensor) -> tf.RaggedTensor:
    """Values with their rows' numbers as a ragged tensor of as many rows as another.

    It keeps the numbers, which take many operations to find again.
    """
    count = like.shape[0] if like.shape[0] is not None else like.nrows()
    return tf.RaggedTensor.from_value_rowids(values, rows, count, validate=False)


def crop_pictures(pictures: tf.Tensor, crops: Crops, flip: tf.Tensor, size: int) -> tf.Tensor:
    """Cut crops out, mirror some left to right, and shrink them by area averaging.

    Each pixel is the mean of a grid of bilinear samples at most two stored pixels apart, so that
    a whole picture that becomes 2, 4, 6, ... times smaller is averaged exactly.

    Args:
        pictures: `[B, S, S, C]`, any dtype.
        crops: `[B, 3]`.
        flip: `[B]` bool.

    Returns:
        `[B, size, size, C]` float32.
    """
    stored = pictures.shape[1]
    fine = size * -(-stored // (2 * size))  # samples along a side
    # The op takes the positions of the first and the last sample, as fractions of stored - 1.
    first = crops[:, 1::-1] * stored + 0.5 * crops[:, 2:] * stored / fine - 0.5  # (B, 2) y, x
    last = first + crops[:, 2:] * stored * (fine - 1) / fine
    boxes = tf.concat([first, last], axis=1) / (stored - 1)
    # Sampled from right to left, a picture comes out mirrored.
    boxes = tf.where(flip[:, None], tf.gather(boxes, [0, 3, 2, 1], axis=1), boxes)
    # Rounding may put a sample just outside the picture, where the op would fill in black.
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    samples = tf.image.crop_and_resize(
        pictures, boxes, tf.range(tf.shape(pictures)[0]), [fine, fine]
    )
    if fine == size:
        return samples
    return tf.nn.avg_pool2d(samples, fine // size, fine // size, "VALID")


def mirror_points(points: tf.RaggedTensor, flip: tf.Tensor) -> tf.RaggedTensor:
    """Mirror the fixations of some examples left to right.

    Args:
        points: `[B, n, 2]` x and y from 0 to 1.
        flip: `[B]` bool.
    """
    x, y = tf.unstack(points.flat_values, axis=1)
    x = tf.where(tf.gather(flip, points.value_rowids()), 1 - x, x)
    return points.with_flat_values(tf.stack([x, y], axis=1))


def change_pairs(
    frame: tf.Tensor, other: tf.Tensor, cuts: float, stills: float, seed: tf.Tensor
) -> tf.Tensor:
    """Neighbours of which some are of another example, as at a cut, and some the frame itself.

    Args:
        frame, other: `[B, ...]` alike.
        cuts, stills: the fraction of the examples with either.
        seed: `[2]`, stateless.

    Returns:
        `other`, changed.
    """
    draw = tf.random.stateless_uniform([tf.shape(frame)[0], *[1] * (frame.shape.rank - 1)], seed)
    after_cut = tf.roll(other, 1, axis=0)
    return tf.where(draw < stills, frame, tf.where(draw > 1 - cuts, after_cut, other))


def add_noise(frames: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Frames with normal noise, of a standard deviation of up to `most` that differs by example.

    Args:
        frames: `[B, H, W, 3]` float32.
        seed: `[2]`, stateless.
    """
    draws = tf.random.split(seed, 2)
    deviation = tf.random.stateless_uniform([tf.shape(frames)[0], 1, 1, 1], draws[0], 0.0, most)
    return frames + deviation * tf.random.stateless_normal(tf.shape(frames), draws[1])


def recolour(frames: tf.Tensor, strength: float, draw: tf.Tensor) -> tf.Tensor:
    """Change saturation, brightness and contrast, alike for all frames of an example.

    Args:
        frames: `[B, ..., 3]` float32 on the scale 0..255.
        strength: largest relative change of each of the three; 0 returns the frames unchanged.
        draw: `[B, 3]` from 0 to 1.
    """
    if strength == 0:
        return frames
    saturation, brightness, contrast = tf.unstack(strength * (2 * draw - 1), axis=1)  # (B,)
    # All three are one affine map of a pixel: frame @ matrix + offset.
    grey = tf.stack([LUMA] * 3, axis=1)  # (3, 3), columns alike
    matrix = grey + (1 + saturation)[:, None, None] * (tf.eye(3) - grey)
    matrix *= (1 + contrast)[:, None, None]
    offset = 127.5 * (brightness - contrast)
    flat = tf.reshape(frames, [tf.shape(frames)[0], -1, 3])  # (B, N, 3)
    return tf.reshape(tf.matmul(flat, matrix) + offset[:, None, None], tf.shape(frames))


def take_light(frames: tf.Tensor, grey: float, dark: float, draw: tf.Tensor) -> tf.Tensor:
    """Take the colour of some examples and the light of some, alike for all frames of an example.

    Args:
        frames: `[B, H, W, 3]` float32 on the scale 0..255.
        grey, dark: the fraction of the examples with either. The light that is left is `DARKEST` to
            all of it, log-uniform.
        draw: `[B, 3]` from 0 to 1.
    """
    if not (grey or dark):
        return frames
    colourless, dimmed, left = tf.unstack(draw[:, None, None, None], axis=-1)  # (B, 1, 1, 1)
    luma = tf.reduce_sum(frames * LUMA, axis=-1, keepdims=True)
    frames = tf.where(colourless < grey, luma, frames)
    return frames * tf.where(dimmed < dark, DARKEST**left, 1.0)
