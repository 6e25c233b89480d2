"""A prepared dataset: a folder of TFRecord shards, and `index.json` with their checksums."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from uva_tf import __version__
from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.fields import expect
from uva_tf.core.files import check_file, check_folder, read_input
from uva_tf.core.outputs import refuse_undecodable

MOST_BYTES = 2**30  # of an index


@dataclass(frozen=True)
class Shard:
    """One file of a prepared dataset, and what is in it: a clip, or a group of photographs.

    Attributes:
        still: whether its recordings are photographs.
        fixations: sum over the frames; a fixation counts in every frame that it lasts.
        not_looked_at: number of frames without fixations and without a density map.
        left_out: by recording, how many fixations were left out, by reason.
        notes: by recording, what was guessed or corrected to read it.
    """

    file: str
    split: str
    still: bool
    recordings: tuple[str, ...]
    frames: int
    fixations: int
    not_looked_at: int
    left_out: dict[str, dict[str, int]]
    notes: dict[str, list[str]]
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset: its folder, how it was made, and its shards.

    Attributes:
        size: side of the stored frames in pixels.
        sigma: standard deviation of a fixation's Gaussian in image widths.
        teachers: kinds of teacher (`spatial`, `temporal`) whose maps are in the records.
        hints: components of the hints in its records, features of another network; 0 without.
        map_sigma: that of the Gaussians in its published density maps, if they are wider.
        gaze: what was stated of the recorded gaze, the fields of `GazeOptions`.
        skipped: by recording, why it was skipped.
        withheld: number of recordings whose gaze is not published.
    """

    folder: Path
    layout: str
    size: int
    sigma: float
    shards: tuple[Shard, ...]
    teachers: tuple[str, ...] = ()
    hints: int = 0
    map_sigma: float = 0.0
    gaze: dict[str, object] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    withheld: int = 0

    @property
    def sha256(self) -> str:
        """Checksum of the index, which contains the shards' checksums."""
        return file_sha256(self.folder / "index.json")

    @property
    def blur(self) -> float:
        """How much wider than `sigma` its density maps are drawn: a Gaussian's deviation."""
        return math.sqrt(max(self.map_sigma**2 - self.sigma**2, 0.0))

    @property
    def has_gaze(self) -> bool:
        """Whether a frame for training has fixations or a density map."""
        return any(s.frames > s.not_looked_at for s in self.shards if s.split == "train")

    @property
    def publishes_maps(self) -> bool:
        """Whether its records hold density maps instead of fixations."""
        return any(s.frames > s.not_looked_at and not s.fixations for s in self.shards)

    def split(self, name: str) -> list[Shard]:
        """The shards of a split; raises InputError if there are none."""
        shards = [shard for shard in self.shards if shard.split == name]
        if not shards:
            present = sorted({shard.split for shard in self.shards})
            raise InputError(f"{self.folder}: no split {name!r}, it has {', '.join(present)}")
        return shards

    def has(self, name: str) -> bool:
        """Whether the dataset has a split of that name."""
        return any(shard.split == name for shard in self.shards)


def write_index(dataset: Dataset, folder: Path) -> None:
    """Write the index of a dataset whose shards are in `folder`."""
    index = {"version": __version__, **asdict(dataset)}
    del index["folder"]
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def open_dataset(folder: Path, *, verify: bool = True) -> Dataset:
    """Read a prepared dataset's index and check its shards against it.

    Args:
        verify: compare all shards with their checksums; else only check that they exist.

    Raises InputError if the folder is not a prepared dataset, or if a shard has changed.
    """
    path = folder / "index.json"
    check_folder(folder)
    if not path.exists():
        raise InputError(
            f"{folder}: no index.json, expected a prepared dataset (made by uva-tf prepare)"
        )
    refuse_undecodable(folder)
    content = read_input(path, MOST_BYTES, "index")
    try:
        dataset = _from_index(folder, json.loads(content))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not an index of this version ({error}): run uva-tf prepare again"
        ) from None
    for shard in dataset.shards:
        file = folder / shard.file
        check_file(file, "shard", ": remove the folder and run uva-tf prepare again")
        if verify and file_sha256(file) != shard.sha256:
            raise InputError(f"{file}: changed since it was prepared: run uva-tf prepare again")
    return dataset


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shard_from_dict(values: dict) -> Shard:
    """A shard from what `asdict` and JSON made of it."""
    return Shard(**{**values, "recordings": tuple(values["recordings"])})


def _from_index(folder: Path, index: dict) -> Dataset:
    index = {key: value for key, value in index.items() if key != "version"}
    DataConfig(index["size"], index["sigma"])  # raises InputError for values out of range
    index["shards"] = tuple(shard_from_dict(shard) for shard in index["shards"])
    index["teachers"] = tuple(index["teachers"])
    hints = index.get("hints", 0)
    expect(type(hints) is int and 0 <= hints <= 4096, "hints", hints, "0 to 4096 components")
    dataset = Dataset(folder, **index)
    if any(shard.file != Path(shard.file).name for shard in dataset.shards):
        raise ValueError("a shard outside the folder")
    return dataset
