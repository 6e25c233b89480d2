"""Which layers of an integer .tflite file lose accuracy: the signal-to-noise ratio of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from uva_tf.compression.calibration import Pair
from uva_tf.compression.operators import Operator, read_operators
from uva_tf.core.resize import shrink
from uva_tf.core.text_tables import aligned, csv_text
from uva_tf.runtime.predictor import open_interpreter

# Operators that change how numbers are stored, not the numbers.
REWRITES = {"QUANTIZE", "DEQUANTIZE", "CAST"}
# Operators that normalise a float file's frames before its first layer.
NORMALISES = {"CAST", "MUL", "DIV", "ADD", "SUB"}
# Find the layer in a tensor's name, `model_1/layer_1/convolution;model_1/layer_bn_1/...`: the one
# with weights, or else the first. In a `pair` made from a `step` some names begin with `other/`.
LAYERS = (
    re.compile(r"/([^/;]+?)(?:_\d+)?/(?:separable_)?conv"),
    re.compile(r"(?:^|;)(?:other/)?[^/;]+/([^/;]+?)(?:_\d+)?/"),
)


@dataclass(frozen=True)
class LayerNoise:
    """The noise that quantisation adds to the output of one operator.

    `snr`, `inputs` and `own` are signal-to-noise ratios in dB over all values of all frames,
    `inf` without noise.

    Attributes:
        name: of the layer, or of the model's output; if it does not read `frame`, the inputs
            that it reads follow in brackets.
        operator: as in LiteRT's schema, such as `CONV_2D`.
        shape: of the output.
        snr: the integer file's output against the float file's: all noise up to here.
        inputs: the float operator on inputs rounded to the integer file's scales, against the
            same operator on exact inputs: the noise from the inputs' scales.
        own: the integer operator against the float one, both on the rounded inputs: the noise
            from the operator's rounded weights and its output's scale.
        scale: of the output.
        span: fraction of the 256 levels between the output's least and greatest value.
        levels: 2 to the power of the output's entropy: the number of levels that it would use
            if it used them equally often. Few levels in a wide span mean outliers.
    """

    name: str
    operator: str
    shape: tuple[int, ...]
    snr: float
    inputs: float
    own: float
    scale: float
    span: float
    levels: float


class Ratio:
    """The signal-to-noise ratio of all values added so far."""

    def __init__(self) -> None:
        self._signal = self._noise = 0.0

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Add an array and its approximation, of the same shape."""
        exact = np.asarray(exact, np.float64)
        self._signal += float(np.square(exact).sum())
        self._noise += float(np.square(exact - rounded).sum())

    @property
    def decibels(self) -> float:
        """The ratio in dB: `inf` without noise, `-inf` for noise without a signal."""
        if not self._noise:
            return math.inf
        return 10 * math.log10(self._signal / self._noise) if self._signal else -math.inf


def layer_noise(
    float_content: bytes, integer_content: bytes, form: str, pairs: Sequence[Pair]
) -> list[LayerNoise]:
    """Compare an integer .tflite file with the float file of the same student.

    Args:
        form: `pair` or `step`; a `step` gets the state that it computes from the other frame.
        pairs: frames `[S, S, 3]` uint8 to run both files on.

    Returns:
        The integer file's operators in the order in which they run, without those that only
        change how numbers are stored.

    Raises ValueError if the files differ, and names the first difference from the outputs
    backwards. (A float file whose first layer's weights normalise the frames differs too.) Also
    raises it for a file of another form or kind, and for one that can't be read.
    """
    if not pairs:
        raise ValueError("no frames to compare the files on")
    source, target = _Graph(float_content, form), _Graph(integer_content, form)
    if any(detail["quantization"][0] for detail in source.details.values()):
        raise ValueError("the float file holds quantised tensors")
    matches = _matches(source, target)
    meters = [_Meter(source, target, matches[node], node) for node in sorted(matches)]
    for of_source, of_target in _feeds(source, target, form, pairs):
        source.run(of_source)
        target.run(of_target)
        for meter in meters:
            meter.read()
    return [meter.result() for meter in meters]


