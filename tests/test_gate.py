"""The export gate: for every check a model that is built to trip it, and real ones that pass."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf.compression.export import to_tflite
from uva_tf.compression.gate import OPERATORS, check_file
from uva_tf.compression.operators import (
    Delegation,
    delegation,
    operator_name,
    read_model,
    read_operators,
)
from uva_tf.config import StudentConfig
from uva_tf.core.errors import ExportError
from uva_tf.models.student import build_student

SHAPE = (1, 8, 8, 3)


def conv(x, filters=1, name="tiny/conv"):
    weights = np.random.default_rng(0).normal(0, 0.2, (3, 3, x.shape[-1], filters))
    with tf.name_scope(name):
        return tf.nn.conv2d(x, tf.constant(weights, tf.float32), 1, "SAME")


def within(name, function):
    """Call a function under a layer's name."""
    with tf.name_scope(f"tiny/{name}"):
        return function()


def build(folder, draw, setup=lambda converter: None, *, shape=SHAPE, kind=tf.uint8):
    """A .tflite file of form `pair`; `draw` makes the map of float frames."""

    def endpoint(frame, other):
        return {"attention": draw(tf.cast(frame, tf.float32), tf.cast(other, tf.float32))}

    specs = [tf.TensorSpec(shape, kind, name) for name in ("frame", "other")]
    module = tf.Module()
    module.endpoint = tf.function(endpoint, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"pair": module.endpoint})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["pair"])
    setup(converter)
    return converter.convert()


def quantise(converter, *ops):
    """As the int8 recipe does, but with other operators allowed."""

    def frames():
        rng = np.random.default_rng(0)
        for _ in range(4):
            one, two = rng.uniform(-1, 1, (2, *SHAPE)).astype(np.float32)
            yield "pair", {"frame": one, "other": two}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = frames
    converter.target_spec.supported_ops = list(ops) or [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8


def edit(content, change):
    """The file after a function has changed its model."""
    model = read_model(content)
    change(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def operators_of(model, name):
    return [one for one in model.subgraphs[0].operators if operator_name(model, one) == name]


def refuse(content, words, form="pair", **options):
    with pytest.raises(ExportError, match=words) as caught:
        check_file(content, form, **{"integer": False, **options})
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def tiny_int8(tmp_path_factory):
    """Two convolutions, as an integer model."""
    folder = tmp_path_factory.mktemp("tiny")

    def draw(one, two):
        return conv(conv(one + two, 3, "tiny/first"))

    return build(folder, draw, quantise, kind=tf.float32)


@pytest.mark.parametrize("form", ["pair", "step"])
@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_real_students_pass(files, recipe, form):
    check_file(files[recipe, form], form, integer=recipe == "int8")


def test_float16_constants_are_unpacked_apart(tmp_path):
    def half(converter):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    content = build(tmp_path, lambda one, two: conv(conv(one + two, 3)), half)
    operators = read_operators(content)
    assert "DEQUANTIZE" in {one.name for one in operators}
    found = delegation(content, operators)
    assert (set(found.left), found.parts) == ({"CAST"}, 2)
    check_file(content, "pair", integer=False)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"junk" * 500, bytes(500), b"\0\0\0\0TFL3" * 9])
def test_what_is_no_model_is_refused(content):
    refuse(content, rf"the file is damaged or no .tflite file \({len(content)} bytes\): convert")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(files, share):
    content = files["int8", "step"]
    refuse(content[: int(share * len(content))], "damaged or no .tflite", "step", integer=True)


def test_damaged_bytes_raise_nothing_but_value_errors(files):
    content, random = files["int8", "step"], np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        at = random.integers(8, len(content), 50)
        for place in at:
            damaged[place] = random.integers(256)
        with contextlib.suppress(ValueError):
            read_model(bytes(damaged))


def test_more_than_one_graph_is_refused(files):
    double = edit(files["fp32", "pair"], lambda m: m.subgraphs.append(m.subgraphs[0]))
    refuse(double, "2 subgraphs, expected 1.*one signature at a time")


def test_a_tensorflow_operator_is_refused(tmp_path):
    def select(converter):
        ops = tf.lite.OpsSet
        converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS, ops.SELECT_TF_OPS]

    def draw(one, two):
        return conv(within("odd", lambda: tf.image.adjust_hue(one + two, 0.1)))

    refuse(
        build(tmp_path, draw, select), r"FlexAdjustHue \(layer odd\) is no built-in.*SELECT_TF_OPS"
    )


