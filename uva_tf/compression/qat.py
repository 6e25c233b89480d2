"""Quantisation-aware fine-tuning: the only module that knows tf_keras and tfmot.

tensorflow-model-optimization (tfmot) takes Keras 2 models alone. So the student's twin is
built with tf_keras by the same builder, given the student's weights, and fine-tuned by the
same loop on the same losses. It is fine-tuned as `step`, in which every layer is called
once: tfmot does not fold batch normalisation behind layers that are called twice.

Importing tfmot changes which Keras TensorFlow itself offers, for a whole process. Nothing here
asks TensorFlow for one, yet `pipelines/qat.py` is a process of its own, and no other module
imports this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tf_keras import layers

from uva_tf.compression.calibration import Pair, calibration_pairs
from uva_tf.compression.lower import lower
from uva_tf.compression.recipes import PRUNED, TRAINED
from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file
from uva_tf.core.resize import shrink
from uva_tf.models.maps import normalise
from uva_tf.models.student import Student, build_student
from uva_tf.models.variants import VARIANTS
from uva_tf.training.examples import open_data
from uva_tf.training.run import Run
from uva_tf.training.stages import fit_joint
from uva_tf.training.weights import load_student

Compose = Callable[..., tf.Tensor]
quantization = tfmot.quantization.keras

# tfmot moves an activation's range by this share towards each batch's own.
RANGE_STEP = 1e-3
CALIBRATION_BATCH = 16
# Batches until no layer clips what those behind it see, and again as many to average.
SETTLING = 16
# The trunk ends in values from 0 to 6: one scale for the state that goes in and comes out.
STATE = (0.0, 6.0)
FRAME = (-1.0, 1.0)
# Below this logit under the peak a finished map is 0 in 8 bits.
LOWEST = -7.0
SMALLEST_PRUNED = 1000  # weights of a kernel


def fine_tune(run: Run, recipe: str) -> Path:
    """Fine-tune a run's student for a recipe of `TRAINED` on one device; goes on where it was.

    Returns:
        The quantised `step`, a .tflite file without a manifest, for `export.convert`.

    Raises InputError if it is there already, the run lacks its student, its data or its
    teachers' maps, its student is no row of `VARIANTS`, or another process trains the run.
    """
    with run.locked():
        return _fine_tune(run, recipe)


def _fine_tune(run: Run, recipe: str) -> Path:
    config, out = run.config, run.fine_tuned(recipe)
    if out.exists():
        raise InputError(f"{out} is there already: convert it with tflite/convert.py")
    if config.student.variant not in VARIANTS:
        raise InputError(
            f"{config.student.variant} can't be fine-tuned: expected one of {', '.join(VARIANTS)}"
        )
    # To the last step: what was best on validation before may hold less zeros.
    loop = replace(config.loop, keep="last", strategy="one")
    config = replace(config, loop=loop)
    run = Run(run.folder, config)
    student = load_student(run)
    datasets = open_data(config)
    _, pairs = calibration_pairs(datasets, config.seed)
    tf_keras.utils.set_random_seed(config.seed)
    tf_keras.backend.reset_uids()  # names of layers, which the file holds, count up in a process
    step = build_twin(student, config.student).step
    compression, pairing = config.compression, config.student.pairing
    if recipe == PRUNED:
        model = prunable(step, compression.sparsity, compression.prune.steps)
        compose = as_pair(model, pairing)
        fit_joint(run, datasets, "prune", compression.prune, model, compose, tf_keras)
        model.predict_on_batch(_stack(pairs[:1], step))  # applies the masks a last time
    model = quantised(step, keep_zeros=recipe == PRUNED)
    settle(model, pairs)
    fit_joint(run, datasets, recipe, compression.qat, model, as_pair(model, pairing), tf_keras)
    bound(model)
    content = lower_quantised(model, recipe)
    with new_file(out) as path:
        path.write_bytes(content)
    return out


def build_twin(student: Student, config: StudentConfig) -> Student:
    """The same student in tf_keras, with the same weights."""
    twin = build_student(config, tf_keras)
    twin.pair.set_weights(student.pair.get_weights())
    return twin


def as_pair(step: tf_keras.Model, pairing: str) -> Compose:
    """`{"frame", "other"}, training -> logits` by a `step` of tf_keras."""
    trunk = tf_keras.Model(step.input["frame"], step.output["state"])
    now, before = ("frame", "other") if pairing == "previous" else ("other", "frame")

    def compose(inputs: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        state = trunk(inputs[before], training=training)
        return step({"frame": inputs[now], "state": state}, training=training)["attention"]

    return compose


def prunable(step: tf_keras.Model, sparsity: float, steps: int) -> tf_keras.Model:
    """A model of the same layers whose large kernels lose their small weights in training.

    More and more of them, until three fifths of the steps are over.
    """
    ramp = max(1, steps * 3 // 5)
    trunk = tf_keras.Model(step.input["frame"], step.output["state"])

    def schedule(layer: layers.Layer) -> tfmot.sparsity.keras.PolynomialDecay:
        calls = 1 + any(layer is other for other in trunk.layers)  # in each step, on two frames
        return tfmot.sparsity.keras.PolynomialDecay(
            0.0, sparsity, begin_step=0, end_step=calls * ramp, frequency=calls * max(1, ramp // 60)
        )

    def wrap(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.GaussianNoise):  # which checkpoints would not resume
            return layers.Activation("linear", name=layer.name)
        # tfmot keeps the zeros of these alone.
        convolution = type(layer) in (layers.Conv2D, layers.SeparableConv2D)
        if convolution and max(map(np.size, layer.get_weights())) >= SMALLEST_PRUNED:
            prune = tfmot.sparsity.keras.prune_low_magnitude
            return prune(layer, pruning_schedule=schedule(layer))
        return layer

    model = tf_keras.models.clone_model(step, clone_function=wrap)
    for layer in model.layers:
        if hasattr(layer, "pruning_step"):
            layer.pruning_step.assign(0)  # each call in training counts it up
    return model


class Ranged(quantization.QuantizeConfig):
    """What tfmot asks of layers that it does not know: to round their kernel or their output."""

    def __init__(self, *, kernel: bool = False, output: bool = False) -> None:
        self.kernel, self.output = kernel, output

    def get_weights_and_quantizers(self, layer):
        """The kernel, if it is rounded: to 255 levels around 0."""
        weights = quantization.quantizers.LastValueQuantizer(
            8, per_axis=False, symmetric=True, narrow_range=True
        )
        return [(layer.kernel, weights)] if self.kernel else []

    def set_quantize_weights(self, layer, quantize_weights):
        """Put the rounded kernel in its place."""
        if self.kernel:
            (layer.kernel,) = quantize_weights

    def get_activations_and_quantizers(self, layer):
        """None: activations are layers here."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Nothing to put in place."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer):
        """The output, if it is rounded: to 256 levels."""
        values = quantization.quantizers.MovingAverageQuantizer(
            8, per_axis=False, symmetric=False, narrow_range=False
        )
        return [values] if self.output else []

    def get_config(self):
        """The arguments, for copies."""
        return {"kernel": self.kernel, "output": self.output}


