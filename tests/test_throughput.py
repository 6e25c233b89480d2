"""Whole videos and single frames, timed beside OpenCV alone."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest

from uva_tf.bench import videos as throughput
from uva_tf.core.errors import InputError
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime.default_model import choose_model
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

FRAMES = 5


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, 64, 48) as writer:
        for value in range(FRAMES):
            writer.write(np.full((48, 64, 3), 40 * value, np.uint8))
    return path


def test_every_work_goes_through_the_whole_video(clip, tmp_path):
    predictor = Predictor(channels="bgr")
    assert throughput._decode(clip) == throughput._predict(clip, predictor) == FRAMES
    for number, work in enumerate(
        (throughput._encode, lambda v, o: throughput._draw(v, predictor, o))
    ):
        out = tmp_path / f"{number}.mp4"
        assert work(clip, out) == FRAMES
        with VideoReader(out) as video:
            assert len(list(video)) == FRAMES


def test_a_rate_is_the_median_of_its_turns(clip, monkeypatch):
    ticks = iter([0, 1, 0, 1, 0, 1, 0, 1] + [0, 5] * 4 + [0, 2.5] * 4)  # seconds of three rounds
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(ticks))
    measured = throughput.measure_video(shipped_model(), clip, rounds=3)
    assert dataclasses.astuple(measured) == (*(FRAMES / 2.5,) * 4, 1, 1, 2.5)
    assert "fastest turn was 2.5 times the median: the machine was busy" in measured.noise


def test_shares_are_of_turns_side_by_side(clip, monkeypatch):
    # Seconds of each work: the second turn is slow, the third from its second work on.
    turns = [(1, 2, 1, 4), (2, 4, 2, 8), (1, 4, 2, 8)]
    ticks = iter([tick for turn in turns for seconds in turn for tick in (0, seconds)])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(ticks))
    measured = throughput.measure_video(shipped_model(), clip, rounds=3)
    assert (measured.predicted, measured.drawn) == (0.5, 0.25)
    assert measured.attention / measured.decoding == 0.25


def test_spectral_residual_is_timed_where_it_is_installed(clip, monkeypatch):
    monkeypatch.setattr(throughput, "FRAME_ROUNDS", 1)
    names = ["making it small", shipped_model().stem]
    if hasattr(cv2, "saliency"):
        name = "OpenCV's spectral residual"
        names += [f"{name} of a BGR picture", f"{name}, making that picture included"]
    assert list(throughput.measure_frame([shipped_model()], clip)) == names


def test_without_a_model_the_shipped_student_is_timed(clip, monkeypatch, script, capsys):
    monkeypatch.setattr(throughput, "FRAME_ROUNDS", 1)
    assert script("tflite/throughput.py").main([str(clip), "--rounds", "1"]) == 0
    assert f"{choose_model()[0].stem}, frames/s: " in capsys.readouterr().out


def test_models_of_one_name_are_timed_apart(clip, monkeypatch, tmp_path):
    monkeypatch.setattr(throughput, "FRAME_ROUNDS", 1)
    copies = [tmp_path / place / "model.tflite" for place in ("here", "there")]
    for copy in copies:
        copy.parent.mkdir()
        for suffix in (".tflite", ".json"):
            shutil.copy(shipped_model().with_suffix(suffix), copy.with_suffix(suffix))
    timed = throughput.measure_frame(copies, clip)
    assert list(timed)[1:3] == ["here/model", "there/model"]


def test_growth_needs_more_than_a_minute(clip, monkeypatch):
    with pytest.raises(InputError, match="expected more than 60 seconds"):
        throughput.measure_growth(shipped_model(), clip)
    monkeypatch.setattr(throughput, "SETTLED", 0.04)
    sizes = iter([5e6, 7e6])
    monkeypatch.setattr(throughput, "largest_set", lambda: next(sizes))
    assert throughput.measure_growth(shipped_model(), clip) == 2
