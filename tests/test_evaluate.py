"""Evaluation end to end on data whose right answer is known."""

import csv
import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.resize import resize, shrink
from uva_tf.data import synthetic
from uva_tf.data.fixations import density_map
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_records
from uva_tf.evaluation import metrics
from uva_tf.evaluation.baselines import (
    centre_prior,
    motion_energy,
    observer_halves,
    spectral_residual,
)
from uva_tf.evaluation.evaluate import WITHOUT_A_MAP, WITHOUT_GAZE, Settings, evaluate
from uva_tf.evaluation.map_sources import maps_source, paired, persistent
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Clip, table
from uva_tf.evaluation.truth import Truth
from uva_tf.runtime.persistence import Persistence

pytestmark = pytest.mark.usefixtures("small_grid")


def truth_source(shards):
    """Draws each frame's own density: what a perfect model would."""

    def source(records):
        for record in records:
            density = density_map(record.fixations.points, 64, 64, shards.sigma, record.aspect)
            yield np.rint(255 * density / density.max()).astype(np.uint8)

    return source


def flat(records):
    return (np.zeros((8, 8), np.uint8) for _ in records)


@pytest.fixture(scope="module")
def evaluation(shards, small_grid):
    return evaluate({"truth": truth_source(shards), "flat": flat}, shards, "val")


def frame(picture):
    return SimpleNamespace(frame=picture)


def test_joined_maps_are_those_of_their_frames(shards):
    """With frames after them as without, there is one for each."""
    (shard,) = shards.split("val")
    records = list(read_records(shards, shard))
    own = list(truth_source(shards)(records))
    for ahead in (0, 2, 15):
        joined, drawn = Persistence(0.9, ahead), []
        for one, record in zip(own, records, strict=True):
            drawn.append(joined.add(one, shrink(record.frame, 64)))
        expected = [*(one for one in drawn if one is not None), *joined.rest()]
        maps = list(persistent(truth_source(shards), 0.9, ahead)(iter(records)))
        np.testing.assert_array_equal(maps, expected)
        assert len(maps) == len(records)


def test_the_truth_wins_over_people_and_the_prior_in_every_metric(evaluation):
    for metric in METRICS:
        scores = {row: evaluation.mean(row, metric) for row in evaluation.rows}
        best = min if metric == "KL" else max
        known = {row: score for row, score in scores.items() if not np.isnan(score)}
        if known:  # sAUC needs a second clip
            assert best(known, key=known.get) == "truth", metric
    assert evaluation.mean("truth", "CC") > 0.98  # 64 px of 8 bits enlarged to 320


def test_a_flat_map_scores_as_defined(evaluation):
    assert evaluation.mean("flat", "NSS") == 0
    assert evaluation.mean("flat", "CC") == 0
    assert evaluation.mean("flat", "AUC-Judd") == 0.5


def test_shares_run_from_the_prior_to_people(evaluation):
    for metric in ("NSS", "CC", "SIM", "KL", "IG", "AUC-Judd"):
        assert evaluation.share(CENTRE, metric) == 0
        assert evaluation.share(CEILING, metric) == 1


def test_every_frame_is_scored_or_counted(evaluation, shards):
    frames = sum(shard.frames for shard in shards.split("val"))
    assert evaluation.frames + evaluation.left_out[WITHOUT_GAZE] == frames
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
    scores = []
    records = [r for r in read_records(shards, shard) if r.looked_at]
    for record, picture in zip(records, truth_source(shards)(records), strict=True):
        truth = Truth.of(record.fixations.points, record.aspect, shards.sigma)
        scores.append(metrics.nss(resize(picture, *truth.fixated.shape), truth.fixated))
    (mean,) = evaluation.clip_means("truth", "NSS")
    assert mean == pytest.approx(np.mean(scores), rel=1e-6)  # kept as float32
    assert evaluation.mean("truth", "NSS") == mean


def test_the_centre_prior_is_the_mean_of_the_training_densities(shards):
    batches = ordered_batches(shards, shards.split("train"), View(32, 64, "previous"), batch=8)
    total = sum(batch["density"].numpy().sum(axis=0) for batch in batches)[..., 0]
    prior, source = centre_prior(shards)
    # Half a level of rounding, and float32 sums in another order.
    np.testing.assert_allclose(prior, 255 * total / total.max(), atol=0.51)
    assert "train split" in source


