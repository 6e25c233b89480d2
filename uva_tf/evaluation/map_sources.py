"""Map sources: a run, a .keras or .tflite file, or a folder of maps, as a function to maps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice, tee
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from uva_tf.config import KINDS
from uva_tf.core.cuts import COMPARED
from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file, check_folder
from uva_tf.core.resize import shrink
from uva_tf.data.picture_files import read_map
from uva_tf.data.records import Record
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import with_centre_prior
from uva_tf.runtime.persistence import Persistence
from uva_tf.runtime.predictor import Predictor, to_bytes
from uva_tf.training.run import Run
from uva_tf.training.weights import load_student, load_teacher

# From a clip's records in order to their maps, [h, w] uint8; None for a missing map.
MapSource = Callable[[Iterable[Record]], Iterator[np.ndarray | None]]

BATCH = 32


def open_map_source(
    path: Path, size: int, persistence: float | None = None, ahead: int = 0
) -> MapSource:
    """Open a run or a model as a map source.

    Args:
        path: a run folder, its `student.keras`, one of its `teachers/*.keras`, or a .tflite file.
        size: side of the dataset's frames in pixels, for which a teacher is built.
        persistence, ahead: how maps are joined, see `runtime.persistence`; by default what a
            .tflite file's manifest says, and not at all for a run.

    Raises InputError for anything else.
    """
    path = path.resolve()
    if path.is_dir():
        return persistent(student_source(Run.open(path)), persistence or 0, ahead)
    if path.suffix == ".tflite":
        predictor = Predictor(path, persistence=persistence, ahead=ahead)
        return lambda records: predictor.run(record.frame for record in records)
    check_file(path, "model", ", expected a run folder, a .keras or a .tflite file")
    for folder in (path.parent, path.parent.parent):
        if path.suffix == ".keras" and (folder / "config.json").is_file():
            run = Run.open(folder)
            if path == run.student:
                return persistent(student_source(run), persistence or 0, ahead)
            for kind in KINDS:
                if path == run.teacher(kind):
                    return persistent(teacher_source(run, kind, size), persistence or 0, ahead)
    raise InputError(f"{path}: expected a .tflite file, or a .keras file inside its run folder")


def teachers_of(path: Path, size: int) -> dict[str, MapSource]:
    """The teachers in a run folder, by the names of their rows; empty for any other path."""
    if not (path / "config.json").is_file():
        return {}
    run = Run.open(path.resolve())
    return {
        f"{kind} teacher": teacher_source(run, kind, size)
        for kind in KINDS
        if run.teacher(kind).is_file()
    }


def maps_source(folder: Path, *, skip_bad: bool = False) -> MapSource:
    """Maps written by any model: `folder/RECORDING/000001.png`, 8-bit grey, one for each frame.

    Args:
        skip_bad: yield None for a map that is missing or unusable.

    Raises InputError if there is no such folder. The source raises it for a map that is missing,
    not an 8-bit grey picture, or of another size than the clip's first.
    """
    check_folder(folder, " of maps")

    def source(records: Iterable[Record]) -> Iterator[np.ndarray | None]:
        shape = None
        for record in records:
            path = folder / record.video / f"{record.index:06d}.png"
            try:
                if not path.is_file():
                    raise InputError(f"{path}: no such map, expected one for each frame")
                picture = read_map(path)
                shape = shape or picture.shape
                if picture.shape != shape:
                    raise InputError(
                        f"{path}: {picture.shape[1]}x{picture.shape[0]} pixels, the clip's other "
                        f"maps have {shape[1]}x{shape[0]}"
                    )
                yield picture
            except InputError:
                if not skip_bad:
                    raise
                yield None

    return source


def persistent(source: MapSource, persistence: float, ahead: int = 0) -> MapSource:
    """A source whose maps are joined with those around them, see `runtime.persistence`."""
    if not persistence:
        return source

    def maps(records: Iterable[Record]) -> Iterator[np.ndarray | None]:
        seen, shown = tee(records)
        joined = Persistence(persistence, ahead)
        for record, picture in zip(shown, source(seen), strict=True):
            known = joined.add(picture, shrink(record.frame, COMPARED))
            if known is not None:
                yield known
        yield from joined.rest()

    return maps


def student_source(
    run: Run, centre: float = 0.0, centre_share: float = 0.0, temperature: float = 0.0
) -> MapSource:
    """The maps of a run's float student, with the centre prior to the power `centre`.

    Args:
        centre_share: of the prior in its finished maps, see `models.maps.mixed_with_centre`.
        temperature: to divide its logits by, in place of the run's own; 0 leaves that.
    """
    student = load_student(run)
    if temperature:
        logits = student.pair.output * (run.config.temperature / temperature)
        student = replace(student, pair=keras.Model(student.pair.input, logits))
    student = with_centre_prior(student, centre, centre_share)
    config = run.config.student
    return keras_source(student.pair, config.pairing, config.gap, centre_share)


def teacher_source(run: Run, kind: str, size: int) -> MapSource:
    """The maps of a run's spatial or temporal teacher, on frames of `size` pixels."""
    return keras_source(load_teacher(run, kind, size), run.config.student.pairing)


def keras_source(
    model: keras.Model, pairing: str, gap: int = 1, centre_share: float = 0.0
) -> MapSource:
    """The maps of a Keras model from `{"frame", "other"}` to logits."""
    side = model.inputs[0].shape[1]
    frames = tf.TensorSpec([None, side, side, 3], tf.uint8)

    @tf.function(input_signature=[frames, frames], autograph=False)
    def predict(frame, other):  # two (B, side, side, 3) bytes -> (B, h, w, 1)
        inputs = {"frame": normalise(frame), "other": normalise(other)}
        return attention(model(inputs, training=False), centre_share)

    def source(records: Iterable[Record]) -> Iterator[np.ndarray]:
        pairs = paired((shrink(record.frame, side) for record in records), pairing, gap)
        while chunk := list(islice(pairs, BATCH)):
            one, other = (np.stack(part) for part in zip(*chunk, strict=True))
            for picture in predict(one, other).numpy():
                yield to_bytes(picture[..., 0])

    return source


def paired(
    frames: Iterable[np.ndarray], pairing: str, gap: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each frame with its neighbour, as `Predictor` pairs them.

    With `previous` pairing it is the frame `gap` before it, or else the first; with `next` the last
    frame has itself.
    """
    last, before = None, deque(maxlen=gap + 1)
    for frame in frames:
        before.append(frame)
        if pairing == "previous":
            yield frame, before[0]
        elif last is not None:
            yield last, frame
        last = frame
    if pairing == "next" and last is not None:
        yield last, last
