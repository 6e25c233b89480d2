"""Configurations: frozen dataclasses, and the presets that the commands name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_type_hints

from uva_tf.data.gaze import DHF1K_SIGMA
from uva_tf.runtime.errors import InputError


@dataclass(frozen=True)
class DataConfig:
    """How recordings become records.

    Attributes:
        size: side of the stored frames in pixels: the teachers' input.
        sigma: width of a fixation's Gaussian in image widths.
        quality: JPEG quality of the stored frames.

    Raises InputError for a size or a sigma that makes no sense.
    """

    size: int = 128
    sigma: float = DHF1K_SIGMA
    quality: int = 95

    def __post_init__(self) -> None:
        if not (type(self.size) is int and 32 <= self.size <= 1024 and self.size % 16 == 0):
            raise InputError(f"size {self.size}: expected 32 to 1024 pixels, a multiple of 16")
        if not 0.005 <= self.sigma <= 1:
            raise InputError(f"sigma {self.sigma}: expected 0.005 to 1 image widths")


@dataclass(frozen=True)
class StudentConfig:
    """Which student, and which frame it is shown beside the one it maps.

    Attributes:
        variant: a row of `uva_tf.models.student.VARIANTS`.
        pairing: `next` as in the paper, where the map of frame t needs frame t + 1,
            or `previous`, which needs no look-ahead.
    """

    variant: str = "uva-64"
    pairing: Literal["next", "previous"] = "previous"

    def __post_init__(self) -> None:
        if self.pairing not in ("next", "previous"):
            raise InputError(f"pairing {self.pairing!r}: expected next or previous")


@dataclass(frozen=True)
class TeacherConfig:
    """Size of a teacher: widths of its encoder's stages, coarsest last, and of its decoder."""

    widths: tuple[int, ...] = (24, 48, 96, 160)
    decoder: int = 64


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of training examples, beside mirroring.

    Attributes:
        smallest_crop: side of the smallest crop, as a share of the picture's; 1 for none.
        colour: largest relative change of brightness, contrast and saturation; 0 for none.
        time_reversal: share of the passes over a clip in which time runs backwards.
        camera_motion: largest shift and zoom, as a share of the crop's side, between a
            photograph and itself as `other`; 0 for none.
    """

    smallest_crop: float = 0.7
    colour: float = 0.3
    time_reversal: float = 0.5
    camera_motion: float = 0.03


@dataclass(frozen=True)
class StageConfig:
    """Length and pace of one training stage: Adam, cosine decay from `learning_rate` to 0."""

    steps: int
    batch: int = 32
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if not (self.steps > 0 and self.batch > 0 and self.learning_rate > 0):
            raise InputError(f"{self}: expected steps, batch and learning_rate above 0")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result, beside the data.

    Attributes:
        teach: one stage for each of the two teachers.
        distill: step 1, each path under its own head against its own teacher.
        joint: step 2, both paths under the fused head against ground truth.
        soft_weight: share of the teacher's map in step 1's loss; the rest is ground truth's.
        data: folders of the prepared datasets that the run trains on.
        data_weights: how often each is drawn, in proportion; empty for equally often.
        data_sha256: checksums of their indexes.
    """

    name: str
    student: StudentConfig
    teach: StageConfig
    distill: StageConfig
    joint: StageConfig
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    soft_weight: float = 0.5
    seed: int = 1
    data: tuple[str, ...] = ()
    data_weights: tuple[float, ...] = ()
    data_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        weights = self.data_weights
        if weights and not (len(weights) == len(self.data) and all(0 < w < 1e9 for w in weights)):
            raise InputError(
                f"weights {weights} of {len(self.data)} datasets: expected one above 0 for each"
            )

    def to_json(self) -> str:
        """The configuration as indented JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Config:
        """Read what `to_json` wrote; raises InputError for anything else."""
        try:
            return _build(Config, json.loads(text))
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            raise InputError(
                f"config.json is not a configuration of this version: {error}"
            ) from None


def _build(kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {value!r}")
        unknown = set(value) - {f.name for f in fields(kind)}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        hints = get_type_hints(kind)
        return kind(**{name: _build(hints[name], item) for name, item in value.items()})
    return tuple(value) if isinstance(value, list) else value


STAGES = ("teach", "distill", "joint")


def smoke() -> Config:
    """A few steps of everything, for tests.

    `train.py --preset smoke` on synthetic data: under a minute on 2 cores; learns nothing.
    """
    short = StageConfig(steps=3, batch=4)
    return Config(
        name="smoke",
        student=StudentConfig("uva-32"),
        teach=short,
        distill=short,
        joint=short,
        teacher=TeacherConfig(widths=(8, 8, 8, 8), decoder=8),
    )


def quickstart() -> Config:
    """The 32 px student on the synthetic clips, what `quickstart.py` trains.

    `quickstart.py`: three to five minutes on 2 cores, conversion and report included; the
    int8 student goes 66 % of the way from the centre prior to the human ceiling (NSS).
    """
    return Config(
        name="quickstart",
        student=StudentConfig("uva-32"),
        teach=StageConfig(steps=120, batch=16),
        distill=StageConfig(steps=200),
        joint=StageConfig(steps=400),
        teacher=TeacherConfig(widths=(16, 32, 64, 96), decoder=32),
        augment=AugmentConfig(smallest_crop=1.0),
    )


def quick() -> Config:
    """The 64 px student on real recordings.

    `train.py --preset quick`: 14 to 25 minutes on 2 cores, teachers included; on the
    recordings that the README names, 45 % of the way from the centre prior to the human
    ceiling (NSS) on clips of several faces and 43 % on the other clips.
    """
    return Config(
        name="quick",
        student=StudentConfig("uva-64"),
        teach=StageConfig(steps=600, batch=16),
        distill=StageConfig(steps=350),
        joint=StageConfig(steps=900),
    )


def uva_64() -> Config:
    """The 64 px student, trained for the paper's 6,000 steps of batch 64.

    `train.py --preset uva-64`: hours, by the pace of `quick` about 10 on 2 cores; its score
    has not been measured.
    """
    return Config(
        name="uva-64",
        student=StudentConfig("uva-64"),
        teach=StageConfig(steps=6000),
        distill=StageConfig(steps=6000, batch=64),
        joint=StageConfig(steps=6000, batch=64),
    )


def uva_32() -> Config:
    """The 32 px student, trained like `uva-64`; its score has not been measured."""
    return replace(uva_64(), name="uva-32", student=StudentConfig("uva-32"))


PRESETS = {
    "smoke": smoke,
    "quickstart": quickstart,
    "quick": quick,
    "uva-64": uva_64,
    "uva-32": uva_32,
}
