"""Metrics against small cases worked by hand, extremes, invariances and literal definitions."""

import literal_metrics as literal
import numpy as np
import pytest

from uva_tf.data.gaze import density_map, fixation_map
from uva_tf.evaluation import metrics
from uva_tf.runtime.resize import resize

HEIGHT, WIDTH = 90, 160
CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))
# Vectorised sums run in another order than loops; 1e-9 is far above float64's rounding of a
# few thousand terms, and far below a figure that anybody reports.
ROUNDING = 1e-9


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def one_hot(shape, *pixels):
    fixated = np.zeros(shape, bool)
    for pixel in pixels:
        fixated[pixel] = True
    return fixated


def scattered(rng, shape, count):
    fixated = np.zeros(shape, bool)
    fixated.flat[rng.choice(fixated.size, count, replace=False)] = True
    return fixated


def distinct(rng, shape):
    """255 x (0, 1/N, 2/N, ...) in random order."""
    return 255 * rng.permutation(np.prod(shape)).reshape(shape) / np.prod(shape)


def tied(rng, shape):
    """Whole tenths of 255, among them 0 and 255, where sAUC's thresholds meet predictions."""
    levels = np.resize(np.arange(11), np.prod(shape))
    return 25.5 * rng.permutation(levels).reshape(shape)


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


class TestAUCJudd:
    def test_of_a_3x3_map_by_hand(self):
        # Two of the eight other pixels lie higher: straight from (0, 0) to (2/8, 1), then
        # along the top.
        prediction = np.arange(9.0).reshape(3, 3)
        fixated = one_hot((3, 3), (2, 0))
        assert metrics.auc_judd(prediction, fixated) == pytest.approx(0.5 * 0.25 + 0.75)

    def test_of_two_fixations_by_hand(self):
        # 8 and 4 are fixated, 7, 6 and 5 of the seven others lie between: straight from
        # (0, 1/2) to (3/7, 1).
        fixated = one_hot((3, 3), (2, 2), (1, 1))
        expected = 3 / 7 * 3 / 4 + 4 / 7
        assert metrics.auc_judd(np.arange(9.0).reshape(3, 3), fixated) == pytest.approx(expected)

    def test_of_a_perfect_and_of_an_inverted_map(self):
        fixated = one_hot((5, 5), (1, 2), (4, 4))
        assert metrics.auc_judd(255.0 * fixated, fixated) == pytest.approx(1)
        # Worst case: (0, 0), (1, 1/2), (1, 1) leaves a triangle of 1 / 2n.
        assert metrics.auc_judd(255.0 * ~fixated, fixated) == pytest.approx(1 / 4)

    def test_of_a_constant_map_is_a_half_and_drops_out_in_the_reference(self):
        constant, fixated = np.full((4, 4), 0.1), one_hot((4, 4), (0, 0))
        assert metrics.auc_judd(constant, fixated) == 0.5
        assert np.isnan(metrics.auc_judd(constant, fixated, reference=True))

    @pytest.mark.parametrize("corner", CORNERS)
    def test_of_one_fixation_in_a_corner(self, rng, corner):
        prediction = distinct(rng, (6, 8))
        higher = (prediction > prediction[corner]).sum() / 47
        expected = higher / 2 + 1 - higher
        assert metrics.auc_judd(prediction, one_hot((6, 8), corner)) == pytest.approx(expected)

    def test_does_not_change_with_a_monotone_change(self, rng):
        prediction, fixated = distinct(rng, (9, 16)), one_hot((9, 16), (2, 3), (5, 5))
        # Cubed, the lowest of the 144 values are still 255 / 144^3 = 8e-5 apart: noise of 1e-7
        # cannot swap them, so the counts, and with them the areas, are the very same.
        changed = 255 * (prediction / 255) ** 3
        assert metrics.auc_judd(changed, fixated) == metrics.auc_judd(prediction, fixated)

    def test_equals_the_definition_on_distinct_values(self, rng):
        prediction, fixated = distinct(rng, (36, 64)), scattered(rng, (36, 64), 40)
        expected = literal.auc_judd(prediction, fixated)
        assert metrics.auc_judd(prediction, fixated) == pytest.approx(expected, abs=ROUNDING)

    @pytest.mark.parametrize("seed", range(3))
    def test_equals_the_definition_on_ties_with_the_same_noise(self, rng, seed):
        prediction, fixated = tied(rng, (36, 64)), scattered(rng, (36, 64), 40)
        noise = metrics._noise(prediction.shape, seed)
        expected = literal.auc_judd(prediction, fixated, noise)
        found = metrics.auc_judd(prediction, fixated, seed=seed)
        assert found == pytest.approx(expected, abs=ROUNDING)
        by_pixel = literal.auc_judd_by_pixel(prediction, fixated, noise)
        assert found == pytest.approx(by_pixel, abs=ROUNDING)

    def test_breaks_ties_the_same_way_each_time(self, rng):
        prediction, fixated = tied(rng, (36, 64)), scattered(rng, (36, 64), 20)
        first = metrics.auc_judd(prediction, fixated, seed=1)
        assert first == metrics.auc_judd(prediction, fixated, seed=1)
        assert first != metrics.auc_judd(prediction, fixated, seed=2)

    def test_of_the_reference_differs_by_the_order_of_ties_only(self, rng):
        fixated = scattered(rng, (36, 64), 20)
        clear, unclear = distinct(rng, (36, 64)), tied(rng, (36, 64))
        expected = metrics.auc_judd(clear, fixated)
        assert metrics.auc_judd(clear, fixated, reference=True) == expected
        runs = {metrics.auc_judd(unclear, fixated, reference=True) for _ in range(4)}
        assert len(runs) > 1
        # A tie moves a threshold's false positives by a level's share of pixels at most.
        assert max(runs) - min(runs) < 1 / 11

    def test_needs_a_fixated_and_a_free_pixel(self):
        with pytest.raises(ValueError, match="no fixation"):
            metrics.auc_judd(np.eye(2), np.zeros((2, 2), bool))
        with pytest.raises(ValueError, match="without fixation"):
            metrics.auc_judd(np.eye(2), np.ones((2, 2), bool))

    @pytest.mark.parametrize("power", [1, 0.01, 20])
    def test_counts_right_whether_values_crowd_or_spread(self, rng, power):
        values = rng.random((36, 64)) ** power
        thresholds = np.sort(rng.choice(values.ravel(), 30))[::-1]
        expected = [(values >= threshold).sum() for threshold in thresholds]
        np.testing.assert_array_equal(metrics._count_above(values, thresholds), expected)


