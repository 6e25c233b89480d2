"""Backbones of keras.applications as encoders of several scales, and their first weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from uva_tf.config import TeacherConfig
from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.models.blocks import Block, Tensor

NAME = "backbone"  # of the encoder's layer in a teacher

# By backbone, its last layer at a half of the frame's side, a quarter, and so on.
SCALES: dict[str, tuple[str, ...]] = {
    # conv3-3, conv4-3 and conv5-3 as in DVA (Wang and Shen, IEEE TIP 2018), and one finer.
    "vgg16": ("block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"),
    "mobilenetv2": (
        "block_1_expand_relu",
        "block_3_expand_relu",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "out_relu",
    ),
    "efficientnetv2b0": (
        "block1a_project_activation",
        "block2b_add",
        "block4a_expand_activation",
        "block6a_expand_activation",
        "top_activation",
    ),
}
_APPLICATIONS = {
    "vgg16": keras.applications.VGG16,
    "mobilenetv2": keras.applications.MobileNetV2,
    "efficientnetv2b0": keras.applications.EfficientNetV2B0,
}
IMAGENET_MEANS_BGR = (103.939, 116.779, 123.68)  # that VGG16 was trained without, of 0..255


def build_backbone(name: str, size: int) -> Block:
    """An encoder with random weights, shared by all its calls.

    Maps frames `[B, size, size, 3]` float32 RGB in -1..1 to a list of features, finest
    first, each half the side of the one before.
    """
    # Without weights nothing is fetched.
    whole = _APPLICATIONS[name](include_top=False, weights=None, input_shape=(size, size, 3))
    scales = [whole.get_layer(layer).output for layer in SCALES[name]]
    encoder = keras.Model(whole.input, scales, name=NAME)

    def encode(frame: Tensor) -> list[Tensor]:  # (B, S, S, 3) -> S/2, S/4, ...
        return encoder(_as_trained(name, frame))

    return encode


def _as_trained(name: str, frame: Tensor) -> Tensor:
    """Frames in -1..1 on the scale that a backbone's ImageNet weights expect."""
    if name == "mobilenetv2":
        return frame
    # In full precision, for bfloat16 would round the upper bytes.
    frame = keras.layers.Rescaling(127.5, offset=127.5, dtype=keras.backend.floatx())(frame)
    if name == "vgg16":
        return keras.ops.flip(frame, axis=-1) - keras.ops.array(IMAGENET_MEANS_BGR)
    return frame  # EfficientNetV2 normalises 0..255 itself


def load_backbone_weights(teacher: keras.Model, config: TeacherConfig) -> None:
    """Give a new teacher's backbone the weights that its configuration names, if any.

    Args:
        teacher: by `models.teachers.build_teacher`, of the same configuration.

    Raises InputError if they can't be fetched or read, or are another backbone's.
    """
    if config.weights == "none":
        return
    encoder = teacher.get_layer(NAME)
    source = _pretrained(config, encoder.input_shape[1:])
    given = {layer.name: layer.get_weights() for layer in source.layers}
    for layer in encoder.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(given[layer.name])
        except (KeyError, ValueError):
            raise InputError(
                f"{config.weights}: its layer {layer.name} is not that of {config.backbone}"
            ) from None


def _pretrained(config: TeacherConfig, shape: tuple[int, int, int]) -> keras.Model:
    """The whole backbone with the weights of a configuration."""
    application, path = _APPLICATIONS[config.backbone], Path(config.weights)
    if config.weights != "imagenet":
        check_file(path, f"file, expected weights of {config.backbone}")
    try:
        if config.weights == "imagenet":
            return application(include_top=False, weights="imagenet", input_shape=shape)
        # Not load_model: larger sisters, such as VGG19, have layers of all these names and shapes.
        model = application(include_top=False, weights=None, input_shape=shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # hundreds, before an error that says it
            model.load_weights(path)
        return model
    except Exception as error:  # whatever a network or a broken file makes Keras raise
        reason = str(error).strip().partition("\n")[0]
        remedy = " (give a file)" if config.weights == "imagenet" else ""
        raise InputError(
            f"{config.weights}: no weights of {config.backbone} to be had{remedy}: {reason}"
        ) from None
