"""Changes to a converted graph that the converter can't make.

Every file keeps to four dimensions. An integer `step` gets one scale for its state. An integer
`pair` is made from the `step`: two conversions of one student would have different ranges and
different maps, but a `pair` made of the operators of a `step` computes the same numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from uva_tf.compression.operators import operator_name
from uva_tf.core.errors import ExportError

Graph = Any  # of LiteRT's schema, as are operators and tensors
FRAME, STATE, ATTENTION, OTHER = "frame", "state", "attention", "other"
# How channels become pixels: (B, H, W, f, f, C) to (B, H, f, W, f, C).
WEAVE = [0, 1, 3, 2, 4, 5]
SWAP = [0, 1, 3, 2]  # (1, H, W, C) to (1, H, C, W)


def keep_to_four_dimensions(content: bytes) -> bytes:
    """Rewrite what the converter makes of an enlargement by channels and of added vectors.

    Microcontrollers, NPUs and GPUs take tensors `[1, H, W, C]`. The enlargement comes out of the
    converter as a transpose in six dimensions, and the sum of two poolings `[1, 1, 1, C]` as one
    with a vector `[C]`. Values, scales and maps stay the same; a file without them is unchanged
    in what it computes.

    Raises ExportError for a transpose in six dimensions that is no enlargement by channels.
    """
    model = _read(content)
    graph = model.subgraphs[0]
    for operator in list(graph.operators):
        name = operator_name(model, operator)
        if name == "TRANSPOSE" and len(_shape(graph, operator.inputs[0])) > 4:
            _weave_in_turn(model, operator)
        elif name == "RESHAPE" and _is_needless(model, operator):
            _skip(graph, operator)
    _drop_unused(model)
    return _write(model)


def state_tops(step: bytes) -> tuple[float, float]:
    """The largest values that an integer `step`'s input and output `state` can hold."""
    model = _read(step)
    tensors = model.subgraphs[0].tensors
    ends = (tensors[index].quantization for index in _ends(model)[STATE])
    return tuple(float(end.scale[0]) * (255 - int(end.zeroPoint[0])) for end in ends)


def unify_state_scale(step: bytes) -> bytes:
    """Give an integer `step`'s input and output `state` one scale.

    Both were calibrated on the same values, but the converter rounds the two scales differently.
    Raises ExportError if they differ by more than that rounding.
    """
    model = _read(step)
    graph = model.subgraphs[0]
    source, target = (graph.tensors[index].quantization for index in _ends(model)[STATE])
    close = np.allclose(source.scale, target.scale, rtol=1e-6, atol=0)
    if not close or source.zeroPoint[0] != target.zeroPoint[0]:
        raise ExportError(
            f"the state goes in at scale {source.scale} and zero point {source.zeroPoint} but "
            f"comes out at {target.scale} and {target.zeroPoint}: calibrate on the model's own "
            f"states"
        )
    # Operators that only move values, such as poolings, must keep the scale of their input, or
    # XNNPACK refuses them. So every tensor of the old scale gets the new one.
    rounded = source.scale[0]
    for tensor in graph.tensors:
        scale = getattr(tensor.quantization, "scale", None)
        if scale is not None and len(scale) == 1 and scale[0] == rounded:
            tensor.quantization.scale = target.scale
    return _write(model)


def pair_of_step(step: bytes, pairing: str) -> bytes:
    """The `pair` whose maps equal, bit for bit, those of an integer `step` in a stream.

    It has the trunk's operators twice, on the same weights. The second trunk's features replace
    the state.

    Args:
        pairing: `previous` or `next`; with `next` the state is of the frame that is mapped.

    Raises ExportError for a model whose state does not pass a QUANTIZE at both ends.
    """
    model = _read(step)
    graph, ends = model.subgraphs[0], _ends(model)
    entry = _only(graph, "goes in", lambda operator: ends[STATE][0] in operator.inputs)
    exit_ = _only(graph, "comes out", lambda operator: ends[STATE][1] in operator.outputs)
    trunk = _makers(graph, exit_.inputs[0])
    copies = _copy_tensors(graph, trunk)
    second = [_copy_operator(operator, copies) for operator in trunk]
    features = copies[int(exit_.inputs[0])]
    first = [operator for operator in graph.operators if operator not in (entry, exit_)]
    for operator in first:
        operator.inputs = np.where(operator.inputs == entry.outputs[0], features, operator.inputs)
    graph.operators = [*second, *first]
    frame = ends[FRAME][0]
    frames = (frame, copies[frame]) if pairing == "previous" else (copies[frame], frame)
    _sign(model, dict(zip((FRAME, OTHER), frames, strict=True)), ends[ATTENTION][1])
    _drop_unused(model)
    return _write(model)


