"""The table of student variants, and the layers that a row of it stands for.

A row spells its layers out: `conv16` is a 3x3 convolution of 16 filters, `res16` a CA-Res block of
16 filters, `|` a max pooling that halves the size. `deconv8` and `sub8` double the size (see
`blocks`), `sub1x4` makes it four times as large.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

from uva_tf.config import KINDS, StudentConfig
from uva_tf.models.blocks import (
    ENLARGE,
    Block,
    Head,
    Parts,
    PathBlock,
    ca_res,
    chain,
    conv_unit,
)


@dataclass(frozen=True)
class Variant:
    """A student's layers, as text.

    Attributes:
        resolution: side of its frames and maps in pixels.
        inside: side S that the trunk shrinks frames to, and the head enlarges logits from; 0 for
            the resolution R itself. Below, a frame's size is this one.
        trunk: from a frame to features at a quarter of its size; a stem, then the other layers.
        path: of each path; in the temporal one it follows the comparison of the two frames.
        head: what follows the head's first layer, a 1x1 convolution of 32 filters.
        decoder: what follows the head, up to the map.
        context: 0 if the paths work at a quarter of the frame's size. Otherwise they work at an
            eighth, are reduced to this many channels, enlarged, and joined with the trunk's
            features.
        noise: standard deviation of the noise that is added in training to the features, whose
            values lie in 0..6. It stands for the error of an 8-bit trunk, so that the temporal
            path does not rely on changes too small for 8 bits.
        paths: which paths it has at most.
    """

    resolution: int
    trunk: str
    path: str
    head: str
    decoder: str
    context: int = 0
    noise: float = 0.05
    inside: int = 0
    paths: tuple[str, ...] = KINDS


# paper:   the paper's architecture: CA-Res blocks with the plain network's widths.
# uva:     five times as fast as the plain network: plain convolutions where the size is large,
#          paths at an eighth of the frame's size, one convolution for the deconvolutions.
# uva-..-l:  two and a half times as fast: more filters where the size is large, which generalises
#          better.
# uva-..-xs: ten times as fast: works at 48 px, and one path sees appearance and motion.
# uva-..-m: between paper and uva: keeps more of the frame's detail, which helps at 32 px.
# docs/results-speed.md and docs/results-kinds.md have the speed and the accuracy of each.
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
_LARGE = replace(_FAST, trunk="conv16 conv24 | conv32 conv32 | conv64")
_FASTEST = replace(_FAST, inside=48, paths=("temporal",))
VARIANTS: dict[str, Variant] = {
    "uva-64": _FAST,
    "uva-64-l": _LARGE,
    "uva-64-xs": _FASTEST,
    "uva-32": replace(_FAST, resolution=32),
    "uva-32-m": replace(_DETAILED, resolution=32),
    "paper-64": _PAPER,
    "paper-32": replace(_PAPER, resolution=32),
}
ENTRY = 32  # filters of a head's first convolution

Stack = Callable[..., list[Block]]  # `_stack` for one Keras, with or without channel attention


def variant_parts(keras: ModuleType, config: StudentConfig) -> Parts:
    """The parts of the configuration's row in `VARIANTS`."""
    variant = VARIANTS[config.variant]
    stack = functools.partial(_stack, keras, config.channel_attention)
    return Parts(
        trunk=functools.partial(_trunk, keras, variant, stack),
        paths={
            kind: functools.partial(PATHS[kind], keras, variant, stack) for kind in variant.paths
        },
        head=functools.partial(_head, keras, variant, stack),
    )


def _trunk(keras: ModuleType, variant: Variant, stack: Stack) -> Block:
    """`[B, R, R, 3]` to features `[B, S/4, S/4, C]`."""
    layers = keras.layers
    stem, _, rest = variant.trunk.partition(" ")
    width, count = _width(stem), 0
    blocks = [
        *_resized(keras, variant, variant.inside, "shrink"),
        conv_unit(keras, "stem", width, 3),
    ]
    levels = rest.split("|")  # by size, that of the stem's output first
    for level, text in enumerate(levels):
        if level:
            blocks.append(layers.MaxPooling2D(3, 2, padding="same", name=f"pool{level}"))
        if text.strip():
            # Features that end in 0..6 have one fixed 8-bit scale, for both ends of a stream.
            rectify = level == len(levels) - 1
            added = stack("trunk", text, width, first=count + 1, rectify=rectify)
            blocks += added
            width, count = _width(text), count + len(added)
    noise = layers.GaussianNoise(variant.noise, name="features")  # in training only
    return chain([*blocks, noise])


