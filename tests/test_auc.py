"""AUC-Judd and shuffled AUC against cases by hand, extremes and literal definitions."""

import literal_metrics as literal
import numpy as np
import pytest
from score_maps import CORNERS, ROUNDING, distinct, one_hot, scattered, tied

from uva_tf.evaluation import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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
        assert drawn.shape == (metrics.DRAWS, 4)
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