def noise_table(layers: Sequence[LayerNoise], top: int) -> str:
    """The `top` operators by the noise that they add, then the map, in aligned columns."""
    worst = sorted(layers, key=lambda layer: layer.own)[:top]
    cells = [
        [
            layer.name,
            layer.operator,
            _by(layer.shape[1:]),
            *(f"{value:.1f}" for value in (layer.own, layer.inputs, layer.snr)),
            f"{100 * layer.span:.0f} %",
            f"{layer.levels:.1f}",
        ]
        for layer in [*worst, *(layer for layer in layers if layer.name == "attention")]
    ]
    head = ["layer", "operator", "output", "own dB", "inputs", "snr", "span", "levels"]
    return aligned([head, *cells], left=2)


def noise_csv(layers: Sequence[LayerNoise]) -> str:
    """All operators as CSV, in the order in which they run, with a header."""

    def text(cell: Any) -> str:
        if isinstance(cell, tuple):
            return _by(cell)
        return f"{cell:.6g}" if isinstance(cell, float) else str(cell)

    head = [field.name for field in fields(LayerNoise)]
    return csv_text([head, *(map(text, astuple(layer)) for layer in layers)])


class _Graph:
    """A .tflite file that keeps all its tensors when it runs.

    An operator is given by its position in the order of running, a tensor by its number.
    """

    def __init__(self, content: bytes, form: str):
        self.operators = read_operators(content)
        # LiteRT's own kernels: a delegate does not give the tensors between its operators.
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        self._runner = interpreter.get_signature_runner(form)
        self.value = interpreter.get_tensor
        self.details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        self.nodes: list[dict[str, Any]] = interpreter._get_ops_details()
        self.maker = {
            int(tensor): number
            for number, node in enumerate(self.nodes)
            for tensor in node["outputs"]
        }
        details = self._runner.get_input_details(), self._runner.get_output_details()
        self.inputs = {int(detail["index"]): name for name, detail in details[0].items()}
        self.outputs = {name: int(detail["index"]) for name, detail in details[1].items()}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._runner(**inputs)

    def operands(self, node: int) -> list[int]:
        """An operator's input tensors; -1 for an optional one that is missing."""
        return [int(tensor) for tensor in self.nodes[node]["inputs"]]

    def varies(self, tensor: int) -> bool:
        """Whether a tensor is no constant."""
        return tensor in self.maker or tensor in self.inputs

    def behind(self, tensor: int, kinds: set[str]) -> int:
        """The tensor before any operators of these kinds that led to this one."""
        while tensor in self.maker and self.operators[self.maker[tensor]].name in kinds:
            varying = [one for one in self.operands(self.maker[tensor]) if self.varies(one)]
            if len(varying) != 1:
                break
            tensor = varying[0]
        return tensor

    def real(self, tensor: int) -> np.ndarray:
        """A tensor's values as real numbers."""
        return _real(self.value(tensor), self.details[tensor])

    def reads(self, tensor: int) -> set[str]:
        """Names of the model's inputs that a tensor depends on."""
        seen, waiting = set(), [tensor]
        while waiting:
            one = waiting.pop()
            if one not in seen and one in self.maker:
                waiting += self.operands(self.maker[one])
            seen.add(one)
        return {self.inputs[one] for one in seen & set(self.inputs)}

    def layer(self, node: int) -> str:
        """A readable name of an operator's layer."""
        tensor = int(self.nodes[node]["outputs"][0])
        for name, output in self.outputs.items():
            if self.behind(output, REWRITES) == tensor:
                return name
        given = self.operators[node].tensor
        found = [match for pattern in LAYERS if (match := pattern.search(given))]
        name = found[0].group(1) if found else given
        reads = self.reads(tensor)
        return name if "frame" in reads else f"{name} ({' '.join(sorted(reads))})"


