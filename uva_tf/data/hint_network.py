"""The network that gives hints: a .tflite or .onnx file, run by OpenVINO up to some of its layers.

A layer is named by the tensor that it writes, as the file names it. OpenVINO numbers its own
names for operators anew whenever it reads a file, so that they name nothing for long.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.files import check_file
from uva_tf.core.frames import Frame
from uva_tf.core.pictures import MOST_PIXELS
from uva_tf.data.hints import GRID

FRAMEWORKS = {".tflite": "tflite", ".onnx": "onnx"}
MOST_BYTES = 2**31
MOST_CHANNELS = 4096
# How lines of OpenVINO's messages begin that name places in its code.
WHERE = ("Exception from", "Check ", "FrontEnd API failed")


class Network:
    """A network up to the layers that were asked for.

    Args:
        path: a .tflite or .onnx file that takes one picture, `[1, h, w, 3]` or `[1, 3, h, w]`,
            float32 RGB from 0 to 1.
        layers: names of tensors, `[1, h, w, c]` or `[1, c, h, w]` as the picture is.
        threads: that it runs on.

    Raises InputError for a file that OpenVINO can't read, and for what does not fit.

    Attributes:
        height, width: of the picture that it takes.
        shapes: `(h, w, c)` of each layer.
        channels: of all layers together.
    """

    def __init__(self, path: Path, layers: Sequence[str], threads: int = 1):
        self.path, self.layers = path, list(layers)
        if twice := sorted({layer for layer in layers if self.layers.count(layer) > 1}):
            raise InputError(f"{some(twice)}: a layer given twice, expected once")
        model = _cut(path, self.layers)
        self._first, self.height, self.width = _one_picture(model, path)
        self.shapes = [self._shape(model.output(layer), layer) for layer in self.layers]
        self.channels = sum(shape[2] for shape in self.shapes)
        if self.channels > MOST_CHANNELS:
            raise InputError(f"{path}: {self.channels} channels, expected at most {MOST_CHANNELS}")
        self._areas = [(_areas(height), _areas(width)) for height, width, _ in self.shapes]
        self._request = _compiled(model, threads, path)

    def features(self, frame: Frame) -> list[np.ndarray]:
        """What each layer makes of a frame, float32 `[h, w, c]` each."""
        frame = fitted(frame.pixels, self.height, self.width)
        picture = frame[None].astype(np.float32) / 255
        try:
            self._request.infer([picture.transpose(0, 3, 1, 2) if self._first else picture])
        except RuntimeError as error:  # of sizes that only show then
            raise _refusal(self.path, error, "run") from None
        found = [self._request.get_tensor(layer).data[0].copy() for layer in self.layers]
        return [one.transpose(1, 2, 0) if self._first else one for one in found]

    def grid(self, frame: Frame) -> np.ndarray:
        """The features of all layers on one grid, float32 `[GRID, GRID, channels]`.

        Each place has the mean over its area.
        """
        parts = []
        for (rows, columns), layer in zip(self._areas, self.features(frame), strict=True):
            height, width, channels = layer.shape
            high = (rows @ layer.reshape(height, -1)).reshape(GRID, width, channels)
            parts.append(columns @ high)  # (GRID, GRID, channels)
        return np.concatenate(parts, axis=2)

    def _shape(self, output: Any, layer: str) -> tuple[int, int, int]:
        shape = output.partial_shape
        order = "[1, c, h, w]" if self._first else "[1, h, w, c]"
        if shape.is_dynamic or len(shape) != 4 or shape.to_shape()[0] != 1:
            raise InputError(f"{self.path}: layer {layer} is {_text(shape)}, expected {order}")
        if not output.element_type.is_real():
            raise InputError(f"{self.path}: layer {layer} is not of floating-point numbers")
        _, *sides = shape.to_shape()
        return tuple([*sides[1:], sides[0]] if self._first else sides)


def fitted(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame stretched to a network's input: `[H, W, 3]` BGR to `[height, width, 3]` RGB, uint8.

    It is averaged over areas if both sides shrink, else sampled bilinearly.
    """
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(pixels, (width, height), interpolation=how), cv2.COLOR_BGR2RGB)


def _areas(size: int) -> np.ndarray:
    """Weights `[GRID, size]` by which cells of a row of `size` make the mean over each of GRID."""
    begins = np.arange(GRID)[:, None] * size / GRID
    cells = np.arange(size)
    shared = np.minimum(begins + size / GRID, cells + 1) - np.maximum(begins, cells)
    return (shared.clip(0) * GRID / size).astype(np.float32)