def test_a_clip_of_one_observer_has_no_ceiling_and_does_not_spoil_the_others(evaluation):
    scores = np.ones((1, len(evaluation.rows), len(METRICS)), np.float32)
    scores[:, evaluation.rows.index(CEILING)] = np.nan
    both = replace(evaluation, clips=evaluation.clips | {"alone": Clip(np.array([1]), scores)})
    assert both.mean(CEILING, "NSS") == evaluation.mean(CEILING, "NSS")
    # A share is of the clips that have all three.
    for row in both.rows:
        assert both.share(row, "NSS") == evaluation.share(row, "NSS")
    assert "left out: of human ceiling 1" in table(both)
    assert both.to_dict()["notes"] == both.remarks
    assert both.to_dict()["clips"]["alone"][CEILING]["NSS"] is None
    assert "NaN" not in json.dumps(both.to_dict())


def evaluation_of(evaluation, means):
    """The same, of clips with given scores in everything."""
    shape = (1, len(evaluation.rows), len(METRICS))
    clips = {
        f"clip{n}": Clip(np.array([1]), np.full(shape, mean, np.float32))
        for n, mean in enumerate(means)
    }
    return replace(evaluation, clips=clips)


def test_an_interval_is_that_of_the_mean_over_clips(evaluation):
    means = np.random.default_rng(0).normal(5, 1, 60)
    low, high = evaluation_of(evaluation, means).interval("truth", "NSS")
    error = 1.96 * means.std() / np.sqrt(60)
    # Percentiles of 2000 resamples are off by a tenth of the standard error.
    assert (low, high) == pytest.approx((means.mean() - error, means.mean() + error), abs=0.05)
    alone = evaluation_of(evaluation, [3.0]).interval("truth", "NSS")
    assert np.isnan(alone).all()


def test_every_frame_and_row_stands_in_the_table_of_frames(evaluation, tmp_path):
    evaluation.write_frames(tmp_path / "frames.csv")
    with (tmp_path / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == evaluation.frames * len(evaluation.rows)
    scores = [float(row["NSS"]) for row in rows if row["row"] == "truth"]
    # Six digits of each.
    assert np.mean(scores) == pytest.approx(evaluation.mean("truth", "NSS"), rel=1e-5)
    assert {row["sAUC"] for row in rows} == {""}  # one clip: there is no elsewhere


class TestMaps:
    @pytest.fixture
    def folder(self, shards, tmp_path):
        """The true densities as a folder of maps."""
        for shard in shards.split("val"):
            records = list(read_records(shards, shard))
            for record, picture in zip(records, truth_source(shards)(records), strict=True):
                (tmp_path / "maps" / record.video).mkdir(parents=True, exist_ok=True)
                path = tmp_path / "maps" / record.video / f"{record.index:06d}.png"
                cv2.imwrite(str(path), picture)
        return tmp_path / "maps"

    def test_score_as_the_model_that_wrote_them(self, folder, shards, evaluation):
        again = evaluate({"truth": maps_source(folder)}, shards, "val", baselines=False)
        for metric in ("NSS", "CC", "SIM", "KL", "IG", "AUC-Judd"):
            assert again.mean("truth", metric) == evaluation.mean("truth", metric)

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (Path.unlink, "000002.png: no such map, expected one for each frame"),
            (lambda p: p.rename(p.with_name("2.png")), "000002.png: no such map"),
            (lambda p: cv2.imwrite(str(p), np.ones((9, 9), np.uint8)), "9x9 pixels, the clip"),
            (lambda p: cv2.imwrite(str(p), np.ones((64, 64), np.uint16)), "a map of 16 bits"),
            (lambda p: p.write_text("no picture"), "as a picture"),
        ],
    )
    def test_that_are_bad_are_refused_by_name_or_left_out(self, folder, shards, spoil, words):
        spoil(folder / "clip03" / "000002.png")
        with pytest.raises(InputError, match="000002") as error:
            evaluate({"maps": maps_source(folder)}, shards, "val", baselines=False)
        assert words in str(error.value)
        source = maps_source(folder, skip_bad=True)
        rest = evaluate({"maps": source}, shards, "val", baselines=False)
        assert rest.left_out["frames without a usable map"] == 1
        assert 2 not in rest.clips["clip03"].indices
        assert "1 frames without a usable map" in table(rest)

    def test_that_say_nothing_score_as_chance_and_are_counted(self, folder, shards):
        cv2.imwrite(str(folder / "clip03" / "000002.png"), np.full((64, 64), 7, np.uint8))
        found = evaluate({"maps": maps_source(folder)}, shards, "val", baselines=False)
        assert found.notes == ("maps: 1 maps are constant, scored as chance",)
        clip = found.clips["clip03"]
        scores = clip.scores[list(clip.indices).index(2), found.rows.index("maps")]
        assert scores[METRICS.index("NSS")] == 0
        assert scores[METRICS.index("AUC-Judd")] == 0.5

    def test_of_no_folder_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="no such folder of maps"):
            maps_source(tmp_path / "absent")