def _matches(source: _Graph, target: _Graph) -> dict[int, int]:
    """For each operator of the integer file that computes, the one of the float file.

    The files name and order their operators differently, so both graphs are followed from the
    outputs back.
    """
    if source.outputs.keys() != target.outputs.keys():
        raise ValueError(f"one file gives {set(source.outputs)}, the other {set(target.outputs)}")
    matches: dict[int, int] = {}
    waiting = [(source.outputs[name], target.outputs[name]) for name in source.outputs]
    while waiting:
        one, two = waiting.pop()
        one, two = source.behind(one, REWRITES), target.behind(two, REWRITES)
        if two in target.inputs:
            one = source.behind(one, NORMALISES)
        nodes = source.maker.get(one), target.maker.get(two)
        if nodes == (None, None):
            same = _same_leaf(source, target, one, two)
        elif None in nodes:
            same = False
        elif nodes[1] in matches:
            same = matches[nodes[1]] == nodes[0]
        else:
            same = _kind(source.operators[nodes[0]]) == _kind(target.operators[nodes[1]])
            matches[nodes[1]] = nodes[0]
            waiting += _operands(source, target, nodes[0], nodes[1])
        if not same:
            sides = _describe(source, one), _describe(target, two)
            raise ValueError("the files differ: {} is {} in the integer one".format(*sides))
    return matches


def _operands(source: _Graph, target: _Graph, one: int, two: int) -> Iterator[tuple[int, int]]:
    """The input tensors of two operators, side by side, without missing ones."""
    tensors = zip(source.operands(one), target.operands(two), strict=False)
    return (pair for pair in tensors if min(pair) >= 0)


def _kind(operator: Operator) -> tuple[str, tuple[int, ...]]:
    return operator.name, operator.shape


def _same_leaf(source: _Graph, target: _Graph, one: int, two: int) -> bool:
    """Whether two tensors are the same input, or the same constant within the integer's scale."""
    if source.varies(one) or target.varies(two):
        return source.inputs.get(one) == target.inputs.get(two)
    exact, rounded, detail = source.value(one), target.real(two), target.details[two]
    scales = _spread(detail["quantization_parameters"]["scales"], detail)
    return exact.shape == rounded.shape and bool(np.all(np.abs(exact - rounded) <= scales))


def _describe(graph: _Graph, tensor: int) -> str:
    """The operator, input or constant that a tensor comes from, for a message."""
    if tensor in graph.inputs:
        return f"the input {graph.inputs[tensor]}"
    detail = graph.details[tensor]
    if tensor not in graph.maker:
        return f"the constant {detail['name']} {_by(detail['shape'])}".rstrip()
    node = graph.maker[tensor]
    operator = graph.operators[node]
    return f"{operator.name} {graph.layer(node)} {_by(operator.shape)}"


