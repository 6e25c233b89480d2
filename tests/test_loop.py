"""The loop on a tiny task: it resumes, keeps the best, and stops at what is not finite."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import LoopConfig, StageConfig
from uva_tf.presets import PRESETS
from uva_tf.training import run as run_module
from uva_tf.training.loop import Task, fit, make_optimizer, make_steps
from uva_tf.training.run import Run


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
                "video": tf.strings.join([["b", "a"], tf.strings.as_string([n, n])]),
            }
        )

    def loss(given, training):
        error = model(given["frame"], training=training) - given["density"]
        return {"error": tf.reduce_mean(error**2), "size": 0.01 * tf.reduce_sum(kernel**2)}

    return Task("tiny", model, loss, batches, None)


def broken_at(step):
    """A tiny task whose loss is not a number at a step."""
    task, passed = tiny_task(), tf.Variable(0)

    def breaking(given, training):
        broken = tf.where(passed.assign_add(1) == step, np.nan, 0.0)
        return task.loss(given, training) | {"broken": broken}

    return replace(task, loss=breaking)


def new_run(folder, *changes):
    return Run.create(folder, PRESETS["smoke"]().changed(*changes))


def test_an_interrupted_fit_resumes_to_the_same_weights_and_metrics(tmp_path):
    whole, parts = (new_run(tmp_path / n, "loop.checkpoint_steps=10") for n in ("whole", "parts"))
    config = StageConfig(steps=45)
    undisturbed = tiny_task()
    fit(undisturbed, config, whole)

    interrupted = broken_at(28)
    with pytest.raises(FloatingPointError):
        fit(interrupted, config, parts)
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
    assert entry["gradient_norm"] > 0
    assert "validation" not in str(run.last_losses()["tiny"])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    run = new_run(tmp_path / "run", "loop.checkpoint_steps=2")
    with pytest.raises(FloatingPointError) as error:
        fit(broken_at(5), StageConfig(steps=9), run)
    for words in ("tiny: loss not finite at step 5", "'broken': nan", "in a batch of a4, b4"):
        assert words in str(error.value)
    good = tiny_task()
    fit(good, StageConfig(steps=4), run)  # which the checkpoint of step 4 ends already
    assert all(np.isfinite(weight).all() for weight in good.model.get_weights())


def test_a_gradient_that_is_not_finite_stops_too(tmp_path):
    task = tiny_task()
    kernel = task.model.layers[-1].kernel

    def steep(given, training):  # the root's slope is infinite at 0
        return task.loss(given, training) | {"root": tf.sqrt(0.0 * tf.reduce_sum(kernel**2))}

    with pytest.raises(FloatingPointError, match="step 1"):
        fit(replace(task, loss=steep), StageConfig(steps=5), new_run(tmp_path / "run"))


def validated(losses_of_steps):
    """A tiny task whose validation loss is given; it counts from the first validation on."""
    task, number = tiny_task(), tf.Variable(0)
    plan = tf.constant(losses_of_steps)

    def loss(given, training):
        if training:
            return task.loss(given, training)
        return {"error": plan[number.assign_add(1) - 1]}

    examples = {"frame": tf.zeros([1, 4]), "density": tf.zeros([1, 3])}
    return replace(task, loss=loss, validation=tf.data.Dataset.from_tensors(examples))


def told(caplog, task, steps, folder, *changes):
    """The lines that a fit logs, without their figures, and its run."""
    run = new_run(folder, *changes)
    caplog.clear()
    with caplog.at_level("INFO", "uva_tf.training.run"):
        fit(task, StageConfig(steps=steps), run)
    return [re.sub(r" -?\d+\.\d{3}\b", "", line) for line in caplog.messages], run


def test_the_losses_are_told_at_first_now_and_then_and_at_the_end(tmp_path, caplog, monkeypatch):
    lines, _ = told(caplog, tiny_task(), 50, tmp_path / "run")
    assert lines == ["tiny: step 20 of 50, loss", "tiny: step 50 of 50, loss"]
    lines, run = told(caplog, validated([3.0, 2.0, 2.0, 1.5, 1.7]), 10, tmp_path / "validated")
    validations = [f"tiny: step {n} of 10, validation loss" for n in (2, 4, 6, 8, 10)]
    assert lines == [*validations[:4], "tiny: step 10 of 10, loss", validations[4]]
    assert caplog.messages[-1].endswith("validation loss 1.700")
    fit(tiny_task(), StageConfig(steps=10), run)  # done already
    assert len(caplog.messages) == 6
    monkeypatch.setattr(run_module, "SAY_EVERY", 0.0)
    lines, _ = told(caplog, tiny_task(), 50, tmp_path / "often")
    assert [line.split()[2] for line in lines] == ["20", "40", "50"]


@pytest.mark.parametrize(("keep", "validation"), [("last", 1.7), ("best", 1.5)])
def test_the_last_losses_are_those_of_the_weights_that_are_kept(tmp_path, keep, validation):
    run = new_run(tmp_path / "run", f"loop.keep={keep}")
    fit(validated([3.0, 2.0, 2.0, 1.5, 1.7]), StageConfig(steps=10), run)
    losses = run.last_losses()["tiny"]
    assert (losses.step, losses.validation) == (10, pytest.approx(validation))
    assert str(losses) == (
        f"loss {losses.training:.3f}, validation loss {validation:.3f} after 10 steps"
    )


def test_the_best_on_validation_is_kept_beside_the_last(tmp_path):
    run = new_run(tmp_path / "run")
    fit(validated([3.0, 1.0, 2.0, 1.5, 1.0]), StageConfig(steps=10), run)
    folder = run.checkpoints("tiny")
    assert tf.train.latest_checkpoint(str(folder)).endswith("-10")
    assert tf.train.latest_checkpoint(str(folder / "best")).endswith("-4")
    assert [e["val_loss"] for e in run.history() if "val_loss" in e] == [3, 1, 2, 1.5, 1]


def test_a_stage_may_end_with_its_best_weights(tmp_path):
    best, whole = validated([3.0, 1.0, 2.0, 1.5, 1.0]), tiny_task()
    fit(best, StageConfig(steps=10), new_run(tmp_path / "best", "loop.keep=best"))
    # The same first 4 of 10 steps, then stopped.
    taken = replace(whole, batches=lambda start: whole.batches(start).take(4 - start))
    fit(taken, StageConfig(steps=10), new_run(tmp_path / "four"))
    for one, other in zip(best.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rate_rises_over_the_warm_up_and_falls_to_0():
    optimizer = make_optimizer(StageConfig(100, learning_rate=2.0), LoopConfig(warm_up=0.1))
    rates = [float(optimizer._learning_rate(step)) for step in (0, 5, 10, 55, 100)]
    # Half way down, the cosine is at half of its height; float32.
    assert rates == pytest.approx([0, 1, 2, 1, 0], abs=1e-5)


def test_gradients_are_limited_together(tmp_path):
    def change(clip_norm):
        task = tiny_task()
        optimizer = keras.optimizers.SGD(1.0)
        step, _ = make_steps(task, optimizer, clip_norm)
        before = task.model.get_weights()
        batch = next(iter(task.batches(0)))
        norm = float(step({key: batch[key] for key in ("frame", "density")})["gradient_norm"])
        moves = zip(before, task.model.get_weights(), strict=True)
        return norm, np.sqrt(sum(((b - a) ** 2).sum() for b, a in moves))

    norm, moved = change(0.0)
    assert moved == pytest.approx(norm, rel=1e-5)
    # The norm that is told is that from before the limit.
    assert change(norm / 4) == pytest.approx((norm, norm / 4), rel=1e-5)


def test_a_stage_may_end_with_the_weights_moving_average(tmp_path):
    weights = {}
    for steps in (1, 2):  # the same schedule, stopped after so many steps
        task = tiny_task()
        taken = replace(
            task, batches=lambda start, task=task, steps=steps: task.batches(start).take(steps)
        )
        fit(taken, StageConfig(steps=3), new_run(tmp_path / f"{steps}"))
        weights[steps] = task.model.get_weights()
    task = tiny_task()
    fit(task, StageConfig(steps=3), new_run(tmp_path / "3"))
    weights[3] = task.model.get_weights()
    average = weights[1]  # where Keras begins it
    for step in (2, 3):
        average = [0.8 * a + 0.2 * w for a, w in zip(average, weights[step], strict=True)]
    task = tiny_task()
    fit(task, StageConfig(steps=3), new_run(tmp_path / "average", "loop.average=0.8"))
    for one, other in zip(task.model.get_weights(), average, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)  # float32


def test_tensorboard_is_told_what_the_metrics_hold(tmp_path):
    run = new_run(tmp_path / "run")
    fit(tiny_task(), StageConfig(steps=40), run)
    (file,) = (run.folder / "tensorboard" / "tiny").iterdir()
    told = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            told[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    for entry in run.history():
        assert told[entry["step"], "loss"] == pytest.approx(entry["loss"])  # float32
    quiet = new_run(tmp_path / "quiet", "loop.tensorboard=false")
    fit(tiny_task(), StageConfig(steps=20), quiet)
    assert not (quiet.folder / "tensorboard").exists()
