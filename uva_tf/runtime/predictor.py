"""The predictor: frames in, attention maps out, through LiteRT."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from uva_tf.core.errors import InputError, first_line
from uva_tf.core.frames import Frame
from uva_tf.core.resize import shrink
from uva_tf.runtime.arrays import check_frame
from uva_tf.runtime.brighten import brightened
from uva_tf.runtime.default_model import choose_model
from uva_tf.runtime.manifest import MOST_GAP, MOST_LEVEL, Manifest, read_manifest
from uva_tf.runtime.persistence import Persistence

INPUTS = {"pair": {"frame", "other"}, "step": {"frame", "state"}}
OUTPUTS = {"pair": {"attention"}, "step": {"attention", "state"}}
CHANNELS = ("rgb", "bgr")


def open_interpreter(
    content: bytes, threads: int = 1, *, delegate: bool = True, reference: bool = False
) -> Interpreter:
    """An interpreter for a file's content, with its tensors allocated.

    Args:
        delegate: whether XNNPACK may run it; else LiteRT's own kernels do.
        reference: run it with LiteRT's reference kernels, which are plain and slow.

    Raises RuntimeError or ValueError if LiteRT refuses the file.
    """
    resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if reference:
        resolver = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=content, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def open_model(
    model: Path, threads: int = 1, *, delegate: bool = True, reference: bool = False
) -> tuple[Manifest, Interpreter]:
    """Load a .tflite file that its manifest vouches for; arguments as for `open_interpreter`.

    Raises InputError if file and manifest do not fit together, or LiteRT refuses the file.
    """
    manifest, content = read_manifest(model)
    try:
        interpreter = open_interpreter(content, threads, delegate=delegate, reference=reference)
        runner = interpreter.get_signature_runner(manifest.form)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{model}: LiteRT refuses the file: {first_line(error)}") from None
    side = manifest.resolution
    if (
        _indices(inputs) != {tensor["index"] for tensor in interpreter.get_input_details()}
        or set(inputs) != INPUTS[manifest.form]
        or set(outputs) != OUTPUTS[manifest.form]
        or tuple(outputs["attention"]["shape"]) != (1, side, side, 1)
        or any(
            tuple(inputs[name]["shape"]) != (1, side, side, 3) or inputs[name]["dtype"] != np.uint8
            for name in inputs
            if name != "state"
        )
    ):
        raise InputError(
            f"{model}: its inputs and outputs are not those that its manifest states, a "
            f"{manifest.form} of {side} px: convert the model again"
        )
    return manifest, interpreter


def _indices(details: dict[str, dict]) -> set[int]:
    return {tensor["index"] for tensor in details.values()}


class Predictor:
    """An attention model on a stream of frames.

    Frames are `[H, W, 3]` uint8 of any size, or Frames of a VideoReader. Maps are `[R, R]` uint8
    and cover the whole frame, with 255 at the place that is looked at most; `R` is the model's
    resolution.

    Args:
        model: .tflite file of either form, with its manifest beside it; or a student that comes
            with the package, such as `uva-32` or `uva-32-int8`. By default the best one, as it
            suits this processor: see `choose_model`.
        threads: number of threads of the interpreter.
        channels: order of the channels of frames that are arrays.
        reference: run LiteRT's slow reference kernels, for comparison.
        exact: return maps in the model's own dtype; a float model gives float32, 1 at the peak.
        persistence: how much of the stream's maps before is joined with each map, 0 to 0.95; see
            `runtime.persistence`. By default what the manifest says; 0 gives the model's own maps.
        ahead: how many of the maps after each are joined with it too, 0 to 15; `run` then yields
            maps so many frames late, and `step` can't be used.
        brighten: the mean level to which darker frames are brightened, 0 to 128; see
            `runtime.brighten`. By default what the manifest says; 0 leaves frames as they are.
        gap: each frame is paired with the one so many frames before it, 1 to 16; 1 with `next`
            pairing. By default what the manifest says.

    Attributes:
        manifest: of the model.
        persistence, brighten, gap: as they are in use.

    Raises InputError if the model can't be used, ValueError for invalid arguments.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        threads: int = 1,
        channels: Literal["rgb", "bgr"] = "rgb",
        reference: bool = False,
        exact: bool = False,
        persistence: float | None = None,
        ahead: int = 0,
        brighten: int | None = None,
        gap: int | None = None,
    ):
        if model is not None and not isinstance(model, (str, Path)):
            raise ValueError(f"model: expected the path of a .tflite file, received {model!r:.80}")
        if channels not in CHANNELS:
            raise ValueError(f"channels {channels!r}: expected {' or '.join(map(repr, CHANNELS))}")
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256:
            raise ValueError(f"threads {threads!r}: expected a whole number from 1 to 256")
        path, _ = choose_model(model)
        self.manifest, interpreter = open_model(path, threads, reference=reference)
        self._bgr, self._exact = channels == "bgr", exact
        self._interpreter = interpreter
        self.persistence = self.manifest.persistence if persistence is None else persistence
        self._joined, self._ahead = Persistence(self.persistence, ahead), ahead
        self.brighten = self.manifest.brighten if brighten is None else brighten
        _check_whole("brighten", self.brighten, 0, MOST_LEVEL)
        self.gap = self.manifest.gap if gap is None else gap
        _check_whole("gap", self.gap, 1, MOST_GAP)
        if self.gap > 1 and self.manifest.pairing == "next":
            raise ValueError(
                f"gap {gap!r}: expected 1, as the model pairs frames with the next one"
            )
        runner = interpreter.get_signature_runner(self.manifest.form)
        self._inputs, self._outputs = runner.get_input_details(), runner.get_output_details()
        self._memory_name = "other" if self.manifest.form == "pair" else "state"
        memory = self._inputs[self._memory_name]
        self._empty = np.zeros(memory["shape"], memory["dtype"])
        self.reset()

    def reset(self) -> None:
        """Forget the frames seen so far: the next one begins a new stream."""
        self._memory: deque[np.ndarray] = deque(maxlen=self.gap)  # the oldest first
        self._last: np.ndarray | None = None  # the latest small frame
        self._joined.reset()

    def step(self, frame: np.ndarray | Frame) -> np.ndarray:
        """The map of the stream's next frame, which is paired with the one `gap` before it.

        The first frames of a stream, which have none, are paired with the first. Raises ValueError
        for anything but a frame, after which the stream can continue, and for a model with `next`
        pairing, which needs the following frame, or `ahead`: use `run` for these.
        """
        if self.manifest.pairing == "next":
            raise ValueError("this model pairs frames with the next one: use run, not step")
        if self._ahead:
            raise ValueError(f"ahead {self._ahead}: expected 0 for step; use run")
        return self._next(frame)

    def run(self, frames: Iterable[np.ndarray | Frame]) -> Iterator[np.ndarray]:
        """The maps of a new stream's frames, one for each frame, in order.

        Args:
            frames: any iterable of frames, such as a list or an array `[N, H, W, 3]` uint8.

        Raises ValueError for anything else.
        """
        single = isinstance(frames, np.ndarray) and frames.ndim < 4
        iterable = isinstance(frames, Iterable) or hasattr(frames, "__getitem__")
        if single or not iterable or isinstance(frames, (str, bytes, Mapping)):
            what = (
                f"{list(frames.shape)} {frames.dtype}" if single else f"a {type(frames).__name__}"
            )
            raise ValueError(
                f"run: expected an iterable of frames, received {what}: pass a list of frames, or "
                "one frame to step"
            )
        return self._run(frames)

    def _run(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        self.reset()
        for attention in chain(map(self._next, frames), self._end()):
            if attention is not None:
                yield attention

    def _end(self) -> Iterator[np.ndarray | None]:
        """The maps that the stream's end completes."""
        if self.manifest.pairing == "next" and self._last is not None:
            yield self._advance(self._last)  # the last frame is paired with itself
        yield from self._joined.rest()

    def _next(self, frame: np.ndarray | Frame) -> np.ndarray | None:
        """Take the stream's next frame; the map that it completes, if any."""
        small = self._small(frame)
        if not self._memory:
            self._memory.append(self._remember(small))
            if self.manifest.pairing == "next":
                return None
        return self._advance(small)

    def _small(self, frame: np.ndarray | Frame) -> np.ndarray:
        """The frame at the model's resolution, `[1, R, R, 3]` uint8 RGB."""
        if isinstance(frame, Frame):
            return frame.small(self.manifest.resolution)[None]
        check_frame(frame)
        small = shrink(frame, self.manifest.resolution)
        if self._bgr:
            small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        return small[None]

    def _remember(self, small: np.ndarray) -> np.ndarray:
        """What is kept of a frame: the small frame itself, or its features from the trunk."""
        self._last = small
        if self.manifest.form == "pair":
            return small
        return self._call(frame=small, state=self._empty)["state"]

    def _advance(self, small: np.ndarray) -> np.ndarray | None:
        """Draw the map of the current frame and join it; `small`, the latest frame, is remembered.

        The current frame is the latest, or with `next` pairing the one before it.
        """
        last, self._last = self._last, small
        current = last if self.manifest.pairing == "next" else small
        frame, memory = small, self._memory[0]
        if self.manifest.form == "pair" and self.manifest.pairing == "next":
            frame, memory = memory, small
        result = self._call(**{"frame": frame, self._memory_name: memory})
        self._memory.append(small if self.manifest.form == "pair" else result["state"])
        attention = result["attention"][0, :, :, 0]
        attention = attention if self._exact else to_bytes(attention)
        return self._joined.add(attention, current[0])

    def _call(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model, without LiteRT's signature runner, which allocates at every call.

        Dark frames are brightened here, for the model alone: brightened noise looks like cuts.
        """
        for name, value in inputs.items():
            if name != "state":
                value = brightened(value[0], self.brighten)[None]
            self._interpreter.set_tensor(self._inputs[name]["index"], value)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(details["index"])
            for name, details in self._outputs.items()
        }


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError for anything but a whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} {value!r}: expected an int from {least} to {most}")


def to_bytes(attention: np.ndarray) -> np.ndarray:
    """A map as uint8: floats from 0 to 1 become 0 to 255, uint8 stays as it is."""
    if attention.dtype == np.uint8:
        return attention
    return np.rint(255 * np.clip(attention, 0, 1)).astype(np.uint8)
