"""Teachers from elsewhere: folders of the maps that any other model made of the frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.data.folders import numbered_files
from uva_tf.data.pictures import read_map
from uva_tf.data.recordings import GazeFrame, Recording, unreadable


def with_maps(recording: Recording, kind: str, root: Path) -> Recording:
    """The recording, each sample with its map as teacher `kind`.

    The maps are `root/NAME/000001.png` and so on, 8-bit grey, of any size, one for every
    frame. Reading raises InputError, naming the file, for a map that is missing, surplus or
    empty.
    """
    folder = root / recording.name
    try:
        maps = numbered_files(folder, "", IMAGE_SUFFIXES)
    except InputError as error:
        return unreadable(recording.name, f"{error}, expected a map of every frame")

    def read() -> Iterator[GazeFrame]:
        surplus = dict(maps)
        for sample in recording.read():
            path = surplus.pop(sample.index, None)
            if path is None:
                missing = folder / f"{sample.index:06d}.png"
                raise InputError(f"{missing}: no such file, expected a map of every frame")
            picture = read_map(path)
            if not picture.any():
                raise InputError(f"{path}: an empty map, expected attention somewhere")
            yield replace(sample, teachers=sample.teachers | {kind: picture})
        if surplus:
            raise InputError(f"{next(iter(surplus.values()))}: {recording.name} has no such frame")

    return replace(recording, read=read, paths=(*recording.paths, folder))
