"""Random changes of batches: frames, maps and fixations stay together."""

import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.data.augment import (
    Draws,
    crop_pictures,
    crop_points,
    draw_crops,
    mirror_points,
    move_camera,
    recolour,
    take_light,
    whole,
)
from uva_tf.data.pipeline import View, density, training_batches
from uva_tf.data.prepare import prepare

POINTS = tf.ragged.constant(
    [[[0.1, 0.2], [0.6, 0.9], [0.35, 0.5]], [[0.7, 0.7]], []], ragged_rank=1, inner_shape=(2,)
)
FLIP = tf.constant([True, False, True])


def draws(batch, seed=0):
    return Draws.of(tf.constant([7, seed]), batch)


def noise(batch, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


def unflipped(batch):
    return tf.fill([batch], False)


def repeated(points, batch):
    """The same points for every example of a batch."""
    return tf.RaggedTensor.from_tensor(tf.tile(tf.constant(points)[None], [batch, 1, 1]))


def centre_of(picture):
    """Centre of brightness of `[size, size, C]`, x and y from 0 to 1."""
    light = np.asarray(picture, float).sum(axis=2)
    places = (np.arange(len(light)) + 0.5) / len(light)
    return np.array([light.sum(axis=0) @ places, light.sum(axis=1) @ places]) / light.sum()


def dots(batch, size=128):
    """Black pictures with one bright dot each, and the dots' places."""
    places = np.random.default_rng(0).integers(5, size - 5, (batch, 2))
    pictures = np.zeros((batch, size, size, 3), np.uint8)
    for picture, (row, column) in zip(pictures, places, strict=True):
        picture[row - 1 : row + 2, column - 1 : column + 2] = 255
    points = tf.RaggedTensor.from_tensor((places[:, None, ::-1] + np.float32(0.5)) / size)
    return pictures, tf.cast(points, tf.float32)


class TestDraws:
    def test_are_the_same_for_the_same_seed_and_others_for_another(self):
        for one, again, other in zip(draws(4), draws(4), draws(4, seed=1), strict=True):
            np.testing.assert_array_equal(one, again)
            assert not np.any(one.numpy() == other.numpy())

    def test_spread_over_0_to_1(self):
        for draw in draws(400):
            assert 0 <= draw.numpy().min() < 0.05  # 400 draws miss it in 1 of 8e8 seeds
            assert 0.95 < draw.numpy().max() < 1


class TestMirror:
    def test_flips_the_chosen_pictures_only(self):
        frames = noise(3)
        flipped = crop_pictures(tf.constant(frames), whole(3), FLIP, 16)
        for found, frame, flip in zip(flipped, frames, FLIP, strict=True):
            expected = frame[:, ::-1] if flip else frame
            # Places of samples are rounded to 1e-7 of the picture, 255 steps a pixel.
            np.testing.assert_allclose(found, expected, atol=1e-2)

    def test_flips_the_chosen_fixations_only(self):
        expected = [[[1 - 0.1, 0.2], [1 - 0.6, 0.9], [1 - 0.35, 0.5]], [[0.7, 0.7]], []]
        for found, points in zip(mirror_points(POINTS, FLIP), expected, strict=True):
            # 1 - x in float32.
            np.testing.assert_allclose(found, np.reshape(points, (-1, 2)), atol=1e-7)

    def test_density_of_mirrored_fixations_is_the_mirrored_density(self):
        aspect = tf.ones(3)
        drawn = density(POINTS, 16, 0.1, aspect)
        mirrored = density(mirror_points(POINTS, FLIP), 16, 0.1, aspect)
        expected = np.where(FLIP[:, None, None, None], drawn[:, :, ::-1], drawn)
        assert np.abs(mirrored - drawn).max() > 1e-3
        # 1 - x rounds to 6e-8, sigma is 0.1 and the densest pixel 0.04.
        np.testing.assert_allclose(mirrored, expected, atol=1e-6)


class TestCrops:
    def test_keep_a_dot_at_its_fixation(self):
        pictures, points = dots(40)
        crops = draw_crops(points, 0.5, draws(40).crop)
        small = crop_pictures(tf.constant(pictures), crops, unflipped(40), 64)
        checked = 0
        for picture, found in zip(small.numpy(), crop_points(points, crops), strict=True):
            (place,) = found.numpy()
            if place.min() > 0.05 and place.max() < 0.95:  # else the dot itself is cut
                # A dot of 3 pixels in samples up to 2 apart: a quarter of a pixel of 64.
                np.testing.assert_allclose(centre_of(picture), place, atol=0.25 / 64)
                checked += 1
        assert checked > 20

    def test_are_square_in_shares_and_lie_inside_the_picture(self):
        points = repeated([[0.1, 0.2], [0.6, 0.9], [0.35, 0.5]], 60)
        left, top, side = draw_crops(points, 0.4, draws(60).crop).numpy().T
        assert side.min() >= 0.4
        assert side.max() <= 1
        assert min(left.min(), top.min()) >= 0
        assert max((left + side).max(), (top + side).max()) <= 1 + 1e-6  # float32 sum
        assert len(np.unique(side)) > 20

    def test_without_a_fixation_fall_back_to_the_whole(self):
        corner = repeated([[0.02, 0.03]], 60)
        crops = draw_crops(corner, 0.2, draws(60).crop)
        assert crop_points(corner, crops).row_lengths().numpy().tolist() == [1] * 60
        fallen_back = (crops.numpy() == [0, 0, 1]).all(axis=1)
        assert 0 < fallen_back.sum() < 60

    def test_for_nobody_at_all_are_the_whole(self):
        nobody = tf.RaggedTensor.from_tensor(tf.zeros([5, 0, 2]), ragged_rank=1)
        np.testing.assert_array_equal(draw_crops(nobody, 0.5, draws(5).crop), whole(5))

    def test_drop_the_fixations_outside(self):
        points = repeated([[0.75, 0.5], [0.4, 0.5], [0.75, 0.8], [0.5, 0.25], [0.9, 0.2]], 1)
        (kept,) = crop_points(points, tf.constant([[0.5, 0.25, 0.5]]))
        np.testing.assert_array_equal(kept, [[0.5, 0.5], [0.0, 0.0]])

    def test_of_the_whole_at_its_own_size_change_nothing(self):
        pictures = noise(2)
        # Places of samples are rounded to 1e-7 of the picture, 255 steps a pixel.
        np.testing.assert_allclose(
            crop_pictures(tf.constant(pictures), whole(2), unflipped(2), 16), pictures, atol=1e-2
        )

    @pytest.mark.parametrize("times", [2, 4])
    def test_of_the_whole_made_smaller_average_over_area(self, times):
        pictures = noise(2, size=32)
        size = 32 // times
        blocks = pictures.reshape(2, size, times, size, times, 3).mean(axis=(2, 4))
        np.testing.assert_allclose(
            crop_pictures(tf.constant(pictures), whole(2), unflipped(2), size), blocks, atol=1e-2
        )

    def test_have_no_black_border(self):
        bright = tf.fill([30, 128, 128, 3], tf.constant(200, tf.uint8))
        crops = draw_crops(repeated([[0.5, 0.5]], 30), 0.9, draws(30).crop)
        edges = tf.concat([crops, whole(30)], axis=0)
        small = crop_pictures(tf.concat([bright, bright], axis=0), edges, unflipped(60), 64)
        np.testing.assert_allclose(small, 200, atol=1e-3)  # float32 weights


class TestCamera:
    CROPS = tf.tile([[0.1, 0.2, 0.6]], [200, 1])

    def test_moves_a_little_both_ways_and_stays_inside(self):
        moved = move_camera(self.CROPS, 0.05, draws(200).camera).numpy()
        middle = moved[:, :2] + moved[:, 2:] / 2
        shift = (middle - [0.4, 0.5]) / 0.6
        zoom = moved[:, 2] / 0.6 - 1
        for change in (*shift.T, zoom):
            assert np.abs(change).max() <= 0.05 + 1e-6  # float32
            # Even draws: 200 come within a fifth of either end but in 1 of 1e9 seeds.
            assert change.min() < -0.04
            assert change.max() > 0.04

    def test_stays_inside_the_picture(self):
        moved = move_camera(whole(200), 0.1, draws(200).camera).numpy()
        assert moved[:, :2].min() >= 0
        assert (moved[:, :2] + moved[:, 2:]).max() <= 1 + 1e-6  # float32
        assert moved[:, 2].min() < 0.95

    def test_of_no_motion_stays(self):
        np.testing.assert_array_equal(move_camera(self.CROPS, 0.0, draws(200).camera), self.CROPS)


class TestRecolour:
    def test_by_0_changes_nothing(self):
        frames = tf.constant(noise(3), tf.float32)
        np.testing.assert_array_equal(recolour(frames, 0.0, draws(3).colour), frames)

    def test_is_alike_for_both_frames_and_different_for_each_example(self):
        frame = tf.constant(noise(1), tf.float32)
        both = tf.tile(frame[:, None], [4, 2, 1, 1, 1])
        changed = recolour(both, 0.3, draws(4).colour).numpy()
        np.testing.assert_array_equal(changed[:, 0], changed[:, 1])
        assert len({example.tobytes() for example in changed}) == 4

    @pytest.mark.parametrize("strength", [0.1, 0.3])
    def test_stays_within_its_strength(self, strength):
        grey = tf.fill([60, 4, 4, 3], 200.0)
        change = np.abs(recolour(grey, strength, draws(60).colour) - 200).max(axis=(1, 2, 3))
        # Brightness about 127.5 and contrast about the middle, each by `strength`.
        most = strength * (127.5 + 72.5)
        assert 0.5 * most < change.max() <= most

    def test_leaves_the_brightness_of_grey_to_brightness_and_contrast(self):
        grey = tf.fill([1, 1, 1, 3], 90.0)
        saturation_only = tf.constant([[1.0, 0.5, 0.5]])
        # Weights of luma that sum to 1 in float32.
        np.testing.assert_allclose(recolour(grey, 0.3, saturation_only), 90, rtol=1e-6)


class TestTakeLight:
    def test_changes_nothing_unless_asked_to(self):
        frames = tf.cast(noise(3), tf.float32)
        np.testing.assert_array_equal(take_light(frames, 0.0, 0.0, draws(3).light), frames)

    def test_some_become_grey_as_luminance_and_some_dark(self):
        count = 2000
        frames = tf.tile([[[[200.0, 100.0, 50.0]]]], [count, 1, 1, 1])
        changed = take_light(frames, 0.2, 0.3, draws(count).light).numpy()[:, 0, 0]
        grey = np.ptp(changed, axis=1) < 1e-3
        luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
        left = np.where(grey, changed[:, 0] / luma, changed[:, 0] / 200)
        assert 0.17 < grey.mean() < 0.23  # three standard deviations
        assert 0.27 < (left < 1 - 1e-6).mean() < 0.33
        assert left.max() < 1 + 1e-6
        assert 0.1 <= left.min() < 0.11
        colours = changed[~grey] / left[~grey, None]
        np.testing.assert_allclose(colours, np.tile([200, 100, 50], (len(colours), 1)), rtol=1e-5)
        # As many lose half of their light or less as a log scale from 0.1 to 1 says.
        some = left[left < 1 - 1e-6]
        assert abs((some > 0.5).mean() - np.log10(2)) < 0.06


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
    augment = AugmentConfig(smallest_crop=0.5, colour=0.2, camera_motion=0.04)
    batches = training_batches(
        [dataset], View(64, 32, "previous"), batch=16, seed=1, augment=augment
    )
    checked, moved = 0, []
    for batch in batches.take(4):
        for frame, other, drawn, points in zip(
            batch["frame"].numpy(),
            batch["other"].numpy(),
            batch["density"].numpy(),
            batch["fixations"],
            strict=True,
        ):
            (place,) = points.numpy()
            if place.min() < 0.1 or place.max() > 0.9:
                continue  # the dot or its Gaussian is cut
            # Half a pixel of 64 for JPEG's blur and the threshold.
            centre = centre_of(np.where(frame > 100, frame, 0))
            np.testing.assert_allclose(centre, place, atol=0.5 / 64)
            # A Gaussian sampled at pixel centres has its centre to a tenth of a pixel of 32.
            np.testing.assert_allclose(centre_of(drawn), place, atol=0.1 / 32)
            moved.append(centre_of(np.where(other > 100, other, 0)) - centre)
            checked += 1
    assert checked > 30
    # A photograph's other is itself, seen by a camera that moved: shift and zoom of 4 %.
    assert 0.02 < np.abs(moved).max() < 0.04 + 0.02 + 1 / 64


def test_frame_and_neighbour_lose_colour_and_light_together(tmp_path, images_root):
    pictures = {f"{n}.png": np.full((64, 64, 3), (60, 120, 240), np.uint8) for n in range(8)}
    rows = [(str(n), 1, 32.5, 32.5) for n in range(8)]
    dataset = prepare(
        "images", images_root(pictures, rows), tmp_path / "shards", DataConfig(size=64)
    )
    augment = AugmentConfig(1.0, 0.0, 0.0, 0.0, grey=0.5, dark=0.5)
    view = View(32, 32, "previous")
    (batch,) = training_batches([dataset], view, batch=64, seed=1, augment=augment).take(1)
    frame, other = batch["frame"].numpy(), batch["other"].numpy()
    np.testing.assert_array_equal(frame, other)
    colourless = np.ptp(frame.astype(int), axis=-1).max(axis=(1, 2)) == 0
    dark = frame.max(axis=(1, 2, 3)) < np.where(colourless, 110, 230)
    for some in (colourless, dark, colourless & dark):
        assert some.any() and not some.all()
