"""The weights that come with the package: whole, small, the same in all their forms, and good."""

import json

import keras
import numpy as np
import pytest

import uva_tf
from uva_tf.compression.gate import check_file
from uva_tf.compression.operators import operator_counts, read_operators
from uva_tf.config import StudentConfig
from uva_tf.core.centre_prior import log_centre_prior
from uva_tf.core.errors import InputError
from uva_tf.core.resize import shrink
from uva_tf.data import synthetic
from uva_tf.evaluation.metrics import cc
from uva_tf.models.maps import attention, normalise
from uva_tf.models.shipped import load, load_shipped, save_weights, shipped
from uva_tf.models.student import build_student
from uva_tf.presets import PRESETS
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.runtime.predictor import Predictor
from uva_tf.studies.robustness import dark
from uva_tf.training.examples import with_data
from uva_tf.training.weights import initial_student
from uva_tf.weights import FOLDER, shipped_model

MODELS = sorted(FOLDER.glob("*.tflite"))
VARIANTS = ["uva-32", "uva-64", "uva-64-l"]
SCENES = range(1, 5)
OTHER_SEED = 2024  # no scene of which was trained on


def test_are_small_and_complete():
    assert sum(path.stat().st_size for path in MODELS) <= 1.5e6
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npy")) <= 0.75e6
    assert shipped() == VARIANTS
    names = {f"{variant}-{recipe}-step" for variant in shipped() for recipe in ("int8", "fp16")}
    assert {path.stem for path in MODELS} == names


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_manifests_say_where_they_come_from(path):
    manifest, _ = read_manifest(path)
    assert path.stem == f"{manifest.variant}-{manifest.recipe}-{manifest.form}"
    training = manifest.training
    assert training["command"].startswith(("uva-tf train ", "python pipelines/train.py "))
    assert len(training["commit"]) == 40
    assert training["seed"] == 1
    assert all(len(sha256) == 64 for sha256 in training["data"].values())
    assert "/root" not in manifest_path(path).read_text()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_they_keep_to_what_every_target_takes(path):
    manifest, content = read_manifest(path)
    integer = manifest.recipe == "int8"
    check_file(content, manifest.form, integer=integer)
    assert manifest.operators == operator_counts(content)
    # As Keras counts them too: tests/test_cost.py.
    assert manifest.multiply_adds == sum(one.multiply_adds for one in read_operators(content))
    if integer:  # the smallest chips that are named: 128 kB and 64 kB of memory for it
        most = {"uva-64": 128_000, "uva-32": 64_000, "uva-64-l": 256_000}
        assert 0 < manifest.arena_bytes <= most[manifest.variant]


def test_a_manifest_without_operators_is_accepted(step_model, tmp_path):
    older = json.loads(manifest_path(step_model).read_text())
    for name in ("operators", "multiply_adds", "arena_bytes"):
        del older[name]
    model = tmp_path / "older.tflite"
    model.write_bytes(step_model.read_bytes())
    manifest_path(model).write_text(json.dumps(older))
    manifest, _ = read_manifest(model)
    assert (manifest.multiply_adds, manifest.arena_bytes) == (0, 0)
    manifest_path(model).write_text(json.dumps(older | {"arena_bytes": -1}))
    with pytest.raises(InputError, match=r"arena_bytes -1 is not valid in this version"):
        read_manifest(model)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_keras_model_draws_the_files_maps(variant):
    predictor = Predictor(
        shipped_model(f"{variant}-fp16-step"), exact=True, persistence=0, brighten=0
    )
    frames = synthetic.draw(synthetic.scene(1, seed=OTHER_SEED, length=6))
    small = np.stack([shrink(frame, predictor.manifest.resolution) for frame in frames])
    maps = [predictor.step(frame) for frame in small]
    model = uva_tf.load(variant)
    assert isinstance(model, keras.Model)
    side, manifest = predictor.manifest.resolution, predictor.manifest
    others = small[[max(0, number - manifest.gap) for number in range(len(small))]]
    inputs = {"frame": normalise(small), "other": normalise(others)}
    logits = (
        model(inputs, training=False) + manifest.centre * log_centre_prior(side, side)[..., None]
    )
    drawn = attention(logits, manifest.centre_share).numpy()[..., 0]
    # Weights are rounded to float16 before and after batch normalisation is folded into them.
    np.testing.assert_allclose(drawn, maps, atol=0.02)


