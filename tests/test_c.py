"""The C program and its library: maps as in Python, and one line for every misuse."""

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import day_and_night

from uva_tf.runtime.manifest import Manifest, manifest_path
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tflite" / "c"
VECTORS = Path(__file__).parent / "vectors"
MODELS = json.loads((VECTORS / "index.json").read_text())["models"]


def library():
    """Path of LiteRT's library; skips where it is missing or of a version with other functions."""
    version = importlib.metadata.version("ai-edge-litert")
    path = Path(importlib.util.find_spec("ai_edge_litert").origin).with_name("libLiteRt.so")
    if tuple(map(int, version.split(".")[:2])) < (2, 2) or not path.exists():
        pytest.skip(f"ai-edge-litert {version} has no libLiteRt.so of 2.2 or newer")
    return path


def built(folder, *options):
    for program in ("cmake", "gcc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    options = (f"-DLITERT_LIBRARY={library()}", "-DCMAKE_C_COMPILER=gcc", *options)
    targets = ("--target", "attention", "check")
    for call in (
        ["cmake", "-S", SOURCES, "-B", folder, "-DCMAKE_C_FLAGS=-Werror", *options],
        ["cmake", "--build", folder, *targets],
    ):
        done = subprocess.run(call, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return built(tmp_path_factory.mktemp("release")) / "attention"


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A folder with both programs, built with AddressSanitizer and UndefinedBehaviorSanitizer."""
    return built(tmp_path_factory.mktemp("sanitized"), "-DUVA_SANITIZE=ON")


def drawn(program, model, frames, *more):
    """The program's maps of frames `[N, H, W, 3]`, `[N, R, R]`."""
    height, width = frames.shape[1:3]
    call = [program, model, str(width), str(height), *more]
    done = subprocess.run(call, input=frames.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    side = int(np.sqrt(len(done.stdout) / len(frames)))
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, side, side)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_maps_of_the_vectors_are_those_of_python(release, name):
    frames = np.fromfile(VECTORS / "frames.rgb", np.uint8).reshape(-1, 57, 99, 3)
    predictor = Predictor(shipped_model(name), persistence=0, brighten=0, gap=1)
    maps = np.stack(list(predictor.run(frames)))
    made = drawn(release, shipped_model(name), frames)
    assert np.abs(made.astype(int) - maps).max() <= (0 if "int8" in name else 1)


@pytest.mark.parametrize(
    ("height", "width"),
    (
        (1, 1),
        (1, 300),
        (300, 1),
        (64, 64),
        (16, 16),
        (128, 128),
        (512, 512),
        (257, 257),
        (480, 640),
    ),
)
def test_frames_of_any_size_are_made_small_as_in_python(sanitized, height, width):
    frames = noise(height, width)
    for name in ("uva-64-int8-step", "uva-32-int8-step"):
        predictor = Predictor(shipped_model(name), persistence=0, brighten=0, gap=1)
        maps = np.stack(list(predictor.run(frames)))
        made = drawn(sanitized / "attention", shipped_model(name), frames)
        np.testing.assert_array_equal(made, maps)


@pytest.mark.parametrize("light", (2, 5, 60))
def test_dark_frames_are_brightened_as_in_python(sanitized, light):
    model, frames = shipped_model("uva-64-l-int8-step"), noise(60, 80) // light
    maps = np.stack(list(Predictor(model, persistence=0, brighten=80, gap=1).run(frames)))
    made = drawn(sanitized / "attention", model, frames, "-", "-", "80")
    np.testing.assert_array_equal(made, maps)
    assert not np.array_equal(drawn(sanitized / "attention", model, frames), maps)


@pytest.mark.parametrize("name", MODELS)
def test_maps_are_those_of_python_s_defaults(sanitized, name):
    """With dark frames, a cut, and more maps than are joined."""
    model, frames = shipped_model(name), np.stack(day_and_night())
    predictor = Predictor(model)
    asked = [str(predictor.brighten), str(predictor.persistence), str(predictor.gap)]
    maps = np.stack(list(predictor.run(frames)))
    made = drawn(sanitized / "attention", model, frames, "-", "-", *asked)
    assert np.abs(made.astype(int) - maps).max() <= (0 if "int8" in name else 1)
    for alone in ([asked[0]], ["0", asked[1]]):  # neither is enough
        assert not np.array_equal(
            drawn(sanitized / "attention", model, frames, "-", "-", *alone), maps
        )


@pytest.mark.parametrize("share", (0.001, 0.002, 0.3, 0.95))
def test_maps_persist_as_in_python(sanitized, share):
    model, frames = shipped_model("uva-32-int8-step"), np.stack(day_and_night())
    maps = np.stack(list(Predictor(model, persistence=share, brighten=0, gap=1).run(frames)))
    made = drawn(sanitized / "attention", model, frames, "-", "-", "0", str(share))
    np.testing.assert_array_equal(made, maps)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("level", "share"), ((0, 0), (100, 0.7)))
def test_frames_are_paired_over_a_gap_as_in_python(sanitized, name, level, share):
    model, frames = shipped_model(name), np.stack(day_and_night())
    predictor = Predictor(model, persistence=share, brighten=level, gap=3)
    maps = np.stack(list(predictor.run(frames))).astype(int)
    more = ["-", "-", str(level), str(share)]
    made = drawn(sanitized / "attention", model, frames, *more, "3")
    most = 0 if "int8" in name else 1
    assert np.abs(made - maps).max() <= most
    for gap in ([], ["2"], ["4"]):
        other = drawn(sanitized / "attention", model, frames, *more, *gap)
        assert np.abs(other - maps).max() > most


@pytest.mark.parametrize("gap", (1, 2, 16))
def test_every_gap_is_as_in_python(sanitized, gap):
    model, frames = shipped_model("uva-32-int8-step"), np.stack(day_and_night())
    maps = np.stack(list(Predictor(model, persistence=0.7, brighten=100, gap=gap).run(frames)))
    made = drawn(sanitized / "attention", model, frames, "-", "-", "100", "0.7", str(gap))
    np.testing.assert_array_equal(made, maps)


def test_a_pair_needs_no_state(sanitized, converted, tmp_path):
    path = tmp_path / "pair.tflite"
    content = converted("fp32", "pair")
    manifest = Manifest("pair", "fp32", "tiny", 32, "previous", hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    manifest_path(path).write_text(manifest.to_json())
    frames = noise(40, 50)
    maps = np.stack(list(Predictor(path, persistence=0, brighten=0).run(frames)))
    assert np.abs(drawn(sanitized / "attention", path, frames).astype(int) - maps).max() <= 1
    frames = np.stack(day_and_night())
    for gap in (1, 3):
        maps = np.stack(list(Predictor(path, persistence=0.7, brighten=100, gap=gap).run(frames)))
        made = drawn(sanitized / "attention", path, frames, "-", "-", "100", "0.7", str(gap))
        assert np.abs(made.astype(int) - maps).max() <= 1
    done = subprocess.run([sanitized / "check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def check(program, *models):
    return subprocess.run([program, *models], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "told"), (("uva-32-int8-step", "bytes"), ("uva-32-fp16-step", "refused"))
)
def test_wrong_frames_and_states_are_refused(sanitized, name, told):
    done = check(sanitized / "check", shipped_model(name))
    lines = 7 * f"a state with a NaN: {told}\n"  # of each persistence and gap that is tried
    assert (done.returncode, done.stdout) == (0, lines), done.stderr


def test_models_cut_short_are_refused(sanitized, tmp_path):
    content = shipped_model("uva-32-int8-step").read_bytes()
    for length in np.linspace(0, len(content) - 1, 60, dtype=int):
        (tmp_path / f"{length}.tflite").write_bytes(content[:length])
    foreign = {"text": b"no model at all", "zeros": bytes(5000), "magic": b"\0\0\0\0TFL3" * 99}
    for name, other in foreign.items():
        (tmp_path / f"{name}.tflite").write_bytes(other)
    models = [*sorted(tmp_path.iterdir()), tmp_path, tmp_path / "missing.tflite"]
    done = check(sanitized / "check", shipped_model("uva-32-int8-step"), *models)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_sees_a_model_that_is_not_refused(sanitized):
    done = check(sanitized / "check", *[shipped_model("uva-32-int8-step")] * 2)
    assert done.returncode == 1
    assert "status 0, expected 2" in done.stdout


def test_a_model_of_another_kind_is_refused(sanitized, step_model, tmp_path):
    content = step_model.read_bytes()
    for name in (b"frame", b"state", b"attention"):  # of the signature's and the graph's tensors
        other = tmp_path / f"{name.decode()}.tflite"
        other.write_bytes(content.replace(name, name[::-1]))
        done = check(sanitized / "check", shipped_model("uva-32-int8-step"), other)
        assert done.returncode == 0, done.stdout + done.stderr


FRAME = bytes(3 * 4 * 5)


@pytest.mark.parametrize(
    ("words", "given", "told"),
    (
        ([], b"", "expected 3 to 8 arguments"),
        (["MODEL", "0", "5"], FRAME, "WIDTH HEIGHT: expected whole numbers from 1 to 32767"),
        (["MODEL", "4x", "5"], FRAME, "WIDTH HEIGHT"),
        (["MODEL", "4", "99999999999999999999"], FRAME, "WIDTH HEIGHT"),
        (["missing.tflite", "4", "5"], FRAME, "missing.tflite: can't be read: No such file"),
        (["MODEL", "4", "5"], b"", "no frames came"),
        (["MODEL", "4", "5"], FRAME + FRAME[:-1], "frame 2 ends after 59 of 60 bytes"),
        (["MODEL", "4", "5", "missing.rgb"], b"", "missing.rgb: can't be read"),
        (["MODEL", "4", "5", "."], b"", "frames can't be read: Is a directory"),
        (["empty.tflite", "4", "5"], FRAME, "empty.tflite: empty (0 bytes), expected a .tflite"),
        (["short.tflite", "4", "5"], FRAME, "short.tflite: cut short (7 bytes), expected a"),
        (
            ["MODEL", "4", "5", "-", "-", "129"],
            FRAME,
            "LEVEL: expected a whole number from 0 to 128",
        ),
        (["MODEL", "4", "5", "-", "-", "x"], FRAME, "LEVEL: expected a whole number from 0 to 128"),
        (
            ["MODEL", "4", "5", "-", "-", "0", "0.96"],
            FRAME,
            "PERSISTENCE: expected a number from 0 to 0.95",
        ),
        (["MODEL", "4", "5", "-", "-", "0", "nan"], FRAME, "PERSISTENCE: expected a number"),
        (["MODEL", "4", "5", "-", "-", "0", "0.7x"], FRAME, "PERSISTENCE: expected a number"),
        *(
            (
                ["MODEL", "4", "5", "-", "-", "0", "0", gap],
                FRAME,
                "GAP: expected a whole number from 1 to 16",
            )
            for gap in ("0", "17", "-1", "1.5", "x", "")
        ),
        (["MODEL", "4", "5", "-", "-", "0", "0", "1", "1"], FRAME, "expected 3 to 8 arguments"),
        (["MODEL", "4", "5", "-", "there"], FRAME, "there: can't be made: File exists"),
        (["MODEL", "4", "5", "-", "no/folder"], FRAME, "no/folder: can't be made"),
    ),
)
def test_the_program_refuses_in_one_line(sanitized, tmp_path, words, given, told):
    (tmp_path / "there").write_text("kept")
    (tmp_path / "empty.tflite").touch()
    (tmp_path / "short.tflite").write_bytes(bytes(7))
    words = [str(shipped_model("uva-32-int8-step")) if word == "MODEL" else word for word in words]
    call = [sanitized / "attention", *words]
    done = subprocess.run(call, input=given, capture_output=True, cwd=tmp_path)
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("INFO: ")]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert lines[0].startswith("error: ")
    assert told in lines[0]
    assert (tmp_path / "there").read_text() == "kept"


def test_a_failed_stream_leaves_no_file(sanitized, tmp_path):
    call = [sanitized / "attention", shipped_model("uva-32-int8-step"), "4", "5", "-"]
    done = subprocess.run([*call, tmp_path / "maps"], input=FRAME + b"1", capture_output=True)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
    done = subprocess.run([*call, tmp_path / "maps"], input=FRAME, capture_output=True)
    assert (done.returncode, (tmp_path / "maps").stat().st_size) == (0, 32 * 32)


def test_memory_and_time_are_compared_with_python(release):
    call = [sys.executable, SOURCES / "compare.py", release, "--rounds", "1"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("times the C program's time") == 2


@pytest.mark.parametrize(
    ("program", "told"),
    (("true", "it wrote no maps, expected"), ("false", "exit code 1, expected")),
)
def test_a_program_that_writes_no_maps_is_not_compared(program, told):
    call = [sys.executable, SOURCES / "compare.py", shutil.which(program), "--rounds", "1"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


@pytest.mark.slow
def test_maps_on_arm_are_those_of_the_vectors():
    for programs in (
        ("cmake",),
        ("aarch64-linux-gnu-gcc",),
        ("qemu-aarch64", "qemu-aarch64-static"),
    ):
        if not any(map(shutil.which, programs)):
            pytest.skip(f"{programs[0]} is not installed")
    call = [sys.executable, ROOT / "tflite" / "arm64" / "check_c.py"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": met") == len(MODELS)