def _cut(path: Path, layers: list[str]) -> Any:
    """The network of a file with the layers as its outputs, in the file's own order of axes."""
    from openvino.frontend import FrontEndManager  # late: of the extra [hints]

    size = check_file(path, "model file")
    if size > MOST_BYTES:
        raise InputError(f"{path}: {size} bytes, expected at most {MOST_BYTES} in a model file")
    framework = FRAMEWORKS.get(path.suffix.lower())
    if framework is None:
        raise InputError(f"{path}: expected a model file, {' or '.join(FRAMEWORKS)}")
    try:
        frontend = FrontEndManager().load_by_framework(framework)
        graph = frontend.load(str(path))
        places = [_place(graph, layer) for layer in layers]
        if None in places:
            names = _names(frontend.decode(graph))
        else:
            graph.override_all_outputs(places)
            return frontend.convert(graph)
    except Exception as error:  # whatever a broken file makes OpenVINO raise
        raise _refusal(path, error) from None
    unknown = layers[places.index(None)]
    near = [name for name in names if unknown.lower() in name.lower()][:3]
    near = near or difflib.get_close_matches(unknown, names, 3, 0.3) or names[-3:]
    listed = f"near it are {', '.join(map(repr, near))}" if near else "the file has none"
    raise InputError(f"{path}: no layer {unknown!r}, {listed}")


def _place(graph: Any, layer: str) -> Any | None:
    """Where a graph has a tensor; None if it has no such."""
    try:
        return graph.get_place_by_tensor_name(layer)
    except RuntimeError:  # of an .onnx file
        return None


def _names(model: Any) -> list[str]:
    """The names of a decoded file's tensors, without its weights."""
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() != "Constant"]
    outputs = [output for node in nodes for output in node.outputs()]
    return sorted({name for output in outputs for name in output.get_names()})


def _one_picture(model: Any, path: Path) -> tuple[bool, int, int]:
    """Whether the picture has its channels first, its height and its width; fixes its batch.

    Inputs that the layers do not depend on are removed.
    """
    from openvino import PartialShape

    for parameter in model.get_parameters():
        if not parameter.output(0).get_target_inputs():
            model.remove_parameter(parameter)
    parameters = model.get_parameters()
    if len(parameters) != 1:
        names = some([parameter.friendly_name for parameter in parameters]) or "no input"
        raise InputError(f"{path}: the layers are made of {names}, expected one picture")
    shape, kind = parameters[0].partial_shape, parameters[0].element_type
    expected = "expected a float32 picture [1, h, w, 3] or [1, 3, h, w]"
    if shape.rank.is_dynamic or len(shape) != 4 or any(one.is_dynamic for one in list(shape)[1:]):
        raise InputError(f"{path}: takes {_text(shape)}, {expected}")
    batch, *sides = list(shape)
    sides = [one.get_length() for one in sides]
    last, first = sides[2] == 3, sides[0] == 3
    height, width = sides[:2] if last else sides[1:]
    too_large = not 0 < height * width <= MOST_PIXELS
    if not (last or first) or too_large or kind.get_type_name() != "f32":
        raise InputError(f"{path}: takes {kind.get_type_name()} {_text(shape)}, {expected}")
    if not batch.is_dynamic and batch.get_length() != 1:
        raise InputError(f"{path}: takes {batch.get_length()} pictures at a time, expected 1")
    try:
        model.reshape({parameters[0].output(0): PartialShape([1, *sides])})
    except RuntimeError as error:
        raise _refusal(path, error) from None
    return not last, height, width


def _compiled(model: Any, threads: int, path: Path) -> Any:
    """A request that runs the network; the same bits whenever it runs on as many threads."""
    from openvino import Core

    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    try:
        return Core().compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise _refusal(path, error) from None


def _refusal(path: Path, error: Exception, what: str = "read") -> InputError:
    """The line for what OpenVINO says over several: first where it was, then what."""
    lines = [line.strip() for line in str(error).splitlines()]
    cause = [line for line in lines if line and not line.startswith(WHERE)]
    return InputError(f"{path}: OpenVINO can't {what} it ({(cause or lines or [''])[0][:200]})")


def _text(shape: Any) -> str:
    """A shape as `[1, ?, ?, 3]`."""
    return str(shape).replace(",", ", ")
