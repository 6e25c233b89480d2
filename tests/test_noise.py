"""The quantisation report against noise that is known, and against whole files' outputs."""

import csv
import io
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from uva_tf.compression.export import to_tflite
from uva_tf.compression.noise import LayerNoise, Ratio, layer_noise, noise_csv, noise_table
from uva_tf.compression.operators import read_operators
from uva_tf.runtime.predictor import open_interpreter

SIDE = 8
COPY = np.eye(3)


def decibels(signal, noise):
    return 10 * math.log10(np.square(signal).sum() / np.square(noise).sum())


def frame_pairs(count=4, high=256):
    rng = np.random.default_rng(1)
    shape = (2, SIDE, SIDE, 3)
    return [tuple(rng.integers(0, high, shape, dtype=np.uint8)) for _ in range(count)]


def point(weights, name, bias=None, activation=None, side=1):
    """A convolution of given weights (in, out) at its centre, and zeros around it."""
    around = side // 2
    weights = np.pad(np.float32(weights)[None, None], [(around,) * 2] * 2 + [(0, 0)] * 2)
    return keras.layers.Conv2D(
        weights.shape[-1],
        side,
        padding="same",
        activation=activation,
        kernel_initializer=lambda shape, dtype: weights,
        bias_initializer=lambda shape, dtype: np.float32(bias) + np.zeros(shape, np.float32),
        use_bias=bias is not None,
        name=name,
    )


def chain(*layers, trunk=COPY):
    """A stand-in for a student: layers on a frame's features and the other's, as one tensor."""
    frame, state = (keras.Input((SIDE, SIDE, 3), name=name) for name in ("frame", "state"))
    # The converter would make the frame's normalisation a part of weights without padding.
    features = point(trunk, "trunk", side=3)(frame)
    result = keras.layers.Concatenate(name="both")([features, state])  # (B, 8, 8, 6)
    for layer in layers:
        result = layer(result)
    outputs = {"attention": result, "state": features}
    step = keras.Model({"frame": frame, "state": state}, outputs, name="step")
    trunk = SimpleNamespace(input_shape=(None, SIDE, SIDE, 3))
    return SimpleNamespace(step=step, trunk=trunk, centre_share=0.0)


def convert(student):
    """A student's float file and its integer one."""
    return to_tflite(student, "fp32", "step"), to_tflite(student, "int8", "step", frame_pairs())


def by_name(layers):
    return {layer.name: layer for layer in layers}


MIX = np.random.default_rng(2).uniform(-1, 1, (6, 4))
DRAW = [[1], [-1], [0.5], [0]]


@pytest.fixture(scope="module")
def copying():
    """Files whose layer `copy` gives what it takes, so that int8 can hold it exactly."""
    return convert(chain(point(np.eye(6), "copy"), point(np.full((6, 1), 0.3), "draw")))


@pytest.fixture(scope="module")
def mixing():
    return convert(chain(point(MIX, "mix", 0, "relu"), point(DRAW, "draw")))


def test_the_ratio_of_a_known_error():
    ratio = Ratio()
    ratio.add(np.array([3.0, 0.0]), np.array([3.3, 0.0]))
    ratio.add(np.array([[-4.0]]), np.array([[-4.4]]))
    assert ratio.decibels == pytest.approx(20)  # an error of a tenth
    ratio.add(np.zeros(1), np.array([math.sqrt(0.75)]))
    assert ratio.decibels == pytest.approx(10 * math.log10(25))


def test_the_ratio_without_noise_or_signal():
    ratio = Ratio()
    assert ratio.decibels == math.inf
    ratio.add(np.ones(3), np.ones(3))
    assert ratio.decibels == math.inf
    ratio = Ratio()
    ratio.add(np.zeros(3), np.ones(3))
    assert ratio.decibels == -math.inf


def test_a_layer_that_int8_holds_exactly_adds_nothing(copying):
    layers = by_name(layer_noise(*copying, "step", frame_pairs()))
    assert layers["copy"].own > 100
    assert layers["Max"].own == math.inf
    assert 20 < layers["draw"].own < 100  # 0.3 and its sums are not on the levels


