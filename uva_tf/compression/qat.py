"""Quantisation-aware fine-tuning: the only module that knows tf_keras and tfmot.

tensorflow-model-optimization (tfmot) supports Keras 2 models only. The same builder therefore
makes the student's twin in tf_keras, with the student's weights, and the same loop fine-tunes
it with the same losses. It is fine-tuned as a `step`, where every layer is called once: tfmot
does not fold batch normalisation after layers that are called twice.

Importing tfmot changes the Keras that TensorFlow offers, for the whole process. Nothing here
uses that Keras; still, `uva-tf qat` runs in its own process and no other module imports this one.
"""

from __future__ import annotations

import functools
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

# With each batch, tfmot moves an activation's range by this fraction towards the batch's range.
RANGE_STEP = 1e-3
CALIBRATION_BATCH = 16
# Batches until no layer clips the input of the next, and then the same number to average over.
SETTLING = 16
# The trunk's features lie in 0..6, so the state has one scale as input and as output.
STATE = (0.0, 6.0)
FRAME = (-1.0, 1.0)
# A logit this far below the peak gives 0 in an 8-bit map.
LOWEST = -7.0
SMALLEST_PRUNED = 1000  # weights in a kernel


def fine_tune(run: Run, recipe: str) -> Path:
    """Fine-tune a run's student for a recipe of `TRAINED`, on one device.

    After an interruption it continues from the last checkpoint.

    Returns:
        The path of the quantised `step`, a .tflite file without a manifest for `export.convert`.

    Raises InputError if that file exists, the run lacks its student, its data or its teachers'
    maps, its student is no row of `VARIANTS`, or another process is training the run.
    """
    with run.locked():
        return _fine_tune(run, recipe)


def _fine_tune(run: Run, recipe: str) -> Path:
    config, out = run.config, run.fine_tuned(recipe)
    if out.exists():
        raise InputError(f"{out} exists already: convert it with uva-tf convert --recipe {recipe}")
    if config.student.variant not in VARIANTS:
        raise InputError(
            f"{config.student.variant} can't be fine-tuned: expected one of {', '.join(VARIANTS)}"
        )
    # Keep the last weights: those best on validation may have fewer zeros.
    loop = replace(config.loop, keep="last", strategy="one")
    config = replace(config, loop=loop)
    run = Run(run.folder, config)
    student = load_student(run)
    datasets = open_data(config)
    _, pairs = calibration_pairs(datasets, config.seed, gap=config.student.gap)
    tf_keras.utils.set_random_seed(config.seed)
    tf_keras.backend.reset_uids()  # the file holds names of layers, which count up in a process
    step = build_twin(student, config.student).step
    compression, pairing = config.compression, config.student.pairing
    fit = functools.partial(
        fit_joint, run, datasets, namespace=tf_keras, temperature=config.temperature
    )
    if recipe == PRUNED:
        model = prunable(step, compression.sparsity, compression.prune.steps)
        compose = as_pair(model, pairing)
        fit("prune", compression.prune, model, compose)
        model.predict_on_batch(_stack(pairs[:1], step))  # applies the masks one last time
    model = quantised(step, keep_zeros=recipe == PRUNED)
    settle(model, pairs)
    fit(recipe, compression.qat, model, as_pair(model, pairing))
    bound(model)
    content = lower_quantised(model, recipe)
    with new_file(out) as path:
        path.write_bytes(content)
    return out


def build_twin(student: Student, config: StudentConfig) -> Student:
    """The twin: the same student in tf_keras, with the same weights."""
    twin = build_student(config, tf_keras)
    twin.pair.set_weights(student.pair.get_weights())
    return twin


