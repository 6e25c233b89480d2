"""The maps of a video as one compact file, an `.npz` that says what it was made of.

`numpy.load` gives `maps`, `[N, R, R]` uint8 as a Predictor draws them, `seconds`, `[N]` float64,
and `record.json`, the bytes of a JSON object. Equal maps, times and records make equal files.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAPS, SECONDS, RECORD = "maps.npy", "seconds.npy", "record.json"
ZIP_HEADER = 30  # bytes before the first member's name


class MapsFile:
    """Takes the maps of a video one by one, and writes them to a file at the end.

    However long the video is, memory holds one map: the others wait in a file.

    Args:
        waiting: path of that file; the caller removes it.
    """

    def __init__(self, waiting: Path):
        self._waiting, self._stream = waiting, waiting.open("wb")
        self._side, self._seconds = 0, []
        self._centres, self._spreads = np.zeros(2), np.zeros(2)

    def add(self, seconds: float, attention: np.ndarray) -> None:
        """Take a frame's time and its map, `[R, R]` uint8."""
        self._side = len(attention)
        self._stream.write(np.ascontiguousarray(attention).data)
        self._seconds.append(seconds)
        centre, spread = _centre_and_spread(attention)
        self._centres += centre
        self._spreads += spread

    def summary(self) -> dict[str, Any]:
        """How many frames there are, and where attention is in their mean.

        `mean_x` and `mean_y` are the mean centroid, `spread_x` and `spread_y` the mean standard
        deviation of attention around each frame's centroid, all as fractions of the frame's sides.
        """
        count = len(self._seconds)
        means = np.concatenate([self._centres, self._spreads]) / max(1, count)
        names = ("mean_x", "mean_y", "spread_x", "spread_y")
        return {"frames": count} | dict(zip(names, np.round(means, 4).tolist(), strict=True))

    def duration(self, rate: float) -> float:
        """From the first frame's time to the end of the last, which stands for 1 / `rate`."""
        return round(self._seconds[-1] - self._seconds[0] + 1 / rate, 6) if self._seconds else 0.0

    def write(self, path: Path, record: dict[str, Any]) -> None:
        """Write the file."""
        self._stream.close()
        shape = len(self._seconds), self._side, self._side
        with zipfile.ZipFile(path, "w") as archive, self._waiting.open("rb") as maps:
            with _member(archive, RECORD) as member:
                member.write(json.dumps(record, sort_keys=True).encode())
            with _member(archive, MAPS) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                shutil.copyfileobj(maps, member)
            with _member(archive, SECONDS) as member:
                np.lib.format.write_array(member, np.array(self._seconds, np.float64))

    def close(self) -> None:
        """Release the waiting maps."""
        self._stream.close()


def read_record(file: Path | BinaryIO) -> dict[str, Any]:
    """What a file was made of; empty if it is damaged, or not one that a MapsFile wrote."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = json.loads(archive.read(RECORD))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_maps_file(file: BinaryIO) -> bool:
    """Whether a file begins as those that a MapsFile writes, also if it is damaged further on."""
    return file.read(100)[ZIP_HEADER:].startswith(RECORD.encode())


def _member(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    info = zipfile.ZipInfo(name)  # from 1980: equal content makes an equal file
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _centre_and_spread(attention: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroid and standard deviation along x and y, as fractions of the map's sides."""
    columns, rows = attention.sum(0, dtype=np.int64), attention.sum(1, dtype=np.int64)
    total = columns.sum()
    if not total:  # as places.centroid takes it
        return np.full(2, 0.5), np.zeros(2)
    at = (np.arange(len(attention)) + 0.5) / len(attention)
    centre = np.array([at @ columns, at @ rows]) / total
    square = np.array([at**2 @ columns, at**2 @ rows]) / total
    return centre, np.sqrt(np.maximum(0, square - centre**2))
