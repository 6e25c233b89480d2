"""The export gate: the checks that a converted file must pass before it is written.

Each check's message names the layer and the remedy. Specific checks come first: they explain
what XNNPACK would refuse without a reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from uva_tf.compression.operators import (
    UNREADABLE,
    delegation,
    operator_name,
    read_model,
    read_operators,
    unpacking,
)
from uva_tf.core.errors import ExportError
from uva_tf.runtime.predictor import INPUTS, OUTPUTS
from uva_tf.runtime.trial import failure

# GPU delegates, LiteRT for Microcontrollers and compilers for NPUs take no more.
MOST_DIMENSIONS = 4
# What every target takes in 8 bits: LiteRT with XNNPACK, LiteRT for Microcontrollers, and Vela,
# Arm's compiler for Ethos-U. DEPTH_TO_SPACE is not among them: Vela leaves it to the CPU.
OPERATORS = frozenset(
    {
        "ADD",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "QUANTIZE",
        "REDUCE_MAX",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "SUB",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
# A float file also makes floats of bytes and of float16 constants; it runs on CPUs and GPUs.
FLOAT_OPERATORS = OPERATORS | {"CAST", "DEQUANTIZE"}
LARGEST_REQUANTISATION = 256  # XNNPACK refuses this scale and larger ones
MOST_NAMED = 4
# Layers of the student that see the change between frames: only zeros if nothing moves.
CHANGES = ("(layer change)", "(layer motion)")
MOVE = "It sees the change between frames: train and calibrate on clips in which something moves"

TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
FLOATS = {"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16"}
# The positions of the input and of the weights among an operator's inputs.
WEIGHTED = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "FULLY_CONNECTED": (0, 1),
}


def check_file(content: bytes, form: str, *, integer: bool, left: Collection[str] = ()) -> None:
    """Raise ExportError for a .tflite file that must not be shipped.

    Args:
        form: `pair` or `step`.
        integer: whether everything in it must be quantised.
        left: names of operators, such as `DEPTHWISE_CONV_2D`, that XNNPACK may leave
            to LiteRT's own kernels anywhere in the model; they need not be of `OPERATORS`.
    """
    try:
        model = _read(content)
        _check_builtin(model)
        _check_static(model)
        _check_dimensions(model)
        _check_signature(model, form)
        if integer:
            _check_integer(model)
            if form == "step":
                _check_state(model)
            _check_requantisation(model)
        _check_operators(model, (OPERATORS if integer else FLOAT_OPERATORS) | set(left))
        _check_loading(content)
        _check_delegation(model, content, integer, left)
    except ExportError:
        raise
    except (RuntimeError, ValueError, *UNREADABLE) as error:
        raise ExportError(
            f"the file can't be read ({_line(error)}): convert the model again, with tested "
            f"versions of tensorflow and ai-edge-litert"
        ) from error


def _read(content: bytes) -> Any:
    try:
        return read_model(content)
    except ValueError as error:
        raise ExportError(
            f"expected a model of one graph ({_line(error)}): convert one signature at a time, of "
            f"a model without loops and branches"
        ) from error


def _check_builtin(model: Any) -> None:
    """All operators are built into LiteRT."""
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if code.customCode or operator_name(model, operator) == "CUSTOM":
            custom = (code.customCode or b"?").decode(errors="replace")
            raise ExportError(
                f"{_at(model, operator, custom)} is no built-in operator of LiteRT: build the "
                f"layer from built-in ones, without SELECT_TF_OPS and allow_custom_ops"
            )


def _check_static(model: Any) -> None:
    """All shapes are fixed, and those of inputs and outputs begin with 1."""
    graph = model.subgraphs[0]
    remedy = "give each input of the exported function a TensorSpec of fixed shape [1, ...]"
    for tensor in graph.tensors:
        signature = [] if tensor.shapeSignature is None else list(map(int, tensor.shapeSignature))
        if -1 in signature:
            raise ExportError(f"{_layer(tensor)} has the dynamic shape {signature}: {remedy}")
    for index in (*graph.inputs, *graph.outputs):
        shape = _shape(graph.tensors[index])
        if not shape or shape[0] != 1:
            raise ExportError(
                f"{_layer(graph.tensors[index])} has the shape {shape}, expected [1, ...]: {remedy}"
            )


def _check_dimensions(model: Any) -> None:
    """No tensor has more than four dimensions, and all that is computed is `[1, ...]`."""
    tensors, unpacked = model.subgraphs[0].tensors, unpacking(model)
    for operator in model.subgraphs[0].operators:
        for index in (*operator.inputs, *operator.outputs):
            shape = _shape(tensors[index]) if index >= 0 else []
            if len(shape) > MOST_DIMENSIONS:
                raise ExportError(
                    f"{_at(model, operator)} has a tensor {shape}, at most {MOST_DIMENSIONS} "
                    f"dimensions expected: microcontrollers, NPUs and GPUs take no more; build the "
                    f"layer from tensors [1, H, W, C]"
                )
        for index in operator.outputs if operator not in unpacked else ():
            shape = _shape(tensors[index])
            if shape[:1] != [1]:
                raise ExportError(
                    f"{_at(model, operator)} makes the shape {shape}, expected [1, ...]: GPUs take "
                    f"the first dimension for the batch; keep it 1 in every layer"
                )


def _check_operators(model: Any, allowed: Collection[str]) -> None:
    """All operators are among those that every target takes."""
    for operator in model.subgraphs[0].operators:
        name = operator_name(model, operator)
        if name not in allowed:
            raise ExportError(
                f"{_at(model, operator)} is not an operator that microcontrollers, NPUs and "
                f"XNNPACK all take: build the layer from {', '.join(sorted(allowed))}"
            )


def _check_signature(model: Any, form: str) -> None:
    """There is one signature, named after the form, and its tensors are what their names say."""
    keys = [_text(signature.signatureKey) for signature in model.signatureDefs or []]
    if keys != [form]:
        raise ExportError(
            f"signatures {keys}, expected ['{form}']: export the function as '{form}' and give "
            f"the converter this key only"
        )
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    sides = (
        ("inputs", signature.inputs, graph.inputs, INPUTS[form]),
        ("outputs", signature.outputs, graph.outputs, OUTPUTS[form]),
    )
    for side, maps, indices, expected in sides:
        names = sorted(_text(one.name) for one in maps)
        same = sorted(one.tensorIndex for one in maps) == sorted(map(int, indices))
        if names != sorted(expected) or not same:
            raise ExportError(
                f"signature '{form}' has the {side} {names}, expected {sorted(expected)}, one for "
                f"each of the graph's: give the exported function arguments and results of these "
                f"names"
            )
    _check_ends(_ends(model), form)


def _check_ends(ends: dict[str, dict[str, Any]], form: str) -> None:
    """Frames, maps and states have the right type and shape, so none are mixed up."""
    given = _shape(ends["outputs"]["attention"])
    side = given[1] if len(given) == 4 else "R"
    _expect("output attention", ends["outputs"]["attention"], [1, side, side, 1], None, form)
    for name in sorted(INPUTS[form] - {"state"}):
        _expect(f"input {name}", ends["inputs"][name], [1, side, side, 3], "UINT8", form)
    if form == "step":
        taken, made = ends["inputs"]["state"], ends["outputs"]["state"]
        _expect("input state", taken, _shape(made), TYPES[made.type], form)


def _expect(what: str, tensor: Any, shape: list[int], kind: str | None, form: str) -> None:
    found = TYPES[tensor.type]
    if _shape(tensor) != shape or found != (kind or found):
        raise ExportError(
            f"signature '{form}': the {what} is {found} {_shape(tensor)}, expected "
            f"{kind or found} {shape}: check the order and the types of the exported function's "
            f"arguments and results"
        )


def _check_integer(model: Any) -> None:
    """Inputs and outputs are bytes, and no tensor is float."""
    for side, tensors in _ends(model).items():
        for name, tensor in tensors.items():
            if TYPES[tensor.type] != "UINT8":
                raise ExportError(
                    f"the {side[:-1]} {name} of an integer model is {TYPES[tensor.type]}, "
                    f"expected UINT8: set the converter's inference_{side[:-1]}_type"
                )
    tensors = model.subgraphs[0].tensors
    floats = {i for i, tensor in enumerate(tensors) if TYPES[tensor.type] in FLOATS}
    if floats:
        raise ExportError(
            f"an integer model holds {len(floats)} float tensors, at "
            f"{_listed(_users(model, floats)) or _layer(tensors[min(floats)])}: replace layers "
            f"without integer kernels, and allow the converter TFLITE_BUILTINS_INT8 only"
        )


def _users(model: Any, indices: set[int]) -> list[str]:
    """The operators that use some tensors; QUANTIZE and DEQUANTIZE only if there are no others."""
    users = [
        (operator_name(model, operator), _at(model, operator))
        for operator in model.subgraphs[0].operators
        if indices & {*map(int, operator.inputs), *map(int, operator.outputs)}
    ]
    inner = [place for name, place in users if name not in {"QUANTIZE", "DEQUANTIZE"}]
    return inner or [place for _, place in users]


def _check_state(model: Any) -> None:
    """The state has one scale at both ends, as a stream hands its bytes back unchanged."""
    ends = _ends(model)
    found = []
    for tensor in (ends["inputs"]["state"], ends["outputs"]["state"]):
        scales, zero_points = _scales(tensor), tensor.quantization.zeroPoint
        found.append(([float(s) for s in scales], [int(z) for z in zero_points]))
    if found[0] != found[1]:
        (scale, zero_point), (other, other_point) = found
        raise ExportError(
            f"the state goes in at scale {scale} and zero point {zero_point} but comes out at "
            f"{other} and {other_point}: calibrate on the model's own states, and give both "
            f"ends one scale"
        )


def _check_requantisation(model: Any) -> None:
    """XNNPACK can scale all sums of products back to 8 bits."""
    tensors = model.subgraphs[0].tensors
    for operator in model.subgraphs[0].operators:
        name = operator_name(model, operator)
        if name not in WEIGHTED:
            continue
        operands = [operator.inputs[i] for i in WEIGHTED[name]] + [operator.outputs[0]]
        taken, weights, given = (_scales(tensors[i]).astype(float) for i in operands)
        with np.errstate(all="ignore"):
            scales = taken[0] * weights / given[0]
        refused = ~(scales < LARGEST_REQUANTISATION)
        if refused.any():
            at = _at(model, operator)
            cause = (
                MOVE
                if at.endswith(CHANGES)
                else "Its output is probably almost constant, as after a dead ReLU in a channel "
                "attention's bottleneck: train longer, with another seed or a lower learning "
                "rate, or calibrate on frames that activate it"
            )
            raise ExportError(
                f"{at} has a requantisation scale of {np.max(scales):.4g} in {refused.sum()} of "
                f"{len(scales)} channels, and XNNPACK refuses {LARGEST_REQUANTISATION} or more. "
                f"{cause}"
            )


def _check_loading(content: bytes) -> None:
    """LiteRT loads the file; tried in another process, as a bad file can end it."""
    reason = failure(content)
    if reason:
        raise ExportError(
            f"LiteRT with XNNPACK does not load the file ({reason}): find the layer that the "
            f"message is about, and change it or the frames it is calibrated on"
        )


def _check_delegation(model: Any, content: bytes, integer: bool, left: Collection[str]) -> None:
    """XNNPACK runs the whole model in one piece, except the conversion of bytes at the ends."""
    operators = read_operators(content)
    whole = delegation(content, operators)
    both = zip(operators, model.subgraphs[0].operators, strict=True)
    outside = [packed for one, packed in both if delegation(one.alone(), [one]).left]
    refused = [one for one in outside if not _is_end(model, one, integer)]
    refused = [one for one in refused if operator_name(model, one) not in left]
    # float16 constants are unpacked first, in a piece of their own if a CAST follows.
    unpacked = bool(unpacking(model))
    allowed = sum(operator_name(model, one) in left for one in outside)
    most = 1 + unpacked + allowed
    if refused or not 1 <= whole.parts <= most:
        named = [_at(model, one) for one in refused]
        still = integer and named and all(at.endswith(CHANGES) for at in named)
        raise ExportError(
            f"XNNPACK runs the model in {whole.parts} pieces, at most {most} expected; LiteRT's "
            f"slower kernels run {_listed(named) or 'no operator that XNNPACK refuses alone'}"
            + (f". {MOVE}" if still else ": build the layer from operators that XNNPACK runs")
        )


def _is_end(model: Any, operator: Any, integer: bool) -> bool:
    """Whether an operator only converts an input or an output."""
    graph = model.subgraphs[0]
    name, first = operator_name(model, operator), operator.inputs[0] in graph.inputs
    if integer:
        return name == "QUANTIZE" and (first or operator.outputs[0] in graph.outputs)
    return name == "CAST" and first and TYPES[graph.tensors[operator.inputs[0]].type] == "UINT8"


def _ends(model: Any) -> dict[str, dict[str, Any]]:
    """The tensors of the signature's inputs and of its outputs, by name."""
    (signature,), tensors = model.signatureDefs, model.subgraphs[0].tensors
    return {
        side: {_text(one.name): tensors[one.tensorIndex] for one in getattr(signature, side)}
        for side in ("inputs", "outputs")
    }


