"""Maps that persist: each joined with those before it."""

import numpy as np
import pytest
from conftest import model_of

from uva_tf.core.errors import InputError
from uva_tf.runtime.manifest import Manifest
from uva_tf.runtime.persistence import WINDOW, Persistence
from uva_tf.runtime.predictor import Predictor

STILL = np.full((8, 8, 3), 100, np.uint8)


def bumps(count, seed=0):
    """Maps `[count, 16, 16]` uint8 with their peak at 255."""
    maps = np.random.default_rng(seed).integers(0, 200, (count, 16, 16), dtype=np.uint8)
    maps[np.arange(count), np.arange(count) % 16, 3] = 255
    return maps


def moving(count, seed=0):
    """Frames of a scene without a cut, `[count, 48, 64, 3]` uint8."""
    rng = np.random.default_rng(seed)
    frames = np.full((count, 48, 64, 3), 60, np.uint8)
    for number, frame in enumerate(frames):
        frame[10:20, number : number + 12] = 220
    return frames + rng.integers(0, 6, frames.shape, dtype=np.uint8)


class TestPersistence:
    @pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
    def test_a_map_is_the_weighted_mean_of_the_last(self, share):
        maps, joined = bumps(40), Persistence(share)
        drawn = [joined.add(one, STILL) for one in maps]
        for number, one in enumerate(drawn):
            last = maps[max(0, number + 1 - WINDOW) : number + 1][::-1].astype(float)
            weights = np.rint(256 * share ** np.arange(len(last)))
            mean = np.tensordot(weights, last, 1)
            assert one.dtype == np.uint8
            np.testing.assert_allclose(one, 255 * mean / mean.max(), atol=0.5001)

    def test_nothing_persists_at_0(self):
        maps, joined = bumps(5), Persistence(0)
        for one in maps:
            assert joined.add(one, STILL) is one

    def test_maps_of_floats_keep_their_peak(self):
        maps, joined = bumps(5) / np.float32(255), Persistence(0.8)
        drawn = [joined.add(one, STILL) for one in maps]
        assert all(one.dtype == np.float32 and one.max() == 1 for one in drawn)
        np.testing.assert_array_equal(drawn[0], maps[0])

    def test_a_cut_forgets_what_was_before(self):
        maps, joined = bumps(4), Persistence(0.8)
        frames = [STILL, STILL + 30, STILL + 70, STILL + 70]  # the third: 40 levels brighter
        drawn = [joined.add(one, frame) for one, frame in zip(maps, frames, strict=True)]
        assert not np.array_equal(drawn[1], maps[1])
        np.testing.assert_array_equal(drawn[2], maps[2])
        assert not np.array_equal(drawn[3], maps[3])

    def test_a_frame_may_be_overwritten_afterwards(self):
        maps, joined, frame = bumps(2), Persistence(0.8), STILL.copy()
        joined.add(maps[0], frame)
        frame[:] = 255
        np.testing.assert_array_equal(joined.add(maps[1], frame), maps[1])

    def test_a_stream_begun_later_draws_the_same_after_the_window(self):
        """To the last bit: a long video that is cut into segments has an uncut run's maps."""
        maps, whole, later = bumps(60), Persistence(0.8), Persistence(0.8)
        drawn = [whole.add(one, STILL) for one in maps]
        again = [later.add(one, STILL) for one in maps[21:]]
        np.testing.assert_array_equal(again[WINDOW - 1 :], drawn[21 + WINDOW - 1 :])

    @pytest.mark.parametrize("ahead", [1, 8, 15])
    def test_maps_ahead_are_joined_too(self, ahead):
        maps, joined = bumps(40), Persistence(0.8, ahead)
        drawn = [joined.add(one, STILL) for one in maps]
        assert drawn[:ahead] == [None] * ahead
        drawn = [*drawn[ahead:], *joined.rest()]
        assert len(drawn) == len(maps)
        for number, one in enumerate(drawn):
            near = np.arange(max(0, number + 1 - WINDOW), min(len(maps), number + ahead + 1))
            weights = np.rint(256 * 0.8 ** np.abs(near - number))
            mean = np.tensordot(weights, maps[near].astype(float), 1)
            np.testing.assert_allclose(one, 255 * mean / mean.max(), atol=0.5001)

    def test_maps_beyond_a_cut_are_not_joined(self):
        maps, joined = bumps(9), Persistence(0.8, 2)
        frames = [*[STILL] * 3, STILL + 70, *[STILL + 140] * 5]  # shots of 3, 1 and 5 frames
        drawn = [joined.add(one, frame) for one, frame in zip(maps, frames, strict=True)]
        drawn = [*drawn[2:], *joined.rest()]
        np.testing.assert_array_equal(drawn[3], maps[3])
        for first, last in ((0, 3), (4, 9)):
            alone = Persistence(0.8, 2)
            shot = [alone.add(one, STILL) for one in maps[first:last]]
            expected = [*filter(lambda one: one is not None, shot), *alone.rest()]
            np.testing.assert_array_equal(drawn[first:last], expected)

    def test_a_stream_shorter_than_what_is_ahead_is_whole(self):
        maps, joined = bumps(3), Persistence(0.8, 8)
        assert [joined.add(one, STILL) for one in maps] == [None] * 3
        assert len(list(joined.rest())) == 3

    @pytest.mark.parametrize("ahead", [-1, 16, True, 2.0, None])
    def test_another_number_ahead_is_refused(self, ahead):
        with pytest.raises(ValueError, match="expected an int from 0 to 15"):
            Persistence(0.8, ahead)

    def test_black_maps_stay_black(self):
        joined = Persistence(0.8)
        assert not joined.add(np.zeros((4, 4), np.uint8), STILL).any()

    @pytest.mark.parametrize("share", [-0.1, 0.96, True, float("nan"), "0.8", None])
    def test_another_value_is_refused(self, share):
        with pytest.raises(ValueError, match=r"expected 0 to 0\.95"):
            Persistence(share)


