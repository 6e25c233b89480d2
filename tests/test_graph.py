"""Changes to converted graphs: one scale for the state, and a `pair` made of a `step`."""

import numpy as np
import pytest
import tensorflow as tf
from students import untrained
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf.compression.export import to_tflite
from uva_tf.compression.graph import keep_to_four_dimensions, pair_of_step, unify_state_scale
from uva_tf.compression.operators import operator_name, read_model, read_operators
from uva_tf.config import StudentConfig
from uva_tf.core.errors import ExportError
from uva_tf.models.student import build_student
from uva_tf.models.variants import VARIANTS
from uva_tf.runtime.predictor import open_interpreter

FRAMES = 500


def runner(content, form):
    return open_interpreter(content).get_signature_runner(form)


def most_dimensions(content):
    return max(len(tensor.shape) for tensor in read_model(content).subgraphs[0].tensors)


def frames(count):
    """A bright square that moves over noise, `[count, 1, 32, 32, 3]` uint8."""
    rng = np.random.default_rng(3)
    video = rng.integers(0, 120, (count, 1, 32, 32, 3), dtype=np.uint8)
    for number, frame in enumerate(video):
        x, y = number % 24, (number // 3) % 24
        frame[0, y : y + 8, x : x + 8] = 250
    return video


def test_a_stream_of_500_frames_draws_what_pairs_draw(files):
    step, pair = runner(files["int8", "step"], "step"), runner(files["int8", "pair"], "pair")
    video = frames(FRAMES)
    empty = np.zeros(step.get_input_details()["state"]["shape"], np.uint8)
    state, last = step(frame=video[0], state=empty)["state"], video[0]
    contrast = []
    for frame in video:
        given = step(frame=frame, state=state)
        drawn = pair(frame=frame, other=last)["attention"]
        # The very same operators: equal, where 1 step of 255 is allowed.
        np.testing.assert_array_equal(given["attention"], drawn)
        state, last = given["state"], frame
        contrast.append(np.ptp(drawn))
    assert np.median(contrast) > 20  # not maps of nothing


def test_with_next_pairing_the_pair_maps_its_first_frame(noise_pairs):
    student = untrained(StudentConfig("tiny", pairing="next"))
    content = to_tflite(student, "int8", "step", noise_pairs(4))
    step = runner(content, "step")
    pair = runner(pair_of_step(content, "next"), "pair")
    frame, following = frames(2)
    empty = np.zeros(step.get_input_details()["state"]["shape"], np.uint8)
    state = step(frame=frame, state=empty)["state"]
    expected = step(frame=following, state=state)["attention"]
    drawn = pair(frame=frame, other=following)["attention"]
    np.testing.assert_array_equal(drawn, expected)
    assert not np.array_equal(drawn, pair(frame=following, other=frame)["attention"])


def test_a_pair_of_a_step_shares_its_weights(files):
    step, pair = files["int8", "step"], files["int8", "pair"]
    # The trunk stands in it twice, its constants once: a few kB of graph are added.
    assert len(pair) < 1.1 * len(step)
    names = [operator.name for operator in read_operators(step)]
    more = [operator.name for operator in read_operators(pair)]
    # Without the conversions of the state's bytes, QUANTIZE going in and out.
    assert more.count("QUANTIZE") == names.count("QUANTIZE") - 2 + 1
    assert more.count("CONV_2D") > names.count("CONV_2D")
    used = {
        int(index)
        for operator in read_model(pair).subgraphs[0].operators
        for index in (*operator.inputs, *operator.outputs)
    } - {-1}
    assert used == set(range(len(read_model(pair).subgraphs[0].tensors)))


@pytest.mark.parametrize(
    "variant",
    ["tiny", *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS if "-32" in name)],
)
def test_the_state_has_one_scale_that_xnnpack_accepts(variant, converted, noise_pairs):
    # Where paths are at an eighth, poolings behind the state must keep its scale.
    if variant == "tiny":
        content = converted("int8", "step")
    else:
        content = to_tflite(build_student(StudentConfig(variant)), "int8", "step", noise_pairs(4))
    assert most_dimensions(content) == 4  # also of an enlargement by channels
    step = runner(content, "step")
    taken = step.get_input_details()["state"]["quantization"]
    assert taken == step.get_output_details()["state"]["quantization"]
    assert taken[0] > 0


