"""Maps that predict.py wrote score as the model that made them, but for their 8 bits."""

import json

import cv2
import numpy as np
import pytest

from uva_tf.config import DataConfig
from uva_tf.core.resize import resize
from uva_tf.core.video import VideoReader
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_records
from uva_tf.runtime import predictor
from uva_tf.runtime.overlay import enlarge
from uva_tf.runtime.predictor import Predictor

# Rounding moves each level by a half at most. The maps here hold 32 to 255 equally often, with
# a standard deviation of 64. Should every pixel conspire, that is 0.5 (2 + |NSS|) / 64 in NSS,
# which is below 1, and 2 x 0.5 / 64 in CC and SIM. A threshold of AUC-Judd passes a level, 1 of
# 224. KL and IG look at ratios: half a level of 32, and as much in their sums, is
# 2 log2(1 + 0.5 / 32).
LIMITS = {"NSS": 0.024, "CC": 0.016, "SIM": 0.016, "AUC-Judd": 0.005, "KL": 0.045, "IG": 0.045}


@pytest.fixture
def lively(monkeypatch):
    """An untrained model's maps are all but flat: blur them and spread their order over 32..255."""

    def spread(attention):
        smooth = cv2.GaussianBlur(attention, (0, 0), 3)
        order = smooth.argsort(axis=None).argsort().reshape(smooth.shape)
        return np.rint(32 + 223 * order / (order.size - 1)).astype(np.uint8)

    monkeypatch.setattr(predictor, "to_bytes", spread)


def maps_both_ways(model, dataset, video):
    """Maps of the one clip in the val split: of its stored frames, and of its video."""
    (shard,) = dataset.split("val")
    stored = Predictor(model).run(record.frame for record in read_records(dataset, shard))
    with VideoReader(video) as frames:
        streamed = Predictor(model).run(frames.timed())
        return list(stored), list(streamed)


def test_a_video_and_its_stored_frames_give_the_same_maps(step_model, shards, gaze_root, lively):
    video = gaze_root / "videos" / "clip03.mp4"
    stored, streamed = maps_both_ways(step_model, shards, video)
    assert (stored[0] != stored[-1]).any()  # they depend on the frame
    np.testing.assert_array_equal(stored, streamed)


@pytest.mark.slow  # beside a drawn one
def test_a_real_video_and_its_stored_frames_give_the_same_maps(
    step_model, recordings, tmp_path, lively
):
    source, root = recordings / "mufvet", tmp_path / "one"
    (root / "videos").mkdir(parents=True)
    video = root / "videos" / "012.mp4"
    video.symlink_to((source / "videos" / "012.mp4").absolute())
    head, *rows = (source / "fixations.csv").read_text().splitlines()
    rows = [row for row in rows if row.startswith("012,")]
    (root / "fixations.csv").write_text("\n".join([head, *rows]) + "\n")
    (root / "split.csv").write_text("name,split\n012,val\n")
    dataset = prepare("gaze", root, tmp_path / "shards", DataConfig())
    stored, streamed = maps_both_ways(step_model, dataset, video)
    assert len(stored) == 396
    np.testing.assert_array_equal(stored, streamed)


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (256, 144), (90, 160)])
def test_maps_are_enlarged_as_the_evaluation_does(size):
    width, height = size
    levels = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)
    smooth = cv2.resize(levels, (64, 64), interpolation=cv2.INTER_LINEAR)
    exact = np.clip(resize(smooth, height, width), 0, 255)
    # Half a level of rounding, and what float32 adds to sums up to 255.
    np.testing.assert_allclose(enlarge(smooth, width, height), exact, atol=0.501)


@pytest.mark.usefixtures("small_grid")
def test_written_maps_score_as_the_model(step_model, shards, gaze_root, lively, script, tmp_path):
    video, maps = gaze_root / "videos" / "clip03.mp4", tmp_path / "maps"
    model = ["--model", str(step_model)]
    written = ["--maps", str(maps / "clip03")]
    assert script("tflite/predict.py").main([*model, str(video), *written]) == 0
    arguments = [*model, "--maps", str(maps), "--data", str(shards.folder)]
    report = tmp_path / "scores.json"
    assert script("pipelines/evaluate.py").main([*arguments, "--json", str(report)]) == 0
    means = json.loads(report.read_text())["means"]
    direct, found = means[step_model.name], means["maps maps"]
    differences = {metric: abs(found[metric] - direct[metric]) for metric in LIMITS}
    assert not {metric: d for metric, d in differences.items() if d > LIMITS[metric]}
    assert any(differences.values())  # they are not the same maps