def _spatial_path(keras: ModuleType, variant: Variant, stack: Stack) -> PathBlock:
    """Features of the mapped frame to path features; the neighbour's are ignored."""
    pool = _pool(keras, variant, "spatial")
    path = chain(stack("spatial", variant.path, _width(variant.trunk)))
    return lambda f, g: path(pool(f))  # (B, S/4, S/4, C) -> (B, S/4, S/4, width), or at S/8


def _temporal_path(keras: ModuleType, variant: Variant, stack: Stack) -> PathBlock:
    """Features of the mapped frame and their difference from the neighbour's to path features."""
    layers = keras.layers
    width = _tokens(variant.path)[0][1]
    pool_one, pool_other = (_pool(keras, variant, name) for name in ("temporal", "other"))
    change = layers.Subtract(name="change")
    # A 1x1 convolution of the concatenation [f, f - g] equals the sum of two 1x1 convolutions.
    # Kept apart, each has its own batch normalisation, so that large features do not drown
    # small differences, and its own scale in an integer model.
    appearance = conv_unit(keras, "appearance", width, 1, activation=False)
    motion = conv_unit(keras, "motion", width, 1, activation=False)
    join = layers.Add(name="join")
    relu = layers.ReLU(6.0, name="join_relu")
    path = chain(stack("temporal", variant.path, width))

    def block(f, g):  # two (B, S/4, S/4, C) -> (B, S/4, S/4, width), or at S/8
        one, other = pool_one(f), pool_other(g)
        joined = join([appearance(one), motion(change([one, other]))])
        return path(relu(joined))

    return block


PATHS = {"spatial": _spatial_path, "temporal": _temporal_path}


def _pool(keras: ModuleType, variant: Variant, name: str) -> Block:
    """From a quarter of the frame's size to the size that the paths work at."""
    if not variant.context:
        return lambda f: f
    return keras.layers.MaxPooling2D(3, 2, padding="same", name=f"{name}_context")


def _head(keras: ModuleType, variant: Variant, stack: Stack, name: str) -> Head:
    """Path features, and with `context` the trunk's features, to logits `[B, R, R, 1]`."""
    layers = keras.layers
    draw = chain(
        [
            conv_unit(keras, f"{name}_enter", ENTRY, 1),
            *stack(name, variant.head, ENTRY),
            *_decoder(keras, variant, name),
            *_resized(keras, variant, variant.resolution, f"{name}_enlarge"),
        ]
    )
    if not variant.context:
        return lambda paths, features: draw(paths)
    narrow = conv_unit(keras, f"{name}_context", variant.context, 1)
    double = layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_double")
    both = layers.Concatenate(name=f"{name}_both")

    def block(paths, features):  # (B, S/8, S/8, width), (B, S/4, S/4, C) -> (B, R, R, 1)
        context = double(narrow(paths))  # (B, S/4, S/4, context)
        return draw(both([context, features]))

    return block


def _resized(keras: ModuleType, variant: Variant, side: int, name: str) -> list[Block]:
    """To `[B, side, side, C]`, bilinearly, where a variant's layers work at another size."""
    if not variant.inside:
        return []
    return [keras.layers.Resizing(side, side, dtype=keras.backend.floatx(), name=name)]


def _decoder(keras: ModuleType, variant: Variant, name: str) -> list[Block]:
    """Layers that enlarge `[B, S/4, S/4, C]` to logits `[B, R, R, 1]`."""
    tokens = _tokens(variant.decoder)
    return [
        ENLARGE[kind](
            keras, f"{name}_{kind}{number}", filters, factor=factor, last=number == len(tokens)
        )
        for number, (kind, filters, factor) in enumerate(tokens, start=1)
    ]


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
    """The convolutions and CA-Res blocks of a text, named `name1`, `name2` and so on.

    Args:
        attention: whether CA-Res blocks have channel attention.
        width: channels that come in.
        first: the first block's number.
        rectify: end with a ReLU6 if the last block is CA-Res; a convolution always does.
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


def _width(text: str) -> int:
    """Filters of a text's last layer."""
    return _tokens(text.rpartition("|")[2])[-1][1]


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """Kind, filters and factor of each layer: `sub1x4` is of kind sub, 1 filter, factor 4."""
    found = [re.fullmatch(r"([a-z]+)(\d+)(?:x(\d))?", token) for token in text.split()]
    return [(match[1], int(match[2]), int(match[3] or 2)) for match in found]
