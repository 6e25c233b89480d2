"""The students' variant table, and the parts that a row of it is made of.

A row spells its layers out: `conv16` is a 3x3 convolution of 16 filters, `res16` a CA-Res
block, `|` a pooling that halves the size, `deconv8` and `sub8` double it (see `blocks`),
`sub1x4` makes it four times as large.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from uva_tf.config import StudentConfig
from uva_tf.models.blocks import ENLARGE, Block, Head, Parts, Path, ca_res, chain, conv_unit


@dataclass(frozen=True)
class Variant:
    """A student's layers.

    Attributes:
        resolution: side of its frames and maps in pixels.
        trunk: on each frame, down to a quarter of its size.
        path: of each path, after the temporal one's comparison of two frames.
        context: 0 for paths at a quarter of the frame's size; else they work at an eighth,
            and come back through so many channels, to meet the trunk's features.
        head: after a 1x1 convolution of 32 filters.
        decoder: from there to the map.
        noise: standard deviation of the noise that features get in training, where they
            lie in 0..6. It stands for the error of an integer trunk, and keeps the temporal
            path from building on changes that 8 bits can't hold.
    """

    resolution: int
    trunk: str
    path: str
    head: str
    decoder: str
    context: int = 0
    noise: float = 0.05


# paper:  the paper's architecture: CA-Res blocks of the plain network's widths.
# uva:    five times the plain network's speed: plain convolutions where the frame is large,
#         paths at an eighth of its size, and a convolution in place of the deconvolutions.
# uva-m:  the same with more of the frame's detail, which helps where it is small.
# docs/results.md has what each costs and gives.
_PAPER = Variant(
    resolution=64,
    trunk="conv16 res16 | res32 | res64",
    path="res64 res128",
    head="res32 res16",
    decoder="deconv8 deconv1",
)
_DETAILED = Variant(
    resolution=64,
    trunk="conv16 conv16 | conv24 | conv48",
    path="conv48 conv64",
    context=48,
    head="res32 res16",
    decoder="sub8 sub1",
    noise=0.02,
)
_FAST = Variant(
    resolution=64,
    trunk="conv16 | conv16 conv32 | conv48",
    path="res64 res48",
    context=32,
    head="res32",
    decoder="sub1x4",
    noise=0.02,
)
VARIANTS: dict[str, Variant] = {
    "uva-64": _FAST,
    "uva-32": replace(_FAST, resolution=32),
    "uva-32-m": replace(_DETAILED, resolution=32),
    "paper-64": _PAPER,
    "paper-32": replace(_PAPER, resolution=32),
}
ENTRY = 32  # filters of a head's first convolution


def variant_parts(keras: ModuleType, config: StudentConfig) -> Parts:
    """The parts of a row of `VARIANTS`."""
    variant = VARIANTS[config.variant]
    stack = functools.partial(_stack, keras, config.channel_attention)
    return Parts(
        features=_width(variant.trunk),
        trunk=functools.partial(_trunk, keras, variant, stack),
        paths={
            "spatial": functools.partial(_spatial_path, keras, variant, stack),
            "temporal": functools.partial(_temporal_path, keras, variant, stack),
        },
        head=functools.partial(_head, keras, variant, stack),
    )


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Kind, filters and factor of each layer: `sub1x4` is of kind sub, 1 filter, factor 4."""
    found = [re.fullmatch(r"([a-z]+)(\d+)(?:x(\d))?", token) for token in text.split()]
    return [(match[1], int(match[2]), int(match[3] or 2)) for match in found]


def _width(text: str) -> int:
    """Filters of the last layer."""
    return _tokens(text.rpartition("|")[2])[-1][1]


