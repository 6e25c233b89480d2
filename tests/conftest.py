"""Tiny recordings, what is made of them, and the scripts, for all tests."""

import csv
import functools
import gc
import hashlib
import importlib.util
import os
import signal
from dataclasses import replace
from pathlib import Path

# TensorFlow reads it when it loads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest

from uva_tf.config import DataConfig, StudentConfig
from uva_tf.core.interruption import SIGNALS
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import synthetic
from uva_tf.runtime.manifest import Manifest, manifest_path, read_manifest

ROOT = Path(__file__).parent.parent


def contents(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def assert_refused(result, words):
    code, out, err = result
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def write_table(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])


def model_of(path, folder, **changes):
    """A copy of a model whose manifest says something else."""
    manifest, content = read_manifest(path)
    out = folder / "changed.tflite"
    out.write_bytes(content)
    manifest_path(out).write_text(replace(manifest, **changes).to_json())
    return out


@pytest.fixture(scope="session", autouse=True)
def tiny():
    """Not while tests are collected, of which some ask for every variant."""
    from students import add_tiny

    add_tiny()
    gc.freeze()  # what TensorFlow holds, which each conversion's collection would go through


@pytest.fixture(autouse=True)
def own_seed():
    """TensorFlow's global seed, part of every shuffle, is not what the test before left."""
    import tensorflow as tf

    tf.random.set_seed(0)


@pytest.fixture(scope="session")
def gaze_root(tmp_path_factory):
    """Synthetic recordings in the `gaze` layout: clip01 and clip02 train, clip03 val."""
    root = tmp_path_factory.mktemp("gaze") / "recordings"
    synthetic.write_recordings(root, train=2, val=1, length=8)
    return root


@pytest.fixture(scope="session")
def shards(gaze_root, tmp_path_factory):
    """`gaze_root` prepared at 64 pixels."""
    from uva_tf.data.prepare import prepare

    return prepare("gaze", gaze_root, tmp_path_factory.mktemp("shards") / "gaze", DataConfig(64))


@pytest.fixture
def clips_root(tmp_path):
    """A function that writes rows of the `gaze` table, and a red clip for each name in them."""

    def write(rows, *, frames=10, width=64, height=36):
        root = tmp_path / "clips"
        (root / "videos").mkdir(parents=True)
        for name in {row[0] for row in rows}:
            with VideoWriter(root / "videos" / f"{name}.mp4", 25, width, height) as video:
                for _ in range(frames):
                    video.write(np.full((height, width, 3), (0, 0, 230), np.uint8))
        write_table(root / "fixations.csv", "video,observer,onset_ms,duration_ms,x,y", rows)
        return root

    return write