class _Meter:
    """Measures one operator of the integer file against the same one of the float file."""

    def __init__(self, source: _Graph, target: _Graph, one: int, two: int):
        self._source, self._target, self._nodes = source, target, (one, two)
        sides = (source, one), (target, two)
        self._outputs = [int(graph.nodes[node]["outputs"][0]) for graph, node in sides]
        self._alone = [
            open_interpreter(graph.operators[node].alone(), delegate=False) for graph, node in sides
        ]
        operands = [(a, b) for a, b in _operands(source, target, one, two) if target.varies(b)]
        # A cut-out operator has each input once, even if it reads it several times.
        self._operands = list(dict.fromkeys(operands))
        self._snr, self._inputs, self._own = Ratio(), Ratio(), Ratio()
        self._detail = target.details[self._outputs[1]]
        least, greatest = _limits(self._detail)
        self._counts = np.zeros(greatest - least + 1, np.int64)

    def read(self) -> None:
        """Measure the tensors of both files' last run."""
        source, target = self._source, self._target
        exact, raw = source.value(self._outputs[0]), target.value(self._outputs[1])
        self._snr.add(exact, _real(raw, self._detail))
        levels = raw.ravel().astype(np.int64) - _limits(self._detail)[0]
        self._counts += np.bincount(levels, minlength=len(self._counts))
        rounded = [self._as_written(one, two) for one, two in self._operands]
        details = [target.details[two] for _, two in self._operands]
        reals = [_real(*pair) for pair in zip(rounded, details, strict=True)]
        fine, coarse = _call(self._alone[0], reals), _call(self._alone[1], rounded)
        self._inputs.add(exact, fine)
        self._own.add(fine, _real(coarse, self._detail))

    def result(self) -> LayerNoise:
        """The figures of all runs so far."""
        operator = self._target.operators[self._nodes[1]]
        used = np.flatnonzero(self._counts)
        probability = self._counts[used] / self._counts.sum()  # of each level, sum 1
        return LayerNoise(
            # Not the integer file's name: a pair made from a step has names of the step's outputs.
            name=self._source.layer(self._nodes[0]),
            operator=operator.name,
            shape=operator.shape,
            snr=self._snr.decibels,
            inputs=self._inputs.decibels,
            own=self._own.decibels,
            scale=float(self._detail["quantization"][0]),
            span=float(used[-1] - used[0] + 1) / len(self._counts),
            levels=float(np.exp2(-np.sum(probability * np.log2(probability)))),
        )

    def _as_written(self, one: int, two: int) -> np.ndarray:
        """The float file's tensor, rounded to the integer file's levels."""
        # Frames are taken as they were fed: their values lie half-way between two levels.
        fed = self._target.inputs.get(self._target.behind(two, REWRITES), "state")
        if fed != "state":
            return self._target.value(two)
        return _rounded(self._source.value(one), self._target.details[two])


def _feeds(
    source: _Graph, target: _Graph, form: str, pairs: Sequence[Pair]
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Inputs of the float file and of the integer one, for each pair of frames."""
    details = {name: source.details[tensor] for tensor, name in source.inputs.items()}
    side = details["frame"]["shape"][1]
    for pair in pairs:
        frame, other = (shrink(picture, side)[None] for picture in pair)  # (1, R, R, 3)
        if form == "pair":
            yield ({"frame": frame, "other": other},) * 2
            continue
        fed = []
        for graph, kind in ((source, np.float32), (target, np.uint8)):
            nothing = np.zeros(details["state"]["shape"], kind)
            state = graph.run({"frame": other, "state": nothing})["state"]
            fed.append({"frame": frame, "state": state})
        yield fed[0], fed[1]


def _call(interpreter: Interpreter, values: Sequence[np.ndarray]) -> np.ndarray:
    for detail, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _limits(detail: dict[str, Any]) -> tuple[int, int]:
    """The smallest and the largest integer that a quantised tensor can hold."""
    if not detail["quantization"][0]:
        raise ValueError(f"{detail['name']} is {detail['dtype'].__name__} in the integer file")
    limits = np.iinfo(detail["dtype"])
    return limits.min, limits.max


def _rounded(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Real numbers to a quantised tensor's integers."""
    scale, zero_point = detail["quantization"]
    return np.clip(np.rint(values / scale) + zero_point, *_limits(detail)).astype(detail["dtype"])


def _real(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """A tensor's integers to the real numbers that they stand for, float32."""
    quantisation = detail["quantization_parameters"]
    if not len(quantisation["scales"]):
        return values
    levels = values.astype(np.float32) - _spread(quantisation["zero_points"], detail)
    return (levels * _spread(quantisation["scales"], detail)).astype(np.float32)


def _spread(numbers: np.ndarray, detail: dict[str, Any]) -> np.ndarray | float:
    """A tensor's scales or zero points, one or one for each channel, in a shape that broadcasts."""
    if len(numbers) < 2:
        return numbers[0] if len(numbers) else 0.0
    shape = [1] * len(detail["shape"])
    shape[detail["quantization_parameters"]["quantized_dimension"]] = -1
    return numbers.reshape(shape)


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
