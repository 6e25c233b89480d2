"""Paths that are not UTF-8, or that the locale can't spell: used where possible, else refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from conftest import ROOT, contents, noise, write_table

from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file, replace_file
from uva_tf.core.video import VideoReader
from uva_tf.data.dataset import open_dataset
from uva_tf.data.prepare import prepare
from uva_tf.presets import PRESETS
from uva_tf.runtime.manifest import manifest_path
from uva_tf.training.run import Run

NAME = os.fsdecode(b"latin1_\xe9")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = pytest.mark.parametrize("locale", [{}, ASCII], ids=["utf-8", "ascii"])

pytestmark = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="file systems there take UTF-8 only"
)


def run(path, *arguments, **environment):
    command = [sys.executable, ROOT / path, *arguments]
    done = subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=120)
    return done.returncode, os.fsdecode(done.stdout), done.stderr.decode()


@pytest.fixture
def clip(gaze_root, tmp_path):
    return shutil.copy(gaze_root / "videos" / "clip01.mp4", tmp_path / f"{NAME}.mp4")


# Each beside one of the same name or locale that always runs.
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "locale"),
    [
        pytest.param(name, locale, id=f"{label}-{'ascii' if locale else 'utf-8'}", marks=marks)
        for label, name, locale, marks in [
            ("latin1", NAME, {}, []),
            ("latin1", NAME, ASCII, []),
            ("eye", "\u773c", ASCII, []),
            ("eye", "\u773c", {}, SLOW),
            ("umlaut", "b\xe4r", ASCII, SLOW),
            ("umlaut", "b\xe4r", {}, SLOW),
        ]
    ],
)
def test_predict_takes_any_path_everywhere(clip, step_model, tmp_path, name, locale):
    folder = tmp_path / name
    folder.mkdir()
    video, model = shutil.move(clip, folder / f"{name}.mp4"), folder / f"{name}.tflite"
    shutil.copy(step_model, model)
    shutil.copy(manifest_path(step_model), manifest_path(model))
    out = folder / "out"
    out.mkdir()
    places = ["--csv", out / f"{name}.csv", "--overlay", out / f"{name}.mp4", "--maps", out / name]
    code, _, err = run("tflite/predict.py", video, "--model", model, *places, **locale)
    assert (code, err) == (0, "")
    assert {p.name for p in out.iterdir()} == {name, f"{name}.csv", f"{name}.mp4"}
    with VideoReader(out / f"{name}.mp4") as overlay:
        assert sum(1 for _ in overlay) == 8
    # Its own maps are a folder of pictures.
    code, _, err = run("tflite/predict.py", out / name, "--csv", out / "again.csv", **locale)
    assert (code, err) == (0, "")
    assert (out / "again.csv").read_text().count("\n") == 9


@LOCALES
def test_a_mistake_in_such_a_path_is_one_line(tmp_path, locale):
    (tmp_path / f"{NAME}.mp4").write_text("not a video")
    for name in (f"{NAME}.mp4", f"{NAME} none.mp4"):
        code, out, err = run(
            "tflite/predict.py", tmp_path / name, "--csv", tmp_path / "out.csv", **locale
        )
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert r"latin1_\udce9" in err
    assert [p.name for p in tmp_path.iterdir()] == [f"{NAME}.mp4"]


@pytest.mark.parametrize("script", ["throughput", "benchmark"])
def test_times_are_taken_of_any_path(clip, step_model, tmp_path, script):
    model = tmp_path / f"{NAME}.tflite"
    shutil.copy(step_model, model)
    shutil.copy(manifest_path(step_model), manifest_path(model))
    csv = tmp_path / f"{NAME}.csv"
    arguments = {
        "throughput": [clip, "--model", model, "--rounds", "1"],
        "benchmark": [model, "--rounds", "1", "--csv", csv, "--plot", tmp_path / f"{NAME}.png"],
    }[script]
    code, out, err = run(f"tflite/{script}.py", *arguments)
    assert (code, err) == (0, "")
    assert "latin1_" in out
    if script == "benchmark":
        assert r"latin1_\udce9" in csv.read_text()


class TestRefusedBeforeAnythingIsWritten:
    WORDS = r"TensorFlow can't take this path, it is not UTF-8: rename it, or the folder above"

    @pytest.mark.parametrize("out", [NAME, f"{NAME}/below"])
    def test_shards_and_runs_in_such_a_place(self, gaze_root, tmp_path, call, out):
        out, root = tmp_path / out, gaze_root
        for script, *arguments in (
            ("prepare", "--layout", "gaze", "--root", root, "--out", out),
            ("quickstart", "--out", out),
            ("ablate", "--data", root, "--preset", "smoke", "--out", out),
            ("frontier", "--data", root, "--preset", "smoke", "--out", out),
        ):
            code, _, err = call(f"pipelines/{script}.py", *arguments)
            assert (code, err.count("\n")) == (2, 1)
            assert self.WORDS in err
            assert not list(tmp_path.iterdir())

    def test_data_and_runs_that_are_there(self, shards, tmp_path):
        data = Path(shutil.copytree(shards.folder, tmp_path / NAME))
        with pytest.raises(InputError, match=self.WORDS):
            open_dataset(data)
        with pytest.raises(InputError, match=self.WORDS):
            Run.create(tmp_path / NAME / "run", PRESETS["smoke"]())
        assert not (data / "run").exists()

    def test_a_place_that_the_locale_cant_spell(self, tmp_path):
        """Seen in a locale of ASCII; the file system's encoding is decided when Python starts."""
        program = (
            "import sys; from pathlib import Path\n"
            "from uva_tf.core.outputs import refuse_undecodable\n"
            "refuse_undecodable(Path(sys.argv[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path / "b\xe4r"],
            capture_output=True,
            text=True,
            env=os.environ | ASCII,
        )
        assert "this locale can't spell it: set PYTHONUTF8=1" in done.stderr