def day_and_night():
    """22 frames `[144, 256, 3]` uint8: a bright scene, and after a cut another one in the dark.

    The last two are darker than what can be made bright.
    """
    day = synthetic.draw(synthetic.scene(3, length=18))
    night = synthetic.draw(synthetic.scene(4, length=4))
    return [*day, *(frame // 5 for frame in night[:2]), *(frame // 40 for frame in night[2:])]


def noise(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


PHOTOGRAPHS = {
    "b.png": noise(40, 60, seed=1),
    "a.png": noise(48, 32, seed=2),
    "c.png": noise(30, 30, seed=3),
}
LOOKS = [
    ("c", 7, 15.0, 3.0),
    ("a", 7, 8.0, 12.0),
    ("a", 9, 31.5, 47.5),
    ("b", 9, 0.0, 0.0),
    ("b", 7, 30.0, 10.0),
]


@pytest.fixture
def images_root(tmp_path):
    """A function that writes photographs, RGB by file name, in the `images` layout."""

    def write(photographs=PHOTOGRAPHS, rows=LOOKS, split=None):
        root = tmp_path / "photographs"
        (root / "images").mkdir(parents=True)
        for name, picture in photographs.items():
            cv2.imwrite(str(root / "images" / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        write_table(root / "fixations.csv", "image,observer,x,y", rows)
        split = split or {Path(name).stem: "train" for name in photographs}
        write_table(root / "split.csv", "name,split", split.items())
        return root

    return write


@pytest.fixture
def photographs(images_root, tmp_path):
    """The photographs of `images_root`, prepared at 64 pixels."""
    from uva_tf.data.prepare import prepare

    return prepare("images", images_root(), tmp_path / "photographs.shards", DataConfig(64))


@pytest.fixture(scope="session")
def step_model(converted, tmp_path_factory):
    """`student` as a .tflite file with its manifest."""
    path = tmp_path_factory.mktemp("model") / "untrained.tflite"
    content = converted("fp32", "step")
    checksum = hashlib.sha256(content).hexdigest()
    manifest = Manifest("step", "fp32", "tiny", 32, "previous", checksum)
    path.write_bytes(content)
    manifest_path(path).write_text(manifest.to_json())
    return path


@pytest.fixture(scope="session")
def student():
    from students import untrained

    return untrained(StudentConfig("tiny"))


@pytest.fixture(scope="session")
def noise_pairs():
    """A function that makes pairs of frames, the same ones at every call."""

    def make(count=12):
        rng = np.random.default_rng(1)
        return [tuple(rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)) for _ in range(count)]

    return make


@pytest.fixture(scope="session")
def converted(request, tmp_path_factory):
    """A function from recipe and form to the bytes of `student` as a .tflite file.

    Each file is made by whichever of pytest's processes needs it first, and read by the others.
    """
    from uva_tf.compression.export import to_tflite
    from uva_tf.compression.graph import pair_of_step

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def make(recipe, form):
        if (recipe, form) == ("int8", "pair"):
            return pair_of_step(get("int8", "step"), "previous")  # as `to_tflite` makes it
        student, pairs = (request.getfixturevalue(name) for name in ("student", "noise_pairs"))
        return to_tflite(student, recipe, form, pairs() if recipe == "int8" else ())

    @functools.cache
    def get(recipe, form):
        path = folder / f"student-{recipe}-{form}.tflite"
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")  # another process may make it too
            partial.write_bytes(make(recipe, form))
            partial.replace(path)
        return path.read_bytes()

    return get


@pytest.fixture(scope="session")
def files(converted):
    """`student` as a .tflite file, by recipe and form."""
    return {
        (recipe, form): converted(recipe, form)
        for recipe in ("fp32", "int8")
        for form in ("pair", "step")
    }


@pytest.fixture(scope="module")
def small_grid():
    """Score maps on a quarter of the pixels, which takes a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("truth", "evaluate"):
            patch.setattr(f"uva_tf.evaluation.{module}.WIDTH", 320)
        yield


class Camera:
    """A capture device of 64x48 that is unplugged after three frames."""

    left = 3

    def isOpened(self):  # noqa: N802
        return True

    def get(self, prop):
        return {cv2.CAP_PROP_FRAME_WIDTH: 64, cv2.CAP_PROP_FRAME_HEIGHT: 48}.get(prop, 0)

    def read(self):
        self.left -= 1
        return (True, np.full((48, 64, 3), 128, np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        pass


@pytest.fixture(scope="module")
def signals_are_not_ignored():
    """As a shell lets its background jobs ignore Ctrl-C, of which tests may be one."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        on_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if on_interrupt else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def camera(monkeypatch):
    """Lets OpenCV find a `Camera` under every number, while files stay files."""
    opened = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda *a: Camera() if isinstance(a[0], int) else opened(*a)
    )
    return Camera


@pytest.fixture(scope="session")
def script():
    """A function that loads a script of the repository by its path, as a module."""

    @functools.cache
    def load(path):
        name = "script_" + path.removesuffix(".py").replace("/", "_")
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def call(script, capfd):
    """A function that runs a script and returns its exit code and what it printed."""

    def run(path, *args):
        capfd.readouterr()
        code = script(path).main([str(arg) for arg in args])
        return code, *capfd.readouterr()

    return run


def named_folder(variable, what):
    """The folder that an environment variable names; skips the test if there is none."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: it names a folder of {what}")
    if not Path(folder).is_dir():
        pytest.skip(f"{variable} is {folder}, which is no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def recordings():
    """The folder of real recordings."""
    return named_folder("UVA_TF_RECORDINGS", "real recordings")


@pytest.fixture(scope="session")
def cases():
    """The folder of cases after public bug reports."""
    return named_folder("UVA_TF_CASES", "cases that went wrong")