def float_depthwise(content: bytes) -> bytes:
    """Turn the 8-bit weights of depthwise convolutions on float inputs into float weights.

    XNNPACK has no kernel for float inputs with 8-bit weights, and these weights are few.
    """
    model = _read(content)
    tensors = model.subgraphs[0].tensors
    for operator in model.subgraphs[0].operators:
        if len(operator.inputs) < 2:
            continue
        taken, weights = (tensors[index] for index in operator.inputs[:2])
        kinds = (schema.TensorType.FLOAT32, schema.TensorType.INT8)
        if (
            operator_name(model, operator) == "DEPTHWISE_CONV_2D"
            and (taken.type, weights.type) == kinds
        ):
            buffer = model.buffers[weights.buffer]
            whole = np.asarray(buffer.data, np.uint8).view(np.int8).reshape(weights.shape)
            values = whole * np.asarray(weights.quantization.scale)  # (1, height, width, filters)
            buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
            weights.type, weights.quantization = schema.TensorType.FLOAT32, None
    return _write(model)


def _weave_in_turn(model: Any, weave: Any) -> None:
    """Split, weave and join in two transposes of four dimensions, each of its last two.

    The first puts the columns last, the second brings them before the channels again. For a
    factor of 2: (1, H, W, 4C) -> (1, H, 4C, W) = (1, 2H, 2C, W) -> (1, 2H, W, 2C) =
    (1, 2H, 2W, C). DEPTH_TO_SPACE is one operator, but Vela leaves it to the CPU.
    """
    graph = model.subgraphs[0]
    first, last = int(weave.inputs[0]), int(weave.outputs[0])
    split = [one for one in graph.operators if first in one.outputs]
    users = [one for one in graph.operators if {first, last} & {*map(int, one.inputs)}]
    around = [operator_name(model, one) for one in (*split, *users)]
    order = model.buffers[graph.tensors[weave.inputs[1]].buffer].data
    batch, height, width, *factors, filters = _shape(graph, first)
    if (
        around != ["RESHAPE", "TRANSPOSE", "RESHAPE"]
        or np.asarray(order, np.uint8).view("<i4").tolist() != WEAVE
        or batch != 1
    ):
        raise ExportError(
            f"TRANSPOSE ({graph.tensors[last].name.decode()}) has more than four dimensions: "
            f"enlarge with `subpixel`, or build the layer from tensors of four"
        )
    (split,), (down, right) = split, factors
    middle = len(graph.tensors)
    graph.tensors.append(copy.deepcopy(graph.tensors[first]))
    graph.tensors[middle].name += b"1"  # as the converter numbers tensors of one name
    _set_shape(graph, first, (1, height, down * right * filters, width))
    _set_shape(graph, middle, (1, down * height, right * filters, width))
    _set_shape(graph, last, (1, down * height, width, right * filters))
    swap = _constant(model, SWAP, b"swap")
    turn = copy.copy(weave)
    turn.inputs, turn.outputs = _numbers(split.inputs[0], swap), _numbers(first)
    shape = _constant(model, _shape(graph, middle), b"shape")
    split.inputs, split.outputs = _numbers(first, shape), _numbers(middle)
    split.builtinOptions, split.builtinOptionsType = None, schema.BuiltinOptions.NONE
    weave.inputs = _numbers(middle, swap)
    graph.operators.insert(graph.operators.index(split), turn)
    # The versions that take four dimensions: of floats, and of 8 bits.
    integer = graph.tensors[first].type == schema.TensorType.INT8
    model.operatorCodes[weave.opcodeIndex].version = 2 if integer else 1


def _is_needless(model: Any, reshape: Any) -> bool:
    """Whether a RESHAPE only makes a vector of `[1, 1, 1, C]`, for operators that broadcast it."""
    graph = model.subgraphs[0]
    taken, made = (_shape(graph, index) for index in (reshape.inputs[0], reshape.outputs[0]))
    users = [one for one in graph.operators if reshape.outputs[0] in one.inputs]
    return (
        len(made) == 1
        and taken == [1, 1, 1, *made]
        and reshape.outputs[0] not in graph.outputs
        and {operator_name(model, one) for one in users} <= {"ADD", "SUB", "MUL"}
        and all(len(_shape(graph, one.outputs[0])) == 4 for one in users)
    )


