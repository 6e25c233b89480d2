"""Metrics against small cases worked by hand, extremes, invariances and literal definitions."""

import literal_metrics as literal
import numpy as np
import pytest
from score_maps import CORNERS, HEIGHT, ROUNDING, WIDTH, one_hot, scattered

from uva_tf.core.resize import resize
from uva_tf.data.fixations import density_map, fixation_map
from uva_tf.evaluation import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestNSS:
    def test_of_a_3x3_map_by_hand(self):
        # Mean 1, sum of squares 81, variance (81 - 9) / 8 = 9: the peak lies (9 - 1) / 3 above.
        prediction = np.zeros((3, 3))
        prediction[1, 1] = 9
        assert metrics.nss(prediction, one_hot((3, 3), (1, 1))) == pytest.approx(8 / 3)
        assert metrics.nss(prediction, one_hot((3, 3), (0, 0))) == pytest.approx(-1 / 3)

    def test_of_a_perfect_and_of_an_inverted_map(self):
        # 1 of 9 fixated: mean 1/9, variance (1 - 1/9) / 8 = 1/9, so (8/9) / (1/3).
        fixated = one_hot((3, 3), (1, 2))
        assert metrics.nss(255.0 * fixated, fixated) == pytest.approx(8 / 3)
        assert metrics.nss(255.0 * ~fixated, fixated) == pytest.approx(-8 / 3)

    def test_of_a_constant_map_is_0_and_drops_out_in_the_reference(self):
        constant, fixated = np.full((4, 4), 0.1), one_hot((4, 4), (0, 0))
        assert metrics.nss(constant, fixated) == 0
        assert np.isnan(metrics.nss(constant, fixated, reference=True))

    def test_of_all_pixels_is_0(self, rng):
        every = np.ones((6, 8), bool)
        assert metrics.nss(rng.random((6, 8)), every) == pytest.approx(0, abs=ROUNDING)

    @pytest.mark.parametrize("corner", CORNERS)
    def test_of_one_fixation_in_a_corner(self, rng, corner):
        prediction = rng.random((6, 8))
        expected = (prediction[corner] - prediction.mean()) / prediction.std(ddof=1)
        assert metrics.nss(prediction, one_hot((6, 8), corner)) == pytest.approx(expected)

    def test_does_not_change_with_an_affine_change(self, rng):
        prediction, fixated = rng.random((9, 16)), one_hot((9, 16), (2, 3), (5, 5))
        changed = 7 * prediction + 3
        assert metrics.nss(changed, fixated) == pytest.approx(metrics.nss(prediction, fixated))

    def test_equals_the_definition(self, rng):
        prediction, fixated = 255 * rng.random((18, 32)), scattered(rng, (18, 32), 20)
        expected = literal.nss(prediction, fixated)
        assert metrics.nss(prediction, fixated) == pytest.approx(expected, abs=ROUNDING)

    def test_of_the_reference_is_the_same_if_the_map_varies(self, rng):
        prediction, fixated = rng.random((9, 16)), one_hot((9, 16), (2, 3))
        expected = metrics.nss(prediction, fixated)
        assert metrics.nss(prediction, fixated, reference=True) == expected

    def test_needs_a_fixation(self):
        with pytest.raises(ValueError, match="no fixation"):
            metrics.nss(np.eye(3), np.zeros((3, 3), bool))