def test_a_custom_operator_is_refused(tmp_path):
    def draw(one, two):
        return conv(within("odd", lambda: tf.math.igamma(one + two, 2.0)))

    content = build(tmp_path, draw, lambda c: setattr(c, "allow_custom_ops", True))
    refuse(content, r"Igamma \(layer odd\) is no built-in.*allow_custom_ops")


def test_a_dynamic_batch_is_refused(tmp_path):
    content = build(tmp_path, lambda one, two: conv(one + two), shape=(None, 8, 8, 3))
    refuse(content, r"layer pair_\w+:0 has the dynamic shape \[-1, 8, 8, 3\].*fixed shape")


def test_a_batch_of_two_is_refused(tmp_path):
    content = build(tmp_path, lambda one, two: conv(one + two), shape=(2, 8, 8, 3))
    refuse(content, r"layer pair_\w+:0 has the shape \[2, 8, 8, 3\], expected \[1, \.\.\.\]")


def test_more_than_four_dimensions_are_refused(tmp_path):
    def draw(one, two):
        parts = tf.reshape(conv(one + two, 4), (1, 8, 8, 2, 2))
        return conv(within("odd", lambda: tf.reduce_max(parts, 3)))

    words = r"has a tensor \[1, 8, 8, 2, 2\], at most 4 dimensions.*from tensors \[1, H, W, C\]"
    refuse(build(tmp_path, draw), words)


def test_a_layer_that_makes_a_batch_is_refused(tmp_path):
    def draw(one, two):
        rows = tf.reshape(conv(one + two, 3), (8, 1, 8, 3))
        return tf.reshape(conv(rows), (1, 8, 8, 1))

    refuse(
        build(tmp_path, draw),
        r"RESHAPE \(.*\) makes the shape \[8, 1, 8, 3\], expected \[1, \.\.\.\]: GPUs",
    )


def test_an_operator_that_not_every_target_takes_is_refused(tmp_path):
    def draw(one, two):
        return conv(within("odd", lambda: tf.nn.depth_to_space(conv(one + two, 4), 2)[:, :8, :8]))

    words = (
        r"DEPTH_TO_SPACE \(layer odd\) is not an operator that .* build the layer from ADD, CAST"
    )
    content = build(tmp_path, draw)
    refuse(content, words)
    check_file(content, "pair", integer=False, left={"DEPTH_TO_SPACE", "SLICE", "STRIDED_SLICE"})


def rename(content, side, names):
    """Give the signature's inputs or outputs other names."""

    def change(model):
        for one in getattr(model.signatureDefs[0], side):
            one.name = names.get(one.name.decode(), one.name.decode()).encode()

    return edit(content, change)


def test_a_signature_of_another_form_is_refused(files):
    refuse(files["fp32", "pair"], r"signatures \['pair'\], expected \['step'\]", "step")


def test_two_signatures_are_refused(files):
    double = edit(files["fp32", "pair"], lambda m: m.signatureDefs.append(m.signatureDefs[0]))
    refuse(double, r"signatures \['pair', 'pair'\], expected \['pair'\]")


def test_no_signature_is_refused(files):
    bare = edit(files["fp32", "pair"], lambda m: setattr(m, "signatureDefs", []))
    refuse(bare, r"signatures \[\], expected \['pair'\]")


@pytest.mark.parametrize(
    ("side", "names", "words"),
    [
        ("inputs", {"other": "second"}, r"inputs \['frame', 'second'\], expected \['frame', 'oth"),
        ("inputs", {"other": "frame"}, r"inputs \['frame', 'frame'\]"),
        ("outputs", {"attention": "map"}, r"outputs \['map'\], expected \['attention'\]"),
    ],
)
def test_other_names_are_refused(files, side, names, words):
    refuse(rename(files["fp32", "pair"], side, names), words)


def test_a_signature_that_names_one_input_twice_is_refused(files):
    def change(model):
        one, two = model.signatureDefs[0].inputs
        two.tensorIndex = one.tensorIndex

    refuse(edit(files["fp32", "pair"], change), r"one for each of the graph's")


