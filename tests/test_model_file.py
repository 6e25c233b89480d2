"""docs/model-file.md: the test vectors, the plain example, and the formulas as they are written."""

import json
import platform
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from uva_tf.core.frames import Frame, to_yuv
from uva_tf.core.resize import shrink
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.overlay import enlarge
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import FOLDER as WEIGHTS
from uva_tf.weights import shipped_model

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "model-file.md"
EXAMPLE = ROOT / "tflite" / "plain" / "example.py"
VECTORS = Path(__file__).parent / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())
MODELS = INDEX["models"]
AGAIN = "run python tests/vectors/make.py"


def vector(name):
    """The stored maps of a model, `[3, R, R]`."""
    side = MODELS[name]["resolution"]
    return np.fromfile(VECTORS / f"{name}.maps", np.uint8).reshape(-1, side, side)


def frames():
    raw = np.fromfile(VECTORS / "frames.rgb", np.uint8)
    return raw.reshape(INDEX["frames"], INDEX["height"], INDEX["width"], 3)


def assert_drawn(name, maps):
    """Whether maps are those of the vectors: as docs/model-file.md asks it of other programs."""
    exact = "int8" in name and platform.machine() in ("x86_64", "AMD64")
    difference = np.abs(maps.astype(int) - vector(name))
    assert difference.max() <= (0 if exact else 2 if "int8" in name else 1), f"{name}: {AGAIN}"


def test_vectors_are_of_the_shipped_files():
    shipped = {path.stem: read_manifest(path)[0].sha256 for path in WEIGHTS.glob("*.tflite")}
    stale = [name for name in {*shipped, *MODELS} if shipped.get(name) != sha256_of(name)]
    assert not stale, f"tests/vectors are of other files than shipped: {sorted(stale)}: {AGAIN}"


def sha256_of(name):
    return MODELS.get(name, {}).get("sha256")


@pytest.mark.parametrize("name", MODELS)
def test_the_predictor_draws_the_vectors(name):
    predictor = Predictor(shipped_model(name), persistence=0, brighten=0, gap=1)
    assert_drawn(name, np.stack(list(predictor.run(frames()))))


@pytest.mark.parametrize("name", MODELS)
def test_vectors_show_a_stream_that_forgets_its_frames(name):
    predictor = Predictor(shipped_model(name), persistence=0, brighten=0, gap=1)
    for frame, stored in zip(frames()[1:], vector(name)[1:], strict=True):
        predictor.reset()
        assert np.abs(predictor.step(frame).astype(int) - stored).max() > 5


def test_a_state_does_not_depend_on_the_state_before():
    predictor = Predictor(shipped_model())
    small = shrink(frames()[0], 64)[None]
    zero = predictor._remember(small)
    predictor._empty = predictor._empty + 77
    np.testing.assert_array_equal(predictor._remember(small), zero)


def test_vectors_are_small_and_hold_a_frame_made_small():
    for side in (64, 32):
        stored = np.fromfile(VECTORS / f"small-{side}.rgb", np.uint8).reshape(side, side, 3)
        np.testing.assert_array_equal(shrink(frames()[0], side), stored)
    assert sum(path.stat().st_size for path in VECTORS.glob("*.*")) < 140_000


def stream(name, *shape):
    """A vector of the 28 small frames or maps, whole numbers."""
    side = INDEX["stream"]["side"]
    return np.fromfile(VECTORS / name, np.uint8).reshape(-1, side, side, *shape).astype(int)


def test_dark_frames_are_brightened_as_written():
    level, made, limited = INDEX["stream"]["brighten"], [], 0
    for frame in stream("stream.rgb", 3):
        n, s = frame.size, int(frame.sum())
        if s < level * n:
            limited += s < level * n // 8
            s = max(s, level * n // 8)
            frame = np.minimum(255, (2 * frame * level * n + s) // (2 * s))
        made.append(frame)
    np.testing.assert_array_equal(stream("bright.rgb", 3), made)
    assert not np.array_equal(made[-2], stream("stream.rgb", 3)[-2])
    assert limited == 1


def test_maps_persist_as_written():
    frames, maps = stream("stream.rgb", 3), stream("stream.maps")
    first, cuts, drawn, otherwise = 0, [], stream("joined.maps"), 0
    for number, one in enumerate(drawn):
        if number and np.abs(frames[number] - frames[number - 1]).mean() > 32:
            first = number
            cuts.append(number)
        kept = maps[max(first, number - 15) : number + 1][::-1]
        share = INDEX["stream"]["persistence"]
        weights = [round(256 * share**k) for k in range(len(kept))]
        total = sum(weight * map_ for weight, map_ in zip(weights, kept, strict=True))
        most = int(total.max()) or 1
        quotients = total.astype(np.float32) / np.float32(most)
        np.testing.assert_array_equal(one, np.rint(np.float32(255) * quotients))
        exact = [round(Fraction(255 * int(sum_), most)) for sum_ in total.flat]
        otherwise += int((one.ravel() != exact).sum())
    # The vectors hold what a program may get wrong.
    assert np.abs(frames[10] - frames[9]).mean() == 32
    assert cuts == [22] and not maps[22].any()
    assert otherwise == 1


def test_the_document_shows_the_example():
    assert re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE) == [
        EXAMPLE.read_text()
    ]


@pytest.mark.parametrize("name", MODELS)
def test_the_example_draws_the_vectors_without_this_package(name, tmp_path):
    program = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(('uva_tf', 'cv2', 'tensorflow')));"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    )
    size = [str(INDEX["width"]), str(INDEX["height"])]
    call = [EXAMPLE, shipped_model(name), *size, VECTORS / "frames.rgb", tmp_path / "maps"]
    subprocess.run([sys.executable, "-c", program, *call], check=True, cwd=tmp_path)
    side = MODELS[name]["resolution"]
    assert_drawn(name, np.fromfile(tmp_path / "maps", np.uint8).reshape(-1, side, side))


