"""The Android project: its Kotlin compiled against stubs, and what is not Android's run on the JVM.

Nothing here needs an SDK or a phone, and nothing here shows that the app works on one.
"""

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import day_and_night

import uva_tf
from uva_tf.core.frames import Frame
from uva_tf.core.video import VideoReader
from uva_tf.runtime.brighten import brightened
from uva_tf.runtime.predictor import Predictor, open_model
from uva_tf.weights import FOLDER, shipped_model

ROOT = Path(__file__).parent.parent
ANDROID = ROOT / "tflite" / "android"
STUBS = Path(__file__).parent / "android"
SOURCES = sorted(ANDROID.rglob("*.kt"))
GRADLE = (ANDROID / "app" / "build.gradle.kts").read_text()
SECONDS = 600
COUNT = 6
QUARTER_TURNS = (0, 90, 180, 270)


def test_the_app_holds_a_shipped_model():
    name = re.search(r'val model = "(.+)"', GRADLE)[1]
    weights = re.search(r'rootDir.resolve\("(.+)"\)', GRADLE)[1]
    assert (ANDROID / weights).resolve() == FOLDER.resolve()
    activity = next(path for path in SOURCES if path.name == "MainActivity.kt").read_text()
    assert f'MODEL = "{name}.tflite"' in activity
    manifest = json.loads((FOLDER / f"{name}.json").read_text())
    assert (manifest["form"], manifest["recipe"]) == ("step", "int8")


def test_the_app_has_the_version_of_uva_tf():
    assert re.search(r'versionName = "(.+)"', GRADLE)[1] == uva_tf.__version__


