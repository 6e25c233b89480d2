"""Building blocks of the student: CA-Res, channel attention, convolution units.

Every block is a function that makes its layers once and returns a function from
tensor to tensor, so that a block called twice shares its weights. The namespace
is an argument because the quantisation-aware twin is built with tf_keras from
the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Tensor = Any
Block = Callable[[Tensor], Tensor]
# From the features of two frames to those that a head draws a map of.
Path = Callable[[Tensor, Tensor], Tensor]

# From path features and the trunk's features of the mapped frame to logits.
Head = Callable[[Tensor, Tensor], Tensor]

# Running averages of short trainings: the paper's decay, not Keras' 0.99.
BATCH_NORM_MOMENTUM = 0.95


@dataclass(frozen=True)
class Parts:
    """Functions that make a student's layers; each call makes new ones.

    Attributes:
        features: channels of the trunk's features, `[B, R/4, R/4, features]`.
        trunk: `() -> frame -> features`.
        paths: by kind, `() -> (features, other_features) -> path features`.
        head: `name -> (path features, features) -> logits [B, R, R, 1]`.
    """

    features: int
    trunk: Callable[[], Block]
    paths: Mapping[str, Callable[[], Path]]
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
    """Convolution, batch normalisation and, unless switched off, ReLU6.

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
    """Scale channels by a gate computed from global average and global max pooling.

    The two pooled vectors are added and pass through one bottleneck of `filters /
    reduction` units, at least 8. Shape is kept, `[B, H, W, filters]`. Source: UVA-Net
    (arXiv 1904.04449), section 3.
    """
    layers = keras.layers
    average = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_average")
    maximum = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}_maximum")
    # Added, not stacked: a concatenation would force one 8-bit scale on the pooled values
    # and, through the maximum, on the block's own output, and clip its negative half.
    pool = layers.Add(name=f"{name}_pool")
    squeeze = layers.Conv2D(
        max(8, filters // reduction), 1, activation="relu", name=f"{name}_squeeze"
    )
    excite = layers.Conv2D(filters, 1, name=f"{name}_excite")
    gate = layers.Activation("sigmoid", name=f"{name}_gate")
    scale = layers.Multiply(name=f"{name}_scale")

    def block(x: Tensor) -> Tensor:  # (B, H, W, C) -> (B, H, W, C)
        pooled = pool([average(x), maximum(x)])  # (B, 1, 1, C)
        return scale([x, gate(excite(squeeze(pooled)))])

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
    """CA-Res: an inverted residual whose output channels are weighted by attention.

    1x1 expansion, batch norm, ReLU6, SeparableConv2D 3x3, batch norm, channel
    attention; plus the input where the widths agree. Maps `[B, H, W, filters_in]`
    to `[B, H, W, filters]`. Source: UVA-Net (arXiv 1904.04449), section 3.

    Args:
        rectify: put a ReLU6 before the attention, so that the output (of a block
            whose widths differ) lies in 0..6.
        attention: weight the output channels; False for comparisons.
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
        y = attend(project(expand(x)))
        return add([x, y]) if add else y

    return block


def deconv(
    keras: ModuleType, name: str, filters: int, *, factor: int = 2, last: bool = False
) -> Block:
    """Enlarge by a transposed convolution, its kernel twice the factor.

    Maps `[B, H, W, C]` to `[B, factor H, factor W, filters]`; with batch normalisation and
    ReLU6, unless it is the last layer of all.
    """
    layers = keras.layers
    options = {"strides": factor, "padding": "same", "name": name}
    if last:
        # In full precision, also where the rest is computed in less.
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

    Shapes and functions of `deconv`: its kernel lies within the 3x3 ones here. XNNPACK runs
    it several times as fast, since it pads a few filters to a full tile of them.
    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network", CVPR 2016.
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
        return chain(stack)(conv(x))

    return block


ENLARGE = {"deconv": deconv, "sub": subpixel}


def chain(stack: list[Block]) -> Block:
    """Layers and blocks one after the other."""

    def block(x: Tensor) -> Tensor:
        for layer in stack:
            x = layer(x)
        return x

    return block
