"""From folders of videos and pictures to hints: one file for each frame of each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.outputs import as_text
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES, VideoReader
from uva_tf.data import readers
from uva_tf.data.dataset import file_sha256
from uva_tf.data.folders import files_by_name
from uva_tf.data.hint_basis import Basis, fit
from uva_tf.data.hint_network import Network
from uva_tf.data.picture_files import read_picture

MOST_SAMPLED = 2000  # frames that the basis is made of
ARRANGED = ("images", "video", "videos")  # how layouts call the folder within a set


@dataclass(frozen=True)
class Source:
    """A video or a picture.

    Attributes:
        place: where its hints go: the set's name and its own.
        numbers: of the frames that get a hint, as many as the video announces, from 1.
    """

    path: Path
    place: Path
    numbers: range

    def frames(self) -> Iterator[tuple[int, Frame]]:
        """Every frame with its number from 1, as `uva-tf prepare` numbers them."""
        if self.path.suffix.lower() in IMAGE_SUFFIXES:
            yield 1, read_picture(self.path)
            return
        for one in readers.footage(self.path.stem, self.path).read():
            yield one.index, one.frame


def set_name(root: Path) -> str:
    """The name of a folder of footage; of `SET/videos` and `SET/images` it is `SET`."""
    root = root.resolve() if ".." in root.parts else root.absolute()
    return root.parent.name if root.name in ARRANGED and root.parent.name else root.name


def find(roots: Sequence[Path], every: int) -> list[Source]:
    """The videos and pictures directly in each root, sorted by set and name.

    Raises InputError for two roots or two files of one name, and for a root without any.
    """
    by_set: dict[str, Path] = {}
    found = []
    for root in roots:
        name = set_name(root)
        if name in by_set:
            raise InputError(f"{by_set[name]} and {root}: both are called {name}, rename one")
        by_set[name] = root
        files = files_by_name(root, VIDEO_SUFFIXES + IMAGE_SUFFIXES)
        if not files:
            raise InputError(f"{root}: no videos and no pictures directly in it")
        for own, path in files.items():
            numbers = range(1, _length(path) + 1, every)
            found.append(Source(path, Path(name) / own, numbers))
    return sorted(found, key=lambda source: source.place)


def write(
    network: Network,
    sources: Sequence[Source],
    folder: Path,
    *,
    components: int,
    every: int,
    seed: int,
    progress: Callable[[Iterable, int], Iterator],
) -> tuple[Basis, int]:
    """Write `basis.npz`, `hints.json` and each frame's hint, `SET/NAME/000001.npy`.

    Args:
        progress: wraps the frames of both passes and their number.

    Returns:
        The basis and the number of hints.
    """
    chosen = _sample(sources, seed)
    number = sum(len(numbers) for _, numbers in chosen)
    basis = fit(progress(_features(network, chosen), number), components)
    np.savez(
        folder / "basis.npz",
        mean=basis.mean,
        deviation=basis.deviation,
        components=basis.components,
        variance=basis.variance,
    )
    count = 0
    made = _hints(network, basis, sources, every)
    for place, hint in progress(made, sum(len(source.numbers) for source in sources)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / place, hint)
        count += 1
    made_by = {
        "model": as_text(network.path.name),
        "sha256": file_sha256(network.path),
        "layers": {
            layer: list(shape) for layer, shape in zip(network.layers, network.shapes, strict=True)
        },
        "components": components,
        "share_of_variance": round(basis.share, 4),
        "every": every,
        "seed": seed,
        "hints": count,
    }
    (folder / "hints.json").write_text(json.dumps(made_by, indent=2) + "\n", encoding="utf-8")
    return basis, count


def _sample(sources: Sequence[Source], seed: int) -> list[tuple[Source, set[int]]]:
    """Sources with the numbers of frames to make the basis of, in order."""
    ends = np.cumsum([len(source.numbers) for source in sources])
    total = int(ends[-1])
    drawn = np.random.default_rng(seed).choice(total, min(total, MOST_SAMPLED), replace=False)
    chosen = []
    for source, end in zip(sources, ends, strict=True):
        begin = end - len(source.numbers)
        mine = drawn[(drawn >= begin) & (drawn < end)] - begin
        if mine.size:
            chosen.append((source, {source.numbers[index] for index in mine}))
    return chosen


def _features(network: Network, chosen: Iterable[tuple[Source, set[int]]]) -> Iterator[np.ndarray]:
    """The features of the chosen frames, `[GRID, GRID, channels]` each."""
    for source, numbers in chosen:
        last = max(numbers)
        for number, frame in source.frames():
            if number in numbers:
                yield _finite(network, frame, source, number)
            if number == last:
                break


def _hints(
    network: Network, basis: Basis, sources: Iterable[Source], every: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Each hint, with its path below the folder to write to."""
    for source in sources:
        for number, frame in source.frames():
            if (number - 1) % every == 0:
                features = _finite(network, frame, source, number)
                yield source.place / f"{number:06d}.npy", basis.levels(features)


def _finite(network: Network, frame: Frame, source: Source, number: int) -> np.ndarray:
    features = network.grid(frame)
    if not np.isfinite(features).all():
        raise InputError(
            f"{network.path}: gives NaN or infinity on frame {number} of {source.path}"
        )
    return features


def _length(path: Path) -> int:
    """The number of frames: what the container announces, or else as many as there are."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return 1
    with VideoReader(path, threads=1) as video:
        return video.length or sum(1 for _ in video.timed())
