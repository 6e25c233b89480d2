"""What a user may get wrong: exit code 2, one line that says what, nothing written."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import contents

from uva_tf.commands.command import command
from uva_tf.core.video_writer import VideoWriter
from uva_tf.gaze.fixation_table import NOWHERE, OUTSIDE
from uva_tf.runtime.manifest import manifest_path

ROOT = Path(__file__).parent.parent
ROWS = [("one", 1, 0, 200, 10, 10), ("two", 1, 0, 200, 10, 10), ("two", 2, 40, 80, 30, 20)]


@pytest.fixture
def refused(tmp_path, capfd, script):
    """A function that runs a script, checks that it refuses politely, and returns its line."""

    def run(path, *args):
        main = script(path).main
        before = contents(tmp_path)
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        assert (code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        left = {p: c for p, c in contents(tmp_path).items() if ".out.partial" not in p.parts}
        assert left == before  # but for finished shards
        return err

    return run


def table(root, text):
    (root / "fixations.csv").write_text("video,observer,onset_ms,duration_ms,x,y\n" + text)


def change(root, old, new):
    path = root / "fixations.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def split(root, text):
    (root / "split.csv").write_text("name,split\n" + text)


def text_for_a_clip(root):
    (root / "videos" / "one.mp4").write_text("not a video\n" * 100)


def flat_file(root):
    (root / "fixations.csv").write_bytes(b"\x01" * 200_000)


BAD_RECORDINGS = {
    "root not there": (shutil.rmtree, "clips: no such folder"),
    "no table": (lambda r: (r / "fixations.csv").unlink(), "fixations.csv: no such file"),
    "empty table": (
        lambda r: (r / "fixations.csv").write_text(""),
        "fixations.csv: empty, expected a table with video,",
    ),
    "table without rows": (lambda r: table(r, ""), "no fixations in it"),
    "table that is no text": (flat_file, "fixations.csv"),
    "a very long field": (lambda r: table(r, f"one,1,0,9,{'1' * 140_000},5\n"), "fixations.csv"),
    "no column x": (lambda r: change(r, ",x,y", ",ecks,y"), "no column 'x', expected video"),
    "a quote that stays open": (
        lambda r: table(r, 'one,1,0,200,5,5\none,1,0,"200,5,5\none,1,0,200,5,5\none,1,0,200,5,5\n'),
        "line 3: a quote opens there and runs on to line 5",
    ),
    "short row": (lambda r: table(r, "one,1,0,200,5\n"), "line 2: fewer cells"),
    "letters": (lambda r: table(r, "one,1,0,200,ten,5\n"), "line 2: x is 'ten', expected a number"),
    "empty": (lambda r: table(r, "one,1,,200,10,5\n"), "no row of 'one' has gaze (1 rows"),
    "nan": (lambda r: table(r, "one,1,0,200,10,nan\n"), "no row of 'one' has gaze (1 rows"),
    "infinity": (lambda r: table(r, "one,1,0,inf,10,5\n"), "line 2: duration_ms is 'inf'"),
    "points outside": (
        lambda r: change(r, ",10,10", ",1000,1000"),
        "1 of 1 fixations lie outside the 64x36 frame",
    ),
    "row for no video": (
        lambda r: change(r, "one,", "three,"),
        "one.mp4: no rows in fixations.csv; also bad: three",
    ),
    "video for no row": (
        lambda r: table(r, "one,1,0,200,10,10\n"),
        "two.mp4: no rows in fixations.csv",
    ),
    "no videos": (lambda r: shutil.rmtree(r / "videos"), "videos: no such folder"),
    "text called mp4": (text_for_a_clip, "one.mp4: no frame can be read"),
    "empty mp4": (
        lambda r: (r / "videos" / "one.mp4").write_bytes(b""),
        "one.mp4: no frame can be read",
    ),
    "unknown split": (lambda r: split(r, "one,train\ntwo,practice\n"), "line 3: split 'practice'"),
    "name not in the split": (lambda r: split(r, "one,train\n"), "no row for two of the dataset"),
    "name only in the split": (
        lambda r: split(r, "one,train\ntwo,val\nten,val\n"),
        "ten not in the dataset",
    ),
}


@pytest.mark.parametrize("case", BAD_RECORDINGS)
def test_prepare_refuses_recordings(tmp_path, clips_root, refused, case):
    spoil, words = BAD_RECORDINGS[case]
    root = clips_root(ROWS, frames=6)
    spoil(root)
    line = refused(
        "pipelines/prepare.py", "--layout", "gaze", "--root", root, "--out", tmp_path / "out"
    )
    assert words in line


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--layout gaze --root {root}", "required: --out"),
        ("--layout gaze --out {out}", "required: --root"),
        ("--root {root} --out {out}", "required: --layout"),
        ("--layout saliency --root {root} --out {out}", "'saliency'"),
        ("--layout gaze --root {root} --out {out} --size big", "'big'"),
        ("--layout gaze --root {root} --out {out} --size 0", "size"),
        ("--layout gaze --root {root} --out {out} --size -8", "size"),
        ("--layout gaze --root {root} --out {out} --sigma 0", "sigma"),
        ("--layout gaze --root {root} --out {out} --sigma nan", "sigma"),
        ("--layout gaze --root {root} --out {out} --fast", "--fast"),
        ("--layout gaze --root {root} --out {out} --split none.csv", "none"),
        ("--layout gaze --root {root} --out {root}", "exists already"),
        ("--layout images --root {root} --out {out}", "no column 'image'"),
        ("--layout gaze --root {root} --out {file}/out", "is not a folder"),
        ("--layout gaze --root {root} --out {file}/deep/out", "folder"),
    ],
)
def test_prepare_refuses_arguments(tmp_path, clips_root, refused, args, words):
    root = clips_root(ROWS, frames=6)
    places = {"root": root, "out": tmp_path / "out", "file": root / "fixations.csv"}
    line = refused("pipelines/prepare.py", *(arg.format(**places) for arg in args.split()))
    assert words in line


def test_prepare_accepts_few_points_outside_and_says_so(tmp_path, clips_root, capfd, script):
    rows = [("one", n, 0, 200, 10 if n else 100, 10) for n in range(11)]
    root = clips_root([*rows, ("two", 1, 0, 200, 10, 10), ("two", 1, 999, 80, 10, 10)], frames=6)
    out = tmp_path / "out"
    args = ["--layout", "gaze", "--root", str(root), "--out", str(out), "--size", "32"]
    assert script("pipelines/prepare.py").main(args) == 0
    printed, err = capfd.readouterr()
    assert err == ""
    # 10 fixations in 5 of 6 frames, and 1.
    assert "train: 2 recordings, 12 frames, 55 fixations" in printed
    assert f"left out: 1 {OUTSIDE} (one 1)" in printed
    assert f"left out: 1 {NOWHERE} (two 1)" in printed
    assert sorted(path.name for path in out.iterdir()) == [
        "00000.tfrecord",
        "00001.tfrecord",
        "index.json",
    ]


@pytest.fixture
def model(tmp_path, step_model):
    """A copy of a working model and its manifest, to be spoiled."""
    shutil.copy(manifest_path(step_model), tmp_path / "model.json")
    return Path(shutil.copy(step_model, tmp_path / "model.tflite"))


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mp4"
    with VideoWriter(path, 25, 64, 36) as writer:
        for value in range(5):
            writer.write(np.full((36, 64, 3), 40 * value, np.uint8))
    return path


def outputs(tmp_path):
    return ["--overlay", tmp_path / "overlay.mp4", "--maps", tmp_path / "maps"]


def text_called_mp4(path):
    path.write_text("not a video\n" * 100)


def avi_without_frames(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 36))
    assert writer.isOpened()
    writer.release()


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("absent.mp4", lambda path: None, "absent.mp4: no such video file"),
        ("folder.mp4", Path.mkdir, "folder.mp4: no videos and no pictures"),
        ("text.mp4", text_called_mp4, "text.mp4: no frame can be read"),
        ("empty.mp4", Path.touch, "empty.mp4: no frame can be read"),
        ("still.avi", avi_without_frames, "still.avi: no frame can be read"),
    ],
)
def test_predict_refuses_videos(tmp_path, model, refused, name, make, words):
    make(tmp_path / name)
    line = refused("tflite/predict.py", "--model", model, tmp_path / name, *outputs(tmp_path))
    assert words in line


def alter(model, **values):
    path = manifest_path(model)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def replace_content(model, content):
    """Other bytes, and a manifest that vouches for them."""
    model.write_bytes(content)
    alter(model, sha256=hashlib.sha256(content).hexdigest())


BAD_MODELS = {
    "no model": (lambda m: m.unlink(), "no such model file"),
    "no manifest": (lambda m: manifest_path(m).unlink(), "manifest model.json is missing"),
    "other sha256": (lambda m: alter(m, sha256="0" * 64), "sha256 differs"),
    "changed model": (lambda m: m.write_bytes(m.read_bytes() + b"\0"), "sha256 differs"),
    "broken json": (lambda m: manifest_path(m).write_text('{"form": '), "not a manifest"),
    "binary json": (lambda m: manifest_path(m).write_bytes(b"\xff\xfe\x00"), "not a manifest"),
    "json list": (lambda m: manifest_path(m).write_text("[1, 2]"), "not a manifest"),
    "missing field": (lambda m: manifest_path(m).write_text('{"form": "step"}'), "not a manifest"),
    "unknown form": (lambda m: alter(m, form="triple"), "form 'triple' is not valid"),
    "form of another type": (lambda m: alter(m, form=["step"]), "form ['step'] is not valid"),
    "unknown pairing": (lambda m: alter(m, pairing="both"), "pairing 'both' is not valid"),
    "text for resolution": (lambda m: alter(m, resolution="32"), "resolution '32' is not valid"),
    "fraction for resolution": (lambda m: alter(m, resolution=32.0), "resolution 32.0"),
    "no resolution": (lambda m: alter(m, resolution=None), "resolution None"),
    "resolution 0": (lambda m: alter(m, resolution=0), "resolution 0"),
    "resolution of another": (lambda m: alter(m, resolution=64), "not those that its manifest"),
    "form of another": (lambda m: alter(m, form="pair"), "LiteRT refuses the file"),
    "junk": (lambda m: replace_content(m, b"junk" * 500), "LiteRT refuses the file"),
    "empty model": (lambda m: replace_content(m, b""), "LiteRT refuses the file"),
    "half a model": (
        lambda m: replace_content(m, m.read_bytes()[: m.stat().st_size // 2]),
        "LiteRT refuses the file",
    ),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_predict_refuses_models(tmp_path, model, video, refused, case):
    spoil, words = BAD_MODELS[case]
    spoil(model)
    line = refused("tflite/predict.py", "--model", model, video, *outputs(tmp_path))
    assert words in line


@pytest.mark.parametrize(("key", "value"), [("form", "pair"), ("resolution", 64)])
def test_predict_refuses_a_manifest_of_another_model(tmp_path, model, video, refused, key, value):
    path = manifest_path(model)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    line = refused("tflite/predict.py", "--model", model, video, *outputs(tmp_path))
    assert str(model) in line


def test_a_command_without_its_packages_says_what_to_install(capfd):
    def missing(argv):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    assert command(missing)([]) == 2
    assert 'tensorflow is not installed, try python -m pip install -e ".[train]"' in (
        capfd.readouterr().err
    )


def test_predict_refuses_a_model_of_another_suffix(tmp_path, model, video, refused):
    other = model.rename(tmp_path / "model.bin")
    line = refused("tflite/predict.py", "--model", other, video, *outputs(tmp_path))
    assert "expected a .tflite file" in line


@pytest.mark.parametrize("taken", ["overlay.mp4", "maps"])
def test_predict_refuses_to_overwrite(tmp_path, model, video, refused, taken):
    if taken == "maps":
        (tmp_path / taken).mkdir()
        (tmp_path / taken / "mine.png").write_bytes(b"kept")
    else:
        (tmp_path / taken).write_bytes(b"kept")
    line = refused("tflite/predict.py", "--model", model, video, *outputs(tmp_path))
    assert f"{taken} exists already" in line


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--model {model}", "either a SOURCE or --camera"),
        ("--model {model} {video} --camera 0", "either a SOURCE or --camera"),
        ("--model {model} --camera front", "'front'"),
        ("--model {model} --camera 99", "camera 99: no frame can be read"),
        ("--model {model} {video} --threads 0.5", "'0.5'"),
        ("--model {model} {video} --threads -2", "threads"),
        ("--model {model} {video} --threads 99999999999", "expected 1 to 256"),
        ("--model {model} --camera -1", "camera"),
        ("--model {model} --camera 100", "expected 0 to 99"),
        ("--model {model} {video} --overlay {here}/m/o.mp4 --maps {here}/m", "overlap"),
        ("--model {model} {video} --overlay {here}/m/o.mp4 --csv {here}/m", "overlap"),
        ("--model {model} {video} --overlay {here}/overlay.txt", "overlay.txt"),
        ("--model {model} {video} --style plain", "'plain'"),
        ("--model {model} {video} --style beside --maps {here}/m", "--style is of an overlay"),
        ("--model {model} {video} --overlay {video}/o.mp4", "is not a folder"),
        ("--model {model} {video} --maps {video}/deep/maps", "folder"),
    ],
)
def test_predict_refuses_arguments(tmp_path, model, video, refused, args, words):
    places = {"model": model, "video": video, "here": tmp_path}
    line = refused("tflite/predict.py", *(arg.format(**places) for arg in args.split()))
    assert words in line


def test_the_model_that_these_tests_spoil_works(tmp_path, model, video, capfd, script):
    args = [str(arg) for arg in ("--model", model, video, *outputs(tmp_path))]
    assert script("tflite/predict.py").main(args) == 0
    assert "5 frames" in capfd.readouterr().out
    assert len(list((tmp_path / "maps").iterdir())) == 5


@pytest.mark.parametrize("name", ["pipelines/prepare.py", "tflite/predict.py"])
def test_a_real_process_prints_one_line_too(tmp_path, model, clips_root, name):
    """With TensorFlow's, LiteRT's and FFmpeg's own chatter, which in-process tests may miss."""
    root = clips_root(ROWS, frames=2)
    text_for_a_clip(root)
    args = {
        "pipelines/prepare.py": ["--layout", "gaze", "--root", root, "--out", tmp_path / "out"],
        "tflite/predict.py": ["--model", model, root / "videos" / "one.mp4"],
    }[name]
    result = subprocess.run(
        [sys.executable, ROOT / name, *args], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "one.mp4: no frame can be read" in result.stderr
    assert not (tmp_path / "out").exists()
