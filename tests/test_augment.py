"""Random changes of an example: frames, maps and fixations stay together."""

import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.data.augment import (
    WHOLE,
    crop_picture,
    crop_points,
    draw_crop,
    keep_inside,
    mirror,
    recolour,
)
from uva_tf.data.pipeline import View, density, training_batches
from uva_tf.data.prepare import prepare

POINTS = tf.constant([[0.1, 0.2], [0.6, 0.9], [0.35, 0.5]])


def example(seed=0, size=16):
    rng = np.random.default_rng(seed)
    frame, other = rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    return {
        "frame": tf.constant(frame),
        "other": tf.constant(other),
        "density": density(POINTS, size, 0.1, 1.0),
        "teacher_spatial": tf.constant(rng.random((size, size, 1), np.float32)),
        "teacher_temporal": tf.constant(rng.random((size, size, 1), np.float32)),
        "fixations": POINTS,
    }


def seeds(count):
    return [tf.constant([7, number], tf.int64) for number in range(count)]


def centre_of(picture):
    """Centre of brightness of `[size, size, C]`, x and y from 0 to 1."""
    light = np.asarray(picture, float).sum(axis=2)
    places = (np.arange(len(light)) + 0.5) / len(light)
    return np.array([light.sum(axis=0) @ places, light.sum(axis=1) @ places]) / light.sum()


def test_mirror_flips_everything_or_nothing():
    given = example()
    flips = 0
    for seed in seeds(20):
        result = mirror(given, seed)
        flipped = bool(np.any(result["frame"] != given["frame"]))
        flips += flipped
        for key in ("frame", "other", "density", "teacher_spatial", "teacher_temporal"):
            expected = given[key][:, ::-1] if flipped else given[key]
            np.testing.assert_array_equal(result[key], expected)
        x = 1 - POINTS[:, 0] if flipped else POINTS[:, 0]
        np.testing.assert_array_equal(result["fixations"], tf.stack([x, POINTS[:, 1]], axis=1))
    assert 4 <= flips <= 16  # a fair coin misses this in 1 of 380 choices of the seeds


def test_density_of_mirrored_fixations_is_the_mirrored_density():
    given = example()
    results = [mirror(given, seed) for seed in seeds(20)]
    flipped = next(r for r in results if np.any(r["frame"] != given["frame"]))
    assert np.any(np.abs(flipped["density"] - given["density"]) > 1e-3)
    # 1 - x rounds to 6e-8, sigma is 0.1 and the densest pixel 0.02: the rest is float32 rounding.
    np.testing.assert_allclose(
        density(flipped["fixations"], 16, 0.1, 1.0), flipped["density"], atol=1e-7
    )


def test_a_crop_keeps_a_dot_at_its_fixation():
    crops = 0
    for number, seed in enumerate(seeds(30)):
        row, column = np.random.default_rng(number).integers(5, 123, 2)
        picture = np.zeros((128, 128, 3), np.uint8)
        picture[row - 1 : row + 2, column - 1 : column + 2] = 255
        point = tf.constant([[(column + 0.5) / 128, (row + 0.5) / 128]], tf.float32)
        crop = draw_crop(point, 0.5, seed)
        crops += tuple(crop.numpy()) != WHOLE
        (place,) = crop_points(point, crop).numpy()
        if place.min() < 0.05 or place.max() > 0.95:
            continue  # the dot itself is cut
        # A crop is cut to whole pixels: its edges move by half of one, of 64 or more.
        np.testing.assert_allclose(centre_of(crop_picture(picture, crop, 64)), place, atol=1 / 64)
    assert crops > 10


def test_a_crop_is_square_in_shares_and_lies_inside_the_picture():
    crops = np.array([draw_crop(POINTS, 0.4, seed) for seed in seeds(40)])
    left, top, side = crops.T
    assert side.min() >= 0.4
    assert side.max() <= 1
    assert min(left.min(), top.min()) >= 0
    assert max((left + side).max(), (top + side).max()) <= 1 + 1e-6  # float32 sum
    assert len(np.unique(side)) > 10


