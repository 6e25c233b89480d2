"""What holds of every metric for any prediction: ranges, and a figure each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from uva_tf.core.resize import resize
from uva_tf.evaluation import metrics

# Sums of some dozen float64 shares are off by less.
TINY = 1e-12

deterministic = settings(derandomize=True, deadline=None, max_examples=150, database=None)


@st.composite
def cases(draw):
    """A prediction of whole numbers 0..255, a density, fixations here (not all) and elsewhere."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 6)))
    # Often constant, one peak or few levels: what breaks a metric.
    levels = st.sampled_from([(0, 0), (255, 255), (0, 1), (254, 255), (0, 255)])
    low, high = draw(levels)
    pixel = st.integers(low, high)
    prediction = draw(arrays.arrays(np.float64, shape, elements=pixel, fill=st.just(low)))
    density = draw(arrays.arrays(np.float64, shape, elements=st.integers(0, 255), fill=st.just(0)))
    count = shape[0] * shape[1]
    order = draw(st.permutations(range(count)))
    fixated, elsewhere = np.zeros((2, *shape), bool)
    fixated.flat[order[: draw(st.integers(1, count - 1))]] = True
    elsewhere.flat[order[-draw(st.integers(1, count)) :]] = True
    return prediction, density, fixated, elsewhere


@deterministic
@given(cases())
def test_every_metric_is_a_number_and_in_its_range(case):
    prediction, density, fixated, elsewhere = case
    for area in (
        metrics.auc_judd(prediction, fixated),
        metrics.auc_shuffled(prediction, fixated, elsewhere),
    ):
        assert -TINY <= area <= 1 + TINY
    assert -TINY <= metrics.sim(prediction, density) <= 1 + TINY
    assert abs(metrics.cc(prediction, density)) <= 1 + TINY
    # Jensen's inequality bounds it by 0 but for epsilon, 2.2e-16, in it some dozen times.
    assert -TINY <= metrics.kl(prediction, density) <= -np.log(metrics.EPS)
    # |P - mean| / std <= (N - 1) / sqrt(N), of one peak.
    bound = (prediction.size - 1) / np.sqrt(prediction.size)
    assert abs(metrics.nss(prediction, fixated)) <= bound + TINY
    # From nothing, 2^-52, to everything.
    assert abs(metrics.information_gain(prediction, fixated, density)) <= 52 + TINY


@deterministic
@given(cases())
def test_of_the_reference_only_constant_maps_are_no_number(case):
    prediction, density, fixated, elsewhere = case
    constant = np.ptp(prediction) == 0
    scores = {
        "NSS": metrics.nss(prediction, fixated, reference=True),
        "AUC-Judd": metrics.auc_judd(prediction, fixated, reference=True),
        "sAUC": metrics.auc_shuffled(prediction, fixated, elsewhere, reference=True),
    }
    assert {name: bool(np.isnan(score)) for name, score in scores.items()} == dict.fromkeys(
        scores, constant
    )
    flat = constant or np.ptp(density) == 0
    assert np.isnan(metrics.cc(prediction, density, reference=True)) == flat


@deterministic
@given(cases(), st.integers(2, 12), st.integers(2, 12))
def test_a_map_that_was_resized_scores_a_number_as_well(case, height, width):
    prediction, density, _, _ = case
    prediction, density = (resize(m, height, width) for m in (prediction, density))
    fixated = np.zeros((height, width), bool)
    fixated[0, 0] = fixated[-1, 1] = True
    scores = [
        metrics.nss(prediction, fixated),
        metrics.cc(prediction, density),
        metrics.sim(prediction, density),
        metrics.kl(prediction, density),
        metrics.information_gain(prediction, fixated, density),
        metrics.auc_judd(prediction, fixated),
        metrics.auc_shuffled(prediction, fixated, ~fixated),
    ]
    assert np.isfinite(scores).all()


@deterministic
@given(cases())
def test_counting_above_thresholds_equals_comparing_with_each(case):
    values, _, fixated, _ = case
    thresholds = np.sort(values[fixated])[::-1]
    expected = [(values >= threshold).sum() for threshold in thresholds]
    np.testing.assert_array_equal(metrics._count_above(values, thresholds), expected)


@deterministic
@given(cases())
def test_scores_of_a_map_and_its_inverse_are_opposite(case):
    prediction, density, fixated, _ = case
    inverse = 255 - prediction
    assert metrics.nss(inverse, fixated) == pytest.approx(-metrics.nss(prediction, fixated))
    assert metrics.cc(inverse, density) == pytest.approx(-metrics.cc(prediction, density))