@pytest.fixture(scope="module")
def example():
    """The example's functions."""
    functions = {}
    exec(EXAMPLE.read_text().partition("\npath, ")[0], functions)
    return functions


SIZES = ((57, 99), (1, 1), (1, 300), (300, 1), (64, 64), (16, 16), (128, 128), (256, 256))
LARGE = ((512, 512), (512, 300), (257, 257), (500, 500), (1080, 1920), (33, 32))


@pytest.mark.parametrize(("height", "width"), SIZES + LARGE)
def test_the_example_makes_frames_small_to_the_bit(example, height, width):
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for side in (64, 32):
        np.testing.assert_array_equal(example["shrink"](frame, side), shrink(frame, side))


def bilinear(plane, side):
    """The document's sampling, one pixel at a time, with `side` in place of 256."""
    height, width = plane.shape

    def taps(at, length, ends):
        exact = np.float32((at + 0.5) * (1 / (side / length)) - 0.5)
        first = int(np.floor(exact))
        part = np.float32(exact - np.float32(first))
        if ends and (first < 0 or first >= length - 1):
            part = np.float32(0)
        one = np.float32(2048)
        near, far = (min(max(k, 0), length - 1) for k in (first, first + 1))
        return near, far, int(np.rint(one * (np.float32(1) - part))), int(np.rint(one * part))

    out = np.zeros((side, side), int)
    columns = [taps(x, width, True) for x in range(side)]
    for y in range(side):
        upper, lower, a, b = taps(y, height, False)
        rows = [
            [(int(plane[row, i]) * c + int(plane[row, j]) * d) >> 4 for i, j, c, d in columns]
            for row in (upper, lower)
        ]
        s, t = np.array(rows)
        out[y] = (((s * a) >> 16) + ((t * b) >> 16) + 2) >> 2
    return out


def halved(plane, side):
    while len(plane) > side:
        plane = (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2] + 2) >> 2
    return plane


@pytest.mark.parametrize("full", (False, True))
def test_planes_are_made_small_as_written(full):
    rng = np.random.default_rng(0)
    video = av.VideoFrame(90, 70, "yuvj420p" if full else "yuv420p")
    planes = []
    for plane in video.planes:
        values = rng.integers(0, 256, (plane.height, plane.line_size), dtype=np.uint8)
        plane.update(values.tobytes())
        planes.append(values[:, : plane.width])
    y, u, v = planes
    yuv = np.stack([halved(bilinear(y, 256), 128), bilinear(u, 128), bilinear(v, 128)], axis=-1)
    inverse = np.linalg.inv(np.vstack([to_yuv(2, full), [0, 0, 0, 1]]))[:3]  # unknown: BT.601
    inverse[:, 3] -= (0.9, 1.5, 1.1)
    inverse = inverse.astype(np.float32)
    turns = np.rint(1024 * inverse[:, :3]).astype(int)
    constants = np.rint(1024 * (inverse[:, 3] + np.float32(0.5))).astype(int)
    rgb = ((yuv @ turns.T + constants) >> 10).clip(0, 255)
    expected = np.stack([halved(rgb[..., c], 64) for c in range(3)], axis=-1)
    np.testing.assert_array_equal(Frame(decoded=video).small(64), expected)


@pytest.mark.parametrize(("height", "width"), ((7, 50), (90, 128)))
def test_maps_are_enlarged_as_written(height, width):
    attention = vector("uva-32-int8-step")[0].astype(float)

    def along(rows, n):  # the document's formula, one output pixel at a time
        size, made = len(rows), []
        for i in range(n):
            u, total, weights = (i + 0.5) * size / n - 0.5, 0, 0
            for k in range(int(u) - 40, int(u) + 41):
                d = abs(u - k) * min(1, n / size)
                near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
                w = near if d <= 1 else far if d <= 2 else 0
                mirrored = k % (2 * size)
                total = total + w * rows[min(mirrored, 2 * size - 1 - mirrored)]
                weights += w
            made.append(total / weights)
        return np.array(made)

    expected = along(along(attention, height).T, width).T.round().clip(0, 255)
    made = enlarge(attention.astype(np.uint8), width, height)
    assert np.abs(made - expected).max() <= 1  # float32 there
    assert (made == expected).mean() > 0.999