def test_frames_lie_half_a_level_off(copying):
    """127.5 is no level, so all bytes stand for values that are half a level, 1/255, off."""
    pairs = frame_pairs(3)
    frames = np.float64(pairs) / 127.5 - 1
    expected = decibels(frames, np.full(frames.shape, 1 / 255))
    layers = by_name(layer_noise(*copying, "step", pairs))
    for name in ("both", "copy"):
        assert layers[name].snr == pytest.approx(expected, abs=0.01)
        assert layers[name].inputs == pytest.approx(expected, abs=0.01)


def test_what_was_fed_is_not_rounded_again():
    """The half levels of a sum's channels add up; rounding either way would cancel some."""
    pairs = frame_pairs(3)
    student = chain(point(np.ones((6, 1)), "draw"), trunk=np.ones((3, 3)))
    total = np.sum([np.float64(frame) / 127.5 - 1 for frame, _ in pairs], axis=-1)
    expected = decibels(total, np.full(total.shape, 3 / 255))
    layers = by_name(layer_noise(*convert(student), "step", pairs))
    assert layers["state"].inputs == pytest.approx(expected, abs=0.01)


def test_levels_and_span_of_known_frames(copying):
    frame = np.full((SIDE, SIDE, 3), 40, np.uint8)
    frame[::4] = 103
    state = by_name(layer_noise(*copying, "step", [(frame, frame)]))["state"]
    assert state.scale == pytest.approx(1 / 127.5)
    assert state.levels == pytest.approx(4 / 3**0.75)  # a quarter and the rest
    assert state.span == pytest.approx((103 - 40 + 1) / 256)


@pytest.mark.parametrize("gain", [1, 1000])
def test_a_range_wasted_on_an_outlier_is_its_layers_own_noise(gain):
    """Channel 3 is 0.2 times the gain where calibration looks, and 0 in all other frames."""
    weights, bias = MIX.copy(), np.zeros(4)
    weights[:, 3], bias[3] = [0, gain, 0, 0, 0, 0], -0.8 * gain
    late = np.array([[1, -1], [0.7, 0.2], [-0.4, 1], [0, 0]])
    student = chain(
        point(weights, "bad", bias, "relu"), point(late, "late"), point([[1], [-0.6]], "draw")
    )
    layers = by_name(layer_noise(*convert(student), "step", frame_pairs(high=220)))
    worst = min(layers.values(), key=lambda layer: layer.own)
    if gain == 1:
        assert layers["bad"].own > 35
        assert layers["late"].snr > 30
        return
    assert worst.name == "bad"
    assert layers["bad"].own < 15 < 30 < layers["bad"].inputs
    for name in ("late", "draw"):
        assert layers[name].own > layers["bad"].own + 20
        assert layers[name].snr < 15
    assert layers["bad"].span < 0.05
    # What is lost with the bad layer's scale shows where the next layer reads it.
    assert layers["late"].inputs < 15 < 30 < layers["draw"].inputs


def test_channels_that_a_large_one_drowns_cost_where_they_are_read():
    """The large channel is there in all frames: its layer's own ratio is about it alone."""
    weights = MIX.copy()
    weights[:, 3] *= 1000
    student = chain(point(weights, "large", 0, "relu"), point(DRAW, "draw"))  # reads the others
    layers = by_name(layer_noise(*convert(student), "step", frame_pairs()))
    assert layers["large"].own > 35
    assert layers["large"].levels < 16  # three channels of four on a level or two
    assert layers["draw"].inputs < 10
    assert layers["draw"].own > 30
    assert min(layers.values(), key=lambda layer: layer.inputs).name == "draw"


def test_files_of_other_weights_are_refused_by_name(mixing):
    other = MIX.copy()
    other[2, 1] += 0.1
    student = chain(point(other, "mix", 0, "relu"), point(DRAW, "draw"))
    with pytest.raises(ValueError, match=r"files differ: .*mix.* 4x1x1x6"):
        layer_noise(convert(student)[0], mixing[1], "step", frame_pairs())


def test_files_of_other_layers_are_refused_by_name(mixing):
    student = chain(
        point(MIX, "mix", 0, "relu"),
        keras.layers.MaxPool2D(3, 1, "same", name="widen"),
        point(DRAW, "draw"),
    )
    content = convert(student)
    message = "CONV_2D mix 1x8x8x4 is MAX_POOL_2D widen 1x8x8x4 in the integer one"
    with pytest.raises(ValueError, match=message):
        layer_noise(mixing[0], content[1], "step", frame_pairs())
    with pytest.raises(ValueError, match="MAX_POOL_2D widen 1x8x8x4 is CONV_2D mix 1x8x8x4"):
        layer_noise(content[0], mixing[1], "step", frame_pairs())


