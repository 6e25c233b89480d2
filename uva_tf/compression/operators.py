"""The operators of a .tflite file, each as a model of its own, and which of them XNNPACK runs.

LiteRT's Python interface has no profiler. An operator that is cut out into its own model
runs through the same XNNPACK kernel, and the times of all operators add up to that of the
whole file within a few per cent.
"""

from __future__ import annotations

import collections
import copy
import functools
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from uva_tf.runtime.predictor import open_interpreter

MOST_OPERATORS = 10_000
# What the schema's reader raises on bytes that are not a model.
UNREADABLE = (AttributeError, LookupError, TypeError, OverflowError, struct.error)
NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class Operator:
    """One operator of a model.

    Attributes:
        name: as in LiteRT's schema, such as `CONV_2D`.
        tensor: name of its output.
        shape: of its output.
        multiply_adds: of convolutions and matrix products; 0 for all others.
        alone: returns the bytes of a .tflite file that holds this operator only.
        beforehand: whether it unpacks a constant, which XNNPACK does once, on loading.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    multiply_adds: int
    alone: Callable[[], bytes]
    beforehand: bool = False


@dataclass(frozen=True)
class Delegation:
    """Which part of a model XNNPACK runs.

    Attributes:
        left: names of the operators that it leaves to LiteRT's own kernels.
        fraction: of the operators that it runs, 0 to 1.
        parts: number of pieces that it runs, with other operators between them.
    """

    left: tuple[str, ...]
    fraction: float
    parts: int


class DamagedError(ValueError):
    """Bytes that are no .tflite file, or a damaged one."""


def read_model(content: bytes) -> Any:
    """A .tflite file as the schema's `ModelT`, which has one subgraph with operators.

    Raises DamagedError for bytes that can't be read as a .tflite file, and ValueError for a file
    with control flow or without operators.
    """
    damaged = DamagedError(f"damaged or no .tflite file ({len(content)} bytes)")
    if content[4:8] != b"TFL3":
        raise damaged
    try:
        packed = schema.Model.GetRootAs(content, 0)
        graphs = packed.SubgraphsLength()
        count = packed.Subgraphs(0).OperatorsLength() if graphs == 1 else 1
    except UNREADABLE as error:
        raise damaged from error
    if graphs == 0 or 4 * max(graphs, count) > len(content):  # each takes 4 bytes at least
        raise damaged
    # A small file can point at one part many times, and unpack to a huge model.
    if graphs != 1:
        raise ValueError(f"{graphs} subgraphs, expected 1")
    if not 0 < count <= MOST_OPERATORS:
        raise ValueError(f"{count} operators, expected 1 to {MOST_OPERATORS}")
    try:
        return schema.ModelT.InitFromObj(packed)
    except (ValueError, *UNREADABLE) as error:
        raise damaged from error


def read_operators(content: bytes) -> list[Operator]:
    """The operators of a .tflite file in the order in which they run.

    Raises ValueError as `read_model` does.
    """
    model = read_model(content)
    try:
        unpacked = {int(one.outputs[0]): one for one in unpacking(model)}
        return [_read(model, one, unpacked) for one in model.subgraphs[0].operators]
    except UNREADABLE as error:
        raise DamagedError(f"damaged or no .tflite file ({error})") from error


def operator_counts(content: bytes) -> list[dict[str, Any]]:
    """Name, version and count of a file's operators, sorted, as a manifest lists them.

    Raises ValueError as `read_model` does.
    """
    model = read_model(content)
    found = collections.Counter(
        (operator_name(model, one), model.operatorCodes[one.opcodeIndex].version)
        for one in model.subgraphs[0].operators
    )
    return [
        {"name": name, "version": version, "count": count}
        for (name, version), count in sorted(found.items())
    ]


def operator_name(model: Any, operator: Any) -> str:
    """As in LiteRT's schema, such as `CONV_2D`."""
    code = model.operatorCodes[operator.opcodeIndex]
    return NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def is_constant(model: Any, index: int) -> bool:
    """Whether a tensor's values are stored in the file."""
    data = model.buffers[model.subgraphs[0].tensors[index].buffer].data
    return data is not None and len(data) > 0


def unpacking(model: Any) -> list[Any]:
    """The operators that turn float16 constants into float32; XNNPACK runs them on loading."""
    return [
        operator
        for operator in model.subgraphs[0].operators
        if operator_name(model, operator) == "DEQUANTIZE" and is_constant(model, operator.inputs[0])
    ]


def delegation(content: bytes, operators: Sequence[Operator]) -> Delegation:
    """Ask XNNPACK what it runs of a model, and which of its operators it runs alone.

    Raises ValueError or RuntimeError if LiteRT refuses one of them.
    """
    left = tuple(operator.name for operator in operators if not _parts(operator.alone()))
    return Delegation(left, 1 - len(left) / len(operators), _parts(content))


def _read(model: Any, operator: Any, unpacked: dict[int, Any]) -> Operator:
    tensors = model.subgraphs[0].tensors
    name = operator_name(model, operator)
    shapes = [_shape(tensors[i]) for i in operator.inputs if i >= 0]
    output = tensors[operator.outputs[0]]
    shape = _shape(output)
    before = [unpacked[int(i)] for i in dict.fromkeys(operator.inputs) if int(i) in unpacked]
    return Operator(
        name=name,
        tensor=output.name.decode(errors="replace"),
        shape=shape,
        multiply_adds=_multiply_adds(name, shapes, shape),
        alone=functools.partial(_alone, model, [*before, operator]),
        beforehand=int(operator.outputs[0]) in unpacked,
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


def _alone(model: Any, operators: list[Any]) -> bytes:
    """An operator with its constants, as a model; its other operands are the model's inputs.

    Args:
        operators: those that unpack its constants, then the operator itself.
    """
    graph = model.subgraphs[0]
    alone, part = schema.ModelT(), schema.SubGraphT()
    alone.version = model.version
    alone.operatorCodes = [model.operatorCodes[one.opcodeIndex] for one in operators]
    alone.buffers = [schema.BufferT()]
    alone.subgraphs = [part]
    part.tensors, variable, numbers = [], [], {-1: -1}
    made = {int(i) for one in operators for i in one.outputs}
    for old in dict.fromkeys(int(i) for one in operators for i in (*one.inputs, *one.outputs)):
        if old < 0:  # an optional operand that is left out
            continue
        tensor = copy.copy(graph.tensors[old])
        numbers[old] = len(part.tensors)
        if is_constant(model, old):
            alone.buffers.append(model.buffers[tensor.buffer])
            tensor.buffer = len(alone.buffers) - 1
        else:
            tensor.buffer = 0
            if old not in made:
                variable.append(numbers[old])
        part.tensors.append(tensor)
    part.operators = [_renumber(one, code, numbers) for code, one in enumerate(operators)]
    part.inputs, part.outputs = np.array(variable, np.int32), part.operators[-1].outputs
    builder = flatbuffers.Builder(1024)
    builder.Finish(alone.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _renumber(operator: Any, code: int, numbers: dict[int, int]) -> Any:
    """A copy of an operator for a model whose tensors have other numbers."""
    only = copy.copy(operator)
    only.opcodeIndex = code
    only.inputs = np.array([numbers[int(old)] for old in operator.inputs], np.int32)
    only.outputs = np.array([numbers[int(old)] for old in operator.outputs], np.int32)
    return only


def _parts(content: bytes) -> int:
    """The number of pieces of a model that XNNPACK runs."""
    interpreter: Interpreter = open_interpreter(content)
    return sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())
