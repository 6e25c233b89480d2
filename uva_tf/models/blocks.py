"""Building blocks of the student: CA-Res, channel attention, convolution units.

A block is a function that makes its layers once and returns a function from tensor to
tensor: called twice, that function uses the same weights. Keras is an argument, because
the same code builds the student in Keras 3 and its twin, for fine-tuning, in tf_keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Tensor = Any
Block = Callable[[Tensor], Tensor]
# From the trunk's features of the mapped frame and of its neighbour to path features.
PathBlock = Callable[[Tensor, Tensor], Tensor]
# From path features and the trunk's features of the mapped frame to logits.
Head = Callable[[Tensor, Tensor], Tensor]

# The paper's, which suits short trainings; Keras' own is 0.99.
BATCH_NORM_MOMENTUM = 0.95


@dataclass(frozen=True)
class Parts:
    """Functions that make a student's layers; each call makes new layers.

    Attributes:
        trunk: `() -> frame [B, R, R, 3] -> features [B, S/4, S/4, C]`.
        paths: `() -> (features, other features) -> path features` for each kind of path.
        head: `name of its layers -> (path features, features) -> logits [B, R, R, 1]`.
    """

    trunk: Callable[[], Block]
    paths: Mapping[str, Callable[[], PathBlock]]
    head: Callable[[str], Head]


def conv_unit(
    keras: ModuleType,
    name: str,
    filters: int,
    kernel: int,
    *,
    strides: int = 1,
    activation: bool = True,
) -> Block:
    """Convolution, batch normalisation and, with `activation`, ReLU6.

    Maps `[B, H, W, C]` to `[B, H / strides, W / strides, filters]`.
    """
    layers = keras.layers
    stack = [
        layers.Conv2D(
            filters, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
        ),
        layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"),
    ]
    if activation:
        stack.append(layers.ReLU(6.0, name=f"{name}_relu"))
    return chain(stack)


def channel_attention(keras: ModuleType, name: str, filters: int, *, reduction: int = 8) -> Block:
    """Scale the channels by a gate, computed from global average and global max pooling.

    The two pooled vectors are added and pass through a bottleneck of `filters / reduction`
    units, at least 8. Maps `[B, H, W, filters]` to the same shape. Source: UVA-Net (arXiv
    1904.04449), section 3.
    """
    layers = keras.layers
    average = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_average")
    maximum = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}_maximum")
    # Added, not concatenated: a concatenation has one 8-bit scale for both vectors. Through the
    # maximum the block's own output would get that scale too, and lose its negative half.
    pool = layers.Add(name=f"{name}_pool")
    squeeze = layers.Conv2D(
        max(8, filters // reduction), 1, activation="relu", name=f"{name}_squeeze"
    )
    excite = layers.Conv2D(filters, 1, name=f"{name}_excite")
    gate = layers.Activation("sigmoid", name=f"{name}_gate")
    scale = layers.Multiply(name=f"{name}_scale")

    def block(x: Tensor) -> Tensor:  # (B, H, W, C) -> (B, H, W, C)
        pooled = pool([average(x), maximum(x)])  # (B, 1, 1, C)
        return scale([x, gate(excite(squeeze(pooled)))])  # gate: (B, 1, 1, C)

    return block


def ca_res(
    keras: ModuleType,
    name: str,
    filters_in: int,
    filters: int,
    *,
    expansion: int = 2,
    rectify: bool = False,
    attention: bool = True,
) -> Block:
    """CA-Res: an inverted residual whose output channels are weighted by channel attention.

    1x1 expansion, batch norm, ReLU6, SeparableConv2D 3x3, batch norm, channel attention;
    the input is added if `filters_in` equals `filters`. Maps `[B, H, W, filters_in]` to
    `[B, H, W, filters]`. Source: UVA-Net (arXiv 1904.04449), section 3.

    Args:
        expansion: channels after the 1x1 expansion, as a multiple of `filters_in`.
        rectify: put a ReLU6 before the attention; the output then lies in 0..6, unless the
            input is added.
        attention: False leaves the channel attention out, for comparisons.
    """
    layers = keras.layers
    expand = conv_unit(keras, f"{name}_expand", expansion * filters_in, 1)
    project = [
        layers.SeparableConv2D(
            filters, 3, padding="same", use_bias=False, name=f"{name}_separable"
        ),
        layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"),
    ]
    if rectify:
        project.append(layers.ReLU(6.0, name=f"{name}_relu"))
    project = chain(project)
    attend = channel_attention(keras, f"{name}_attention", filters) if attention else lambda x: x
    add = layers.Add(name=f"{name}_add") if filters_in == filters else None

    def block(x: Tensor) -> Tensor:  # (B, H, W, filters_in) -> (B, H, W, filters)
        wide = expand(x)  # (B, H, W, expansion * filters_in)
        y = attend(project(wide))
        return add([x, y]) if add else y

    return block


def deconv(
    keras: ModuleType, name: str, filters: int, *, factor: int = 2, last: bool = False
) -> Block:
    """Enlarge by a transposed convolution whose kernel is twice the factor.

    Maps `[B, H, W, C]` to `[B, factor H, factor W, filters]`. Batch normalisation and ReLU6
    follow, except after the network's last layer.
    """
    layers = keras.layers
    options = {"strides": factor, "padding": "same", "name": name}
    if last:
        # In full precision, even if the rest computes in bfloat16.
        return layers.Conv2DTranspose(filters, 2 * factor, dtype=keras.backend.floatx(), **options)
    return chain(
        [
            layers.Conv2DTranspose(filters, 2 * factor, use_bias=False, **options),
            layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_bn"),
            layers.ReLU(6.0, name=f"{name}_relu"),
        ]
    )


def subpixel(
    keras: ModuleType, name: str, filters: int, *, factor: int = 2, last: bool = False
) -> Block:
    """Enlarge by a 3x3 convolution whose channels become pixels.

    Shapes as in `deconv`, and it can compute all that `deconv` can. XNNPACK runs it several
    times as fast: it pads few filters to a full tile, and here there are `factor^2` times as
    many. In a file it has four dimensions: see `compression.graph`. Source: Shi et al.,
    "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016.
    """
    layers = keras.layers
    channels = factor**2 * filters
    if last:
        precision = {"dtype": keras.backend.floatx()}
        conv = layers.Conv2D(channels, 3, padding="same", name=f"{name}_conv", **precision)
    else:
        precision = {}
        conv = conv_unit(keras, name, channels, 3)

    def block(x: Tensor) -> Tensor:  # (B, H, W, C) -> (B, factor H, factor W, filters)
        _, height, width, _ = x.shape
        split, join = (height, width, factor, factor), (factor * height, factor * width)
        stack = [
            layers.Reshape((*split, filters), name=f"{name}_split", **precision),
            layers.Permute((1, 3, 2, 4, 5), name=f"{name}_weave", **precision),
            layers.Reshape((*join, filters), name=f"{name}_join", **precision),
        ]
        return chain(stack)(conv(x))  # conv: (B, H, W, factor^2 filters)

    return block


ENLARGE = {"deconv": deconv, "sub": subpixel}


def chain(stack: list[Block]) -> Block:
    """Layers and blocks, one after the other."""

    def block(x: Tensor) -> Tensor:
        for layer in stack:
            x = layer(x)
        return x

    return block
