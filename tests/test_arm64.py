"""The comparison with 64-bit ARM; the whole of it where qemu is installed."""

import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import synthetic
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.runtime.predictor import Predictor
from uva_tf.weights import shipped_model

ROOT = Path(__file__).parent.parent
ARM64 = ROOT / "tflite" / "arm64"
VECTORS = ROOT / "tests" / "vectors"


@pytest.fixture(scope="module")
def load():
    """A function that loads a module of the folder."""

    def by_name(name):
        spec = importlib.util.spec_from_file_location(name, ARM64 / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    yield by_name
    for name in ("probe", "root", "check"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def compare(load):
    load("probe"), load("root")
    return load("check").compare


MAPS = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)


def test_integer_maps_by_reference_kernels_must_be_equal(compare):
    assert compare(MAPS, MAPS.copy(), exact=True)[1]
    other = MAPS.copy()
    other[2, 3, 4] ^= 1
    told, met = compare(MAPS, other, exact=True)
    assert not met
    assert "largest difference 1" in told
    assert compare(MAPS, other, exact=False)[1]


def test_integer_maps_by_other_kernels_may_differ_a_little(compare):
    far = MAPS.copy().reshape(-1)
    far[: far.size // 50] ^= 4  # 2 % of the pixels by 4 steps
    assert not compare(MAPS, far.reshape(MAPS.shape), exact=False)[1]
    other = MAPS.copy()
    other[1] = np.random.default_rng(1).permutation(MAPS[1])  # one frame is another's
    assert not compare(MAPS, other, exact=False)[1]


def test_float_maps_must_be_equal_to_a_ten_thousandth(compare):
    exact = MAPS.astype(np.float32) / 255
    assert compare(exact, exact + np.float32(5e-5), exact=False)[1]
    assert not compare(exact, exact + np.float32(2e-4), exact=True)[1]


def test_maps_in_float16_may_differ_by_a_few_levels(compare):
    exact = MAPS.astype(np.float32) / 255
    near = exact + np.random.default_rng(1).uniform(-3, 3, MAPS.shape) / 255
    told, met = compare(exact, near, exact=False, half=True)
    assert met
    assert told.endswith(", computed in float16")
    assert not compare(exact, near, exact=False)[1]
    assert not compare(exact, exact + 9 * (near - exact), exact=False, half=True)[1]
    told, met = compare(exact, exact + np.float32(5e-5), exact=False, half=True)
    assert met
    assert "float16" not in told


def test_the_probe_maps_a_stream_as_the_predictor_does(load, step_model, tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "frames.npz", small=small, whole=small)
    load("probe").main([str(tmp_path / "frames.npz"), str(tmp_path / "maps.npz"), str(step_model)])
    with np.load(tmp_path / "maps.npz") as maps:
        xnnpack, reference = maps["XNNPACK/0"], maps["reference/0"]
        np.testing.assert_array_equal(maps["shrunk"], small)
    expected = list(Predictor(step_model, exact=True).run(small))
    np.testing.assert_array_equal(xnnpack, expected)
    # The order of float sums, over some hundred terms.
    np.testing.assert_allclose(reference, expected, atol=1e-4)


def test_a_missing_program_is_named(load, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(InputError, match="qemu-aarch64-static is not installed"):
        load("root").make_root(tmp_path)


HALF = shipped_model("uva-64-fp16-step")


@pytest.fixture
def full_model(tmp_path):
    """A shipped float16 model that asks for sums in float32, and so for float32 altogether."""
    manifest, content = read_manifest(HALF)
    assert content.count(b"fp16accfp16") == 1
    model, content = tmp_path / "full.tflite", content.replace(b"fp16accfp16", b"fp16accfp32")
    model.write_bytes(content)
    manifest = replace(manifest, sha256=hashlib.sha256(content).hexdigest())
    manifest_path(model).write_text(manifest.to_json())
    return model


@pytest.mark.skipif(platform.machine() in ("aarch64", "arm64"), reason="may compute in float16")
def test_a_file_that_allows_float16_draws_the_same_maps_on_other_processors(full_model):
    frames = np.fromfile(VECTORS / "frames.rgb", np.uint8).reshape(3, 57, 99, 3)
    maps = [list(Predictor(model, exact=True).run(frames)) for model in (HALF, full_model)]
    np.testing.assert_array_equal(*maps)


@pytest.fixture
def check_on_arm(tmp_path):
    """A function that runs check.py on a synthetic clip and returns what it prints."""
    if not any(map(shutil.which, ("qemu-aarch64-static", "qemu-aarch64"))):
        pytest.skip("qemu-user-static and qemu-user are not installed")
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, synthetic.RATE, synthetic.WIDTH, synthetic.HEIGHT) as writer:
        for frame in synthetic.draw(synthetic.scene(1, length=20)):
            writer.write(frame)

    def check(*arguments):
        command = [sys.executable, ARM64 / "check.py", *arguments, clip]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return check


@pytest.mark.slow
def test_maps_on_arm_are_those_of_this_machine(check_on_arm):
    assert check_on_arm("--model", shipped_model()).count(": met") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "half"), [("cortex-a76", True), ("cortex-a72", False)])
def test_arm_computes_in_float16_where_file_and_processor_allow_it(
    check_on_arm, full_model, cpu, half
):
    models = ["--model", HALF, "--model", full_model]
    _, *lines = check_on_arm("--frames", "4", "--cpu", cpu, *models).splitlines()
    found = {tuple(line.split(": ")[0].split(", ")) for line in lines if "in float16" in line}
    assert found == ({(HALF.stem, "XNNPACK")} if half else set())
    assert [line.split(": ")[-1] for line in lines] == 4 * ["met"]
