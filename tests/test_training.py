"""Losses by hand, where gradients go, and a loop that resumes."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import PRESETS, Config, StageConfig, StudentConfig
from uva_tf.models.student import build_student
from uva_tf.runtime.errors import InputError
from uva_tf.training import losses
from uva_tf.training.loop import Task, fit
from uva_tf.training.run import Run
from uva_tf.training.stages import load_student, open_data, train, with_data


def density(count, side, seed):
    maps = np.random.default_rng(seed).random((count, side, side, 1)).astype(np.float32)
    return tf.constant(maps / maps.sum(axis=(1, 2, 3), keepdims=True))


def batch(count=2, side=32):
    rng = np.random.default_rng(0)
    return {
        "frame": tf.constant(rng.integers(0, 256, (count, side, side, 3)), tf.uint8),
        "other": tf.constant(rng.integers(0, 256, (count, side, side, 3)), tf.uint8),
        "density": density(count, side, 1),
        "teacher_spatial": density(count, side, 2),
        "teacher_temporal": density(count, side, 3),
    }


@pytest.fixture(scope="module")
def student():
    keras.utils.set_random_seed(0)
    return build_student(StudentConfig("uva-32"))


def test_divergence_of_two_pixels_by_hand():
    # Logits 0 and -ln 3: finished map 1 and 2 sigmoid(-ln 3) = 1/2, as a density 2/3 and 1/3.
    logits = tf.constant([[[[0.0], [-np.log(3.0)]]]], tf.float32)
    target = tf.constant([[[[0.5], [0.5]]]], tf.float32)
    expected = 0.5 * np.log(0.5 / (2 / 3)) + 0.5 * np.log(0.5 / (1 / 3))
    assert float(losses.divergence(target, logits)) == pytest.approx(expected, abs=1e-6)


def test_divergence_is_0_for_the_target_itself_even_with_empty_pixels():
    # The logit of r / (2 - r) is where the finished map equals r.
    ratio = np.array([1, 0.5, 0.1, 1e-6])
    logits = np.log(ratio / (2 - ratio))
    target = tf.constant((ratio / ratio.sum()).reshape(1, 2, 2, 1), tf.float32)
    drawn = tf.constant(logits.reshape(1, 2, 2, 1), tf.float32)
    assert float(losses.divergence(target, drawn)) == pytest.approx(0, abs=1e-6)
    empty = tf.constant([[[[1.0], [0.0]]]])
    assert np.isfinite(float(losses.divergence(empty, tf.zeros([1, 1, 2, 1]))))


@pytest.mark.parametrize(("kind", "other"), [("spatial", "temporal"), ("temporal", "spatial")])
def test_each_path_learns_from_its_own_teacher_only(student, kind, other):
    # The released scripts of the paper load the temporal teacher and then use the spatial one
    # for both paths.
    loss = losses.distill(student.paths, 0.5)
    given = batch()
    before = loss(given, False)
    after = loss(given | {f"teacher_{kind}": density(2, 32, 9)}, False)
    assert float(after[f"{kind}_soft"]) != float(before[f"{kind}_soft"])
    for untouched in (f"{other}_soft", f"{other}_hard", f"{kind}_hard"):
        assert float(after[untouched]) == float(before[untouched])


@pytest.mark.parametrize(("kind", "other"), [("spatial", "temporal"), ("temporal", "spatial")])
def test_a_teachers_gradient_reaches_its_own_path_and_the_trunk(student, kind, other):
    with tf.GradientTape() as tape:
        term = losses.distill(student.paths, 0.5)(batch(), True)[f"{kind}_soft"]
    weights = student.paths.trainable_variables
    reached = {
        weight.path.split("/")[0]
        for weight, gradient in zip(weights, tape.gradient(term, weights), strict=True)
        if gradient is not None
    }
    assert any(name.startswith(kind) for name in reached)
    assert any(name.startswith("trunk") for name in reached)
    assert not any(name.startswith(other) for name in reached)


def test_soft_and_hard_terms_are_weighted(student):
    given = batch()
    even, soft = (losses.distill(student.paths, weight)(given, False) for weight in (0.5, 0.8))
    assert float(soft["spatial_soft"]) == pytest.approx(1.6 * float(even["spatial_soft"]), rel=1e-5)
    assert float(soft["spatial_hard"]) == pytest.approx(0.4 * float(even["spatial_hard"]), rel=1e-5)


def test_validation_without_teachers_has_the_hard_terms_only(student):
    given = {key: batch()[key] for key in ("frame", "other", "density")}
    terms = losses.distill(student.paths, 0.5)(given, False)
    assert set(terms) == {"spatial_hard", "temporal_hard"}


def tiny_task(steps_from=None):
    """A linear fit whose batches depend on their number only."""
    keras.utils.set_random_seed(3)
    noise = keras.layers.GaussianNoise(0.1)  # its generator must resume too
    model = keras.Sequential([keras.Input((4,)), noise, keras.layers.Dense(3)])
    kernel = model.layers[-1].kernel

    def batches(start):
        if steps_from is not None:
            steps_from.append(start)
        numbers = tf.data.Dataset.range(start, 10**6)
        return numbers.map(
            lambda n: {
                "frame": tf.random.stateless_normal([8, 4], [1, n]),
                "density": tf.random.stateless_normal([8, 3], [2, n]),
            }
        )

    def loss(given, training):
        error = model(given["frame"], training=training) - given["density"]
        return {"error": tf.reduce_mean(error**2), "size": 0.01 * tf.reduce_sum(kernel**2)}

    return Task("tiny", model, loss, batches, None)


def new_run(folder, **changes):
    return Run.create(folder, replace(PRESETS["smoke"](), **changes))


def test_an_interrupted_fit_resumes_to_the_same_weights_and_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.training.loop.CHECKPOINT_EVERY", 10)
    whole, parts = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    config = StageConfig(steps=45)
    undisturbed = tiny_task()
    fit(undisturbed, config, whole)

    interrupted = tiny_task()
    calls = 0

    def failing(given, training, loss=interrupted.losses):
        nonlocal calls
        calls += 1
        return loss(given, training)

    class KilledError(Exception):
        pass

    def stop_at_27(start, batches=interrupted.batches):
        for number, given in enumerate(batches(start)):
            if number == 27:
                raise KilledError
            yield given

    class Stream:
        def __init__(self, start):
            self.start = start

        def take(self, count):
            return stop_at_27(self.start)

    with pytest.raises(KilledError):
        fit(replace(interrupted, batches=Stream), config, parts)
    starts = []
    resumed = tiny_task(starts)
    fit(resumed, config, parts)
    assert starts == [20]
    for one, other in zip(undisturbed.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert whole.history()[-1] == parts.history()[-1]
    assert [e["step"] for e in parts.history()] == [e["step"] for e in whole.history()]


def test_the_loss_is_the_sum_of_its_named_terms(tmp_path):
    run = new_run(tmp_path / "run")
    fit(tiny_task(), StageConfig(steps=20), run)
    (entry,) = run.history()
    assert entry["loss"] == pytest.approx(entry["error"] + entry["size"])


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path):
    task = tiny_task()
    keep = replace(task, losses=lambda g, t: task.losses(g, t) | {"broken": tf.constant(np.nan)})
    with pytest.raises(FloatingPointError, match="step 1"):
        fit(keep, StageConfig(steps=5), new_run(tmp_path / "run"))


def test_a_configuration_survives_json_and_refuses_what_it_does_not_know():
    config = PRESETS["quick"]()
    assert Config.from_json(config.to_json()) == config
    for text in ("{", "[]", json.dumps({"name": "x"}), config.to_json().replace("seed", "sed")):
        with pytest.raises(InputError, match=r"config\.json"):
            Config.from_json(text)


def test_smoke_runs_every_stage_and_leaves_a_student(tmp_path, shards):
    run = new_run(tmp_path / "run", data=(str(shards.folder),))
    train(run)
    stages = {entry["stage"] for entry in run.history()}
    assert stages == {"teach-spatial", "teach-temporal", "distill", "joint"}
    fresh = build_student(run.config.student)
    trained = load_student(run)
    assert any(
        np.any(one != other)
        for one, other in zip(fresh.pair.get_weights(), trained.pair.get_weights(), strict=True)
    )
    metrics, student = run.metrics.read_bytes(), run.student.read_bytes()
    train(run)  # nothing left to do, nothing changed
    assert (run.metrics.read_bytes(), run.student.read_bytes()) == (metrics, student)


def test_a_stage_that_comes_too_late_is_refused(tmp_path, shards):
    run = new_run(tmp_path / "run", data=(str(shards.folder),))
    train(run, ["joint"])
    with pytest.raises(InputError, match="joint was trained before distill"):
        train(run)


def test_data_that_changed_since_the_run_began_is_refused(tmp_path, shards):
    config = with_data(PRESETS["smoke"](), [shards.folder])
    assert open_data(config)[0].sha256 == config.data_sha256[0]
    changed = replace(config, data_sha256=("0" * 64,))
    with pytest.raises(InputError, match="prepared anew"):
        open_data(changed)


def test_half_a_line_of_metrics_is_forgotten(tmp_path):
    run = new_run(tmp_path / "run")
    run.log(stage="joint", step=20, loss=1.0)
    with run.metrics.open("a") as file:
        file.write('{"stage": "joi')
    assert [entry["step"] for entry in run.history()] == [20]


def test_a_path_that_tensorflow_takes_for_a_pattern_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose a path"):
        new_run(tmp_path / "run[1]")
    assert not list(tmp_path.iterdir())


def test_distilling_without_teachers_is_refused(tmp_path, shards):
    run = new_run(tmp_path / "run", data=(str(shards.folder),))
    with pytest.raises(InputError, match="stage teach first"):
        train(run, ["distill"])
