"""Quantisation-aware fine-tuning: the twin is the student, and its file is what it says."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from students import untrained

from uva_tf.compression import qat
from uva_tf.compression.agreement import agreement, file_maps
from uva_tf.compression.gate import check_file
from uva_tf.compression.recipes import PRUNED
from uva_tf.config import StudentConfig
from uva_tf.models.variants import VARIANTS
from uva_tf.presets import PRESETS
from uva_tf.runtime.predictor import open_interpreter, to_bytes
from uva_tf.training.examples import with_data
from uva_tf.training.run import Journal, Run

TINY = StudentConfig("tiny")


@pytest.fixture(scope="module")
def settled(student, noise_pairs):
    """The twin's `step` in 8 bits, its ranges set, not trained."""
    model = qat.quantised(qat.build_twin(student, TINY).step, keep_zeros=False)
    qat.settle(model, noise_pairs(16))
    return model


def frames(count=4, seed=5):
    rng = np.random.default_rng(seed)
    shape = (2, count, 32, 32, 3)
    one, other = rng.uniform(-1, 1, shape).astype(np.float32)
    return {"frame": one, "other": other}


@pytest.mark.parametrize(
    ("variant", "pairing"),
    [
        ("tiny", "previous"),
        pytest.param("uva-32", "next", marks=pytest.mark.slow),
        pytest.param("paper-32", "previous", marks=pytest.mark.slow),
        pytest.param("uva-32-m", "previous", marks=pytest.mark.slow),
    ],
)
def test_the_twin_draws_the_students_maps(variant, pairing):
    config = StudentConfig(variant, pairing=pairing)
    student = untrained(config)
    twin = qat.build_twin(student, config)
    inputs = frames()
    expected = student.pair(inputs, training=False).numpy()
    # 1e-5: the order in which two builds add up, and no more.
    np.testing.assert_allclose(twin.pair(inputs, training=False), expected, atol=1e-5)
    composed = qat.as_pair(twin.step, pairing)(inputs, training=False)
    np.testing.assert_allclose(composed, expected, atol=1e-5)
    assert np.ptp(expected) > 0.01


def test_folding_leaves_no_normalisation_behind_a_transposed_convolution(student):
    step = qat.build_twin(student, TINY).step
    counts = [
        sum(type(layer).__name__ == "BatchNormalization" for layer in model.layers)
        for model in (step, qat.folded(step))
    ]
    assert counts[0] - counts[1] == 1
    inputs = frames()
    expected = student.pair(inputs, training=False).numpy()
    folded = qat.as_pair(qat.folded(step), "previous")(inputs, training=False)
    np.testing.assert_allclose(folded, expected, atol=1e-5)


def test_settling_sets_the_range_that_a_layer_has(student, settled, noise_pairs):
    values = np.float32([frame for frame, _ in noise_pairs(16)]) / 127.5 - 1
    for name in ("stem_conv", "stem_bn", "stem_relu"):
        values = student.trunk.get_layer(name)(values)
    values = np.asarray(values)
    found = {
        variable.name.split("/")[-1]: float(variable.numpy())
        for variable in settled.get_layer("quant_stem_relu").variables
    }
    # The weights before it are in 8 bits: about 1 % of the range.
    assert found["output_max:0"] == pytest.approx(values.max(), rel=0.02)
    assert found["output_min:0"] == pytest.approx(0, abs=1e-6)


def test_settled_it_draws_nearly_the_students_maps(student, settled):
    inputs = frames(8)
    drawn = qat.as_pair(settled, "previous")(inputs, training=False).numpy()
    expected = student.pair(inputs, training=False).numpy()
    assert np.corrcoef(drawn.ravel(), expected.ravel())[0, 1] > 0.98


def test_its_file_passes_the_gate_and_draws_its_maps(settled, noise_pairs):
    content = qat.lower_quantised(settled, "int8-qat")
    check_file(content, "step", integer=True)
    interpreter = open_interpreter(content)
    details = interpreter.get_signature_runner("step").get_input_details()
    assert details["frame"]["quantization"][0] == pytest.approx(1 / 127.5)
    assert details["state"]["quantization"] == (pytest.approx(6 / 255), 0)
    pairs = noise_pairs(8)
    logits = settled(qat._stack(pairs, settled), training=False)["attention"]
    expected = [to_bytes(drawn[..., 0]) for drawn in qat.rounded_attention(logits).numpy()]
    found = agreement(file_maps(interpreter, "step", pairs), expected)
    # Fake rounding and real rounding part by a level here and there, which adds up; a
    # student of noise has little contrast beside that.
    assert found.mean_cc > 0.96
    assert found.close > 0.75