def as_pair(step: tf_keras.Model, pairing: str) -> Compose:
    """`{"frame", "other"}, training -> logits`, computed by a tf_keras `step`."""
    trunk = tf_keras.Model(step.input["frame"], step.output["state"])
    now, before = ("frame", "other") if pairing == "previous" else ("other", "frame")

    def compose(inputs: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        state = trunk(inputs[before], training=training)
        return step({"frame": inputs[now], "state": state}, training=training)["attention"]

    return compose


def prunable(step: tf_keras.Model, sparsity: float, steps: int) -> tf_keras.Model:
    """A model of the same layers, in which training sets small weights of large kernels to 0.

    Args:
        sparsity: the fraction of weights that are 0 in the end; it is reached after three fifths
            of the steps.
        steps: of the training.
    """
    ramp = max(1, steps * 3 // 5)
    trunk = tf_keras.Model(step.input["frame"], step.output["state"])

    def schedule(layer: layers.Layer) -> tfmot.sparsity.keras.PolynomialDecay:
        # In each training step the trunk is called twice, on two frames.
        calls = 1 + any(layer is other for other in trunk.layers)
        return tfmot.sparsity.keras.PolynomialDecay(
            0.0, sparsity, begin_step=0, end_step=calls * ramp, frequency=calls * max(1, ramp // 60)
        )

    def wrap(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.GaussianNoise):  # checkpoints do not hold its generator
            return layers.Activation("linear", name=layer.name)
        # The only layers whose zeros tfmot keeps.
        convolution = type(layer) in (layers.Conv2D, layers.SeparableConv2D)
        if convolution and max(map(np.size, layer.get_weights())) >= SMALLEST_PRUNED:
            prune = tfmot.sparsity.keras.prune_low_magnitude
            return prune(layer, pruning_schedule=schedule(layer))
        return layer

    model = tf_keras.models.clone_model(step, clone_function=wrap)
    for layer in model.layers:
        if hasattr(layer, "pruning_step"):
            layer.pruning_step.assign(0)  # each call in training adds 1
    return model


class Ranged(quantization.QuantizeConfig):
    """How tfmot rounds a layer that it does not know: its kernel, its output, both or neither."""

    def __init__(self, *, kernel: bool = False, output: bool = False) -> None:
        self.kernel, self.output = kernel, output

    def get_weights_and_quantizers(self, layer):
        """The kernel, if it is rounded: to 255 levels, symmetric around 0."""
        weights = quantization.quantizers.LastValueQuantizer(
            8, per_axis=False, symmetric=True, narrow_range=True
        )
        return [(layer.kernel, weights)] if self.kernel else []

    def set_quantize_weights(self, layer, quantize_weights):
        """Replace the kernel by the rounded one."""
        if self.kernel:
            (layer.kernel,) = quantize_weights

    def get_activations_and_quantizers(self, layer):
        """Empty: here activations are layers of their own."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Nothing to replace."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer):
        """The output, if it is rounded: to 256 levels."""
        values = quantization.quantizers.MovingAverageQuantizer(
            8, per_axis=False, symmetric=False, narrow_range=False
        )
        return [values] if self.output else []

    def get_config(self):
        """The constructor's arguments, to copy the object."""
        return {"kernel": self.kernel, "output": self.output}


def quantised(step: tf_keras.Model, *, keep_zeros: bool) -> tf_keras.Model:
    """A `step` that rounds as an 8-bit model does, with its batch normalisation frozen.

    Args:
        keep_zeros: whether weights that are 0 stay 0.
    """
    annotate = quantization.quantize_annotate_layer

    def wrap(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.InputLayer):
            return layer
        if isinstance(layer, layers.GaussianNoise):  # rounding is noise enough
            layer = layers.Activation("linear", name=layer.name)
        if isinstance(layer, layers.Activation) and layer.activation is tf_keras.activations.linear:
            return annotate(layer, Ranged())
        if isinstance(layer, layers.Resizing):  # its output has the scale of its input
            return annotate(layer, Ranged())
        if isinstance(layer, layers.Multiply | layers.Subtract):
            return annotate(layer, Ranged(output=True))
        if isinstance(layer, layers.Conv2DTranspose):
            # Before a ReLU only the ReLU's output is rounded: what it cuts off needs no levels.
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
    """A `step` in which batch normalisation is folded into the transposed convolution before it.

    tfmot and the converter fold it into other convolutions only.
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
    """Set the ranges of a quantised `step` to those of calibration frames.

    tfmot starts at -6..6 and moves by a thousandth per batch, too slowly for a short fine-tuning.
    Here each batch sets the ranges to its own, until no layer clips the next; then the ranges of
    further batches are averaged.
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
    """Set the ranges that are known: those of camera bytes, and of the state in and out."""
    (frame,), (state,) = (_behind(model, model.input[name]) for name in ("frame", "state"))
    (features,) = model.get_layer("quant_features").inbound_nodes
    for layer, limits in ((frame, FRAME), (state, STATE), (features.inbound_layers, STATE)):
        ends = [v for v in layer.variables if re.search(r"(layer.*|output)_(min|max):0$", v.name)]
        _assign(ends, limits)


def lower_quantised(model: tf_keras.Model, recipe: str) -> bytes:
    """Convert a quantised `step` to .tflite, with camera bytes in and finished maps out."""

    def finish(frame: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model({"frame": frame, "state": state}, training=False)
        return outputs | {"attention": rounded_attention(outputs["attention"])}

    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name)
        for name, tensor in model.input.items()
    ]
    return lower(model, finish, specs, "step", TRAINED[recipe])


def rounded_attention(logits: tf.Tensor) -> tf.Tensor:
    """Logits to the finished map as an integer model computes it: each result in 8 bits."""
    peak = tf.reduce_max(logits, axis=[1, 2, 3], keepdims=True)  # (B, 1, 1, 1)
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
    """A `step`'s inputs: the pairs' frames, and as state the features of their neighbours."""
    side = step.input["frame"].shape[1]
    frame, other = (
        normalise(np.stack([shrink(picture, side) for picture in pictures]))
        for pictures in zip(*pairs, strict=True)
    )
    nothing = tf.zeros((len(pairs), *step.input["state"].shape[1:]))
    state = step({"frame": other, "state": nothing}, training=False)["state"]
    return {"frame": frame, "state": state}