@pytest.mark.parametrize("recipe", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("side", "one", "words"),
    [
        ("inputs", "frame", r"input frame is \w+ \[1, 8, 8, 16\], expected UINT8 \[1, 32, 32, 3\]"),
        ("outputs", "attention", r"output attention is \w+ \[1, 8, 8, 16\]"),
    ],
)
def test_mixed_up_tensors_are_refused(files, recipe, side, one, words):
    swapped = rename(files[recipe, "step"], side, {one: "state", "state": one})
    refuse(swapped, words, "step", integer=recipe == "int8")


def test_float_frames_are_refused(tmp_path):
    content = build(tmp_path, lambda one, two: conv(one + two), kind=tf.float32)
    refuse(content, r"input frame is FLOAT32 \[1, 8, 8, 3\], expected UINT8")


def test_a_map_of_three_channels_is_refused(tmp_path):
    content = build(tmp_path, lambda one, two: conv(one + two, 3))
    refuse(content, r"output attention is FLOAT32 \[1, 8, 8, 3\], expected FLOAT32 \[1, 8, 8, 1\]")


def test_a_float_map_of_an_integer_model_is_refused(tmp_path):
    def setup(converter):
        quantise(converter)
        converter.inference_output_type = tf.float32

    content = build(tmp_path, lambda one, two: conv(one + two), setup, kind=tf.float32)
    refuse(content, "output attention of an integer.*inference_output_type", integer=True)


def test_a_float_operator_in_an_integer_model_is_refused(tmp_path):
    def draw(one, two):
        return conv(within("odd", lambda: tf.sin(conv(one + two, 3))))

    def setup(converter):
        ops = tf.lite.OpsSet
        quantise(converter, ops.TFLITE_BUILTINS, ops.TFLITE_BUILTINS_INT8)

    content = build(tmp_path, draw, setup, kind=tf.float32)
    refuse(content, r"holds 2 float tensors, at SIN \(layer odd\): replace", integer=True)


@pytest.mark.parametrize("what", ["scale", "zeroPoint"])
def test_a_state_of_two_scales_is_refused(files, what):
    def change(model):
        outputs = model.signatureDefs[0].outputs
        (index,) = [one.tensorIndex for one in outputs if one.name == b"state"]
        quantisation = model.subgraphs[0].tensors[index].quantization
        values = getattr(quantisation, what)
        setattr(quantisation, what, values + np.asarray(1, values.dtype))

    content = edit(files["int8", "step"], change)
    refuse(content, "the state goes in at scale .* give both ends one", "step", integer=True)


@pytest.fixture(scope="module")
def dead(student, noise_pairs):
    """A real integer student with a ReLU that no frame reaches."""
    built = build_student(StudentConfig("tiny"))
    built.pair.set_weights(student.pair.get_weights())
    layers = built.pair._flatten_layers()
    (squeeze,) = [layer for layer in layers if layer.name == "trunk1_attention_squeeze"]
    kernel, bias = squeeze.get_weights()
    squeeze.set_weights([kernel, bias - 100])
    return to_tflite(built, "int8", "pair", noise_pairs(4))


def test_a_dead_bottleneck_is_refused_by_its_layer(dead):
    refuse(
        dead,
        r"CONV_2D \(layer trunk1_attention_(squeeze|excite)\) has a requantisation scale of "
        r"\S+ in \d+ of \d+ channels.*dead ReLU.*lower learning rate",
        integer=True,
    )


def test_litert_fails_on_a_dead_bottleneck_which_is_why_it_is_found_before(dead):
    # In another process: LiteRT raises, or aborts. Its own kernels take the file.
    for delegate, fails in ((True, True), (False, False)):
        assert bool(load(dead, delegate=delegate).returncode) == fails


def load(content, *, delegate=True):
    program = (
        "import sys; from uva_tf.runtime.predictor import open_interpreter as load; "
        f"load(sys.stdin.buffer.read(), delegate={delegate})"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, input=content, capture_output=True, check=False)


def rescale(content, name, largest):
    """Give the first operator of a kind the output scale that makes its requantisation so large."""

    def change(model):
        operator = operators_of(model, name)[0]
        tensors = [model.subgraphs[0].tensors[i] for i in operator.inputs]
        one, two = tensors[1:3] if name == "TRANSPOSE_CONV" else tensors[:2]
        top = max(one.quantization.scale) * max(two.quantization.scale)
        output = model.subgraphs[0].tensors[operator.outputs[0]]
        output.quantization.scale = np.array([top / largest], np.float32)

    return edit(content, change)