def _stack(
    keras: ModuleType,
    attention: bool,
    name: str,
    text: str,
    width: int,
    *,
    first: int = 1,
    rectify: bool = False,
) -> list[Block]:
    """Convolutions and CA-Res blocks `name1`, `name2` and so on.

    Args:
        width: channels that come in.
        first: number of the first.
        rectify: the last one, if it is a CA-Res block; convolutions are anyway.
    """
    blocks = []
    tokens = _tokens(text)
    for number, (kind, filters, _) in enumerate(tokens, first):
        if kind == "conv":
            block = conv_unit(keras, f"{name}{number}", filters, 3)
        else:
            last = number == first + len(tokens) - 1
            block = ca_res(
                keras,
                f"{name}{number}",
                width,
                filters,
                rectify=rectify and last,
                attention=attention,
            )
        blocks.append(block)
        width = filters
    return blocks


def _trunk(keras: ModuleType, variant: Variant, stack: Callable[..., list[Block]]) -> Block:
    layers = keras.layers
    stem, _, rest = variant.trunk.partition(" ")
    width, number = _width(stem), 0
    blocks = [conv_unit(keras, "stem", width, 3)]
    parts = rest.split("|")
    for level, part in enumerate(parts):
        if level:
            blocks.append(layers.MaxPooling2D(3, 2, padding="same", name=f"pool{level}"))
        if part.strip():
            # Features from 0 to 6 keep one 8-bit scale when a stream hands them back.
            last = level == len(parts) - 1
            blocks += (added := stack("trunk", part, width, first=number + 1, rectify=last))
            width, number = _width(part), number + len(added)
    # In training only.
    return chain([*blocks, layers.GaussianNoise(variant.noise, name="features")])


def _pool(keras: ModuleType, variant: Variant, name: str) -> Block:
    """From a quarter of the frame's size to that of the paths."""
    if not variant.context:
        return lambda f: f
    return keras.layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_context")


def _spatial_path(keras: ModuleType, variant: Variant, stack: Callable[..., list[Block]]) -> Path:
    pool = _pool(keras, variant, "spatial")
    path = chain(stack("spatial", variant.path, _width(variant.trunk)))
    return lambda f, g: path(pool(f))


def _temporal_path(keras: ModuleType, variant: Variant, stack: Callable[..., list[Block]]) -> Path:
    layers = keras.layers
    width = _tokens(variant.path)[0][1]
    pool_one, pool_other = (_pool(keras, variant, name) for name in ("temporal", "other"))
    change = layers.Subtract(name="change")
    # A 1x1 convolution of [f, f - g] is the sum of two, one for each part. Apart they are
    # normalised apart, so that the small differences between frames are not drowned, and
    # an integer model needs no common scale for both.
    appearance = conv_unit(keras, "appearance", width, 1, activation=False)
    motion = conv_unit(keras, "motion", width, 1, activation=False)
    join = layers.Add(name="join")
    relu = layers.ReLU(6.0, name="join_relu")
    path = chain(stack("temporal", variant.path, width))

    def block(f, g):  # two (B, R/4, R/4, C) -> (B, R/4, R/4, width), or at an eighth
        one, other = pool_one(f), pool_other(g)
        return path(relu(join([appearance(one), motion(change([one, other]))])))

    return block


def _head(
    keras: ModuleType, variant: Variant, stack: Callable[..., list[Block]], name: str
) -> Head:
    layers = keras.layers
    entry = chain(
        [
            conv_unit(keras, f"{name}_enter", ENTRY, 1),
            *stack(name, variant.head, ENTRY),
            *_decoder(keras, variant, name),
        ]
    )
    if not variant.context:
        return lambda paths, features: entry(paths)
    narrow = conv_unit(keras, f"{name}_context", variant.context, 1)
    double = layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_double")
    both = layers.Concatenate(name=f"{name}_both")
    return lambda paths, features: entry(both([double(narrow(paths)), features]))


def _decoder(keras: ModuleType, variant: Variant, name: str) -> list[Block]:
    tokens = _tokens(variant.decoder)
    return [
        ENLARGE[kind](
            keras, f"{name}_{kind}{number}", filters, factor=factor, last=number == len(tokens)
        )
        for number, (kind, filters, factor) in enumerate(tokens, start=1)
    ]