def test_a_recording_of_such_a_name_is_told_and_can_be_skipped(tmp_path):
    root = tmp_path / "photographs"
    (root / "images").mkdir(parents=True)
    rows = [(name, 1, 8, 8) for name in ("a", "b")]
    write_table(root / "fixations.csv", "image,observer,x,y", rows)
    for name in ("a", "b"):
        cv2.imwrite(str(root / "images" / f"{name}.png"), noise(24, 32, 1))
    (root / "images" / "b.png").rename(root / "images" / f"{NAME}.png")
    before = contents(root)
    with pytest.raises(InputError, match=r"latin1_.*: the name of this recording") as error:
        prepare("images", root, tmp_path / "out")
    assert "--skip-bad leaves them out" in str(error.value)
    assert contents(root) == before
    assert not (tmp_path / "out").exists()
    dataset = prepare("images", root, tmp_path / "out", skip_bad=True)
    assert open_dataset(tmp_path / "out").skipped == dataset.skipped
    assert set(dataset.skipped) == {"b", NAME}


def test_recordings_are_read_from_any_place(gaze_root, tmp_path):
    root = Path(shutil.copytree(gaze_root, tmp_path / NAME))
    shutil.move(root / "split.csv", tmp_path / f"{NAME}.csv")
    dataset = prepare("gaze", root, tmp_path / "out", split=tmp_path / f"{NAME}.csv")
    assert len(dataset.shards) == 3


def test_replacing_a_file_leaves_the_users_own_alone(tmp_path):
    mine = tmp_path / "table.partial"
    mine.write_text("mine")
    for text in ("one", "two"):
        replace_file(tmp_path / "table.csv", text)
    assert contents(tmp_path) == {mine: b"mine", tmp_path / "table.csv": b"two"}


def test_an_output_may_have_as_long_a_name_as_the_system_takes(tmp_path):
    path = tmp_path / ("\u773c" * 84)
    with new_file(path) as partial:
        partial.touch()
    assert path.exists()
