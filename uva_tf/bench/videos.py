"""Speed on whole videos beside decoding and encoding alone; a frame's time; memory's growth."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from uva_tf.bench.memory import MB, largest_set
from uva_tf.bench.timing import NOISY, Latency, time_in_turn
from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.names import distinct_names
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime.annotate import annotate
from uva_tf.runtime.overlay import heat
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, write_overlay

ROUNDS = 5
FRAMES = 32  # to time `measure_frame` on: more than a core's caches hold
FRAME_ROUNDS = 10
SETTLED = 60.0  # seconds of video after which memory should grow no more


@dataclass(frozen=True)
class Throughput:
    """Frames/s of a whole video, as medians over the turns.

    Attributes:
        decoding: by OpenCV's plain loop, which makes a BGR picture of each frame.
        attention: decoding, and maps of all frames.
        encoding: decoding, and encoding by the same encoder as the overlay's.
        overlay: decoding, maps, and encoding of the overlay.
        predicted: `attention` divided by `decoding`, median of the ratios in each turn.
        drawn: `overlay` divided by `encoding`, likewise.
        spread: the fastest turn divided by the median, for the work where that is largest.
    """

    decoding: float
    attention: float
    encoding: float
    overlay: float
    predicted: float
    drawn: float
    spread: float

    @property
    def noise(self) -> str:
        """Why its spread makes it unreliable; empty if it does not."""
        if self.spread <= NOISY:
            return ""
        return (
            f"the fastest turn was {self.spread:.1f} times the median: the machine was busy, "
            "run again"
        )


def measure_video(model: Path, video: Path, *, rounds: int = ROUNDS) -> Throughput:
    """Time four kinds of work on a video in turn, see `Throughput`.

    Raises InputError for a model or a video that can't be used.
    """
    predictor = Predictor(model)
    with tempfile.TemporaryDirectory() as folder:
        works = (
            lambda out: _decode(video),
            lambda out: _predict(video, predictor),
            lambda out: _encode(video, out),
            lambda out: _draw(video, predictor, out),
        )
        rates: list[list[float]] = [[] for _ in works]
        for turn in range(rounds):
            for number, work in enumerate(works):
                rates[number].append(
                    _frames_per_second(work, Path(folder) / f"{turn}-{number}.mp4")
                )
    medians = [statistics.median(taken) for taken in rates]
    ratios = (
        statistics.median(ours / alone for alone, ours in zip(*pair, strict=True))
        for pair in (rates[:2], rates[2:])
    )
    spread = max(max(taken) / median for taken, median in zip(rates, medians, strict=True))
    return Throughput(*medians, *ratios, spread)


def measure_frame(models: Sequence[Path], video: Path) -> dict[str, Latency]:
    """Time the work from a decoded frame to its map, on one thread, in turn.

    Returns:
        Latencies of shrinking the frame, of each model (with shrinking), and of OpenCV's spectral
        residual if OpenCV's contributed modules are installed: of a BGR picture, and with making
        that picture of the decoder's frame, from which the others start.
    """
    with VideoReader(video) as reader:
        frames = [frame for frame, _ in zip(reader.timed(), range(FRAMES), strict=False)]
    pixels = {id(frame): frame.pixels for frame in frames}  # made before anything is timed
    names = [name.removesuffix(".tflite") for name in distinct_names(models)]
    predictors = {name: Predictor(model) for name, model in zip(names, models, strict=True)}
    side = next(iter(predictors.values())).manifest.resolution
    works: dict[str, Callable[[Frame], object]] = {
        "making it small": lambda frame: frame.small(side),
        **{name: predictor.step for name, predictor in predictors.items()},
    }
    if hasattr(cv2, "saliency"):
        residual = cv2.saliency.StaticSaliencySpectralResidual_create()
        name = "OpenCV's spectral residual"
        works[f"{name} of a BGR picture"] = lambda frame: residual.computeSaliency(
            pixels[id(frame)]
        )
        works[f"{name}, making that picture included"] = lambda frame: residual.computeSaliency(
            frame.converted()
        )
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        calls = [_over(frames, work) for work in works.values()]
        taken = time_in_turn(calls, rounds=FRAME_ROUNDS, runs=len(frames))
    finally:
        cv2.setNumThreads(threads)
    return dict(zip(works, taken, strict=True))


def measure_growth(model: Path, video: Path) -> float:
    """How much this process's largest resident set grows after a video's first minute, in MB.

    Raises InputError for a video of a minute or less.
    """
    settled: list[int] = []

    def note(seconds: float) -> None:
        if seconds >= SETTLED and not settled:
            settled.append(largest_set() or 0)

    with VideoReader(video) as reader:
        watch = Sink(lambda frame, attention: frame.seconds, note)
        annotate(reader, Predictor(model), [watch])
    if not settled:
        raise InputError(
            f"{video}: expected more than {SETTLED:.0f} seconds of video, to see memory grow"
        )
    return ((largest_set() or 0) - settled[0]) / MB


def _over(frames: Sequence[Frame], work: Callable[[Frame], object]) -> Callable[[], None]:
    """A call that works on the next frame each time."""
    number = 0

    def call() -> None:
        nonlocal number
        work(frames[number])
        number = (number + 1) % len(frames)

    return call


def _frames_per_second(work: Callable[[Path], int], out: Path) -> float:
    start = time.perf_counter()
    count = work(out)
    seconds = time.perf_counter() - start
    out.unlink(missing_ok=True)
    return count / seconds


def _decode(video: Path) -> int:
    # Bytes, since OpenCV does not survive a name that is not UTF-8; absolute, since FFmpeg takes
    # what stands before a colon for a protocol.
    capture, count = cv2.VideoCapture(os.fsencode(video.absolute())), 0
    while capture.read()[0]:
        count += 1
    return count


def _encode(video: Path, out: Path) -> int:
    with VideoReader(video) as reader, VideoWriter.like(reader, out) as writer:
        count = 0
        for frame in reader.timed():
            writer.write(frame)
            count += 1
    return count


def _predict(video: Path, predictor: Predictor) -> int:
    with VideoReader(video) as reader:
        return annotate(reader, predictor, [])[0]


def _draw(video: Path, predictor: Predictor, out: Path) -> int:
    with VideoReader(video) as reader, VideoWriter.like(reader, out) as writer:
        return annotate(reader, predictor, [write_overlay(writer.write, heat)])[0]
