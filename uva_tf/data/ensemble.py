"""Several models' maps as one teacher: their product, each raised to a power."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.centre_prior import log_centre_prior
from uva_tf.core.cuts import COMPARED, is_cut
from uva_tf.core.errors import InputError, some
from uva_tf.core.files import check_folder
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES, VideoReader
from uva_tf.data.folders import check_joined, files_by_name, numbered_files, subfolders
from uva_tf.data.picture_files import read_map

# Keeps a pixel at which one model saw nothing from losing what the others saw there.
FLOOR = 1 / 510  # half a step of an 8-bit map
REACH = 3  # standard deviations of a Gaussian over time


def product(maps: Sequence[np.ndarray], powers: Sequence[float], centre: float = 0.0) -> np.ndarray:
    """The product of maps, each to its power: `prior^centre prod_k (m_k + FLOOR)^p_k`.

    Args:
        maps: `[h, w]` each, in 0..255.
        centre: power of the centre prior.

    Returns:
        `[h, w]` uint8, from 0 to 255; 255 everywhere if it is the same everywhere.
    """
    total = (centre * log_centre_prior(*maps[0].shape)).astype(np.float32)  # (h, w)
    for picture, power in zip(maps, powers, strict=True):
        total += power * np.log(picture / np.float32(255) + FLOOR)
    joint = np.exp(total - total.max())
    if joint.min() < 1:  # else it is the same everywhere, and stays so
        joint -= joint.min()
    return np.rint(255 * joint / joint.max()).astype(np.uint8)


def _read(files: Mapping[int, Path], width: int, height: int, number: int) -> np.ndarray:
    """The map of a frame at another size, `[height, width]` uint8."""
    picture = read_map(files[number])
    if picture.shape == (height, width):
        return picture
    how = cv2.INTER_LINEAR if picture.shape[1] < width else cv2.INTER_AREA
    return cv2.resize(picture, (width, height), interpolation=how)


def joined_maps(
    folders: Sequence[Path],
    powers: Sequence[float],
    *,
    centre: float = 0.0,
    smooth: float = 0.0,
    videos: Path | None = None,
) -> Iterator[tuple[Path, np.ndarray]]:
    """The product of each frame's maps, with its path below the folder to write to.

    All maps of a clip take the size of the first folder's first one.

    Args:
        folders: each holds a folder of numbered maps for every clip.
        powers: to which each folder's maps are raised.
        centre: power of a centre prior, see `product`.
        smooth: standard deviation in frames of a Gaussian that each model's maps are smoothed
            with over time, within a shot, before they are multiplied; 0 for none.
        videos: the folder of the clips that the maps are of, in which cuts are found; needed to
            smooth.

    Raises InputError for a clip or a frame that is not in all of them, and if there is no clip.
    """
    clips = [{path.name: path for path in subfolders(folder)} for folder in folders]
    if not any(clips):
        raise InputError(f"{folders[0]}: no folders of maps in it, expected one for each clip")
    for folder, others in zip(folders[1:], clips[1:], strict=True):
        if differ := sorted(set(clips[0]) ^ set(others)):
            raise InputError(f"{folders[0]} and {folder}: not in both: {some(differ)}")
    if smooth:
        check_folder(videos)
    films = files_by_name(videos, VIDEO_SUFFIXES) if smooth else {}
    if smooth and (missing := sorted(set(clips[0]) - set(films))):
        raise InputError(f"{videos}: no videos of these maps: {some(missing)}")
    for name in sorted(clips[0]):
        files = [numbered_files(one[name], "", IMAGE_SUFFIXES) for one in clips]
        for one, folder in zip(files[1:], clips[1:], strict=True):
            check_joined(files[0], one, clips[0][name], folder[name])
        height, width = read_map(next(iter(files[0].values()))).shape
        readers = [functools.partial(_read, one, width, height) for one in files]
        if smooth:
            shots = _shots(films[name])
            if surplus := sorted(set(files[0]) - set(range(1, len(shots) + 1))):
                raise InputError(
                    f"{files[0][surplus[0]]}: {films[name]} has {len(shots)} frames, none of this "
                    "number"
                )
            readers = [_smoothed(read, files[0], shots, smooth) for read in readers]
        for number in files[0]:
            maps = [read(number) for read in readers]
            yield Path(name) / f"{number:06d}.png", product(maps, powers, centre)


def _smoothed(
    read: Callable[[int], np.ndarray], known: Container[int], shots: Sequence[int], smooth: float
) -> Callable[[int], np.ndarray]:
    """From a frame's number to the weighted mean of the maps around it in its shot, float32.

    Args:
        read: from a frame's number to its map, all of one size.
        known: the frames that have maps.
        shots: the number of each frame's shot.
    """
    reach = math.ceil(REACH * smooth)
    kept = functools.lru_cache(2 * reach + 1)(read)

    def mean(number: int) -> np.ndarray:  # (h, w)
        around = range(number - reach, number + reach + 1)
        near = [n for n in around if n in known and shots[n - 1] == shots[number - 1]]
        maps = [kept(n) for n in near]
        weights = np.exp(-0.5 * ((np.array(near) - number) / smooth) ** 2)
        return np.average(maps, axis=0, weights=weights).astype(np.float32)

    return mean


def _shots(path: Path) -> list[int]:
    """The number of each frame's shot, from 0, in the order of the frames."""
    shots, last = [], None
    with VideoReader(path, threads=1) as video:
        for frame in video.timed():
            small = frame.small(COMPARED)
            cut = last is not None and is_cut(last, small)
            shots.append(shots[-1] + cut if shots else 0)
            last = small
    return shots