def test_calibration_on_what_does_not_move_is_the_cause_named(student, noise_pairs):
    still = [(frame, frame) for frame, _ in noise_pairs(4)]
    content = to_tflite(student, "int8", "step", still)
    words = r"\(layer (change|motion)\).*It sees the change .* clips in which something moves$"
    with pytest.raises(ExportError, match=words):
        check_file(content, "step", integer=True)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("CONV_2D", "stem_relu"),
        ("DEPTHWISE_CONV_2D", "trunk1_separable"),
        ("TRANSPOSE_CONV", "head_deconv1_relu"),
    ],
)
def test_the_requantisation_of_every_kind_is_checked(files, name, layer):
    words = rf"{name} \(layer {layer}\) has a requantisation scale of 300"
    refuse(rescale(files["int8", "pair"], name, 300), words, integer=True)


def test_the_requantisation_of_matrix_products_is_checked(tmp_path):
    weights = tf.constant(np.random.default_rng(0).normal(0, 0.2, (192, 64)), tf.float32)

    def draw(one, two):
        flat = tf.reshape(one + two, (1, 192))
        return tf.reshape(within("dense", lambda: tf.matmul(flat, weights)), (1, 8, 8, 1))

    content = build(tmp_path, draw, quantise, kind=tf.float32)
    check_file(content, "pair", integer=True)
    words = r"FULLY_CONNECTED \(layer dense\) has a requantisation scale of 300"
    refuse(rescale(content, "FULLY_CONNECTED", 300), words, integer=True)


def test_the_bound_is_xnnpacks(tiny_int8):
    check_file(rescale(tiny_int8, "CONV_2D", 255), "pair", integer=True)
    beyond = rescale(tiny_int8, "CONV_2D", 257)
    assert load(beyond).returncode
    refuse(beyond, r"requantisation scale of 257 in 1 of 3 channels", integer=True)


def test_an_unquantised_layer_of_an_integer_model_is_refused(tiny_int8):
    def change(model):
        output = model.subgraphs[0].tensors[operators_of(model, "CONV_2D")[0].outputs[0]]
        output.quantization = None

    refuse(edit(tiny_int8, change), "layer first is not quantised", integer=True)


def test_what_litert_does_not_load_is_refused_with_its_words(files):
    def change(model):
        model.operatorCodes[operators_of(model, "CONV_2D")[0].opcodeIndex].version = 99

    refuse(edit(files["fp32", "pair"], change), r"does not load the file \(.*CONV_2D.*version '99'")


def test_a_file_that_brings_litert_down_is_refused(dead, monkeypatch):
    monkeypatch.setattr("uva_tf.compression.gate.LARGEST_REQUANTISATION", float("inf"))
    refuse(dead, "LiteRT with XNNPACK does not load the file", integer=True)


def odd_middle(one, two):
    return conv(within("odd", lambda: tf.math.floormod(conv(one + two, 3), 0.3)))


def test_an_operator_that_xnnpack_leaves_is_refused_unless_allowed(tmp_path):
    content = build(tmp_path, odd_middle)
    words = r"FLOOR_MOD \(layer odd\) is not an operator that"
    refuse(content, words)
    refuse(content, words, left={"GATHER"})
    check_file(content, "pair", integer=False, left={"FLOOR_MOD"})


def test_an_integer_operator_that_xnnpack_leaves_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.compression.gate.OPERATORS", OPERATORS | {"AVERAGE_POOL_2D"})

    def draw(one, two):
        return conv(within("odd", lambda: tf.nn.avg_pool2d(conv(one + two, 3), 3, 1, "SAME")))

    content = build(tmp_path, draw, quantise, kind=tf.float32)
    refuse(content, r"in 2 pieces.* AVERAGE_POOL_2D \(layer odd\)", integer=True)


def test_a_cast_is_for_camera_bytes_only(tmp_path):
    def draw(one, two):
        return conv(within("odd", lambda: tf.cast(tf.cast(one + two, tf.int32), tf.float32)))

    refuse(build(tmp_path, draw), r"CAST \(layer odd\), CAST \(layer odd\): build")


def test_a_model_of_which_xnnpack_runs_nothing_is_refused(files, monkeypatch):
    nothing = Delegation(left=(), fraction=1.0, parts=0)
    monkeypatch.setattr("uva_tf.compression.gate.delegation", lambda *_: nothing)
    refuse(files["fp32", "pair"], "in 0 pieces")