def quantised(step: tf_keras.Model, *, keep_zeros: bool) -> tf_keras.Model:
    """`step` with the rounding of an 8-bit model, its batch normalisation frozen.

    Args:
        keep_zeros: whether weights that are 0 stay so.
    """
    annotate = quantization.quantize_annotate_layer

    def wrap(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.InputLayer):
            return layer
        if isinstance(layer, layers.GaussianNoise):  # rounding is noise enough
            layer = layers.Activation("linear", name=layer.name)
        if isinstance(layer, layers.Activation) and layer.activation is tf_keras.activations.linear:
            return annotate(layer, Ranged())
        if isinstance(layer, layers.Multiply | layers.Subtract):
            return annotate(layer, Ranged(output=True))
        if isinstance(layer, layers.Conv2DTranspose):
            # What a ReLU behind it takes off needs no levels of its own.
            return annotate(layer, Ranged(kernel=True, output=not layer.outbound_nodes))
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
        return annotate(layer)

    scheme = (
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
        if keep_zeros
        else quantization.default_8bit.Default8BitQuantizeScheme()
    )
    with quantization.quantize_scope({"Ranged": Ranged}):
        annotated = tf_keras.models.clone_model(folded(step), clone_function=wrap)
        return quantization.quantize_apply(annotated, scheme)


