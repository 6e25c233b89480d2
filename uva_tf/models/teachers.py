"""The teachers: larger encoder-decoders that see frames at high resolution.

Both are encoders of four or five halvings, of their own or from keras.applications, with a
top-down decoder that adds each scale's features, so that the map is made from coarse
meaning and fine place alike, in the manner of DVA (Wang and Shen, IEEE TIP 2018). The
temporal teacher encodes two frames with the same weights and joins, at every scale, the
frame's features with their change.
"""

from __future__ import annotations

from pathlib import Path

import keras

from uva_tf.config import KINDS, TeacherConfig
from uva_tf.core.errors import InputError
from uva_tf.models.backbones import SCALES, build_backbone
from uva_tf.models.blocks import Block, Tensor, conv_unit


def build_teacher(kind: str, config: TeacherConfig, size: int) -> keras.Model:
    """Build a teacher with random weights.

    Args:
        kind: `spatial` (ignores `other`) or `temporal`.
        size: side of the frames in pixels, a multiple of 16, or of 32 with a backbone of
            five scales.

    Returns:
        Model from `{"frame", "other"}`, `[B, size, size, 3]` float32 in -1..1, to
        logits `[B, size / 2, size / 2, 1]`.

    Raises ValueError for another kind or size.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown teacher {kind!r}: choose one of {', '.join(KINDS)}")
    _check_size(config, size)
    plain = config.backbone == "plain"
    frame = keras.Input((size, size, 3), name="frame")
    other = keras.Input((size, size, 3), name="other")
    encode = _encoder(config) if plain else build_backbone(config.backbone, size)
    scales = encode(frame)
    if kind == "temporal":
        pairs = zip(scales, encode(other), strict=True)
        scales = [_join(f"change{n}", f, g) for n, (f, g) in enumerate(pairs)]
    inputs = {"frame": frame, "other": other}
    return keras.Model(inputs, _decode(scales, config), name=f"{kind}_teacher")


def check_teacher(config: TeacherConfig, size: int) -> None:
    """Raise InputError for a teacher that can't be built for frames of a size, or has no weights.

    Nothing is built or read yet.
    """
    _check_size(config, size)
    if config.weights not in ("none", "imagenet") and not Path(config.weights).is_file():
        raise InputError(
            f"teacher.weights {config.weights}: no such file, expected weights of "
            f"{config.backbone}, imagenet or none"
        )


def _check_size(config: TeacherConfig, size: int) -> None:
    plain = config.backbone == "plain"
    coarsest = 2 ** len(config.widths if plain else SCALES[config.backbone])
    if size % coarsest:
        raise InputError(
            f"frames of {size} px for a {config.backbone} teacher: expected a multiple of "
            f"{coarsest}, prepare them with --size"
        )


def _encoder(config: TeacherConfig) -> Block:
    stages: list[list[Block]] = []
    for number, width in enumerate(config.widths):
        stage = [conv_unit(keras, f"encoder{number}_down", width, 3, strides=2)]
        if number:  # a second convolution where it is cheap
            stage.append(conv_unit(keras, f"encoder{number}_conv", width, 3))
        stages.append(stage)

    def encode(x: Tensor) -> list[Tensor]:  # (B, S, S, 3) -> S/2, S/4, ... finest first
        scales = []
        for stage in stages:
            for unit in stage:
                x = unit(x)
            scales.append(x)
        return scales

    return encode


def _join(name: str, f: Tensor, g: Tensor) -> Tensor:
    change = keras.layers.Subtract(name=name)([f, g])
    return keras.layers.Concatenate(name=f"{name}_join")([f, change])


def _decode(scales: list[Tensor], config: TeacherConfig) -> Tensor:
    layers = keras.layers
    width = config.decoder
    x = conv_unit(keras, "top", width, 1)(layers.SpatialDropout2D(0.2)(scales[-1]))
    for number in reversed(range(len(scales) - 1)):
        width = config.decoder if number else config.decoder // 2
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{number}")(x)
        lateral = conv_unit(keras, f"lateral{number}", config.decoder, 1)(scales[number])
        x = layers.Add(name=f"add{number}")([x, lateral])
        x = conv_unit(keras, f"decoder{number}", width, 3)(x)
    # In full precision, also where the rest is computed in less.
    return layers.Conv2D(1, 3, padding="same", dtype=keras.backend.floatx(), name="logits")(x)
