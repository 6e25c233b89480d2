"""Our metrics against those of pysaliency, an implementation of other people's.

`make.py` tells how `cases.json` came about. Both compute in float64, so where the conventions
agree 1e-6 is generous.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from uva_tf.evaluation import metrics

FILE = json.loads((Path(__file__).parent / "cases.json").read_text())
SHAPE = FILE["height"], FILE["width"]
CASES = [
    pytest.param(case, id=f"{case['kind']}, {len(case['fixated'])} fixated")
    for case in FILE["cases"]
]
every_case = pytest.mark.parametrize("case", CASES)


def maps(case):
    prediction, density = (
        np.array(case[name]).reshape(SHAPE) for name in ("prediction", "density")
    )
    fixated, elsewhere = np.zeros((2, *SHAPE), bool)
    fixated.flat[case["fixated"]] = True
    elsewhere.flat[case["elsewhere"]] = True
    return prediction, density, fixated, elsewhere


def lowest_false_positives(prediction, fixated):
    """Share of the free pixels that lie as high as the lowest fixation."""
    return (prediction[~fixated] >= prediction[fixated].min()).mean()


@every_case
def test_nss_agrees_but_for_the_standard_deviation(case):
    prediction, _, fixated, _ = maps(case)
    # Theirs divides by N, ours by N - 1.
    factor = np.sqrt((prediction.size - 1) / prediction.size)
    theirs = case["scores"]["NSS"]
    assert metrics.nss(prediction, fixated) == pytest.approx(factor * theirs, abs=1e-6)


@every_case
def test_cc_agrees(case):
    prediction, density, _, _ = maps(case)
    assert metrics.cc(prediction, density) == pytest.approx(case["scores"]["CC"], abs=1e-6)


@every_case
def test_sim_agrees_once_maps_start_from_0(case):
    prediction, density, _, _ = maps(case)
    # Theirs takes a map's minimum off only if it is negative, ours always.
    theirs = case["scores"]["SIM of maps from 0"]
    assert metrics.sim(prediction, density) == pytest.approx(theirs, abs=1e-6)


@every_case
def test_kl_agrees(case):
    prediction, density, _, _ = maps(case)
    # Where p is 0 a term is g ln(g / eps), and their eps is ours rounded to 2.2204e-16.
    empty = density[prediction == 0].sum() / density.sum()
    tolerance = 1e-6 + abs(np.log(2.2204e-16 / metrics.EPS)) * empty
    theirs = case["scores"]["KL"]
    assert metrics.kl(prediction, density) == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize("case", [c for c in CASES if c.id.startswith("distinct")])
def test_auc_judd_agrees_on_distinct_values(case):
    prediction, _, fixated, _ = maps(case)
    # Thresholds at fixations, negatives without them. Our noise of 1e-7 cannot swap values
    # that are 1e-4 apart.
    theirs = case["scores"]["AUC, unfixated pixels, thresholds at fixations"]
    assert metrics.auc_judd(prediction, fixated) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c.id.startswith("distinct")])
def test_auc_judd_differs_from_the_area_under_all_thresholds_by_the_known_amount(case):
    prediction, _, fixated, _ = maps(case)
    # Thresholds at n fixations only turn every step of the curve into a slope, which adds
    # half a step of 1 / n over all false positives up to the lowest fixation.
    slopes = lowest_false_positives(prediction, fixated) / (2 * fixated.sum())
    theirs = case["scores"]["AUC, unfixated pixels, all thresholds"]
    assert metrics.auc_judd(prediction, fixated) - slopes == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if not c.id.startswith("distinct")])
def test_auc_judd_breaks_ties_where_theirs_counts_them_half(case):
    prediction, _, fixated, _ = maps(case)

    def without_slopes(seed):
        noisy = prediction + metrics._noise(SHAPE, seed)
        slopes = lowest_false_positives(noisy, fixated) / (2 * fixated.sum())
        return metrics.auc_judd(prediction, fixated, seed=seed) - slopes

    scores = [without_slopes(seed) for seed in range(200)]
    # Random order of ties comes to a half in the mean only: within 4 standard errors.
    theirs = case["scores"]["AUC, unfixated pixels, all thresholds"]
    assert np.mean(scores) == pytest.approx(theirs, abs=4 * np.std(scores) / np.sqrt(200))


@pytest.mark.parametrize("case", [c for c in CASES if c.id.startswith("11 levels")])
def test_shuffled_auc_agrees_if_all_is_drawn_and_no_threshold_is_missed(case):
    prediction, _, fixated, elsewhere = maps(case)
    assert elsewhere.sum() <= fixated.sum()
    # Theirs takes every pixel fixated elsewhere and every value as a threshold. So does ours
    # if there are no more of them than fixations and the values are 0, 0.1, ... 1.
    theirs = case["scores"]["AUC, fixations elsewhere, all thresholds"]
    assert metrics.auc_shuffled(prediction, fixated, elsewhere) == pytest.approx(theirs, abs=1e-6)


@every_case
def test_shuffled_auc_is_near_theirs_else(case):
    prediction, _, fixated, elsewhere = maps(case)
    # 11 thresholds instead of all, and draws instead of all negatives: 0.025 apart at most in
    # these cases, and twice that allowed.
    theirs = case["scores"]["AUC, fixations elsewhere, all thresholds"]
    ours = metrics.auc_shuffled(prediction, fixated, elsewhere)
    assert ours == pytest.approx(theirs, abs=0.05)
