"""Evaluation end to end on data whose right answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from uva_tf.data.gaze import density_map
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.records import read_records
from uva_tf.evaluation.baselines import centre_prior, observer_halves
from uva_tf.evaluation.evaluate import CEILING, CENTRE, METRICS, Truth, evaluate, table
from uva_tf.evaluation.sources import paired


def truth_source(shards):
    """Draws each frame's own density: what a perfect model would."""
    records = [r for shard in shards.split("val") for r in read_records(shards, shard)]

    def source(frames):
        for frame in frames:
            (record,) = [r for r in records if np.array_equal(r.frame, frame)]
            density = density_map(record.fixations.points, 64, 64, shards.sigma, record.aspect)
            yield np.rint(255 * density / density.max()).astype(np.uint8)

    return source


def flat(frames):
    return (np.zeros((8, 8), np.uint8) for _ in frames)


@pytest.fixture(scope="module")
def evaluation(shards):
    return evaluate({"truth": truth_source(shards), "flat": flat}, shards, "val")


def test_the_truth_wins_over_people_and_the_prior_in_every_metric(evaluation):
    for metric in METRICS:
        scores = {row: evaluation.mean(row, metric) for row in evaluation.rows}
        assert max(scores, key=scores.get) == "truth", metric
    assert evaluation.mean("truth", "CC") > 0.98  # 64 px of 8 bits enlarged to 640


def test_a_flat_map_scores_as_defined(evaluation):
    assert evaluation.mean("flat", "NSS") == 0
    assert evaluation.mean("flat", "CC") == 0
    assert evaluation.mean("flat", "AUC-Judd") == 0.5


def test_shares_run_from_the_prior_to_people(evaluation):
    for metric in METRICS:
        assert evaluation.share(CENTRE, metric) == 0
        assert evaluation.share(CEILING, metric) == 1


def test_every_frame_is_scored_or_counted(evaluation, shards):
    frames = sum(shard.frames for shard in shards.split("val"))
    assert evaluation.frames + evaluation.without_fixations == frames
    assert evaluation.frames > 0


def test_evaluating_twice_gives_the_same_figures(evaluation, shards):
    again = evaluate({"truth": truth_source(shards), "flat": flat}, shards, "val")
    assert json.dumps(again.to_dict()) == json.dumps(evaluation.to_dict())


def test_the_table_names_every_row_and_metric(evaluation):
    text = table(evaluation)
    for word in (*evaluation.rows, *METRICS):
        assert word in text


def test_a_clips_mean_is_the_mean_over_its_frames(evaluation, shards):
    (shard,) = shards.split("val")
    records = [r for r in read_records(shards, shard) if len(r.fixations.points)]
    source = truth_source(shards)
    expected = np.mean(
        [
            Truth.of(r.fixations.points, r.aspect, shards.sigma).score(m)["NSS"]
            for r, m in zip(records, source(r.frame for r in records), strict=True)
        ]
    )
    scored = evaluation.clips[shard.recordings[0]]["truth"]["NSS"]
    assert scored == pytest.approx(expected)


def test_the_centre_prior_is_the_mean_of_the_training_densities(shards):
    batches = ordered_batches(shards, shards.split("train"), View(32, 64, "previous"), batch=8)
    total = sum(batch["density"].numpy().sum(axis=0) for batch in batches)[..., 0]
    prior, source = centre_prior(shards)
    # Half a level of rounding, and float32 sums in another order.
    np.testing.assert_allclose(prior, 255 * total / total.max(), atol=0.51)
    assert "train split" in source


def test_a_clip_of_one_observer_has_no_ceiling_and_does_not_spoil_the_others(evaluation):
    alone = {
        "alone": {row: dict.fromkeys(METRICS, 1.0) for row in evaluation.rows}
        | {CEILING: dict.fromkeys(METRICS, float("nan"))}
    }
    both = replace(evaluation, clips=evaluation.clips | alone)
    assert both.mean(CEILING, "NSS") == evaluation.mean(CEILING, "NSS")
    assert both.to_dict()["clips"]["alone"][CEILING]["NSS"] is None
    assert "NaN" not in json.dumps(both.to_dict())


def test_observers_are_halved_by_seed_without_overlap():
    observers = np.arange(11)
    halves = observer_halves(observers, 3, seed=4)
    assert [len(one) + len(other) for one, other in halves] == [11] * 3
    assert not any(set(one) & set(other) for one, other in halves)
    assert len({tuple(sorted(one)) for one, _ in halves}) > 1
    for (one, _), (again, _) in zip(halves, observer_halves(observers, 3, seed=4), strict=True):
        np.testing.assert_array_equal(one, again)


def test_pairs_follow_the_pairing_and_ends_pair_with_themselves():
    assert list(paired("abc", "previous")) == [("a", "a"), ("b", "a"), ("c", "b")]
    assert list(paired("abc", "next")) == [("a", "b"), ("b", "c"), ("c", "c")]
    assert list(paired("a", "next")) == list(paired("a", "previous")) == [("a", "a")]
    assert not list(paired("", "next"))
