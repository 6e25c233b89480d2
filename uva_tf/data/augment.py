"""Random changes of a training example, the same for frame, other, maps and fixations.

Every draw is a function of a stateless seed, so that a resumed run repeats it.
"""

from __future__ import annotations

import tensorflow as tf

# Share of the picture that is kept: left, top and side, from 0 to 1.
Crop = tf.Tensor
WHOLE = (0.0, 0.0, 1.0)


def draw_crop(points: tf.Tensor, smallest: float, seed: tf.Tensor) -> Crop:
    """Draw a crop of the picture's own aspect that holds a fixation.

    Args:
        points: `[n, 2]` fixations, x and y from 0 to 1.
        smallest: side of the smallest crop, as a share of the picture's.

    Returns:
        `[3]` left, top and side; the whole picture where the draw holds no fixation.
    """
    draw = tf.random.stateless_uniform([3], seed)
    side = smallest + (1 - smallest) * draw[2]
    crop = tf.stack([draw[0] * (1 - side), draw[1] * (1 - side), side])
    inside = tf.reduce_any(_inside(crop_points(points, crop)))
    return tf.where(inside, crop, tf.constant(WHOLE))


def crop_points(points: tf.Tensor, crop: Crop) -> tf.Tensor:
    """Fixations in units of the crop; those outside lie beyond 0..1."""
    return (points - crop[:2]) / crop[2]


def keep_inside(points: tf.Tensor) -> tf.Tensor:
    """Drop the fixations beyond 0..1."""
    return tf.boolean_mask(points, _inside(points))


def crop_picture(picture: tf.Tensor, crop: Crop, size: int) -> tf.Tensor:
    """Cut a crop out, to whole pixels, and shrink it by area averaging.

    Args:
        picture: `[H, W, C]`, any dtype.

    Returns:
        `[size, size, C]` float32.
    """
    pixels = tf.cast(tf.shape(picture)[0], tf.float32)
    left, top, side = tf.unstack(tf.cast(tf.round(crop * pixels), tf.int32))
    return tf.image.resize(picture[top : top + side, left : left + side], [size, size], "area")


def mirror(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Flip a whole example left to right, every other time."""
    flip = tf.random.stateless_uniform([], seed) < 0.5
    flipped = dict(example)
    for key in ("frame", "other", "density", "teacher_spatial", "teacher_temporal"):
        if key in example:
            flipped[key] = tf.where(flip, example[key][:, ::-1], example[key])
    x, y = example["fixations"][:, 0], example["fixations"][:, 1]
    flipped["fixations"] = tf.stack([tf.where(flip, 1 - x, x), y], axis=1)
    return flipped


def recolour(example: dict[str, tf.Tensor], strength: float, seed: tf.Tensor) -> dict:
    """Change brightness, contrast and saturation of both frames alike.

    Args:
        strength: largest relative change of each; 0 leaves the frames as they are.
    """
    draw = tf.random.stateless_uniform([3], seed, -strength, strength)
    changed = dict(example)
    for key in ("frame", "other"):
        frame = tf.cast(example[key], tf.float32)  # (H, W, 3)
        grey = tf.image.rgb_to_grayscale(frame)
        frame = grey + (1 + draw[0]) * (frame - grey)
        frame = 127.5 * (1 + draw[1]) + (1 + draw[2]) * (frame - 127.5)
        changed[key] = tf.cast(tf.clip_by_value(tf.round(frame), 0, 255), tf.uint8)
    return changed


def _inside(points: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all((points >= 0) & (points < 1), axis=1)
