"""Backbones of keras.applications as multi-scale encoders, and their pretrained weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from uva_tf.config import TeacherConfig
from uva_tf.core.errors import InputError, first_line
from uva_tf.core.files import check_file
from uva_tf.models.blocks import Block, Tensor

NAME = "backbone"  # of the encoder's layer in a teacher

# Each backbone's last layer at 1/2 of the frame's side, at 1/4, and so on.
SCALES: dict[str, tuple[str, ...]] = {
    # conv3-3, conv4-3 and conv5-3 as in DVA (Wang and Shen, IEEE TIP 2018), and a finer one.
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
IMAGENET_MEANS_BGR = (103.939, 116.779, 123.68)  # of 0..255, subtracted in VGG16's training


def build_backbone(name: str, size: int) -> Block:
    """An encoder with random weights; all calls use the same weights.

    Maps frames `[B, size, size, 3]` float32 RGB in -1..1 to a list of features, finest
    first: `[B, size / 2, size / 2, C]`, `[B, size / 4, size / 4, C]` and so on.
    """
    # weights=None keeps Keras from downloading any.
    whole = _APPLICATIONS[name](include_top=False, weights=None, input_shape=(size, size, 3))
    scales = [whole.get_layer(layer).output for layer in SCALES[name]]
    encoder = keras.Model(whole.input, scales, name=NAME)

    def encode(frame: Tensor) -> list[Tensor]:  # (B, S, S, 3) -> S/2, S/4, ...
        return encoder(_as_trained(name, frame))

    return encode


def _as_trained(name: str, frame: Tensor) -> Tensor:
    """Frames `[B, S, S, 3]` in -1..1 on the scale that a backbone's ImageNet weights expect."""
    if name == "mobilenetv2":
        return frame
    # In full precision: bfloat16 would round values near 255.
    frame = keras.layers.Rescaling(127.5, offset=127.5, dtype=keras.backend.floatx())(frame)
    if name == "vgg16":
        return keras.ops.flip(frame, axis=-1) - keras.ops.array(IMAGENET_MEANS_BGR)
    return frame  # EfficientNetV2 takes 0..255 and normalises it itself


def load_backbone_weights(teacher: keras.Model, config: TeacherConfig) -> None:
    """Load the weights that a configuration names, if any, into a new teacher's backbone.

    Args:
        teacher: built by `models.teachers.build_teacher` from the same configuration.

    Raises InputError if the weights can't be downloaded or read, or are another backbone's.
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
                f"{config.weights}: layer {layer.name} does not fit {config.backbone}: expected "
                f"weights of {config.backbone}"
            ) from None


def _pretrained(config: TeacherConfig, shape: tuple[int, int, int]) -> keras.Model:
    """The whole backbone, without its top, with the weights that a configuration names."""
    application, path = _APPLICATIONS[config.backbone], Path(config.weights)
    if config.weights != "imagenet":
        check_file(path, remedy=f", expected weights of {config.backbone}")
    try:
        if config.weights == "imagenet":
            return application(include_top=False, weights="imagenet", input_shape=shape)
        # Not load_model: a larger network, such as VGG19, has layers of the same names and shapes.
        model = application(include_top=False, weights=None, input_shape=shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # hundreds, before an error that says why
            model.load_weights(path)
        return model
    except Exception as error:  # a failed download or a broken file can raise anything in Keras
        reason = first_line(error)
        remedy = " (give a file)" if config.weights == "imagenet" else ""
        raise InputError(
            f"{config.weights}: no weights of {config.backbone} loaded{remedy}: {reason}"
        ) from None