class TestAUCShuffled:
    def test_of_a_3x3_map_by_hand(self):
        # Fixations at 8/8 and 2/8, all two negatives, 4/8 and 1/8, drawn each time. Going
        # down: 1.0 (0, 1/2), 0.5 (1/2, 1/2), 0.2 (1/2, 1), 0.1 (1, 1), so 1/4 + 1/2.
        prediction = np.arange(9.0).reshape(3, 3)
        fixated, elsewhere = one_hot((3, 3), (2, 2), (0, 2)), one_hot((3, 3), (1, 1), (0, 1))
        assert metrics.auc_shuffled(prediction, fixated, elsewhere) == pytest.approx(3 / 4)

    def test_of_a_perfect_and_of_an_inverted_map(self):
        fixated = one_hot((5, 5), (1, 2), (4, 4))
        assert metrics.auc_shuffled(255.0 * fixated, fixated, ~fixated) == pytest.approx(1)
        assert metrics.auc_shuffled(255.0 * ~fixated, fixated, ~fixated) == pytest.approx(0)

    def test_of_a_constant_map_is_a_half_and_drops_out_in_the_reference(self):
        constant, fixated = np.full((4, 4), 0.1), one_hot((4, 4), (0, 0))
        assert metrics.auc_shuffled(constant, fixated, ~fixated) == 0.5
        assert np.isnan(metrics.auc_shuffled(constant, fixated, ~fixated, reference=True))

    def test_of_where_people_look_anyway_is_a_half(self, rng):
        fixated = scattered(rng, (9, 16), 20)
        score = metrics.auc_shuffled(255 * rng.random((9, 16)), fixated, fixated)
        assert score == pytest.approx(0.5, abs=ROUNDING)

    @pytest.mark.parametrize("corner", CORNERS)
    def test_of_one_fixation_in_a_corner(self, rng, corner):
        prediction, elsewhere = 255 * rng.random((6, 8)), one_hot((6, 8), (3, 4))
        prediction[corner], prediction[3, 4] = 255, 100
        assert metrics.auc_shuffled(prediction, one_hot((6, 8), corner), elsewhere) == 1

    def test_does_not_change_with_an_affine_change(self, rng):
        # Whole numbers, so that scaling to 0..1 rounds both alike, also at the thresholds.
        prediction = np.round(tied(rng, (18, 32)) / 25.5)
        fixated, elsewhere = (scattered(rng, (18, 32), count) for count in (20, 90))
        expected = metrics.auc_shuffled(prediction, fixated, elsewhere)
        assert metrics.auc_shuffled(7 * prediction + 3, fixated, elsewhere) == expected

    @pytest.mark.parametrize("make", [distinct, tied])
    @pytest.mark.parametrize("counts", [(20, 90), (30, 30), (40, 10), (1, 5)])
    def test_equals_the_definition_with_the_same_draws(self, rng, make, counts):
        prediction = make(rng, (18, 32))
        fixated, elsewhere = (scattered(rng, (18, 32), count) for count in counts)
        draws = explicit_draws(prediction[elsewhere] / prediction.max(), min(counts))
        expected = literal.auc_shuffled(prediction, fixated, elsewhere, draws)
        found = metrics.auc_shuffled(prediction, fixated, elsewhere)
        assert found == pytest.approx(expected, abs=ROUNDING)

    def test_is_that_of_drawing_pixel_by_pixel_in_the_mean(self, rng):
        prediction = 255 * rng.random((18, 32))
        fixated, elsewhere = (scattered(rng, (18, 32), count) for count in (20, 90))
        ours = [metrics.auc_shuffled(prediction, fixated, elsewhere, seed=i) for i in range(40)]
        theirs = [
            literal.auc_shuffled(prediction, fixated, elsewhere, literal.permutations(90, 20, i))
            for i in range(40)
        ]
        # 4 standard errors of the difference, and spreads that agree within a half: that of
        # 40 values is known to a ninth.
        error = np.hypot(np.std(ours), np.std(theirs)) / np.sqrt(40)
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=4 * error)
        assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.5)

    def test_draws_without_replacement(self):
        kinds = np.array([3, 0, 5, 1])
        drawn = metrics._draw(kinds, 6, seed=0)
        assert drawn.shape == (metrics.SPLITS, 4)
        assert (drawn <= kinds).all() and (drawn.sum(axis=1) == 6).all()
        assert len(np.unique(drawn, axis=0)) > 1

    def test_is_the_same_for_the_same_seed_only(self, rng):
        prediction = 255 * rng.random((18, 32))
        fixated, elsewhere = (scattered(rng, (18, 32), count) for count in (20, 90))
        first = metrics.auc_shuffled(prediction, fixated, elsewhere, seed=1)
        assert first == metrics.auc_shuffled(prediction, fixated, elsewhere, seed=1)
        assert first != metrics.auc_shuffled(prediction, fixated, elsewhere, seed=2)

    def test_of_the_reference_differs_by_its_draws_only(self, rng):
        prediction = 255 * rng.random((18, 32))
        few, many = (scattered(rng, (18, 32), count) for count in (20, 90))
        # All 20 are drawn every time.
        expected = metrics.auc_shuffled(prediction, many, few)
        assert metrics.auc_shuffled(prediction, many, few, reference=True) == expected
        runs = {metrics.auc_shuffled(prediction, few, many, reference=True) for _ in range(4)}
        assert len(runs) > 1
        # Means of 100 draws: one draw's spread is some 0.07, the mean's 0.007.
        assert max(runs) - min(runs) < 0.05

    def test_needs_fixations_here_and_elsewhere(self):
        none, some = np.zeros((3, 3), bool), one_hot((3, 3), (1, 1))
        for here, there in ((none, some), (some, none)):
            with pytest.raises(ValueError, match="no fixation"):
                metrics.auc_shuffled(np.eye(3), here, there)


def explicit_draws(scaled, size, seed=0):
    """Pixels by number, of those given 0..1, for the draws that the metric makes."""
    reached = [sum(value >= tenths / 10 for tenths in range(11)) - 1 for value in scaled]
    counts = metrics._draw(np.bincount(reached, minlength=11), size, seed)
    members = [np.flatnonzero(np.equal(reached, level)) for level in range(11)]
    return [
        np.concatenate([pixels[:n] for pixels, n in zip(members, row, strict=True)])
        for row in counts
    ]


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