class TestSources:
    """That give another number of maps than there are frames."""

    def stops(self, shards, count):
        return lambda records: itertools.islice(truth_source(shards)(records), count)

    @pytest.mark.parametrize("count", [0, 3, 7])
    def test_that_end_early_are_refused_by_name(self, shards, count):
        sources = {"truth": truth_source(shards), "short": self.stops(shards, count)}
        with pytest.raises(InputError) as error:
            evaluate(sources, shards, "val", baselines=False)
        assert str(error.value) == (
            f"short: {count} maps of clip03, which has 8 frames: expected one map for each frame"
        )

    def test_that_end_early_leave_frames_out_if_told_so(self, shards, evaluation):
        sources = {"truth": truth_source(shards), "short": self.stops(shards, 3)}
        settings = Settings(skip_bad=True)
        found = evaluate(sources, shards, "val", settings, baselines=False)
        looked_at = evaluation.clips["clip03"].indices
        assert set(found.clips["clip03"].indices) == set(looked_at) & {1, 2, 3}
        assert found.left_out[WITHOUT_A_MAP] == len(set(looked_at) - {1, 2, 3})
        assert found.frames + sum(found.left_out.values()) == 8

    @pytest.mark.parametrize("skip_bad", [False, True])
    def test_that_go_on_are_refused_by_name(self, shards, skip_bad):
        def endless(records):
            yield from truth_source(shards)(records)
            yield from itertools.repeat(np.eye(4, dtype=np.uint8))

        with pytest.raises(InputError, match="long: more than 8 maps of clip03, which has 8 fra"):
            evaluate({"long": endless}, shards, "val", Settings(skip_bad=skip_bad))


def test_every_third_frame_scores_as_among_all(shards, evaluation):
    seen = []

    def watched(records):
        records = list(records)
        seen.extend(record.index for record in records)
        return truth_source(shards)(records)

    third = evaluate({"truth": watched, "flat": flat}, shards, "val", Settings(every=3))
    assert third.settings["every"] == 3
    assert seen == list(range(1, 9))  # streams need the frames between
    clip, whole = third.clips["clip03"], evaluation.clips["clip03"]
    assert set(clip.indices) == {1, 4, 7} & set(whole.indices)
    np.testing.assert_array_equal(clip.scores, whole.scores[np.isin(whole.indices, clip.indices)])
    assert third.frames + third.left_out[WITHOUT_GAZE] == 3


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.evaluation.evaluate.AT_A_TIME", 4)
    monkeypatch.setattr("uva_tf.evaluation.truth.WIDTH", 640)
    peaks = []
    for length in (8, 20):
        synthetic.write_recordings(tmp_path / f"{length}", train=0, val=1, length=length)
        dataset = prepare("gaze", tmp_path / f"{length}", tmp_path / f"{length}s", DataConfig(64))
        tracemalloc.start()
        evaluate({}, dataset, "val", baselines=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Scores are 28 bytes a row and frame; maps of 640x360 take 1.8 MB, of which as many
    # are in work as there are threads, by chance more or fewer.
    assert peaks[1] < 1.25 * peaks[0]


def test_negatives_come_from_other_clips(shards):
    """sAUC of a map of where people look elsewhere is below chance."""
    both = replace(shards, shards=tuple(replace(s, split="val") for s in shards.shards))
    found = evaluate({"truth": truth_source(shards)}, both, "val", Settings(every=2))
    assert found.mean("truth", "sAUC") > 0.85
    assert abs(found.mean("uniform", "sAUC") - 0.5) < 1e-6


def test_smoothing_is_of_the_sources_only_and_written_down(shards, evaluation):
    smooth = evaluate({"truth": truth_source(shards)}, shards, "val", Settings(smoothing=0.05))
    assert smooth.settings["smoothing_sigma"] == 0.05
    assert smooth.mean("truth", "NSS") < evaluation.mean("truth", "NSS")
    for row in (CENTRE, "motion energy", CEILING):
        assert smooth.mean(row, "NSS") == evaluation.mean(row, "NSS")


def test_motion_energy_lies_where_something_moved():
    one, two = np.zeros((2, 64, 64, 3), np.uint8)
    two[10:14, 40:44] = 255
    first, second = motion_energy([frame(one), frame(two)])
    assert first.max() == 0
    assert np.unravel_index(second.argmax(), second.shape) == pytest.approx((11.5, 41.5), abs=1)


def test_the_spectral_residual_finds_the_odd_one_out():
    noise = np.random.default_rng(0).normal(128, 12, (64, 64)).astype(np.uint8)
    picture = np.repeat(noise[..., None], 3, axis=2)
    picture[30:34, 20:28] = 255
    (saliency,) = spectral_residual([frame(picture)])
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    assert 26 <= row <= 38
    assert 16 <= column <= 32


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
