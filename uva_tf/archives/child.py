"""What is done with a video in a child process: predicted, cut, predicted in part, joined.

A file that crashes FFmpeg, takes too long or too much memory costs this process only.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uva_tf.archives.maps_file import RECORD, MapsFile
from uva_tf.archives.segments import Segment, find_cuts
from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VideoReader, refuse_damage
from uva_tf.runtime.annotate import annotate
from uva_tf.runtime.persistence import WINDOW
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Options, Outputs, Sink, open_sinks, write_places
from uva_tf.runtime.worker import serve

PROGRAM = f"from {__name__} import main; main()"
# What a video's outputs are called in the folder that a task names.
NPZ, CSV, OVERLAY = "maps.npz", "places.csv", "overlay.mp4"
WAITING = "maps.raw"


def main() -> None:
    """Do the tasks that come on stdin."""
    serve(answering)


def answering(setup: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that does a task in its folder and returns the answer.

    Args:
        setup: `model`, a file; `persistence` of its maps; `options`, as a dictionary; `strict`.
    """
    cv2.setNumThreads(1)
    predictor = Predictor(Path(setup["model"]), persistence=setup["persistence"])
    options = Options(**setup["options"])
    task_of = {"video": _video, "segment": _segment, "join": _join}

    def answer(task: dict[str, Any]) -> dict[str, Any]:
        reading = {"stream": options.stream, "deinterlace": options.deinterlace, "threads": 1}
        try:
            do = task_of[task["do"]]
            return do(task, predictor, options, reading, setup["strict"])
        finally:
            gc.collect()  # a reader is part of a cycle, and holds its decoder's frames

    return answer


def _video(
    task: dict[str, Any], predictor: Predictor, options: Options, reading: dict, strict: bool
) -> dict[str, Any]:
    """Predict a whole video; or, if it is longer than `segment` allows, say where it can be cut."""
    path, folder = Path(task["path"]), Path(task["folder"])
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path}: it is a picture: uva-tf predict takes pictures")
    with VideoReader(path, **reading) as source:
        if task["segment"] and (cuts := find_cuts(path, source, task["segment"])):
            return {"cuts": cuts.at, "frames": cuts.frames}
        overlay = folder / OVERLAY if task["overlay"] else None
        with contextlib.ExitStack() as stack:
            drawn, writer = open_sinks(Outputs(overlay=overlay), options, source, stack)
            maps, sinks = _outputs(folder, stack)
            _annotate(source, predictor, [*sinks, *drawn])
        if strict:
            refuse_damage(source)
        notes = [*source.notes, *(writer.notes if writer else [])]
        seen = {"width": source.width, "height": source.height, "damaged": source.damaged}
        seen |= {"segments": 1, "notes": "; ".join(notes)}
        return _written(maps, folder, task["record"], source.rate, seen)


def _segment(
    task: dict[str, Any], predictor: Predictor, options: Options, reading: dict, strict: bool
) -> dict[str, Any]:
    """Predict a segment; its file's record says whether it may be joined to others."""
    path, folder = Path(task["path"]), Path(task["folder"])
    begin, end = task["begin"], task["end"]
    beyond = predictor.gap - 1 + (WINDOW - 1 if predictor.persistence else 0)
    pairing = predictor.manifest.pairing
    source = Segment(path, begin, end, pairing=pairing, beyond=beyond, **reading)
    with contextlib.closing(source), contextlib.ExitStack() as stack:
        maps, sinks = _outputs(folder, stack)
        reader = source.reader
        _annotate(source, predictor, [_without(source.foreign, sink) for sink in sinks])
        record = task["record"] | {
            "exact": source.exact,
            "width": reader.width,
            "height": reader.height,
            "rate": reader.rate,
            "notes": reader.notes,
        }
        maps.write(folder / NPZ, record)
    return {"frames": maps.summary()["frames"]}


def _join(
    task: dict[str, Any], predictor: Predictor, options: Options, reading: dict, strict: bool
) -> dict[str, Any]:
    """Join segments, in order; `inexact` if the whole may differ from an uncut run's."""
    folder, notes, sizes, exact = Path(task["folder"]), {}, set(), True
    with contextlib.ExitStack() as stack:
        maps, table = _maps(folder, stack), stack.enter_context((folder / CSV).open("wb"))
        numbers = itertools.count(1)
        for number, (part, places) in enumerate(task["parts"]):
            with np.load(part) as file:
                record = json.loads(file[RECORD])
                notes |= dict.fromkeys(record["notes"])
                sizes.add((record["width"], record["height"], record["rate"]))
                exact = exact and record["exact"]
                for seconds, attention in zip(file["seconds"].tolist(), file["maps"], strict=True):
                    maps.add(seconds, attention)
            with Path(places).open("rb") as rows:
                header = next(rows)
                table.write(header if number == 0 else b"")
                for row in rows:
                    table.write(b"%d,%b" % (next(numbers), row.partition(b",")[2]))
        if not exact or len(sizes) > 1 or maps.summary()["frames"] != task["frames"]:
            return {"inexact": True}
    width, height, rate = sizes.pop()
    seen = {"width": width, "height": height, "damaged": 0, "segments": len(task["parts"])}
    seen |= {"notes": "; ".join(notes)}
    return _written(maps, folder, task["record"], rate, seen)


def _without(times: Container[float], sink: Sink) -> Sink:
    """The same sink, which passes over the frames of some times."""

    def make(frame: Frame, attention: np.ndarray) -> Any:
        return None if frame.seconds in times else sink.make(frame, attention)

    return Sink(make, lambda item: None if item is None else sink.take(item))


def _maps(folder: Path, stack: contextlib.ExitStack) -> MapsFile:
    maps = MapsFile(folder / WAITING)
    stack.callback(maps.close)
    return maps


def _outputs(folder: Path, stack: contextlib.ExitStack) -> tuple[MapsFile, list[Sink]]:
    """What every video has: its maps, and the table of places."""
    maps = _maps(folder, stack)
    table = stack.enter_context((folder / CSV).open("wb", buffering=0))
    keep = Sink(lambda frame, attention: (frame.seconds, attention), lambda one: maps.add(*one))
    return maps, [keep, write_places(table)]


def _annotate(source: VideoReader | Segment, predictor: Predictor, sinks: list[Sink]) -> None:
    """Hand all frames and maps to the sinks; raises what ends the video early."""
    _, cause = annotate(source, predictor, sinks)
    if cause:
        raise cause


def _written(
    maps: MapsFile, folder: Path, record: dict[str, Any], rate: float, seen: dict[str, Any]
) -> dict[str, Any]:
    """Write a video's maps; returns its record."""
    record = record | seen | maps.summary() | {"duration": maps.duration(rate)}
    maps.write(folder / NPZ, record)
    return {"record": record}
