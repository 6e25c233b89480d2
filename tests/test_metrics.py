"""Metrics against closed forms, small cases worked by hand, and literal definitions."""

import numpy as np
import pytest

from uva_tf.data.gaze import density_map, fixation_map
from uva_tf.evaluation import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def one_hot(shape, *pixels):
    fixated = np.zeros(shape, bool)
    for pixel in pixels:
        fixated[pixel] = True
    return fixated


def literal_auc_judd(prediction, fixated):
    """The definition, threshold by threshold, for maps without ties."""
    count, pixels = fixated.sum(), fixated.size
    true, false = [0.0], [0.0]
    for rank, threshold in enumerate(sorted(prediction[fixated], reverse=True), start=1):
        above = (prediction >= threshold).sum()
        true.append(rank / count)
        false.append((above - rank) / (pixels - count))
    return np.trapezoid([*true, 1.0], [*false, 1.0])


class TestNSS:
    def test_of_a_3x3_map_by_hand(self):
        # Mean 1, sum of squares 81, variance (81 - 9) / 8 = 9: the peak lies (9 - 1) / 3 above.
        prediction = np.zeros((3, 3))
        prediction[1, 1] = 9
        assert metrics.nss(prediction, one_hot((3, 3), (1, 1))) == pytest.approx(8 / 3)
        assert metrics.nss(prediction, one_hot((3, 3), (0, 0))) == pytest.approx(-1 / 3)

    def test_does_not_change_with_an_affine_change(self, rng):
        prediction, fixated = rng.random((9, 16)), one_hot((9, 16), (2, 3), (5, 5))
        changed = 7 * prediction + 3
        assert metrics.nss(changed, fixated) == pytest.approx(metrics.nss(prediction, fixated))

    def test_of_a_constant_map_is_0(self):
        assert metrics.nss(np.full((4, 4), 7.0), one_hot((4, 4), (0, 0))) == 0

    def test_needs_a_fixation(self):
        with pytest.raises(ValueError, match="no fixation"):
            metrics.nss(np.eye(3), np.zeros((3, 3), bool))


class TestCC:
    def test_of_a_map_with_itself_its_inverse_and_a_constant(self, rng):
        density = rng.random((6, 8))
        assert metrics.cc(3 * density + 1, density) == pytest.approx(1)
        assert metrics.cc(-density, density) == pytest.approx(-1)
        assert metrics.cc(np.ones((6, 8)), density) == 0

    def test_equals_numpys_correlation(self, rng):
        one, other = rng.random((2, 6, 8))
        expected = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert metrics.cc(one, other) == pytest.approx(expected)


class TestSIM:
    def test_of_equal_and_of_disjoint_maps(self):
        left, right = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        assert metrics.sim(255 * left, left) == pytest.approx(1)
        assert metrics.sim(left, right) == 0

    def test_of_a_small_case_by_hand(self):
        # Distributions 0, 1/3, 2/3 and 0, 2/3, 1/3 share 1/3 + 1/3.
        assert metrics.sim(np.array([[1.0, 2, 3]]), np.array([[0.0, 2, 1]])) == pytest.approx(2 / 3)

    def test_takes_a_constant_map_as_uniform(self):
        # Uniform over 4 pixels against all mass on one.
        assert metrics.sim(np.ones((2, 2)), np.array([[0, 0], [0, 1.0]])) == pytest.approx(0.25)


