"""What a .tflite file is made of: its operators, what each costs, and each one alone.

LiteRT's Python interface has no profiler. An operator that is cut out into a model of its
own runs through the same XNNPACK kernel, and the times of all operators add up to that of
the whole file within a few per cent.
"""

from __future__ import annotations

import copy
import functools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

MOST_OPERATORS = 10_000
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class Operator:
    """One operator of a model.

    Attributes:
        name: as in LiteRT's schema, such as `CONV_2D`.
        tensor: name of its output.
        shape: of its output.
        multiply_adds: of convolutions and matrix products; 0 for all others.
        alone: makes a .tflite file that holds this operator only.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    multiply_adds: int
    alone: Callable[[], bytes]


def read_operators(content: bytes) -> list[Operator]:
    """The operators of a .tflite file in the order in which they run.

    Raises ValueError for a file with control flow, one without operators, or one that
    can't be read.
    """
    try:
        packed = schema.Model.GetRootAs(content, 0)
        # A small file may claim much by pointing at one part many times.
        if packed.SubgraphsLength() != 1:
            raise ValueError(f"{packed.SubgraphsLength()} subgraphs, expected 1")
        count = packed.Subgraphs(0).OperatorsLength()
        if not 0 < count <= MOST_OPERATORS:
            raise ValueError(f"{count} operators, expected 1 to {MOST_OPERATORS}")
        model = schema.ModelT.InitFromObj(packed)
        return [_read(model, operator) for operator in model.subgraphs[0].operators]
    except (AttributeError, LookupError, TypeError, OverflowError, struct.error) as error:
        raise ValueError(f"not a .tflite file: {error}") from error


def _read(model: Any, operator: Any) -> Operator:
    tensors = model.subgraphs[0].tensors
    code = model.operatorCodes[operator.opcodeIndex]
    name = NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    shapes = [_shape(tensors[i]) for i in operator.inputs if i >= 0]
    output = tensors[operator.outputs[0]]
    shape = _shape(output)
    return Operator(
        name=name,
        tensor=output.name.decode(errors="replace"),
        shape=shape,
        multiply_adds=_multiply_adds(name, shapes, shape),
        alone=functools.partial(_alone, model, operator),
    )


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _multiply_adds(name: str, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    if name == "CONV_2D":  # filter (out, height, width, in), for every output pixel
        return math.prod(inputs[1]) * math.prod(output[:-1])
    if name == "DEPTHWISE_CONV_2D":  # filter (1, height, width, out)
        return math.prod(inputs[1]) * math.prod(output[:-1])
    if name == "TRANSPOSE_CONV":  # filter (out, height, width, in), for every input pixel
        return math.prod(inputs[1]) * math.prod(inputs[2][:-1])
    if name == "FULLY_CONNECTED":  # weights (out, in)
        return math.prod(inputs[1]) * math.prod(output[:-1])
    return 0


def _alone(model: Any, operator: Any) -> bytes:
    """The operator with its constants, as a model whose inputs are the other operands."""
    graph = model.subgraphs[0]
    alone, part = schema.ModelT(), schema.SubGraphT()
    alone.version = model.version
    alone.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    alone.buffers = [schema.BufferT()]
    alone.subgraphs = [part]
    part.tensors, variable, numbers = [], [], {-1: -1}
    for old in dict.fromkeys([*map(int, operator.inputs), *map(int, operator.outputs)]):
        if old < 0:  # an optional operand that is left out
            continue
        tensor = copy.copy(graph.tensors[old])
        buffer = model.buffers[tensor.buffer]
        tensor.buffer = 0
        numbers[old] = len(part.tensors)
        if buffer.data is not None and len(buffer.data):
            tensor.buffer = len(alone.buffers)
            alone.buffers.append(buffer)
        elif old in operator.inputs:
            variable.append(numbers[old])
        part.tensors.append(tensor)
    only = copy.copy(operator)
    only.opcodeIndex = 0
    only.inputs = np.array([numbers[int(old)] for old in operator.inputs], np.int32)
    only.outputs = np.array([numbers[int(old)] for old in operator.outputs], np.int32)
    part.operators = [only]
    part.inputs, part.outputs = np.array(variable, np.int32), only.outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(alone.Pack(builder), b"TFL3")
    return bytes(builder.Output())
