"""A student's parameters, multiply-adds and memory, layer by layer, on any machine."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from uva_tf.core.text_tables import aligned, csv_text
from uva_tf.models.student import Student

FLOAT = 4  # bytes
# Layers that do not compute: their output is their input, possibly in another shape.
FREE = {"InputLayer", "GaussianNoise", "Reshape"}
BLOCK = re.compile(r"(?:(?:spatial_|temporal_)?head_)?[a-z]+\d*")


@dataclass(frozen=True)
class LayerCost:
    """One layer of a model, for a batch of one.

    Attributes:
        block: the CA-Res block, convolution unit or other block that it belongs to.
        kind: its Keras class.
        output: shape of its output without the batch, such as `64x64x16`.
        parameters: number of its trained weights.
        multiply_adds: of convolutions; 0 for other layers.
        activation_bytes: size of its output in float32.
    """

    layer: str
    block: str
    kind: str
    output: str
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Totals:
    """The sums over a model's layers.

    Attributes:
        block_bytes: size of every block's last output in float32. The paper (arXiv 1904.04449)
            states memory in this way: 0.68 MB at 32 px and 2.73 MB at 64 px.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int
    block_bytes: int


def layer_costs(student: Student, form: str) -> list[LayerCost]:
    """The layers of a student's `pair` or `step` in the order in which they run.

    A `pair` runs the trunk on both frames, so it has the trunk's layers twice: the second time as
    `other_...`, without parameters.
    """
    rows = [_cost(layer) for layer in student.step.layers if type(layer).__name__ not in FREE]
    if form == "step":
        return rows
    trunk = {layer.name for layer in student.trunk.layers}
    again = [
        LayerCost(
            **asdict(row)
            | {"layer": f"other_{row.layer}", "block": f"other_{row.block}", "parameters": 0}
        )
        for row in rows
        if row.layer in trunk
    ]
    return [*again, *rows]


def totals(rows: Sequence[LayerCost]) -> Totals:
    """The sums of some layers."""
    blocks = {row.block: row.activation_bytes for row in rows}  # of each block's last layer
    return Totals(
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        block_bytes=sum(blocks.values()),
    )


def table(rows: Sequence[LayerCost]) -> str:
    """Layers and their sums in aligned columns."""
    cells = [
        [
            row.layer,
            row.kind,
            row.output,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e6:.3f}",
            f"{row.activation_bytes / 1e3:.1f}",
        ]
        for row in rows
    ]
    head = ["layer", "kind", "output", "parameters", "MMAC", "kB"]
    return f"{aligned([head, *cells], left=2)}\n{summary(rows)}"


def summary(rows: Sequence[LayerCost]) -> str:
    """The sums of some layers in one line."""
    total = totals(rows)
    return (
        f"{total.parameters:,} parameters, {total.multiply_adds / 1e6:.2f} M multiply-adds, "
        f"{total.activation_bytes / 1e6:.2f} MB of activations, "
        f"{total.block_bytes / 1e6:.3f} MB of block outputs"
    )


def to_csv(rows: Sequence[LayerCost]) -> str:
    """Layers as CSV with a header."""
    return csv_text([[field.name for field in fields(LayerCost)], *map(astuple, rows)])


def _cost(layer: Any) -> LayerCost:
    shape = tuple(layer.output.shape[1:])
    return LayerCost(
        layer=layer.name,
        block=BLOCK.match(layer.name)[0],
        kind=type(layer).__name__,
        output="x".join(map(str, shape)),
        parameters=sum(math.prod(weight.shape) for weight in layer.trainable_weights),
        multiply_adds=_multiply_adds(layer, shape),
        activation_bytes=FLOAT * math.prod(shape),
    )


def _multiply_adds(layer: Any, shape: tuple[int, ...]) -> int:
    kind = type(layer).__name__
    kernels = [math.prod(weight.shape) for weight in layer.weights if len(weight.shape) == 4]
    if kind == "Conv2DTranspose":  # every input pixel meets the whole kernel
        return kernels[0] * math.prod(layer.input.shape[1:3])
    if kind == "SeparableConv2D":  # without strides
        depthwise, pointwise = kernels
        return (depthwise + pointwise) * math.prod(shape[:2])
    if kind == "Conv2D":
        return kernels[0] * math.prod(shape[:2])
    return 0
