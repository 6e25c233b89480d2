"""The export gate: what a converted file must be before it is written.

Every check has a message of its own, which names the layer and the remedy. The most
specific one comes first: what XNNPACK would refuse in one word is explained before.
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

LARGEST_REQUANTISATION = 256  # XNNPACK refuses scales from here on
MOST_NAMED = 4
# Layers of the student that see what changes between frames, and nothing where nothing does.
CHANGES = ("(layer change)", "(layer motion)")
MOVE = "It sees the change between frames: train and calibrate on clips in which something moves"

TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
FLOATS = {"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16"}
# Where such an operator has its input and its weights.
WEIGHTED = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "FULLY_CONNECTED": (0, 1),
}


def check_file(content: bytes, form: str, *, integer: bool, left: Collection[str] = ()) -> None:
    """Refuse a .tflite file that must not be shipped.

    Args:
        form: `pair` or `step`.
        integer: whether everything in it must be quantised.
        left: names of operators, such as `DEPTHWISE_CONV_2D`, that XNNPACK may leave
            to LiteRT's own kernels anywhere in the model.

    Raises ExportError.
    """
    try:
        model = _read(content)
        _check_builtin(model)
        _check_static(model)
        _check_signature(model, form)
        if integer:
            _check_integer(model)
            if form == "step":
                _check_state(model)
            _check_requantisation(model)
        _check_loading(content)
        _check_delegation(model, content, integer, left)
    except ExportError:
        raise
    except (RuntimeError, ValueError, *UNREADABLE) as error:
        raise ExportError(
            f"the file can't be taken apart ({_line(error)}): convert the model again, and "
            f"with the versions of tensorflow and ai-edge-litert that it was tested with"
        ) from error


def _read(content: bytes) -> Any:
    try:
        return read_model(content)
    except ValueError as error:
        raise ExportError(
            f"what was converted is no model of one graph ({_line(error)}): convert one "
            f"signature at a time, of a model without loops and branches"
        ) from error


def _check_builtin(model: Any) -> None:
    """Only operators that every build of LiteRT has."""
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if code.customCode or operator_name(model, operator) == "CUSTOM":
            custom = (code.customCode or b"?").decode(errors="replace")
            raise ExportError(
                f"{_at(model, operator, custom)} is no built-in operator of LiteRT: build the "
                f"layer of built-in ones, without SELECT_TF_OPS and allow_custom_ops"
            )


def _check_static(model: Any) -> None:
    """Fixed shapes, for one frame."""
    graph = model.subgraphs[0]
    remedy = "give every input of the exported function a TensorSpec of fixed shape, 1 in front"
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


def _check_signature(model: Any, form: str) -> None:
    """One signature of the form's name, whose tensors are what their names say."""
    keys = [_text(signature.signatureKey) for signature in model.signatureDefs or []]
    if keys != [form]:
        raise ExportError(
            f"signatures {keys}, expected ['{form}']: export the endpoint as '{form}' and give "
            f"the converter its key only"
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
                f"signature '{form}' names the {side} {names}, expected {sorted(expected)}, one "
                f"for each of the graph's: name the exported function's arguments and results so"
            )
    _check_ends(_ends(model), form)


def _check_ends(ends: dict[str, dict[str, Any]], form: str) -> None:
    """Frames, maps and states of the right type and shape, so that none were mixed up."""
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
            f"{kind or found} {shape}: inputs or outputs were mixed up or not made for bytes, "
            f"so compare the exported function's arguments and results with the model's"
        )


def _check_integer(model: Any) -> None:
    """No float anywhere, bytes in and out."""
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
            f"{_listed(_users(model, floats)) or _layer(tensors[min(floats)])}: replace what has "
            f"no integer kernel, and allow the converter TFLITE_BUILTINS_INT8 only"
        )


def _users(model: Any, indices: set[int]) -> list[str]:
    """The operators on some tensors; conversions to and from them only if there is no other."""
    users = [
        (operator_name(model, operator), _at(model, operator))
        for operator in model.subgraphs[0].operators
        if indices & {*map(int, operator.inputs), *map(int, operator.outputs)}
    ]
    inner = [told for name, told in users if name not in {"QUANTIZE", "DEQUANTIZE"}]
    return inner or [told for _, told in users]


