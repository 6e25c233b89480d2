"""The students' variant table, and the parts that a row of it is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from uva_tf.config import StudentConfig
from uva_tf.models.blocks import ENLARGE, Block, ca_res, chain, conv_unit
from uva_tf.models.parts import Parts, Path

# Standard deviation of the error that an integer trunk makes in its features. Training
# with it keeps the temporal path from building on changes that 8 bits can't hold.
FEATURE_NOISE = 0.05


@dataclass(frozen=True)
class Variant:
    """Layer widths of a student; see the table below for their order.

    Attributes:
        stride: of the first convolution, 1 or 2. With 2 there is no block at full size.
        attention: the CA-Res blocks that weight their channels.
        decoder: how the head enlarges its map, a key of `blocks.ENLARGE`.
    """

    resolution: int
    trunk: tuple[int, int, int]
    path: tuple[int, int]
    head: tuple[int, int, int, int]
    stride: int
    expansion: int
    attention: frozenset[str]
    decoder: str


EVERY_BLOCK = frozenset(
    f"{part}{number}"
    for part, count in {"trunk": 3, "spatial": 2, "temporal": 2, "head": 2}.items()
    for number in range(1, count + 1)
)
LAST_BLOCKS = frozenset({"trunk3", "spatial2", "temporal2"})

# `uva`: the plain network's layer widths (arXiv 1904.04449, released network), CA-Res blocks.
# `uva-s`: the frontier's fast end; see docs/results.md for what each change costs and gives.
#
#   part           layers, by output width                                      side at 64 px
#   trunk          conv 3x3, CA-Res | pool, CA-Res | pool, CA-Res                64 | 32 | 16
#     stride 2     conv 3x3/2, CA-Res | pool, CA-Res                             32 | 16
#   spatial path   CA-Res, CA-Res           on f(t)                              16
#   temporal path  1x1, CA-Res, CA-Res      on [f(t), f(t) - f(other)]           16
#   head           1x1, CA-Res, CA-Res | enlarge by 2 | enlarge by 2             16 | 32 | 64
_PAPER = Variant(
    resolution=64,
    trunk=(16, 32, 64),
    path=(64, 128),
    head=(32, 32, 16, 8),
    stride=1,
    expansion=2,
    attention=EVERY_BLOCK,
    decoder="deconv",
)
_SMALL = replace(
    _PAPER,
    trunk=(16, 32, 48),
    path=(48, 64),
    stride=2,
    attention=LAST_BLOCKS,
    decoder="subpixel",
)
VARIANTS: dict[str, Variant] = {
    "uva-64": _PAPER,
    "uva-64-s": _SMALL,
    "uva-32": replace(_PAPER, resolution=32),
    "uva-32-s": replace(_SMALL, resolution=32),
}


def variant_parts(keras: ModuleType, config: StudentConfig) -> Parts:
    """The parts of a row of `VARIANTS`."""
    variant = VARIANTS[config.variant]

    def res(name: str, filters_in: int, filters: int, **options) -> Block:
        return ca_res(
            keras,
            name,
            filters_in,
            filters,
            expansion=variant.expansion,
            # Heads of single paths are made like the fused one.
            attention=config.channel_attention and name.split("_")[-1] in variant.attention,
            **options,
        )

    return Parts(
        features=variant.trunk[-1],
        width=variant.path[-1],
        trunk=functools.partial(_trunk, keras, variant, res),
        paths={
            "spatial": functools.partial(_spatial_path, variant, res),
            "temporal": functools.partial(_temporal_path, keras, variant, res),
        },
        head=functools.partial(_head, keras, variant, res),
    )


def _trunk(keras: ModuleType, variant: Variant, res: Callable[..., Block]) -> Block:
    one, two, three = variant.trunk
    layers = keras.layers

    def pool(number: int) -> Block:
        return layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")

    stem = conv_unit(keras, "stem", one, 3, strides=variant.stride)
    return chain(
        [
            *([stem] if variant.stride == 2 else [stem, res("trunk1", one, one), pool(1)]),
            res("trunk2", one, two),
            pool(2),
            # Rectified before the attention gate: features from 0 to 6 keep one 8-bit scale
            # when a stream hands them back as its state.
            res("trunk3", two, three, rectify=True),
            # In training only.
            layers.GaussianNoise(FEATURE_NOISE, name="features"),
        ]
    )


def _spatial_path(variant: Variant, res: Callable[..., Block]) -> Path:
    width, (one, two) = variant.trunk[-1], variant.path
    first, second = res("spatial1", width, one), res("spatial2", one, two)
    return lambda f, g: second(first(f))


def _temporal_path(keras: ModuleType, variant: Variant, res: Callable[..., Block]) -> Path:
    one, two = variant.path
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
    keras: ModuleType, variant: Variant, res: Callable[..., Block], name: str, width: int
) -> Block:
    one, two, three, four = variant.head
    enlarge = ENLARGE[variant.decoder]
    return chain(  # (B, R/4, R/4, width) -> (B, R, R, 1)
        [
            conv_unit(keras, f"{name}_enter", one, 1),
            res(f"{name}1", one, two),
            res(f"{name}2", two, three),
            enlarge(keras, f"{name}_deconv1", four),
            enlarge(keras, f"{name}_deconv2", 1, last=True),
        ]
    )