def test_maps_follow_what_moves_against_the_camera():
    predictor = Predictor(channels="bgr", persistence=0)
    found = []
    for number in SCENES:
        scene = synthetic.scene(number, seed=OTHER_SEED)
        maps = list(predictor.run(synthetic.draw(scene)))
        side = predictor.manifest.resolution
        # A clip's first frame shows no motion.
        found += [
            cc(maps[index - 1], scene.attention(index, side, side)) for index in range(3, 51, 4)
        ]
    assert np.mean(found) > 0.6  # 0.69; 0.54 where maps persist, which lag behind what moves


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_scene_in_an_eighth_of_its_light_gets_nearly_the_same_maps(path):
    frames = synthetic.draw(synthetic.scene(1, seed=OTHER_SEED, length=6))
    rng = np.random.default_rng(0)
    night = [dark(frame, rng) for frame in frames]  # with a camera's noise

    def maps(frames, **how):
        return list(Predictor(path, channels="bgr", **how).run(frames))

    expected = maps(frames)
    assert np.mean([*map(cc, maps(night), expected)]) > 0.95
    assert np.mean([*map(cc, maps(night, brighten=0), expected)]) < 0.5


def test_load_knows_what_the_package_brings_and_refuses_others():
    assert load().output_shape == (None, 64, 64, 1)
    with pytest.raises(InputError, match="no weights 'paper-64': expected one of uva-32, uva-64, "):
        load("paper-64")
    with pytest.raises(InputError, match="expected one of uva-32-fp16-step"):
        shipped_model("uva-128-int8-step")


def test_what_is_shipped_is_found_by_its_older_name():
    older = FOLDER / "uva-64-s-int8-step.tflite"
    assert Predictor(older).manifest == Predictor(FOLDER / "uva-64-int8-step.tflite").manifest
    assert shipped_model("uva-32-s-fp16-step") == FOLDER / "uva-32-fp16-step.tflite"
    for one, other in zip(load("uva-32-s").weights, load("uva-32").weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_older_names_serve_nothing_else(tmp_path):
    (tmp_path / "uva-64-int8-step.tflite").write_bytes(b"")
    with pytest.raises(InputError, match=r"uva-64-s-int8-step\.tflite: no such"):
        Predictor(tmp_path / "uva-64-s-int8-step.tflite")


def test_weights_survive_saving_to_half_precision(student, tmp_path, monkeypatch):
    save_weights(student, tmp_path / "tiny.npy")
    monkeypatch.setattr("uva_tf.models.shipped.FOLDER", tmp_path)
    again = build_student(StudentConfig("tiny"))
    load_shipped(again, "tiny")
    for one, other in zip(again.pair.get_weights(), student.pair.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=2**-11, atol=1e-7)  # of 11 bits
    with pytest.raises(InputError, match="weights, the student has"):
        (tmp_path / "uva-32.npy").write_bytes((tmp_path / "tiny.npy").read_bytes())
        load_shipped(build_student(StudentConfig("uva-32")), "uva-32")


class TestBeginningWithWeights:
    def test_of_the_package(self):
        config = PRESETS["fine-tune"]().student
        begun, best = initial_student(config).pair, load()
        for one, other in zip(begun.get_weights(), best.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_of_a_runs_student(self, student, tmp_path):
        student.pair.save(tmp_path / "student.keras")
        config = StudentConfig("tiny", weights=str(tmp_path / "student.keras"))
        begun = initial_student(config).pair
        for one, other in zip(begun.get_weights(), student.pair.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("weights", ["shipped", "absent.keras"])
    def test_that_there_are_not_is_refused_before_a_run_is_made(self, shards, weights):
        config = PRESETS["smoke"]().changed(
            "student.variant=paper-32", f"student.weights={weights}"
        )
        with pytest.raises(InputError):
            with_data(config, [shards.folder])


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["mufvet", "hevc"])
def test_on_real_clips_they_go_far_from_the_centre_prior_to_people(
    recordings, script, tmp_path, dataset
):
    prepare = ["--layout", "gaze", "--root", recordings / dataset, "--out", tmp_path / dataset]
    assert script("pipelines/prepare.py").main([str(word) for word in prepare]) == 0
    evaluate = ["--model", shipped_model(), "--data", tmp_path / dataset]
    evaluate += ["--every", "8", "--json", tmp_path / "scores.json"]
    assert script("pipelines/evaluate.py").main([str(word) for word in evaluate]) == 0
    means = json.loads((tmp_path / "scores.json").read_text())["means"]
    prior, ceiling, ours = (
        means[row]["NSS"] for row in ("centre prior", "human ceiling", shipped_model().name)
    )
    assert (ours - prior) / (ceiling - prior) >= 0.45
