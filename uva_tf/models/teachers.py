"""The teachers: encoder-decoders that are larger than the student and see larger frames.

The encoder halves the frame four or five times; it is a small one of our own or a backbone
of keras.applications. The decoder starts at the coarsest scale and adds each finer scale's
features, so that coarse scales say what is there and fine ones where, as in DVA (Wang and
Shen, IEEE TIP 2018). The temporal teacher encodes both frames with the same weights; at
every scale it concatenates the frame's features and their difference from the neighbour's.
"""

from __future__ import annotations

from pathlib import Path

import keras

from uva_tf.config import KINDS, TeacherConfig
from uva_tf.core.errors import InputError
from uva_tf.models.backbones import SCALES, build_backbone
from uva_tf.models.blocks import Block, Tensor, chain, conv_unit


def build_teacher(kind: str, config: TeacherConfig, size: int) -> keras.Model:
    """Build a teacher with random weights.

    Args:
        kind: `spatial` (ignores `other`) or `temporal`.
        size: side of the frames in pixels, a multiple of 16 for an encoder of four scales, of
            32 for one of five.

    Returns:
        Model from `{"frame", "other"}`, `[B, size, size, 3]` float32 in -1..1, to
        logits `[B, size / 2, size / 2, 1]`.

    Raises ValueError for another kind and InputError, which is one, for another size.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown teacher {kind!r}: expected one of {', '.join(KINDS)}")
    _check_size(config, size)
    plain = config.backbone == "plain"
    frame = keras.Input((size, size, 3), name="frame")
    other = keras.Input((size, size, 3), name="other")
    encode = _encoder(config) if plain else build_backbone(config.backbone, size)
    scales = encode(frame)  # (B, S/2, S/2, C), (B, S/4, S/4, C), ...
    if kind == "temporal":
        pairs = zip(scales, encode(other), strict=True)
        scales = [_join(f"change{n}", f, g) for n, (f, g) in enumerate(pairs)]
    inputs = {"frame": frame, "other": other}
    return keras.Model(inputs, _decode(scales, config), name=f"{kind}_teacher")


def check_teacher(config: TeacherConfig, size: int) -> None:
    """Raise InputError if frames of this size do not fit a teacher, or its weights are not there.

    Builds and reads nothing.
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
            f"{coarsest}: prepare them with uva-tf prepare --size"
        )


def _encoder(config: TeacherConfig) -> Block:
    """The encoder of our own: from a frame to its features at each scale, finest first."""
    scales: list[Block] = []
    for number, width in enumerate(config.widths):
        units = [conv_unit(keras, f"encoder{number}_down", width, 3, strides=2)]
        if number:  # a second convolution where it is cheap
            units.append(conv_unit(keras, f"encoder{number}_conv", width, 3))
        scales.append(chain(units))

    def encode(x: Tensor) -> list[Tensor]:  # (B, S, S, 3) -> (B, S/2, S/2, C), ...
        return [x := halve(x) for halve in scales]

    return encode


def _join(name: str, f: Tensor, g: Tensor) -> Tensor:  # two (B, h, w, C) -> (B, h, w, 2 C)
    change = keras.layers.Subtract(name=name)([f, g])
    return keras.layers.Concatenate(name=f"{name}_join")([f, change])


def _decode(scales: list[Tensor], config: TeacherConfig) -> Tensor:
    """From features at each scale, finest first, to logits `[B, S/2, S/2, 1]`."""
    layers = keras.layers
    width = config.decoder
    x = conv_unit(keras, "top", width, 1)(layers.SpatialDropout2D(0.2)(scales[-1]))
    for number in reversed(range(len(scales) - 1)):
        width = config.decoder if number else config.decoder // 2
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{number}")(x)
        lateral = conv_unit(keras, f"lateral{number}", config.decoder, 1)(scales[number])
        x = layers.Add(name=f"add{number}")([x, lateral])  # (B, h, w, decoder), as the scale's
        x = conv_unit(keras, f"decoder{number}", width, 3)(x)  # (B, h, w, width)
    # In full precision, even if the rest computes in bfloat16.
    return layers.Conv2D(1, 3, padding="same", dtype=keras.backend.floatx(), name="logits")(x)