def _skip(graph: Graph, operator: Any) -> None:
    """Remove an operator whose users can read its input."""
    graph.operators = [one for one in graph.operators if one is not operator]
    for one in graph.operators:
        one.inputs = np.where(one.inputs == operator.outputs[0], operator.inputs[0], one.inputs)


def _shape(graph: Graph, tensor: int) -> list[int]:
    shape = graph.tensors[tensor].shape
    return [] if shape is None else list(map(int, shape))


def _set_shape(graph: Graph, tensor: int, shape: Sequence[int]) -> None:
    graph.tensors[tensor].shape = np.array(shape, np.int32)
    graph.tensors[tensor].shapeSignature = None


def _constant(model: Any, values: Sequence[int], name: bytes) -> int:
    """The number of a new tensor that holds some int32."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.asarray(values, "<i4").tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.type = name, schema.TensorType.INT32
    tensor.shape, tensor.buffer = _numbers(len(values)), len(model.buffers) - 1
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _read(content: bytes) -> Any:
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def _write(model: Any) -> bytes:
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _ends(model: Any) -> dict[str, list[int]]:
    """For each name, the numbers of the input and the output tensor; -1 if there is none."""
    (signature,) = model.signatureDefs
    ends: dict[str, list[int]] = {}
    for side, tensors in enumerate((signature.inputs, signature.outputs)):
        for tensor in tensors:
            ends.setdefault(tensor.name.decode(), [-1, -1])[side] = int(tensor.tensorIndex)
    return ends


def _only(graph: Graph, where: str, fits: Callable[[Any], bool]) -> Any:
    """The one operator that fits; raises ExportError for none or several."""
    found = [operator for operator in graph.operators if fits(operator)]
    if len(found) != 1 or len(found[0].inputs) != 1:
        raise ExportError(
            f"expected one QUANTIZE where the state {where}, found {len(found)}: give an integer "
            f"step"
        )
    return found[0]


def _makers(graph: Graph, tensor: int) -> list[Any]:
    """The operators that compute a tensor, in the order in which they run."""
    needed, makers = {int(tensor)}, []
    for operator in reversed(graph.operators):
        if needed & set(map(int, operator.outputs)):
            needed |= set(map(int, operator.inputs))
            makers.insert(0, operator)
    return makers


def _copy_tensors(graph: Graph, operators: list[Any]) -> dict[int, int]:
    """Copy the tensors, except constants, that some operators read or write.

    Returns:
        For each tensor's number, its copy's.
    """
    made = {int(index) for operator in operators for index in operator.outputs}
    given = {int(index) for index in graph.inputs}
    read = {int(index) for operator in operators for index in operator.inputs}
    copies = {}
    for index in sorted(made | (given & read)):
        tensor = copy.deepcopy(graph.tensors[index])
        tensor.name = b"other/" + tensor.name
        copies[index] = len(graph.tensors)
        graph.tensors.append(tensor)
    return copies


def _copy_operator(operator: Any, copies: dict[int, int]) -> Any:
    """A copy of an operator that reads and writes the copied tensors."""
    second = copy.copy(operator)
    for side in ("inputs", "outputs"):
        indices = [copies.get(int(index), int(index)) for index in getattr(operator, side)]
        setattr(second, side, np.array(indices, np.int32))
    return second


def _sign(model: Any, inputs: dict[str, int], attention: int) -> None:
    """Turn a `step`'s signature into a `pair`'s: these inputs, and the output `attention`."""
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    signature.signatureKey = b"pair"
    for tensor, (name, index) in zip(signature.inputs, inputs.items(), strict=True):
        tensor.name, tensor.tensorIndex = name.encode(), index
    signature.outputs = [t for t in signature.outputs if t.tensorIndex == attention]
    graph.inputs = np.array(list(inputs.values()), np.int32)
    graph.outputs = np.array([attention], np.int32)


def _drop_unused(model: Any) -> None:
    """Remove the tensors that no operator reads or writes, and renumber the others."""
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    sides = [(operator, side) for operator in graph.operators for side in ("inputs", "outputs")]
    sides += [(graph, "inputs"), (graph, "outputs")]
    used = sorted({int(index) for one, side in sides for index in getattr(one, side)} - {-1})
    numbers = {-1: -1} | {index: number for number, index in enumerate(used)}
    graph.tensors = [graph.tensors[index] for index in used]
    for one, side in sides:
        indices = [numbers[int(index)] for index in getattr(one, side)]
        setattr(one, side, np.array(indices, np.int32))
    for tensor in [*signature.inputs, *signature.outputs]:
        tensor.tensorIndex = numbers[int(tensor.tensorIndex)]