def test_files_of_the_wrong_kind_form_or_frames_are_refused(mixing):
    exact, integer = mixing
    with pytest.raises(ValueError, match="float32 in the integer file"):
        layer_noise(exact, exact, "step", frame_pairs())
    with pytest.raises(ValueError, match="float file holds quantised"):
        layer_noise(integer, integer, "step", frame_pairs())
    with pytest.raises(ValueError, match="pair"):
        layer_noise(exact, integer, "pair", frame_pairs())
    with pytest.raises(ValueError, match="no frames"):
        layer_noise(exact, integer, "step", [])


def test_the_table_shows_the_worst_and_then_the_map():
    def layer(name, own, snr):
        return LayerNoise(name, "CONV_2D", (1, 8, 8, 4), snr, 41.0, own, 0.1, 0.5, 100.0)

    layers = [layer("a", 30.04, 9), layer("attention", math.inf, 5), layer("b", 20, 10)]
    lines = noise_table([*layers, layer("a_long_name", 25, 11)], 2).splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "b", "a_long_name", "attention"]
    assert len({len(line) for line in lines}) == 1  # aligned
    assert lines[1].split()[1:] == [
        *("CONV_2D", "8x8x4", "20.0", "41.0", "10.0", "50", "%", "100.0")
    ]
    assert " inf " in lines[3]


def test_the_csv_reads_back(mixing):
    layers = layer_noise(*mixing, "step", frame_pairs())
    rows = list(csv.DictReader(io.StringIO(noise_csv(layers))))
    assert [row["name"] for row in rows] == [layer.name for layer in layers]
    for row, layer in zip(rows, layers, strict=True):
        assert row["operator"] == layer.operator
        assert tuple(map(int, row["shape"].split("x"))) == layer.shape
        for field in ("snr", "inputs", "own", "scale", "span", "levels"):
            assert float(row[field]) == pytest.approx(getattr(layer, field), rel=1e-5)
    assert "inf" in {row["own"] for row in rows}


def real_maps(content, form, pairs):
    """A file's maps as numbers; in a step, after the states that it makes itself."""
    runner = open_interpreter(content, delegate=False).get_signature_runner(form)
    scale, zero_point = runner.get_output_details()["attention"]["quantization"]
    for frame, other in ((one[None], two[None]) for one, two in pairs):
        inputs = {"frame": frame, "other": other}
        if form == "step":
            detail = runner.get_input_details()["state"]
            empty = np.zeros(detail["shape"], detail["dtype"])
            inputs = {"frame": frame, "state": runner(frame=other, state=empty)["state"]}
        drawn = runner(**inputs)["attention"].astype(np.float64)
        yield (drawn - zero_point) * scale if scale else drawn


@pytest.mark.parametrize("form", ["pair", "step"])
def test_a_student_is_compared_operator_by_operator(files, noise_pairs, form):
    pairs = noise_pairs(4)
    exact, integer = files["fp32", form], files["int8", form]
    layers = layer_noise(exact, integer, form, pairs)
    computing = [one for one in read_operators(integer) if one.name != "QUANTIZE"]
    assert [(layer.operator, layer.shape) for layer in layers] == [
        (one.name, one.shape) for one in computing
    ]
    if form == "pair":  # the trunk runs twice, on each frame
        names = {layer.name for layer in layers}
        assert {name.removesuffix(" (other)") for name in names if "(other)" in name} <= names
        assert not [name for name in names if "/" in name or ":" in name]
    stems = [layer for layer in layers if layer.name.startswith("stem_conv")]
    names = {"pair": {"stem_conv", "stem_conv (other)"}, "step": {"stem_conv"}}[form]
    assert {layer.name for layer in stems} == names
    assert all(layer.own > 30 for layer in stems)
    # Calibration gives averages the range of the sums that take their place in memory.
    assert all(layer.own > 20 for layer in layers if layer.operator != "MEAN")

    maps = [np.array([*real_maps(file, form, pairs)]) for file in (exact, integer)]
    drawn = by_name(layers)["attention"]
    # The file rounds the map once more, from signed bytes to unsigned ones of the same scale.
    assert drawn.snr == pytest.approx(decibels(maps[0], maps[0] - maps[1]), abs=0.01)
    assert drawn.snr < drawn.own