def test_every_import_of_the_app_is_a_stub_or_kotlins():
    """Else the compiled code below would not be the whole app."""
    stubs = {path.relative_to(STUBS / "stubs") for path in (STUBS / "stubs").rglob("*.java")}
    known = {".".join(path.with_suffix("").parts) for path in stubs}
    litert = (STUBS / "stubs" / "litert.kt").read_text()
    known |= {f"com.google.ai.edge.litert.{name}" for name in re.findall(r"class (\w+)", litert)}
    for path in SOURCES:
        for name in re.findall(r"^import (\S+)", path.read_text(), re.MULTILINE):
            standard = name.split(".")[0] in ("java", "kotlin")
            assert standard or any(name == one or name.startswith(f"{one}.") for one in known), name


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """The command that runs Check.kt, compiled with the whole app."""
    for tool in ("kotlinc", "java"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} on the PATH")
    made = tmp_path_factory.mktemp("kotlin") / "app.jar"
    command = ["kotlinc", *SOURCES, STUBS / "Check.kt", STUBS / "stubs", "-include-runtime"]
    done = subprocess.run(
        [*map(str, command), "-d", str(made)], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return ["java", "-cp", str(made), "uva.attention.CheckKt"]


def packed(plane, row_stride, pixel_stride):
    """A plane with its strides, as bytes that end with its last value, after their header."""
    height, width = plane.shape
    rows = np.full((height, row_stride), 99, np.uint8)  # 99 where nothing may be read
    rows[:, : width * pixel_stride : pixel_stride] = plane
    content = rows.tobytes()[: (height - 1) * row_stride + (width - 1) * pixel_stride + 1]
    return struct.pack(">5i", width, height, row_stride, pixel_stride, len(content)) + content


class Kotlin:
    """Check.kt, which asks for calls of a model."""

    def __init__(self, command, model, gap=None):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        manifest, interpreter = open_model(model)
        self._side = manifest.resolution
        self._runner = interpreter.get_signature_runner("step")
        self._state = self._runner.get_input_details()["state"]["shape"]
        sizes = self._side, np.prod(self._state)
        gap = manifest.gap if gap is None else gap
        self.send(struct.pack(">4id", *sizes, manifest.brighten, gap, manifest.persistence))
        self.calls = []  # the small frames that the model was called with

    def send(self, content):
        self._process.stdin.write(content)
        self._process.stdin.flush()

    def receive(self, *shape):
        content = self._process.stdout.read(int(np.prod(shape)))
        return np.frombuffer(content, np.uint8).reshape(shape)

    def step(self, planes, degrees, pixel_stride):
        """The map of a frame's planes, `[R, R]` uint8."""
        content = struct.pack(">i", degrees)
        for number, plane in enumerate(planes):
            stride = pixel_stride if number else 1
            content += packed(plane, plane.shape[1] * stride + 7, stride)
        self.send(content)
        while (kind := self.receive(1)[0]) == 1:
            frame = self.receive(1, self._side, self._side, 3)
            result = self._runner(frame=frame, state=self.receive(*self._state))
            self.calls.append(frame[0])
            self.send(result["attention"].tobytes() + result["state"].tobytes())
        assert kind == 2
        return self.receive(self._side, self._side)

    def reset(self):
        self.send(struct.pack(">i", 360))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(60)


def decoded(frame, height, width):
    """A picture, BGR, as FFmpeg decodes it: 4:2:0 in the full range."""
    picture = np.ascontiguousarray(cv2.resize(frame, (width, height)))
    made = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuvj420p")
    made.colorspace, made.color_range = 2, 2
    return made


def check_maps(classes, pictures, size, gap=None):
    model = shipped_model(f"uva-{size}-int8-step")
    shapes = [(480, 640), (360, 642), (720, 1280), (240, 320), (512, 512), (144, 176)]
    with Kotlin(classes, model, gap) as kotlin:
        for number, (height, width) in enumerate(shapes):
            predictor = Predictor(model, gap=gap)
            degrees = QUARTER_TURNS[number % 4]
            kotlin.reset()
            for count, picture in enumerate(pictures):
                video = decoded(picture, height, width)
                expected = Frame(decoded=video, turns=-degrees // 90)
                planes = Frame(decoded=video).planes()[:3]
                kotlin.calls.clear()
                found = kotlin.step(planes, degrees, 1 + count % 2)
                assert len(kotlin.calls) == (2 if count == 0 else 1)  # the first frame runs twice
                small = expected.small(size)
                seen = brightened(small, predictor.brighten)
                np.testing.assert_array_equal(kotlin.calls[-1], seen)
                np.testing.assert_array_equal(found, predictor.step(expected))
                assert np.ptp(found) > 50


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
def test_kotlin_draws_the_maps_that_python_draws(classes, size):
    """Bit for bit, of every turn, several sizes, both layouts of chroma; a cut, dark frames."""
    check_maps(classes, day_and_night(), size)


@pytest.mark.slow
@pytest.mark.parametrize("gap", [1, 3, 16])
def test_kotlin_pairs_frames_as_far_apart_as_it_is_told(classes, gap):
    check_maps(classes, day_and_night(), 32, gap)


@pytest.mark.slow
def test_kotlin_draws_the_same_maps_of_real_frames(classes, recordings):
    with VideoReader(min(recordings.glob("mufvet/videos/*"))) as video:
        pictures = [frame for frame, _ in zip(video, range(COUNT), strict=False)]
    check_maps(classes, pictures, 64)


REFUSED = """\
a plane of 4x3 needs 12 bytes, received 11
a plane of 4x0 with strides 4 and 1: expected more than 0
a plane of 1073741824x1073741824 needs 1152921504606846976 bytes, received 16
45 degrees: expected 0, 90, 180 or 270
a frame of 100x128: expected at least 128x128
chroma of 63x64 in a frame of 128x128: expected half
frames of 48 pixels: expected [32, 64, 128]
the form is pair, expected step: uva-tf convert --form step
the pairing is next, expected previous
the resolution is 48, expected one of [32, 64, 128]
the model is not quantised, expected int8: uva-tf convert --recipe int8
brighten is 129, expected 0 to 128
the persistence is 0.96, expected 0 to 0.95
the persistence is NaN, expected 0 to 0.95
gap is 0, expected a whole number from 1 to 16
gap is 17, expected a whole number from 1 to 16
sha256 differs from the manifest's: take the two files anew
NAME: expected at most 4 bytes
"""


@pytest.mark.slow
def test_kotlin_refuses_what_does_not_fit_in_one_line(classes):
    done = subprocess.run([*classes, "refusals"], capture_output=True, text=True, timeout=60)
    assert done.stdout == REFUSED, done.stderr
