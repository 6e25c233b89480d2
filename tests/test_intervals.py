"""Means, ratios and shares of clips, some of which have no score."""

import numpy as np
import pytest

from uva_tf.evaluation.intervals import estimate, mean, ratio, scored, share
from uva_tf.evaluation.results import METRICS, Row, clips_left_out

NAN = np.nan
VALUES = np.array([[2.0, 4.0, NAN, 6.0], [2.0, 4.0, NAN, 6.0]])
BASELINE = np.array([[1.0, 2.0, 100.0, NAN], [1.0, 2.0, 100.0, NAN]])


def test_a_clip_counts_that_has_a_score_in_every_seed_and_row():
    assert scored(VALUES).tolist() == [True, True, False, True]
    assert scored(VALUES, BASELINE).tolist() == [True, True, False, False]
    assert scored(np.array([[1.0, NAN], [1.0, 1.0]])).tolist() == [True, False]


def test_figures_by_hand():
    assert mean(VALUES) == 4
    assert ratio(VALUES, BASELINE) == 2  # of the first two clips on both sides
    assert share(VALUES, BASELINE, BASELINE + 4) == pytest.approx((3 - 1.5) / 4)
    assert np.isnan(share(VALUES, BASELINE, BASELINE))


def test_an_interval_is_that_without_the_clips_that_have_no_score():
    found, clean = estimate(VALUES), estimate(VALUES[:, [0, 1, 3]])
    assert found == clean
    assert np.isfinite(found.interval).all()
    assert estimate(VALUES, BASELINE) == estimate(VALUES[:, :2], BASELINE[:, :2])
    assert estimate(VALUES, BASELINE).interval == (2, 2)


def test_nothing_comes_of_nothing():
    nothing = np.full((2, 3), NAN)
    for found in (estimate(nothing), estimate(nothing, VALUES[:, :3]), estimate(VALUES[:, 2:3])):
        assert np.isnan([found.value, *found.interval]).all()


def test_a_ratio_of_rows_with_more_and_fewer_seeds_draws_the_same_clips():
    clips = np.array([[1.0, 2.0, 8.0]])
    found = estimate(np.repeat(3 * clips, 4, axis=0), clips)
    assert (found.value, *found.interval) == pytest.approx((3, 3, 3))


def test_clips_left_out_are_said_by_metrics():
    rows = {name: np.zeros((1, 3, len(METRICS))) for name in ("truth", "human ceiling", "none")}
    rows_of = [Row(name, scores) for name, scores in rows.items()]
    assert clips_left_out(rows_of) == []
    nss, auc, shuffled = (METRICS.index(name) for name in ("NSS", "AUC-Judd", "sAUC"))
    for part in rows.values():
        part[..., 0, [nss, auc]] = NAN
        part[..., shuffled] = NAN  # of all clips, as the table shows
    rows["human ceiling"][:, 1, [nss, auc]] = NAN
    rows["none"][:] = NAN
    assert clips_left_out(rows_of) == [
        "clips without NSS, AUC-Judd, left out: 1 of 3; of human ceiling 2"
    ]


def test_there_is_no_share_where_people_are_no_better_than_the_prior():
    low, high = np.array([[4.0, 5.0]]), np.array([[0.0, 0.1]])
    assert np.isnan(share(np.array([[1.0, 2.0]]), low, high))


def test_one_clip_has_no_interval():
    one = np.array([[2.0, NAN], [3.0, NAN]])
    assert estimate(one).value == 2.5
    assert np.isnan(estimate(one).interval).all()
    assert np.isnan(estimate(one, one).interval).all()