def folded(step: tf_keras.Model) -> tf_keras.Model:
    """`step` with each transposed convolution scaled as the batch normalisation behind it says.

    tfmot and the converter do so for other convolutions only.
    """
    norms = {}

    def replace(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.Conv2DTranspose) and not layer.use_bias:
            return layers.Conv2DTranspose.from_config(layer.get_config() | {"use_bias": True})
        if isinstance(layer, layers.BatchNormalization):
            source = layer.inbound_nodes[0].inbound_layers
            if isinstance(source, layers.Conv2DTranspose):
                norms[source.name] = layer, source
                return layers.Activation("linear", name=layer.name)
        return layer

    model = tf_keras.models.clone_model(step, clone_function=replace)
    for name, (norm, source) in norms.items():
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)  # (filters,)
        (kernel,) = source.get_weights()  # (height, width, filters, channels)
        model.get_layer(name).set_weights([kernel * scale[:, None], beta - mean * scale])
    return model


def settle(model: tf_keras.Model, pairs: Sequence[Pair]) -> None:
    """Set the ranges of a quantised `step` to what calibration frames need.

    tfmot begins at -6..6 and moves by a thousandth a batch, too slowly for a fine-tuning. Here
    each batch takes a range all the way, until none clips another; then batches are averaged.
    """
    ranges = [v for v in model.variables if re.search(r"(output|activation)_(min|max):0$", v.name)]
    found = []
    for number in range(2 * SETTLING):
        bound(model)
        before = [variable.numpy() for variable in ranges]
        start = number * CALIBRATION_BATCH % len(pairs)
        model(_stack(pairs[start : start + CALIBRATION_BATCH], model), training=True)
        moved = [variable.numpy() for variable in ranges]
        found.append([a + (b - a) / RANGE_STEP for a, b in zip(before, moved, strict=True)])
        _assign(ranges, found[-1])
    _assign(ranges, np.mean(found[SETTLING:], axis=0))
    bound(model)


def bound(model: tf_keras.Model) -> None:
    """Set the ranges that are known: of camera bytes, and of the state on both its sides."""
    (frame,), (state,) = (_behind(model, model.input[name]) for name in ("frame", "state"))
    (features,) = model.get_layer("quant_features").inbound_nodes
    for layer, limits in ((frame, FRAME), (state, STATE), (features.inbound_layers, STATE)):
        ends = [v for v in layer.variables if re.search(r"(layer.*|output)_(min|max):0$", v.name)]
        _assign(ends, limits)


def lower_quantised(model: tf_keras.Model, recipe: str) -> bytes:
    """Convert a quantised `step` to .tflite, camera bytes in and a finished map out."""

    def finish(frame: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        given = model({"frame": frame, "state": state}, training=False)
        return given | {"attention": rounded_attention(given["attention"])}

    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name)
        for name, tensor in model.input.items()
    ]
    return lower(model, finish, specs, "step", TRAINED[recipe])


def rounded_attention(logits: tf.Tensor) -> tf.Tensor:
    """The finished map as an integer model computes it, with 8 bits for each of its steps."""
    peak = tf.reduce_max(logits, axis=[1, 2, 3], keepdims=True)
    below = tf.quantization.fake_quant_with_min_max_args(logits - peak, LOWEST, 0.0)
    return tf.quantization.fake_quant_with_min_max_args(2.0 * tf.sigmoid(below), 0.0, 1.0)


def _behind(model: tf_keras.Model, tensor: tf.Tensor) -> list[layers.Layer]:
    """The layers that read one of a model's inputs."""
    return [
        layer
        for layer in model.layers
        if getattr(layer, "input", None) is tensor and not isinstance(layer, layers.InputLayer)
    ]


def _assign(variables: Sequence[tf.Variable], values: Sequence[float]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _stack(pairs: Sequence[Pair], step: tf_keras.Model) -> dict[str, tf.Tensor]:
    """Frames as a `step` sees them, and a state that the trunk makes of their neighbours."""
    side = step.input["frame"].shape[1]
    frame, other = (
        normalise(np.stack([shrink(picture, side) for picture in pictures]))
        for pictures in zip(*pairs, strict=True)
    )
    nothing = tf.zeros((len(pairs), *step.input["state"].shape[1:]))
    state = step({"frame": other, "state": nothing}, training=False)["state"]
    return {"frame": frame, "state": state}