class TestPredictor:
    @pytest.mark.parametrize("pairing", ["previous", "next"])
    def test_the_manifest_says_how_long_maps_persist(self, step_model, tmp_path, pairing):
        plain = model_of(step_model, tmp_path, pairing=pairing)
        frames = moving(20)
        maps = list(Predictor(plain).run(frames))
        smalls = [frame[::6, ::8] for frame in frames]
        joined = Persistence(0.7)
        expected = [joined.add(*pair) for pair in zip(maps, smalls, strict=True)]
        lasting = model_of(step_model, tmp_path, pairing=pairing, persistence=0.7)
        np.testing.assert_array_equal(list(Predictor(lasting).run(frames)), expected)
        np.testing.assert_array_equal(list(Predictor(lasting, persistence=0).run(frames)), maps)
        assert not np.array_equal(expected, maps)

    @pytest.mark.parametrize("pairing", ["previous", "next"])
    def test_the_first_map_after_a_cut_is_its_own(self, step_model, tmp_path, pairing):
        lasting = model_of(step_model, tmp_path, pairing=pairing, persistence=0.9)
        frames = np.concatenate([moving(6), 255 - moving(6, seed=1)])
        drawn = list(Predictor(lasting).run(frames))
        own = list(Predictor(lasting, persistence=0).run(frames))
        same = [np.array_equal(a, b) for a, b in zip(drawn, own, strict=True)]
        assert [number for number, one in enumerate(same) if one] == [0, 6]

    @pytest.mark.parametrize("pairing", ["previous", "next"])
    def test_a_recorded_video_is_looked_ahead_in(self, step_model, tmp_path, pairing):
        model = model_of(step_model, tmp_path, pairing=pairing, persistence=0.7)
        frames = moving(20)
        own = list(Predictor(model, persistence=0).run(frames))
        joined = Persistence(0.7, 4)
        expected = [joined.add(one, STILL) for one in own][4:] + list(joined.rest())
        predictor = Predictor(model, ahead=4)
        np.testing.assert_array_equal(list(predictor.run(frames)), expected)
        np.testing.assert_array_equal(list(predictor.run(frames)), expected)
        with pytest.raises(ValueError, match="use run"):
            predictor.step(frames[0])

    def test_a_new_stream_begins_without_maps(self, step_model, tmp_path):
        predictor = Predictor(model_of(step_model, tmp_path, persistence=0.8))
        first = list(predictor.run(moving(5)))
        np.testing.assert_array_equal(list(predictor.run(moving(5))), first)

    @pytest.mark.parametrize("share", [1.0, -0.5, "0.8", 1, True, None])
    def test_a_manifest_that_says_anything_else_is_refused(self, step_model, tmp_path, share):
        model = model_of(step_model, tmp_path, persistence=share)
        with pytest.raises(InputError, match=r"persistence .* is not valid"):
            Predictor(model)

    def test_a_whole_number_in_a_manifest_is_one(self, step_model, tmp_path):
        """JavaScript writes 0 for 0.0."""
        assert Predictor(model_of(step_model, tmp_path, persistence=0)).persistence == 0

    def test_a_stream_goes_on_from_reset(self, step_model, tmp_path):
        predictor = Predictor(model_of(step_model, tmp_path, persistence=0.8))
        first = [predictor.step(frame) for frame in moving(3)]
        predictor.reset()
        np.testing.assert_array_equal([predictor.step(frame) for frame in moving(3)], first)

    def test_older_manifests_have_none(self):
        assert Manifest("step", "fp32", "tiny", 32, "previous", "0").persistence == 0