def test_a_crop_without_a_fixation_falls_back_to_the_whole():
    corner = tf.constant([[0.02, 0.03]])
    crops = [draw_crop(corner, 0.2, seed) for seed in seeds(60)]
    for crop in crops:
        assert len(keep_inside(crop_points(corner, crop))) == 1
    whole = [crop for crop in crops if tuple(crop.numpy()) == WHOLE]
    assert 0 < len(whole) < len(crops)


def test_a_crop_for_no_fixation_at_all_is_the_whole():
    for seed in seeds(5):
        assert tuple(draw_crop(tf.zeros([0, 2]), 0.5, seed).numpy()) == WHOLE


def test_fixations_outside_a_crop_are_dropped():
    crop = tf.constant([0.5, 0.25, 0.5])
    points = tf.constant([[0.75, 0.5], [0.4, 0.5], [0.75, 0.8], [0.5, 0.25], [0.9, 0.2]])
    kept = keep_inside(crop_points(points, crop))
    np.testing.assert_array_equal(kept, [[0.5, 0.5], [0.0, 0.0]])


def test_the_whole_at_its_own_size_is_the_picture_itself():
    picture = example()["frame"]
    np.testing.assert_array_equal(crop_picture(picture, tf.constant(WHOLE), 16), picture)


def test_recolouring_by_0_changes_nothing():
    given = example()
    for seed in seeds(3):
        result = recolour(given, 0.0, seed)
        for key, value in given.items():
            np.testing.assert_array_equal(result[key], value)


def test_both_frames_are_recoloured_alike():
    given = example()
    given["other"] = given["frame"][::-1]
    results = [recolour(given, 0.3, seed) for seed in seeds(5)]
    for result in results:
        assert result["frame"].dtype == tf.uint8
        assert np.any(result["frame"] != given["frame"])
        np.testing.assert_array_equal(result["other"], result["frame"][::-1])
        np.testing.assert_array_equal(result["density"], given["density"])
        np.testing.assert_array_equal(result["fixations"], given["fixations"])
    assert np.any(results[0]["frame"] != results[1]["frame"])


@pytest.mark.parametrize("strength", [0.1, 0.3])
def test_recolouring_stays_within_its_strength(strength):
    grey = {key: tf.fill([4, 4, 3], tf.constant(200, tf.uint8)) for key in ("frame", "other")}
    for seed in seeds(20):
        value = recolour(grey, strength, seed)["frame"].numpy()
        # Brightness about 127.5 and contrast about the middle, each by `strength`; 0.5 to round.
        assert abs(value.astype(float) - 200).max() <= strength * (127.5 + 72.5) + 0.5


def test_dots_stay_at_their_fixations_through_the_whole_pipeline(tmp_path, images_root):
    """Record, crop, recolour and mirror: a frame is bright where it was fixated."""
    rng = np.random.default_rng(4)
    pictures, rows = {}, []
    for name in "abcdefgh":
        row, column = rng.integers(8, 120, 2)
        pictures[f"{name}.png"] = np.zeros((128, 128, 3), np.uint8)
        pictures[f"{name}.png"][row - 2 : row + 3, column - 2 : column + 3] = 255
        rows.append((name, 1, column + 0.5, row + 0.5))
    dataset = prepare(
        "images", images_root(pictures, rows), tmp_path / "shards", DataConfig(size=128)
    )
    batches = training_batches(
        [dataset], View(64, 32, "previous"), batch=16, seed=1, augment=AugmentConfig(0.5, 0.2)
    )
    checked = 0
    for batch in batches.take(4):
        # A photograph pairs with itself, so both frames must have gone through the same.
        np.testing.assert_array_equal(batch["other"], batch["frame"])
        for frame, density_, points in zip(
            batch["frame"].numpy(), batch["density"].numpy(), batch["fixations"], strict=True
        ):
            (place,) = points.numpy()
            if place.min() < 0.1 or place.max() > 0.9:
                continue  # the dot or its Gaussian is cut
            # A pixel of 64 for the cut to whole pixels; half a pixel for JPEG's blur.
            np.testing.assert_allclose(
                centre_of(np.where(frame > 100, frame, 0)), place, atol=1.5 / 64
            )
            # A Gaussian sampled at pixel centres has its centre to a tenth of a pixel of 32.
            np.testing.assert_allclose(centre_of(density_), place, atol=0.1 / 32)
            checked += 1
    assert checked > 30