def test_states_of_different_ranges_are_refused(files):
    model = read_model(files["int8", "step"])
    (signature,) = model.signatureDefs
    (state,) = [tensor for tensor in signature.inputs if tensor.name == b"state"]
    quantization = model.subgraphs[0].tensors[state.tensorIndex].quantization
    quantization.scale = 1.01 * np.asarray(quantization.scale)
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    with pytest.raises(ExportError, match=r"the state goes in at scale .* but comes out at"):
        unify_state_scale(content)


def test_a_float_step_is_not_put_together(files):
    with pytest.raises(ExportError, match="expected one QUANTIZE where the state goes in"):
        pair_of_step(files["fp32", "step"], "previous")


def test_dynamic_depthwise_convolutions_are_float():
    content = to_tflite(build_student(StudentConfig("tiny")), "dynamic", "step")
    model = read_model(content)
    tensors = model.subgraphs[0].tensors
    kinds = {"CONV_2D": set(), "DEPTHWISE_CONV_2D": set()}
    for operator in model.subgraphs[0].operators:
        name = operator_name(model, operator)
        if name in kinds:
            kinds[name].add(np.dtype({0: "f4", 9: "i1"}[tensors[operator.inputs[1]].type]))
    # XNNPACK runs no float depthwise convolution of 8-bit weights; float small ones stay.
    assert kinds["DEPTHWISE_CONV_2D"] == {np.dtype("f4")}
    assert np.dtype("i1") in kinds["CONV_2D"]


def enlarging(folder, factor, filters, order, *, integer):
    """A file as the converter makes it: channels become pixels, and two poolings are added."""

    def draw(x):  # (1, 6, 5, factor^2 filters)
        parts = tf.reshape(x, (1, 6, 5, factor, factor, filters))
        large = tf.reshape(tf.transpose(parts, order), (1, 6 * factor, 5 * factor, filters))
        pooled = [pool(x, (1, 2), keepdims=True) for pool in (tf.reduce_mean, tf.reduce_max)]
        vector = tf.nn.bias_add(pooled[0], tf.reshape(pooled[1], (-1,)))  # (1, 1, 1, C)
        return {"large": large, "vector": vector}

    module = tf.Module()
    spec = tf.TensorSpec((1, 6, 5, factor**2 * filters), tf.float32, "x")
    module.draw = tf.function(draw, input_signature=[spec])
    tf.saved_model.save(module, str(folder), {"draw": module.draw})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["draw"])
    if integer:
        values = np.linspace(-1, 1, int(np.prod(spec.shape)), dtype=np.float32).reshape(spec.shape)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (("draw", {"x": values}) for _ in range(2))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


WEAVE = (0, 1, 3, 2, 4, 5)


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize(("factor", "filters"), [(4, 1), (2, 3)])
def test_channels_become_pixels_in_four_dimensions(tmp_path, factor, filters, integer):
    before = enlarging(tmp_path, factor, filters, WEAVE, integer=integer)
    after = keep_to_four_dimensions(before)
    assert (most_dimensions(before), most_dimensions(after)) == (6, 4)
    assert keep_to_four_dimensions(after) == after
    # Not a vector, which would be a batch of its own.
    shapes = [one.shape for one in read_operators(after)]
    assert all(len(shape) == 4 and shape[0] == 1 for shape in shapes)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 6, 5, factor**2 * filters)).astype(np.float32)
    if integer:
        x = np.rint(127.5 * (x + 1)).astype(np.uint8)
    drawn, expected = (runner(content, "draw")(x=x) for content in (after, before))
    for name, values in expected.items():
        np.testing.assert_array_equal(drawn[name], values)
    large = drawn["large"][0]  # each pixel from its own channels, by hand
    for row, column in ((0, 0), (7, 9), (len(large) - 1, 0)):
        (i, di), (j, dj) = divmod(row, factor), divmod(column, factor)
        first = (di * factor + dj) * filters
        np.testing.assert_array_equal(large[row, column], x[0, i, j, first : first + filters])


def test_another_transpose_in_six_dimensions_is_refused(tmp_path):
    content = enlarging(tmp_path, 2, 3, (0, 3, 1, 2, 4, 5), integer=False)
    with pytest.raises(ExportError, match="has more than four dimensions: enlarge with `subpixel`"):
        keep_to_four_dimensions(content)