class TestCC:
    def test_of_3x3_maps_by_hand(self):
        # Peaks of 9 apart: deviations 8 and -1, products 2 x 8 x -1 + 7 x 1 = -9 of 64 + 8.
        prediction, density = 9.0 * one_hot((3, 3), (1, 1)), 9.0 * one_hot((3, 3), (0, 0))
        assert metrics.cc(prediction, density) == pytest.approx(-9 / 72)

    def test_of_a_perfect_and_of_an_inverted_map(self, rng):
        density = rng.random((6, 8))
        assert metrics.cc(255 * density, density) == pytest.approx(1)
        assert metrics.cc(255 * (1 - density), density) == pytest.approx(-1)

    def test_of_a_constant_map_is_0_and_drops_out_in_the_reference(self, rng):
        constant, varying = np.full((6, 8), 0.1), rng.random((6, 8))
        for maps in ((constant, varying), (varying, constant)):
            assert metrics.cc(*maps) == 0
            assert np.isnan(metrics.cc(*maps, reference=True))

    def test_does_not_change_with_an_affine_change(self, rng):
        prediction, density = rng.random((2, 6, 8))
        expected = metrics.cc(prediction, density)
        assert metrics.cc(7 * prediction + 3, 0.2 * density + 1) == pytest.approx(expected)

    def test_equals_numpys_correlation_and_the_definition(self, rng):
        one, other = rng.random((2, 18, 32))
        expected = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert metrics.cc(one, other) == pytest.approx(expected, abs=ROUNDING)
        assert metrics.cc(one, other) == pytest.approx(literal.cc(one, other), abs=ROUNDING)

    def test_of_a_map_too_faint_to_square_is_0(self):
        # As of fixations far outside the picture: 1e-200 squared is 0 in float64.
        assert metrics.cc(np.eye(3), 1e-200 * np.eye(3)) == 0


class TestSIM:
    def test_of_3x3_maps_by_hand(self):
        # Shares 1/4, 1/4, 1/2 and 1/2, 1/4, 1/4: 1/4 of each in common.
        prediction, density = np.diag([1.0, 1, 2]), np.diag([2.0, 1, 1])
        assert metrics.sim(prediction, density) == pytest.approx(3 / 4)

    def test_takes_the_minimum_off_first(self):
        # Distributions 0, 1/3, 2/3 and 0, 2/3, 1/3 share 1/3 + 1/3.
        assert metrics.sim(np.array([[1.0, 2, 3]]), np.array([[0.0, 2, 1]])) == pytest.approx(2 / 3)

    def test_of_a_perfect_and_of_an_inverted_map(self):
        looked_at = 1.0 * one_hot((4, 4), (1, 2), (3, 3))
        assert metrics.sim(255 * looked_at, looked_at) == pytest.approx(1)
        assert metrics.sim(255 * (1 - looked_at), looked_at) == 0

    def test_takes_a_constant_map_as_uniform(self):
        # Uniform over 4 pixels against all mass on one.
        assert metrics.sim(np.ones((2, 2)), np.array([[0, 0], [0, 1.0]])) == pytest.approx(0.25)

    def test_equals_the_definition(self, rng):
        one, other = rng.random((2, 18, 32))
        assert metrics.sim(one, other) == pytest.approx(literal.sim(one, other), abs=ROUNDING)


class TestKL:
    def test_of_3x3_maps_by_hand(self):
        # Shares p 1/4, 1/4, 1/2 and g 1/2, 1/4, 1/4: (1/2) ln 2 + 0 + (1/4) ln (1/2).
        prediction, density = np.diag([1.0, 1, 2]), np.diag([2.0, 1, 1])
        assert metrics.kl(prediction, density) == pytest.approx(np.log(2) / 4)

    def test_of_a_perfect_and_of_an_inverted_map(self):
        looked_at = 1.0 * one_hot((4, 4), (1, 2), (3, 3))
        assert metrics.kl(255 * looked_at, looked_at) == pytest.approx(0, abs=ROUNDING)
        # Nothing where all of it should be: ln of a half over epsilon.
        expected = np.log(0.5 / metrics.EPS)
        assert metrics.kl(255 * (1 - looked_at), looked_at) == pytest.approx(expected)

    @pytest.mark.parametrize("value", [0, 7])
    def test_takes_a_constant_map_as_uniform(self, value):
        assert metrics.kl(np.full((3, 3), value), np.eye(3)) == pytest.approx(np.log(3))

    def test_takes_what_overshoots_below_0_as_0(self):
        overshot = np.array([[-1.0, 1, 1]])
        density = np.array([[0.0, 1, 3]])
        assert metrics.kl(overshot, density) == metrics.kl(np.maximum(overshot, 0), density)

    def test_equals_the_definition(self, rng):
        one, other = rng.random((2, 18, 32))
        one[one < 0.2] = other[other < 0.2] = 0
        assert metrics.kl(one, other) == pytest.approx(literal.kl(one, other), abs=ROUNDING)


