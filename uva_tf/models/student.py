"""The student: one variant table, one builder, two compositions of the same weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from uva_tf.config import StudentConfig
from uva_tf.models.blocks import BATCH_NORM_MOMENTUM, Block, Tensor, ca_res, conv_unit

Model = Any
# From the features of two frames to those that a head draws a map of.
Path = Callable[[Tensor, Tensor], Tensor]


# Standard deviation of the error that an integer trunk makes in its features. Training
# with it keeps the temporal path from building on changes that 8 bits can't hold.
FEATURE_NOISE = 0.05


@dataclass(frozen=True)
class Variant:
    """Layer widths of a student; see the table below for their order."""

    resolution: int
    trunk: tuple[int, int, int]
    path: tuple[int, int]
    head: tuple[int, int, int, int, int]
    expansion: int


# The plain network's layer widths (arXiv 1904.04449, released network) with CA-Res blocks.
#
#   part           layers, by output width                                      side at 64 px
#   trunk          conv 3x3, CA-Res | pool, CA-Res | pool, CA-Res                64 | 32 | 16
#   spatial path   CA-Res, CA-Res           on f(t)                              16
#   temporal path  1x1, CA-Res, CA-Res      on [f(t), f(t) - f(other)]           16
#   head           1x1, CA-Res, CA-Res | deconv 4x4/2 | deconv 4x4/2             16 | 32 | 64
VARIANTS: dict[str, Variant] = {
    name: Variant(
        resolution,
        trunk=(16, 32, 64),
        path=(64, 128),
        head=(32, 32, 16, 8, 1),
        expansion=2,
    )
    for name, resolution in {"uva-64": 64, "uva-32": 32}.items()
}


@dataclass(frozen=True)
class Student:
    """Keras models that share one set of weights.

    Frames are `[B, R, R, 3]` float32 in -1..1 (see `models.maps`), features
    `[B, R/4, R/4, 64]` float32 in 0..6, logits `[B, R, R, 1]`, from which
    `models.maps.attention` makes the finished map.

    Attributes:
        trunk: `frame -> features`.
        head: `features, other_features -> logits`.
        pair: `frame, other -> logits`, for training and files.
        step: `frame, state -> logits, features`, for streams; `state` holds the
            features of the previous call.
        paths: `frame, other -> logits of each path by its kind`, each under a head of its
            own; only distillation uses those heads.
    """

    trunk: Model
    head: Model
    pair: Model
    step: Model
    paths: Model


def build_student(config: StudentConfig, keras: ModuleType | None = None) -> Student:
    """Build the student of a config in a Keras namespace (Keras 3 by default).

    Raises ValueError for a variant that the table does not hold.
    """
    if keras is None:
        import keras
    if config.variant not in VARIANTS:
        raise ValueError(
            f"unknown student variant {config.variant!r}: choose one of {', '.join(VARIANTS)}"
        )
    variant = VARIANTS[config.variant]
    side = variant.resolution
    res = functools.partial(
        ca_res, keras, expansion=variant.expansion, attention=config.channel_attention
    )
    trunk = _trunk(keras, variant, res)
    builders = {"spatial": _spatial_path, "temporal": _temporal_path}
    paths = {kind: builders[kind](keras, variant, res) for kind in config.paths}
    fuse = keras.layers.Concatenate(name="fuse") if len(paths) > 1 else lambda parts: parts[0]
    fused_head = _head(keras, "head", variant, len(paths) * variant.path[-1], res)
    heads = {kind: _head(keras, f"{kind}_head", variant, variant.path[-1], res) for kind in paths}

    def attend(f, g):  # two feature tensors -> (B, R, R, 1)
        return fused_head(fuse([path(f, g) for path in paths.values()]))

    def frame_input(name):
        return keras.Input((side, side, 3), name=name)

    def state_input(name):
        return keras.Input((side // 4, side // 4, variant.trunk[-1]), name=name)

    frame, other = frame_input("frame"), frame_input("other")
    trunk_model = keras.Model(frame, trunk(frame), name="trunk")
    f, g = trunk(frame), trunk(other)
    inputs = {"frame": frame, "other": other}
    pair = keras.Model(inputs, attend(f, g), name="pair")
    apart = {kind: heads[kind](path(f, g)) for kind, path in paths.items()}
    paths_model = keras.Model(inputs, apart, name="paths")

    features, other_features = state_input("features"), state_input("other_features")
    head_model = keras.Model([features, other_features], attend(features, other_features))

    frame, state = frame_input("frame"), state_input("state")
    f = trunk(frame)
    # `next` pairing draws the map of the previous frame, whose features are the state.
    logits = attend(state, f) if config.pairing == "next" else attend(f, state)
    step = keras.Model(
        {"frame": frame, "state": state}, {"attention": logits, "state": f}, name="step"
    )
    return Student(trunk_model, head_model, pair, step, paths_model)


def _trunk(keras: ModuleType, variant: Variant, res: Callable[..., Block]) -> Block:
    one, two, three = variant.trunk
    layers = keras.layers
    stack = [
        conv_unit(keras, "stem", one, 3),
        res("trunk1", one, one),
        layers.MaxPooling2D(3, 2, padding="same", name="pool1"),
        res("trunk2", one, two),
        layers.MaxPooling2D(3, 2, padding="same", name="pool2"),
        # Rectified before the attention gate: features from 0 to 6 keep one 8-bit scale
        # when a stream hands them back as its state.
        res("trunk3", two, three, rectify=True),
        # In training only.
        layers.GaussianNoise(FEATURE_NOISE, name="features"),
    ]

    def block(frame):  # (B, R, R, 3) -> (B, R/4, R/4, C)
        for layer in stack:
            frame = layer(frame)
        return frame

    return block


def _spatial_path(keras: ModuleType, variant: Variant, res: Callable[..., Block]) -> Path:
    width, (one, two) = variant.trunk[-1], variant.path
    first, second = res("spatial1", width, one), res("spatial2", one, two)
    return lambda f, g: second(first(f))


def _temporal_path(keras: ModuleType, variant: Variant, res: Callable[..., Block]) -> Path:
    (one, two) = variant.path
    layers = keras.layers
    change = layers.Subtract(name="change")
    # A 1x1 convolution of [f, f - g] is the sum of two, one for each part. Apart they are
    # normalised apart, so that the small differences between frames are not drowned, and
    # an integer model needs no common scale for both.
    appearance = conv_unit(keras, "appearance", one, 1, activation=False)
    motion = conv_unit(keras, "motion", one, 1, activation=False)
    join = layers.Add(name="join")
    relu = layers.ReLU(6.0, name="join_relu")
    first, second = res("temporal1", one, one), res("temporal2", one, two)

    def block(f, g):  # two (B, R/4, R/4, width) -> (B, R/4, R/4, two)
        return second(first(relu(join([appearance(f), motion(change([f, g]))]))))

    return block


def _head(
    keras: ModuleType, name: str, variant: Variant, width: int, res: Callable[..., Block]
) -> Block:
    one, two, three, four, five = variant.head
    layers = keras.layers

    def deconv(number, filters, **options):
        return layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", name=f"{name}_deconv{number}", **options
        )

    stack = [
        conv_unit(keras, f"{name}_enter", one, 1),
        res(f"{name}1", one, two),
        res(f"{name}2", two, three),
        deconv(1, four, use_bias=False),
        layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"),
        layers.ReLU(6.0, name=f"{name}_relu"),
        # In full precision, also where the rest is computed in less.
        deconv(2, five, dtype=keras.backend.floatx()),
    ]

    def block(x):  # (B, R/4, R/4, width) -> (B, R, R, 1)
        for layer in stack:
            x = layer(x)
        return x

    return block
