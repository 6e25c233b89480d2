"""The plain network: the yardstick for a student's speed and accuracy.

Plain 3x3 convolutions with the layer widths of UVA-Net's released network (arXiv 1904.04449):

  part           layers, by output width                                  side at 64 px
  trunk          conv 3x3 16, conv 3x3 16, LRN | pool, 32 | pool, 64       64 | 32 | 16
  spatial path   conv 3x3 64, conv 3x3 128   on f(t)                       16
  temporal path  conv 3x3 64, conv 3x3 128   on [f(t), f(t) - f(other)]    16
  head           1x1 32, 3x3 32, 32, 16 | deconv 4x4/2 8 | deconv 4x4/2 1  16 | 32 | 64

Every convolution has a bias and a batch normalisation without scale: 318,498 trainable
parameters. The released network also has a local response normalisation (LRN), which has
no weights. XNNPACK does not support it, so that with LRN the network takes more than twice
the time. The yardstick therefore leaves it out; the network as released is `plain-64-lrn`
or `plain-32-lrn`.
"""

from __future__ import annotations

import functools
from types import ModuleType

from uva_tf.models.blocks import BATCH_NORM_MOMENTUM, Block, Head, Parts, PathBlock, chain

TRUNK, PATH, HEAD = (16, 16, 32, 64), (64, 128), (32, 32, 32, 16, 8)

# Each network's resolution, and whether it has LRN.
PLAIN = {
    "plain-64": (64, False),
    "plain-32": (32, False),
    "plain-64-lrn": (64, True),
    "plain-32-lrn": (32, True),
}


def plain_parts(keras: ModuleType, name: str) -> Parts:
    """The parts of one of the networks in `PLAIN`."""
    _, lrn = PLAIN[name]
    return Parts(
        trunk=functools.partial(_trunk, keras, lrn),
        paths={
            "spatial": functools.partial(_spatial_path, keras),
            "temporal": functools.partial(_temporal_path, keras),
        },
        head=functools.partial(_head, keras),
    )


def _conv(keras: ModuleType, name: str, filters: int, kernel: int = 3) -> Block:
    layers = keras.layers
    conv = layers.Conv2D(filters, kernel, padding="same", name=f"{name}_conv")
    return chain([conv, _norm(keras, name), layers.ReLU(name=f"{name}_relu")])


def _norm(keras: ModuleType, name: str, dtype: str | None = None) -> Block:
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, scale=False, dtype=dtype, name=f"{name}_bn"
    )


def _trunk(keras: ModuleType, lrn: bool) -> Block:  # (B, R, R, 3) -> (B, R/4, R/4, 64)
    first, second, third, fourth = TRUNK
    layers = keras.layers
    return chain(
        [
            _conv(keras, "trunk1", first),
            _conv(keras, "trunk2", second),
            *([_lrn(keras)] if lrn else []),
            layers.MaxPooling2D(3, 2, padding="same", name="pool1"),
            _conv(keras, "trunk3", third),
            layers.MaxPooling2D(3, 2, padding="same", name="pool2"),
            _conv(keras, "trunk4", fourth),
        ]
    )


def _lrn(keras: ModuleType) -> Block:
    """Local response normalisation over channels, with AlexNet's constants."""
    import tensorflow as tf

    class LocalResponseNormalization(keras.layers.Layer):
        def call(self, x):
            return tf.nn.local_response_normalization(
                x, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75
            )

    return LocalResponseNormalization(name="lrn")


def _spatial_path(keras: ModuleType) -> PathBlock:
    stack = chain([_conv(keras, f"spatial{n}", width) for n, width in enumerate(PATH, start=1)])
    return lambda f, g: stack(f)  # (B, R/4, R/4, 64) -> (B, R/4, R/4, 128)


def _temporal_path(keras: ModuleType) -> PathBlock:
    layers = keras.layers
    change = layers.Subtract(name="change")
    both = layers.Concatenate(name="appearance_and_change")
    stack = chain([_conv(keras, f"temporal{n}", width) for n, width in enumerate(PATH, start=1)])
    # Two (B, R/4, R/4, 64) -> both: (B, R/4, R/4, 128) -> (B, R/4, R/4, 128)
    return lambda f, g: stack(both([f, change([f, g])]))


def _head(keras: ModuleType, name: str) -> Head:
    layers = keras.layers
    *convs, last = HEAD
    # The last layers are in full precision, even if the rest computes in bfloat16.
    full = keras.backend.floatx()

    def deconv(number: int, filters: int, dtype: str | None = None) -> list[Block]:
        label = f"{name}_deconv{number}"
        layer = layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", dtype=dtype, name=label
        )
        return [layer, _norm(keras, label, dtype)]

    head = chain(
        [
            *(
                _conv(keras, f"{name}{n}", width, kernel=1 if n == 1 else 3)
                for n, width in enumerate(convs, start=1)
            ),
            *deconv(1, last),
            layers.ReLU(name=f"{name}_deconv1_relu"),
            *deconv(2, 1, full),
        ]
    )
    return lambda paths, features: head(paths)  # (B, R/4, R/4, C) -> (B, R, R, 1)
