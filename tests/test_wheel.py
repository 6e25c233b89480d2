"""A wheel that is installed without the repository: every command is there, weights included."""

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from uva_tf import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a clone, so that nothing which git does not track gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "clone"], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, folder / "clone"], check=True)
    shutil.rmtree(folder / "clone")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def uva_tf(wheel, tmp_path_factory):
    """A function that runs `uva-tf` of the installed wheel in an empty folder."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    # The packages that this test runs with, but not the checkout, which a .pth file in there names.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = venv / "bin" / "python"
    entry = "import sys; from uva_tf.__main__ import main; sys.argv[0] = 'uva-tf'; main()"

    def run(folder, *words):
        done = subprocess.run(
            [python, "-I", "-c", entry, *map(str, words)],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_brings_the_command_the_weights_and_all_modules(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        entries = next(name for name in names if name.endswith("entry_points.txt"))
        assert "uva-tf = uva_tf.__main__:main" in content.read(entries).decode()
    for path in (ROOT / "uva_tf").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert str(path.relative_to(ROOT)) in names


def test_predict_and_benchmark_run_from_it(uva_tf, gaze_root, tmp_path):
    assert uva_tf(tmp_path, "--version") == f"uva_tf {__version__}\n"
    assert "3 frames" in uva_tf(tmp_path, "predict", _three_frames(gaze_root, tmp_path))
    model = tmp_path / "model.tflite"
    for suffix in (".tflite", ".json"):
        shipped = ROOT / "uva_tf" / "weights" / f"uva-32-int8-step{suffix}"
        shutil.copy(shipped, model.with_suffix(suffix))
    uva_tf(tmp_path, "benchmark", model, "--rounds", 1, "--json", tmp_path / "times.json")
    assert json.loads((tmp_path / "times.json").read_text())


def _three_frames(gaze_root, folder):
    from uva_tf.core.video import VideoReader
    from uva_tf.core.video_writer import VideoWriter

    clip = folder / "clip.mp4"
    frames = list(VideoReader(gaze_root / "videos" / "clip01.mp4"))[:3]
    with VideoWriter(clip, 25, frames[0].shape[1], frames[0].shape[0]) as video:
        for frame in frames:
            video.write(frame)
    return clip


@pytest.mark.slow
def test_a_training_and_a_study_run_from_it(uva_tf, shards, tmp_path):
    data = ["--data", shards.folder, "--preset", "smoke"]
    uva_tf(tmp_path, "train", *data, "--run", tmp_path / "run")
    assert (tmp_path / "run" / "student.keras").is_file()
    study = ["--rows", "coupled", "--seeds", 1, "--every", 4, "--out", tmp_path / "study"]
    assert "coupled" in uva_tf(tmp_path, "ablate", *data, *study)
