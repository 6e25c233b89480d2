"""Student and teachers: sizes, shapes, and the two compositions of one set of weights."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import StudentConfig
from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader
from uva_tf.models.blocks import subpixel
from uva_tf.models.maps import attention, log_density, normalise
from uva_tf.models.plain import PLAIN
from uva_tf.models.student import build_student, resolution
from uva_tf.models.variants import VARIANTS


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def frames(count, side, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, side, side, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def student():
    keras.utils.set_random_seed(0)
    return build_student(StudentConfig("paper-32"))


WEIGHTS = {
    "paper": 140_121,
    "uva-l": 134_904,
    "uva-m": 142_628,
    "uva": 108_968,
    "uva-xs": 77_736,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_keeps_the_size_of_the_table(variant):
    built = build_student(StudentConfig(variant))
    name, side = re.sub(r"-(\d+)", "", variant), int(re.search(r"\d+", variant)[0])
    # Widths do not depend on the resolution; the paper's bound is 160,000.
    assert trainable(built.pair) == trainable(built.step) == WEIGHTS[name] <= 160_000
    assert built.pair.output_shape == (None, side, side, 1)
    inside = VARIANTS[variant].inside or side
    assert built.trunk.output_shape[1:3] == (inside // 4, inside // 4)


@pytest.mark.parametrize("variant", PLAIN)
def test_the_plain_network_has_the_weights_of_the_released_one(variant):
    built = build_student(StudentConfig(variant))
    assert trainable(built.pair) == 318_498  # counted in the released network
    side, lrn = PLAIN[variant]
    assert built.pair.output_shape == (None, side, side, 1)
    assert any(layer.name == "lrn" for layer in built.trunk.layers) == lrn


@pytest.mark.parametrize("variant", ["uva-32-m", "uva-32", "plain-32-lrn"])
def test_a_saved_student_is_loaded_by_its_config(variant, tmp_path):
    keras.utils.set_random_seed(1)
    saved, loaded = (build_student(StudentConfig(variant)) for _ in range(2))
    saved.pair.save(tmp_path / "student.keras")
    loaded.pair.load_weights(tmp_path / "student.keras")
    pictures = {"frame": frames(1, 32, 1), "other": frames(1, 32, 2)}
    np.testing.assert_array_equal(loaded.pair(pictures), saved.pair(pictures))


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        (StudentConfig("paper-32", paths=("spatial",)), 78_081),
        (StudentConfig("paper-32", paths=("temporal",)), 86_529),
        (StudentConfig("paper-32", channel_attention=False), 126_689),
    ],
)
def test_a_student_for_comparison_lacks_a_part(config, weights):
    built = build_student(config)
    assert trainable(built.pair) == weights
    assert list(built.paths.output) == list(config.paths)
    assert any("attention" in layer.name for layer in built.pair.layers) == (
        config.channel_attention
    )


def test_a_path_that_a_variant_lacks_is_refused():
    with pytest.raises(ValueError, match="paths spatial of uva-64-xs: it has temporal only"):
        build_student(StudentConfig("uva-64-xs", paths=("spatial",)))


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match="uva-65"):
        build_student(StudentConfig("uva-65"))


@pytest.mark.parametrize(
    ("variant", "pairing"),
    [("paper-32", "next"), *((variant, "previous") for variant in [*VARIANTS, *PLAIN])],
)
def test_step_and_pair_draw_the_same_maps(variant, pairing):
    built = build_student(StudentConfig(variant, pairing))
    side = resolution(StudentConfig(variant))
    earlier, later = tf.constant(frames(2, side, 1)), tf.constant(frames(2, side, 2))
    frame, other = (later, earlier) if pairing == "previous" else (earlier, later)
    pair = built.pair({"frame": frame, "other": other})
    step = built.step({"frame": later, "state": built.trunk(earlier)})
    np.testing.assert_allclose(step["attention"], pair, atol=1e-5)
    np.testing.assert_array_equal(step["state"], built.trunk(later))


def test_subpixel_and_deconv_draw_the_same_maps_from_the_same_kernel():
    """Each pixel parity of a 4x4/2 transposed convolution is a 3x3 convolution."""
    deconv = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same")
    x = keras.Input((5, 6, 3))
    enlarged = keras.Model(x, subpixel(keras, "up", 1, last=True)(x))
    picture = np.random.default_rng(0).normal(size=(1, 5, 6, 3)).astype(np.float32)
    expected = deconv(picture)
    kernel = deconv.kernel.numpy()  # (4, 4, 1, 3)
    taps = np.zeros((3, 3, 3, 2, 2), np.float32)  # height, width, channel, parities
    for row, column in np.ndindex(2, 2):
        for i, k in enumerate((3, 1) if row == 0 else (2, 0)):
            for j, m in enumerate((3, 1) if column == 0 else (2, 0)):
                taps[i + row, j + column, :, row, column] = kernel[k, m, 0]
    enlarged.get_layer("up_conv").set_weights([taps.reshape(3, 3, 3, 4), np.zeros(4)])
    # 1e-5: sums of 48 float32 products in another order.
    np.testing.assert_allclose(enlarged(picture), expected, atol=1e-5)


def test_step_and_pair_draw_the_same_maps_of_a_real_clip(student, recordings):
    with VideoReader(recordings / "mufvet" / "videos" / "012.mp4") as video:
        clip = [shrink(frame[..., ::-1], 32) for frame, _ in zip(video, range(8), strict=False)]
    clip = normalise(tf.constant(np.stack(clip)))
    previous = tf.concat([clip[:1], clip[:-1]], axis=0)
    pair = attention(student.pair({"frame": clip, "other": previous}))
    state = student.trunk(clip[:1])
    for frame, expected in zip(clip, pair, strict=True):
        drawn = student.step({"frame": frame[None], "state": state})
        state = drawn["state"]
        np.testing.assert_allclose(attention(drawn["attention"])[0], expected, atol=1e-5)


@pytest.mark.parametrize("variant", ["uva-32", "uva-32-m", "paper-32"])
def test_features_are_bounded(variant):
    built = build_student(StudentConfig(variant))
    features = built.trunk(100 * frames(2, 32)).numpy()
    assert features.min() >= 0
    assert features.max() <= 6


def test_the_map_depends_on_the_other_frame_only_through_the_temporal_path(student):
    frame, one, other = (tf.constant(frames(1, 32, seed)) for seed in (1, 2, 3))
    first = student.paths({"frame": frame, "other": one})
    second = student.paths({"frame": frame, "other": other})
    np.testing.assert_array_equal(first["spatial"], second["spatial"])
    assert np.abs(first["temporal"] - second["temporal"]).max() > 0


def test_normalise_spans_minus_1_to_1():
    bytes_ = tf.constant([0, 255], tf.uint8)
    np.testing.assert_array_equal(normalise(bytes_), [-1, 1])


def test_attention_peaks_at_1_and_ignores_a_shift():
    logits = np.random.default_rng(0).normal(0, 3, (2, 4, 4, 1)).astype(np.float32)
    drawn = attention(tf.constant(logits)).numpy()
    np.testing.assert_array_equal(drawn.max(axis=(1, 2, 3)), 1)
    assert drawn.min() >= 0
    # 1e-5: float32 subtraction of a shift of 10 costs about 1e-6 of each logit.
    np.testing.assert_allclose(attention(tf.constant(logits + 10)), drawn, atol=1e-5)


def test_log_density_is_the_logarithm_of_the_finished_map():
    logits = np.random.default_rng(0).normal(0, 3, (2, 4, 4, 1)).astype(np.float32)
    drawn = attention(tf.constant(logits)).numpy().reshape(2, -1).astype(np.float64)
    expected = np.log(drawn / drawn.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_density(tf.constant(logits)), expected, atol=1e-4)  # float32
