"""Several models' maps as one teacher: their product, each raised to a power."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.data.folders import check_joined, numbered_files, subfolders
from uva_tf.data.picture_files import read_map

# Keeps a pixel at which one model saw nothing from losing what the others saw there.
FLOOR = 1 / 510  # half a step of an 8-bit map


def product(maps: Sequence[np.ndarray], powers: Sequence[float]) -> np.ndarray:
    """The product of maps, each to its power: `prod_k (m_k + FLOOR)^p_k`.

    Args:
        maps: `[h, w]` uint8 each, of any size.

    Returns:
        `[h, w]` uint8 of the first map's size, from 0 to 255.
    """
    height, width = maps[0].shape
    total = np.zeros((height, width), np.float32)
    for picture, power in zip(maps, powers, strict=True):
        if picture.shape != (height, width):
            smaller = picture.shape[1] < width
            how = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
            picture = cv2.resize(picture, (width, height), interpolation=how)
        total += power * np.log(picture.astype(np.float32) / 255 + FLOOR)
    joint = np.exp(total - total.max())
    joint -= joint.min()
    return np.rint(255 * joint / max(joint.max(), 1e-12)).astype(np.uint8)


def joined_maps(
    folders: Sequence[Path], powers: Sequence[float]
) -> Iterator[tuple[Path, np.ndarray]]:
    """The product of each frame's maps, with its path below the folder to write to.

    Args:
        folders: each holds a folder of numbered maps for every clip.
        powers: to which each folder's maps are raised.

    Raises InputError for a clip or a frame that is not in all of them.
    """
    clips = [{path.name: path for path in subfolders(folder)} for folder in folders]
    for folder, others in zip(folders[1:], clips[1:], strict=True):
        if differ := sorted(set(clips[0]) ^ set(others)):
            raise InputError(f"{folders[0]} and {folder}: not in both: {some(differ)}")
    for name in sorted(clips[0]):
        files = [numbered_files(one[name], "", IMAGE_SUFFIXES) for one in clips]
        for one, folder in zip(files[1:], clips[1:], strict=True):
            check_joined(files[0], one, clips[0][name], folder[name])
        for number in files[0]:
            maps = [read_map(one[number]) for one in files]
            yield Path(name) / f"{number:06d}.png", product(maps, powers)