def _scales(tensor: Any) -> np.ndarray:
    """Scales of a quantised tensor: one, or one for each channel."""
    found = tensor.quantization
    if found is None or found.scale is None or found.zeroPoint is None or not len(found.scale):
        raise ExportError(
            f"{_layer(tensor)} is not quantised: calibrate on inputs that reach it, and allow "
            f"the converter TFLITE_BUILTINS_INT8 only"
        )
    return np.asarray(found.scale)


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(size) for size in tensor.shape]


def _at(model: Any, operator: Any, name: str = "") -> str:
    """An operator and its layer, for a message."""
    tensor = model.subgraphs[0].tensors[operator.outputs[0]]
    return f"{name or operator_name(model, operator)} ({_layer(tensor)})"


def _layer(tensor: Any) -> str:
    """The Keras layer that a tensor is named after, such as `trunk1_attention_squeeze`.

    The converter joins the names of fused operators by semicolons:
    `step_1/stem_relu_1/Relu6;step_1/...`. In a `pair` made from a `step` the second trunk's
    names begin with `other/`: `other/step_1/stem_relu_1/Relu6`.
    """
    parts = _text(tensor.name).split(";")[0].split("/")
    parts = [re.sub(r"_\d+$", "", part) for part in parts]
    parts = parts[1:] if len(parts) > 2 else parts
    while len(parts) > 1 and parts[0] in INPUTS:
        parts = parts[1:]
    return f"layer {parts[0][:80]}"


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
    return ", ".join(places[:MOST_NAMED]) + more


def _text(name: bytes | None) -> str:
    return " ".join((name or b"").decode(errors="replace").split())


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