def test_a_student_that_works_at_another_size_is_rounded(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny-inside", replace(VARIANTS["tiny"], inside=24))
    config = StudentConfig("tiny-inside")
    model = qat.quantised(qat.build_twin(untrained(config), config).step, keep_zeros=False)
    assert model.output_shape == {"attention": (None, 32, 32, 1), "state": (None, 6, 6, 16)}


@pytest.mark.slow
@pytest.mark.parametrize("variant", [*(name for name in VARIANTS if "-32" in name), "uva-64-xs"])
def test_every_layout_becomes_an_integer_file(variant, noise_pairs):
    config = StudentConfig(variant)
    model = qat.quantised(qat.build_twin(untrained(config), config).step, keep_zeros=False)
    qat.settle(model, noise_pairs(8))
    check_file(qat.lower_quantised(model, "int8-qat"), "step", integer=True)


@pytest.mark.slow
def test_an_interrupted_fine_tuning_ends_the_same(student, shards, tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.training.loop.LOG_EVERY", 1)
    changes = [f"compression.{stage}.steps=6" for stage in ("prune", "qat")]
    changes += ["soft_targets.spatial=none", "soft_targets.temporal=none", "student.variant=tiny"]
    changes += ["loop.checkpoint_steps=2"]
    config = with_data(PRESETS["smoke"]().changed(*changes), [shards.folder])
    runs = [Run.create(tmp_path / name, config) for name in ("whole", "parts")]
    for run in runs:
        student.pair.save(run.student)
    whole = qat.fine_tune(runs[0], PRUNED).read_bytes()

    log, breaks = Journal.log, [("prune", 5), (PRUNED, 3)]

    def breaking(self, step, **values):
        log(self, step, **values)
        if (self._stage, step) in breaks:
            breaks.remove((self._stage, step))
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "log", breaking)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            qat.fine_tune(runs[1], PRUNED)
    assert qat.fine_tune(runs[1], PRUNED).read_bytes() == whole
    assert not breaks


def test_pruning_reaches_its_share_and_quantisation_keeps_it(student, noise_pairs, monkeypatch):
    monkeypatch.setattr(qat, "SETTLING", 2)  # ranges need not be exact here
    step = qat.build_twin(student, TINY).step
    model = qat.prunable(step, 0.75, steps=5)
    pair = qat.as_pair(model, "previous")
    optimizer = qat.tf_keras.optimizers.Adam(1e-2)

    def train(model, pair):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(pair(frames(), True) ** 2)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(6):
        train(model, pair)
    model(qat._stack(noise_pairs(2), step), training=False)  # applies the masks a last time
    kernel = step.get_layer("trunk2_conv").kernel.numpy()
    assert np.mean(kernel == 0) == pytest.approx(0.75, abs=0.01)
    # The trunk is called twice in each step, the head once: both have reached it.
    assert np.mean(step.get_layer("head1_conv").kernel.numpy() == 0) == pytest.approx(
        0.75, abs=0.01
    )
    assert np.all(step.get_layer("head_deconv1").kernel.numpy() != 0)  # of no kind that keeps zeros
    assert np.mean(step.get_layer("stem_conv").kernel.numpy() == 0) == 0  # a small one

    rounded = qat.quantised(step, keep_zeros=True)
    qat.settle(rounded, noise_pairs(4))
    optimizer = qat.tf_keras.optimizers.Adam(1e-2)
    train(rounded, qat.as_pair(rounded, "previous"))
    interpreter = open_interpreter(qat.lower_quantised(rounded, PRUNED))
    (weights,) = (
        interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if tuple(detail["shape"]) == kernel.transpose(3, 0, 1, 2).shape
        and detail["dtype"] == np.int8
        and "trunk2" in detail["name"]
    )
    assert np.all(weights.transpose(1, 2, 3, 0)[kernel == 0] == 0)
    assert np.mean(weights == 0) < 0.85  # and the others are not
