"""The manifest, `FILE.json` beside `FILE.tflite`: what the file is, and how to feed it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file, read_input
from uva_tf.weights import located

FORMS = ("pair", "step")
PAIRINGS = ("next", "previous")
MOST_BYTES = 2**26  # of a model
MOST_MANIFEST_BYTES = 2**20
MOST_ARENA_BYTES = 2**24
MOST_PERSISTENCE = 0.95
MOST_AHEAD = 15  # frames; in no manifest, as only a recorded video has them
MOST_CENTRE = 10
MOST_CENTRE_SHARE = 0.9
MOST_GAP = 16
MOST_LEVEL = 128  # of brighten: that of a frame of mid-grey


@dataclass(frozen=True)
class Manifest:
    """What a user of the file needs to know.

    Attributes:
        form: `pair` (inputs `frame`, `other`) or `step` (inputs `frame`, `state`).
        recipe: how it was compressed.
        variant: which student it is.
        resolution: side of its frames and of its map in pixels.
        pairing: the neighbour that `other` or the state comes from, `next` or `previous`.
        gap: how many frames before a stream's frame that neighbour lies, if it is `previous`; 1 in
            files older than this field.
        sha256: checksum of the .tflite file.
        input: range and meaning of a frame.
        output: range and meaning of the map.
        state: quantisation of the state, `{"scale", "zero_point"}`; empty for a float model and
            for a `pair`.
        persistence: how much of the maps before a runtime joins with each map of a stream, see
            `runtime.persistence`; 0 in files older than this field.
        brighten: the mean level to which a runtime brightens darker frames, see
            `runtime.brighten`; 0 in files older than this field.
        centre: power of the centre prior that the file's densities are multiplied by, see
            `models.student.with_centre_prior`; 0 in files older than this field.
        centre_share: of the centre prior in the file's maps, see `models.maps.mixed_with_centre`; 0
            in files older than this field.
        calibration: the frames that fixed an integer model's ranges, as `dataset/video/index`.
        metrics: figures measured on the file.
        operators: those of the file, `{"name", "version", "count"}` each, by name as in LiteRT's
            schema. The version is the schema's; a runtime must know it or a later one.
        multiply_adds: of one call of the file; 0 in files older than this field.
        arena_bytes: memory that LiteRT for Microcontrollers needs for the file; 0 where it was
            not measured.
        training: the command, commit and seed of the training, and the checksums of its data;
            only for a model that comes with the package.
        versions: of the packages that made it.
    """

    form: str
    recipe: str
    variant: str
    resolution: int
    pairing: str
    sha256: str
    input: str = "RGB camera bytes 0..255, uint8 [1, R, R, 3], aspect not kept"
    output: str = "attention, float32 [1, R, R, 1], 0 to 1 at the most looked-at place"
    state: dict[str, float] = field(default_factory=dict)
    gap: int = 1
    persistence: float = 0.0
    brighten: int = 0
    centre: float = 0.0
    centre_share: float = 0.0
    calibration: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    operators: tuple[dict[str, Any], ...] = ()
    multiply_adds: int = 0
    arena_bytes: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as indented JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def manifest_path(model: Path) -> Path:
    """Where a model file's manifest lies."""
    return model.with_suffix(".json")


def read_manifest(model: Path) -> tuple[Manifest, bytes]:
    """Read a model file and the manifest that vouches for it.

    Returns:
        The manifest, and the content of the model file, which has the manifest's checksum.

    Raises InputError if either is missing or too large, or if they do not belong together.
    """
    model = located(model)
    check_file(model, "model file")
    if model.suffix != ".tflite":
        raise InputError(f"{model}: expected a .tflite file, written by uva-tf convert")
    path = manifest_path(model)
    if not path.exists():
        raise InputError(
            f"{model}: its manifest {path.name} is missing: copy it there too, or convert again"
        )
    manifest = _parse(path)
    content = read_input(model, MOST_BYTES, "model file")
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise InputError(f"{model}: sha256 differs from its manifest's, convert the model again")
    return manifest, content


def _parse(path: Path) -> Manifest:
    content = read_input(path, MOST_MANIFEST_BYTES, "manifest")
    try:
        values = json.loads(content)
        known = {f.name: values[f.name] for f in fields(Manifest) if f.name in values}
        manifest = Manifest(**known)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a manifest ({error})") from None
    for name, value in known.items():
        kind, allowed = KINDS.get(name, str), ALLOWED.get(name)
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits or (allowed and not allowed(value)):
            raise InputError(f"{path}: {name} {value!r:.200} is not valid in this version")
    if manifest.gap > 1 and manifest.pairing == "next":
        raise InputError(
            f"{path}: gap {manifest.gap} is not valid with the pairing next, expected 1"
        )
    return manifest


def _are_finite(values: dict[str, Any]) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in values.values())


# The JSON types of the fields that are not text, and the values that fields may have.
KINDS = {
    "resolution": int,
    "state": dict,
    "gap": int,
    "persistence": float,
    "brighten": int,
    "centre": float,
    "centre_share": float,
    "calibration": list,
    "metrics": dict,
    "operators": list,
    "multiply_adds": int,
    "arena_bytes": int,
    "training": dict,
    "versions": dict,
}
ALLOWED: dict[str, Callable[[Any], bool]] = {
    "form": FORMS.__contains__,
    "pairing": PAIRINGS.__contains__,
    "resolution": lambda side: 8 <= side <= 1024,
    "state": _are_finite,
    "gap": lambda frames: 1 <= frames <= MOST_GAP,
    "persistence": lambda share: 0 <= share <= MOST_PERSISTENCE,
    "brighten": lambda level: 0 <= level <= MOST_LEVEL,
    "centre": lambda power: 0 <= power <= MOST_CENTRE,
    "centre_share": lambda share: 0 <= share <= MOST_CENTRE_SHARE,
    "multiply_adds": lambda count: count >= 0,
    "arena_bytes": lambda size: 0 <= size <= MOST_ARENA_BYTES,
}
