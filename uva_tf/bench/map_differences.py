"""How far the maps of model files lie apart on the frames of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from uva_tf.compression.operators import read_model
from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.core.text_tables import aligned
from uva_tf.core.video import VideoReader
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.predictor import Predictor

FRAMES = 500


@dataclass(frozen=True)
class Difference:
    """A file's maps beside those of the first file, as streams of the same frames.

    Attributes:
        frames: number of maps compared.
        largest: the largest difference of a pixel, in levels of 255, not rounded.
        equal: fraction of all pixels that are equal to the last bit, 0 to 1.
        dimensions: the most that a tensor of the file has.
    """

    file: str
    frames: int
    largest: float
    equal: float
    dimensions: int


def map_differences(
    files: Sequence[Path], videos: Sequence[Path], count: int = FRAMES
) -> list[Difference]:
    """Compare the maps of each file with those of the first, on the first frames of videos.

    The videos follow each other as one stream.

    Raises InputError for files of different resolutions, and for what is no video.
    """
    sides = {file: read_manifest(file)[0].resolution for file in files}
    if len(set(sides.values())) > 1:
        listed = ", ".join(f"{file.name} {side}" for file, side in sides.items())
        raise InputError(f"--maps: expected files of one resolution, received {listed}")
    small = _small_frames(videos, sides[files[0]], count)  # (N, R, R, 3) uint8
    maps = [_levels(file, small) for file in files]
    differences = []
    for file, name, drawn in zip(files, distinct_names(files), maps, strict=True):
        apart = np.abs(drawn - maps[0])  # (N, R, R)
        differences.append(
            Difference(
                file=name,
                frames=len(small),
                largest=float(apart.max()),
                equal=float(np.mean(apart == 0)),
                dimensions=_dimensions(file),
            )
        )
    return differences


def table(differences: Sequence[Difference]) -> str:
    """The differences in aligned columns."""
    cells = [
        [
            one.file,
            str(one.frames),
            f"{one.largest:.3g}",
            f"{100 * one.equal:.2f} %",
            str(one.dimensions),
        ]
        for one in differences
    ]
    head = ["maps of file", "frames", "largest", "equal", "dimensions"]
    return f"{aligned([head, *cells])}\n{NOTE}"


NOTE = (
    "largest: difference of a pixel from the first file's, in levels of 255; equal: percentage of\n"
    "pixels; dimensions: the most of a tensor of the file"
)


def _small_frames(videos: Sequence[Path], side: int, count: int) -> np.ndarray:
    def of(video: Path):
        with VideoReader(video) as reader:
            for frame in reader.timed():
                yield frame.small(side)

    return np.stack(list(islice(chain.from_iterable(map(of, videos)), count)))


def _levels(file: Path, small: np.ndarray) -> np.ndarray:
    """A file's maps of frames, `[N, R, R]` float64 in levels of 255."""
    maps = np.stack(list(Predictor(file, exact=True, persistence=0, brighten=0).run(small)))
    return maps.astype(float) * (1 if maps.dtype == np.uint8 else 255)


def _dimensions(file: Path) -> int:
    graph = read_model(read_manifest(file)[1]).subgraphs[0]
    return max(0 if tensor.shape is None else len(tensor.shape) for tensor in graph.tensors)