class TestAUCJudd:
    def test_of_a_perfect_and_an_inverted_map(self, rng):
        fixated = one_hot((5, 5), (1, 2), (4, 4))
        assert metrics.auc_judd(255.0 * fixated, fixated) == pytest.approx(1)
        # Worst case: (0, 0), (1, 1/2), (1, 1) leaves a triangle of 1 / 2n.
        assert metrics.auc_judd(255.0 * ~fixated, fixated) == pytest.approx(1 / 4)

    def test_of_one_fixation_by_its_rank(self):
        # Two of the eight other pixels lie higher: the ROC rises at 2 / 8.
        prediction = np.arange(9.0).reshape(3, 3)
        fixated = one_hot((3, 3), (2, 0))
        # From (0, 0) to (2/8, 1) straight, then along the top.
        assert metrics.auc_judd(prediction, fixated) == pytest.approx(0.5 * 0.25 + 0.75)

    def test_equals_the_definition(self, rng):
        prediction = 255 * rng.random((36, 64))
        fixated = fixation_map(rng.random((40, 2)), 36, 64)
        expected = literal_auc_judd(prediction, fixated)
        assert metrics.auc_judd(prediction, fixated) == pytest.approx(expected, abs=1e-9)

    def test_does_not_change_with_a_monotone_change(self, rng):
        prediction, fixated = 255 * rng.random((9, 16)), one_hot((9, 16), (2, 3), (5, 5))
        changed = 255 * (prediction / 255) ** 3
        expected = metrics.auc_judd(prediction, fixated)
        assert metrics.auc_judd(changed, fixated) == pytest.approx(expected, abs=1e-9)

    def test_of_a_constant_map_is_a_half(self):
        assert metrics.auc_judd(np.zeros((4, 4)), one_hot((4, 4), (0, 0))) == 0.5

    def test_needs_a_fixated_and_a_free_pixel(self):
        for fixated in (np.zeros((2, 2), bool), np.ones((2, 2), bool)):
            with pytest.raises(ValueError):
                metrics.auc_judd(np.eye(2), fixated)

    def test_breaks_ties_the_same_way_each_time(self, rng):
        prediction = rng.integers(0, 3, (36, 64)).astype(float)
        fixated = fixation_map(rng.random((20, 2)), 36, 64)
        first = metrics.auc_judd(prediction, fixated, seed=1)
        assert first == metrics.auc_judd(prediction, fixated, seed=1)
        assert first != metrics.auc_judd(prediction, fixated, seed=2)


class TestResize:
    def test_keeps_constants_and_sizes(self):
        resized = metrics.resize(np.full((5, 7), 42), 9, 16)
        assert resized.shape == (9, 16)
        np.testing.assert_allclose(resized, 42)

    def test_to_the_same_size_changes_nothing(self, rng):
        picture = rng.random((6, 5))
        np.testing.assert_allclose(metrics.resize(picture, 6, 5), picture, atol=1e-12)

    def test_equals_tensorflows_antialiased_bicubic_inside(self, rng):
        tf = pytest.importorskip("tensorflow")
        picture = rng.random((24, 32)).astype(np.float32)
        for size in ((48, 80), (12, 10)):
            expected = tf.image.resize(picture[..., None], size, "bicubic", antialias=True)
            ours = metrics.resize(picture, *size)
            # Borders differ by design (theirs renormalises, ours reflects), so compare the
            # middle; 1e-4 is float32 over a sum of at most 64 terms with tabulated weights.
            middle = tuple(slice(n // 4, -(n // 4)) for n in size)
            np.testing.assert_allclose(ours[middle], expected[..., 0][middle], atol=1e-4)


def test_a_flat_map_that_was_resized_scores_as_flat(rng):
    flat = metrics.resize(np.full((64, 64), 37, np.uint8), 90, 160)
    points = rng.random((30, 2))
    fixated, density = fixation_map(points, 90, 160), density_map(points, 90, 160, 0.02)
    assert metrics.nss(flat, fixated) == metrics.cc(flat, density) == 0
    assert metrics.auc_judd(flat, fixated) == 0.5


def test_a_density_map_predicts_its_own_fixations_best(rng):
    points = rng.random((30, 2))
    fixated = fixation_map(points, 90, 160)
    density = density_map(points, 90, 160, 0.02).astype(np.float64)
    best = metrics.nss(density, fixated)
    shifted = [metrics.nss(np.roll(density, shift, axis=1), fixated) for shift in (4, 8, 16)]
    assert best > shifted[0] > shifted[1] > shifted[2]
