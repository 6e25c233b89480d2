"""Dark frames that are brightened before a model sees them."""

import itertools

import numpy as np
import pytest
from conftest import model_of

from uva_tf.core.cuts import CUT
from uva_tf.core.errors import InputError
from uva_tf.runtime.brighten import MOST_GAIN, brightened
from uva_tf.runtime.manifest import Manifest
from uva_tf.runtime.persistence import Persistence
from uva_tf.runtime.predictor import Predictor


def scene(seed=0, side=32):
    """A frame `[side, side, 3]` uint8 of all levels up to 239, with a mean of about 120."""
    return np.random.default_rng(seed).integers(0, 240, (side, side, 3), dtype=np.uint8)


class TestBrightened:
    @pytest.mark.parametrize("light", [2, 3, 5])
    def test_a_dark_frame_gets_the_mean_asked_for(self, light):
        dark = scene() // light
        bright = brightened(dark, 80)
        exact = dark * (80 / dark.mean())
        np.testing.assert_allclose(bright, np.minimum(exact, 255), atol=0.5 + 1e-9)
        assert abs(bright.mean() - 80) < 1

    def test_light_that_does_not_fit_is_cut_off(self):
        dark = np.zeros((16, 16, 3), np.uint8)
        dark[:2] = 200  # the mean is 25
        assert set(np.unique(brightened(dark, 80))) == {0, 255}

    def test_the_gain_has_a_limit(self):
        night = scene() // 60
        np.testing.assert_array_equal(brightened(night, 80), MOST_GAIN * night)

    def test_black_stays_black(self):
        assert not brightened(np.zeros((16, 16, 3), np.uint8), 80).any()

    @pytest.mark.parametrize("level", [0, 100])
    def test_a_frame_with_light_enough_is_left_alone(self, level):
        frame = scene()
        assert brightened(frame, level) is frame

    def test_colours_keep_their_hue(self):
        dark = np.full((16, 16, 3), (10, 20, 30), np.uint8)
        np.testing.assert_array_equal(brightened(dark, 80)[0, 0], (40, 80, 120))


class TestPredictor:
    @pytest.mark.parametrize("pairing", ["previous", "next"])
    def test_the_manifest_says_how_bright(self, step_model, tmp_path, pairing):
        plain = model_of(step_model, tmp_path, pairing=pairing)
        side = Predictor(plain).manifest.resolution
        frames = [scene(seed, side) // 5 for seed in range(4)]
        own = list(Predictor(plain).run(frames))
        expected = list(Predictor(plain).run([brightened(frame, 80) for frame in frames]))
        model = model_of(step_model, tmp_path, pairing=pairing, brighten=80)
        np.testing.assert_array_equal(list(Predictor(model).run(frames)), expected)
        np.testing.assert_array_equal(list(Predictor(model, brighten=0).run(frames)), own)
        assert not np.array_equal(expected, own)

    def test_frames_in_blue_first_are_brightened_alike(self, step_model):
        frames = [scene(seed) // 5 for seed in range(3)]
        maps = list(Predictor(step_model, brighten=80).run(frames))
        swapped = Predictor(step_model, brighten=80, channels="bgr")
        np.testing.assert_array_equal(list(swapped.run([f[..., ::-1] for f in frames])), maps)

    def test_brightened_noise_is_no_cut(self, step_model, tmp_path):
        side = Predictor(step_model).manifest.resolution
        noise = np.random.default_rng(0)
        frames = noise.integers(0, 17, (6, side, side, 3), dtype=np.uint8)
        bright = [brightened(frame, 100).astype(int) for frame in frames]
        assert min(np.abs(a - b).mean() for a, b in itertools.pairwise(bright)) > CUT
        model = model_of(step_model, tmp_path, persistence=0.8, brighten=100)
        own = list(Predictor(model, persistence=0).run(frames))
        joined = Persistence(0.8)
        expected = [joined.add(one, frames[0]) for one in own]
        np.testing.assert_array_equal(list(Predictor(model).run(frames)), expected)

    @pytest.mark.parametrize("level", [-1, 129, 80.0, "80", True, None])
    def test_a_manifest_that_says_anything_else_is_refused(self, step_model, tmp_path, level):
        model = model_of(step_model, tmp_path, brighten=level)
        with pytest.raises(InputError, match=r"brighten .* is not valid"):
            Predictor(model)

    @pytest.mark.parametrize("level", [-1, 129, 80.0, "80", True])
    def test_an_argument_that_is_anything_else_is_refused(self, step_model, level):
        with pytest.raises(ValueError, match=r"brighten .*: expected an int from 0 to 128"):
            Predictor(step_model, brighten=level)

    def test_older_manifests_brighten_nothing(self):
        assert Manifest("step", "fp32", "tiny", 32, "previous", "0").brighten == 0