def _check_state(model: Any) -> None:
    """A stream hands the state's bytes back as they are."""
    ends = _ends(model)
    told = []
    for tensor in (ends["inputs"]["state"], ends["outputs"]["state"]):
        scales, zero_points = _scales(tensor), tensor.quantization.zeroPoint
        told.append(([float(s) for s in scales], [int(z) for z in zero_points]))
    if told[0] != told[1]:
        (scale, zero_point), (other, other_point) = told
        raise ExportError(
            f"the state goes in at scale {scale} and zero point {zero_point} but comes out at "
            f"{other} and {other_point}: calibrate on the states that the model itself gives, "
            f"and give both ends one scale"
        )


def _check_requantisation(model: Any) -> None:
    """Sums of products that XNNPACK can scale back to 8 bits."""
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
                else "As a rule its output is all but constant, such as a dead ReLU's in a "
                "channel attention's bottleneck: train longer, with another seed or a lower "
                "learning rate, or calibrate on frames that reach it"
            )
            raise ExportError(
                f"{at} has a requantisation scale of {np.max(scales):.4g} in {refused.sum()} of "
                f"{len(scales)} channels; XNNPACK refuses files with {LARGEST_REQUANTISATION} or "
                f"more. {cause}"
            )


def _check_loading(content: bytes) -> None:
    """Load the file in a process of its own, which LiteRT may bring down with it."""
    reason = failure(content)
    if reason:
        raise ExportError(
            f"LiteRT with XNNPACK does not load the file: {reason}; find the layer that the "
            f"message is about, and change it or what it is calibrated on"
        )


def _check_delegation(model: Any, content: bytes, integer: bool, left: Collection[str]) -> None:
    """All of it in XNNPACK, in one piece, but for the conversion of bytes at the ends."""
    operators = read_operators(content)
    taken = delegation(content, operators)
    both = zip(operators, model.subgraphs[0].operators, strict=True)
    kept = [packed for one, packed in both if delegation(one.alone(), [one]).left]
    refused = [one for one in kept if not _is_end(model, one, integer)]
    refused = [one for one in refused if operator_name(model, one) not in left]
    # float16 constants are unpacked ahead, in a piece of their own, where a CAST follows.
    unpacked = bool(unpacking(model))
    within = sum(operator_name(model, one) in left for one in kept)
    most = 1 + unpacked + within
    if refused or not 1 <= taken.parts <= most:
        named = [_at(model, one) for one in refused]
        still = integer and named and all(at.endswith(CHANGES) for at in named)
        raise ExportError(
            f"XNNPACK runs the model in {taken.parts} pieces, at most {most} expected; LiteRT's "
            f"slower kernels run {_listed(named) or 'none that it leaves alone too'}"
            + (f". {MOVE}" if still else ": build the layer of operators that XNNPACK runs")
        )


def _is_end(model: Any, operator: Any, integer: bool) -> bool:
    """Whether an operator only converts what comes in or goes out."""
    graph = model.subgraphs[0]
    name, first = operator_name(model, operator), operator.inputs[0] in graph.inputs
    if integer:
        return name == "QUANTIZE" and (first or operator.outputs[0] in graph.outputs)
    return name == "CAST" and first and TYPES[graph.tensors[operator.inputs[0]].type] == "UINT8"


def _ends(model: Any) -> dict[str, dict[str, Any]]:
    """The tensors of the signature's inputs and outputs by name."""
    (signature,), tensors = model.signatureDefs, model.subgraphs[0].tensors
    return {
        side: {_text(one.name): tensors[one.tensorIndex] for one in getattr(signature, side)}
        for side in ("inputs", "outputs")
    }


def _scales(tensor: Any) -> np.ndarray:
    """Scales of a quantised tensor, one or one for each channel."""
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

    The converter joins what it fused by semicolons: `step_1/stem_relu_1/Relu6;step_1/...`.
    A twin of the step's part has one more name in front: `other/step_1/stem_relu_1/Relu6`.
    """
    parts = _text(tensor.name).split(";")[0].split("/")
    parts = [re.sub(r"_\d+$", "", part) for part in parts]
    parts = parts[1:] if len(parts) > 2 else parts
    while len(parts) > 1 and parts[0] in INPUTS:
        parts = parts[1:]
    return f"layer {parts[0][:80]}"


def _listed(told: Sequence[str]) -> str:
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return ", ".join(told[:MOST_NAMED]) + more


def _text(name: bytes | None) -> str:
    return " ".join((name or b"").decode(errors="replace").split())


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
