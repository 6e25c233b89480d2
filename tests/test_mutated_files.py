"""Spoilt files: a mistake told in one line, never a traceback, a hang or the end of the caller."""

import hashlib
import json
import signal
from collections import Counter
from fractions import Fraction

import av
import numpy as np
import pytest
from mutations import mutated

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime import predictor, trial
from uva_tf.runtime.manifest import manifest_path, read_manifest

MANY = [pytest.param(range(300), marks=pytest.mark.slow, id="300")]
SECONDS = 120  # for one file, of which a trial takes a few: a guard against hanging


@pytest.fixture
def spoilt(tmp_path, files):
    """A function that writes an int8 model and its manifest as the arguments say."""
    path, content = tmp_path / "model.tflite", files["int8", "step"]

    def write(change=lambda content: content, vouch=True, manifest=lambda text: text):
        changed = change(content)
        values = {
            "form": "step",
            "recipe": "int8",
            "variant": "tiny",
            "resolution": 32,
            "pairing": "previous",
            "sha256": hashlib.sha256(changed if vouch else content).hexdigest(),
            "state": {"scale": 0.02, "zero_point": 0},
        }
        path.write_bytes(changed)
        manifest_path(path).write_bytes(manifest(json.dumps(values).encode()))
        return path

    return write


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, 64, 48) as writer:
        for seed in range(3):
            writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return path


def film(path, encoders):
    """The bytes of a film of three frames."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoders.get(path.suffix[1:], "libx264"), rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if path.suffix == ".avi":
            stream.pix_fmt = "yuvj420p"
        for seed in range(3):
            noise = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            frame = Frame(noise, seed / 25).video()
            frame.pts, frame.time_base = seed, Fraction(1, 25)
            file.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        file.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def predict(script, capfd):
    """A function that runs predict.py, checks how it ends, and returns its code and its line."""

    def run(model, video):
        signal.alarm(SECONDS)
        capfd.readouterr()
        code = script("tflite/predict.py").main(["--model", str(model), str(video)])
        signal.alarm(0)
        err = capfd.readouterr().err
        assert err.count("\n") == (0 if code == 0 else 1), err
        assert err.startswith({0: "", 1: "failed: ", 2: "error: "}[code])
        return code, err

    return run


@pytest.mark.parametrize("seeds", [range(300, 304), *MANY])
def test_models_that_their_manifests_vouch_for(spoilt, clip, predict, seeds):
    endings = Counter()
    for seed in seeds:
        code, err = predict(spoilt(lambda content, seed=seed: mutated(content, seed)), clip)
        deadly = "ends the process" in err or "was not done" in err
        endings[{0: "ran", 2: "killed its trial" if deadly else "was refused"}[code]] += 1
    print(dict(endings))
    assert endings["was refused"]


@pytest.mark.parametrize("seeds", [range(300, 315), *MANY])
def test_models_of_another_checksum_are_not_loaded(spoilt, clip, predict, seeds, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the file was loaded")

    monkeypatch.setattr(predictor, "Interpreter", loaded)
    monkeypatch.setattr(trial, "failure", loaded)
    for seed in seeds:
        # A cut at the very end, or a zero for a zero, changes nothing.
        change = lambda content, seed=seed: mutated(content, seed) + b"\0"  # noqa: E731
        code, err = predict(spoilt(change, vouch=False), clip)
        assert code == 2
        assert "sha256 differs" in err


def test_a_model_that_kills_its_process_is_refused(spoilt, monkeypatch):
    monkeypatch.setattr(trial, "PROGRAM", "import os; os.abort()")
    with pytest.raises(InputError, match="it ends the process"):
        trial.check_model(spoilt())


def test_a_model_that_hangs_is_refused(spoilt, monkeypatch):
    monkeypatch.setattr(trial, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(trial, "SECONDS", 0.2)
    with pytest.raises(InputError, match="not done after"):
        trial.check_model(spoilt())


def test_a_model_that_fills_memory_is_refused(spoilt, monkeypatch):
    program = "import uva_tf.runtime.trial as t; t._limit_memory(); print(len(bytes(2**33)))"
    monkeypatch.setattr(trial, "PROGRAM", program)
    with pytest.raises(InputError, match="refuses the file"):
        trial.check_model(spoilt())


def test_a_good_model_passes(spoilt):
    trial.check_model(spoilt())


@pytest.mark.parametrize("seeds", [range(300, 360), *MANY])
def test_manifests(spoilt, seeds):
    read = 0
    for seed in seeds:
        model = spoilt(manifest=lambda text, seed=seed: mutated(text, seed))
        try:
            read_manifest(model)
            read += 1
        except InputError as error:
            assert str(model.with_suffix("")) in str(error)
            assert "\n" not in str(error)
    assert read < len(seeds)


WRONG = (None, True, -1, 2.5, 1e400, "x" * 99999, [], [[1]], {}, {"scale": "much"}, "step\n")


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_manifests_with_a_wrong_value_in_any_field(spoilt, value):
    def change(text, name):
        return json.dumps(json.loads(text) | {name: value}).encode()

    for name in json.loads(manifest_path(spoilt()).read_text()):
        model = spoilt(manifest=lambda text, name=name: change(text, name))
        free_text = isinstance(value, str) and name in ("recipe", "variant")
        if free_text or (name == "state" and value == {}):
            read_manifest(model)
            continue
        with pytest.raises(InputError) as caught:
            read_manifest(model)
        assert len(str(caught.value)) < 600
        assert "\n" not in str(caught.value)


def test_a_file_too_large_for_a_model_or_a_manifest_is_not_read(spoilt):
    model = spoilt()
    with model.open("r+b") as stream:
        stream.truncate(2**30)  # takes no room on the disk
    with pytest.raises(InputError, match="1073741824 bytes, expected"):
        read_manifest(model)
    with manifest_path(model).open("r+b") as stream:
        stream.truncate(2**30)
    with pytest.raises(
        InputError, match="1073741824 bytes, expected at most 1048576 in a manifest"
    ):
        read_manifest(model)


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi", "ts"])
@pytest.mark.parametrize("seeds", [range(300, 315), *MANY])
def test_videos(tmp_path, seeds, suffix):
    content = film(tmp_path / f"whole.{suffix}", {"avi": "mjpeg", "webm": "libvpx-vp9"})
    path, endings = tmp_path / f"spoilt.{suffix}", Counter()
    for seed in seeds:
        path.write_bytes(mutated(content, seed))
        signal.alarm(SECONDS)
        try:
            with VideoReader(path) as video:
                frames = sum(1 for _ in video)
            assert frames <= 300
            endings["read"] += 1
        except InputError as error:
            assert "\n" not in str(error)
            endings["refused"] += 1
        signal.alarm(0)
    assert set(endings) == {"read", "refused"}