class TestInformationGain:
    def test_of_3x3_maps_by_hand(self):
        # Shares 1/4 and 1/2 at the fixations, 1/9 everywhere in the baseline: the mean of
        # log2(9/4) and log2(9/2).
        fixated, uniform = one_hot((3, 3), (0, 0), (2, 2)), np.ones((3, 3))
        expected = (np.log2(9 / 4) + np.log2(9 / 2)) / 2
        gain = metrics.information_gain(np.diag([1.0, 1, 2]), fixated, uniform)
        assert gain == pytest.approx(expected)

    def test_of_a_perfect_and_of_an_inverted_map_against_uniform(self):
        fixated, uniform = one_hot((4, 4), (1, 2), (3, 3)), np.ones((4, 4))
        # 1/2 at each fixation instead of 1/16: 3 bits. Epsilon, 2^-52, instead of 2^-4: -48.
        assert metrics.information_gain(255.0 * fixated, fixated, uniform) == pytest.approx(3)
        assert metrics.information_gain(255.0 * ~fixated, fixated, uniform) == pytest.approx(-48)

    def test_of_the_baseline_itself_and_of_a_constant_against_uniform_is_0(self, rng):
        baseline, fixated = rng.random((6, 8)), one_hot((6, 8), (0, 0))
        assert metrics.information_gain(255 * baseline, fixated, baseline) == pytest.approx(0)
        constants = np.full((6, 8), 7.0), np.zeros((6, 8))
        assert metrics.information_gain(constants[0], fixated, constants[1]) == 0

    @pytest.mark.parametrize("corner", CORNERS)
    def test_of_one_fixation_in_a_corner(self, rng, corner):
        prediction, fixated = rng.random((6, 8)), one_hot((6, 8), corner)
        expected = np.log2(48 * prediction[corner] / prediction.sum())
        gain = metrics.information_gain(prediction, fixated, np.ones((6, 8)))
        assert gain == pytest.approx(expected, abs=ROUNDING)

    def test_equals_the_definition(self, rng):
        prediction, baseline = rng.random((2, 18, 32))
        fixated = scattered(rng, (18, 32), 20)
        expected = literal.information_gain(prediction, fixated, baseline)
        gain = metrics.information_gain(prediction, fixated, baseline)
        assert gain == pytest.approx(expected, abs=ROUNDING)

    def test_needs_a_fixation(self):
        with pytest.raises(ValueError, match="no fixation"):
            metrics.information_gain(np.eye(3), np.zeros((3, 3), bool), np.ones((3, 3)))


SCORES = {
    "NSS": lambda p, truth: metrics.nss(p, truth["fixated"]),
    "CC": lambda p, truth: metrics.cc(p, truth["density"]),
    "SIM": lambda p, truth: metrics.sim(p, truth["density"]),
    "-KL": lambda p, truth: -metrics.kl(p, truth["density"]),
    "IG": lambda p, truth: metrics.information_gain(p, truth["fixated"], np.ones(p.shape)),
    "AUC-Judd": lambda p, truth: metrics.auc_judd(p, truth["fixated"]),
    "sAUC": lambda p, truth: metrics.auc_shuffled(p, truth["fixated"], truth["elsewhere"]),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_score_falls_the_further_a_map_is_shifted(rng, name):
    points, others = 0.25 + 0.5 * rng.random((30, 2)), rng.random((300, 2))
    truth = {
        "fixated": fixation_map(points, HEIGHT, WIDTH),
        "elsewhere": fixation_map(others, HEIGHT, WIDTH),
        "density": density_map(points, HEIGHT, WIDTH, 0.04).astype(np.float64),
    }
    shifted = [np.roll(truth["density"], k, axis=1) for k in (0, 4, 8, 16)]
    scores = [SCORES[name](prediction, truth) for prediction in shifted]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


def test_a_flat_map_that_was_resized_scores_as_flat(rng):
    flat = resize(np.full((64, 64), 37, np.uint8), 90, 160)
    points = rng.random((30, 2))
    fixated, density = fixation_map(points, 90, 160), density_map(points, 90, 160, 0.02)
    assert metrics.nss(flat, fixated) == metrics.cc(flat, density) == 0
    assert metrics.auc_judd(flat, fixated) == 0.5
