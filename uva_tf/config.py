"""Configurations: frozen dataclasses that check their values; `presets` has the named ones."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from uva_tf.core.errors import InputError
from uva_tf.core.fields import build_dataclass, check_types, choose, expect, read_field
from uva_tf.core.names import OLDER, current

SPLITS = ("train", "val", "test")
STAGES = ("teach", "hint", "distill", "joint")
KINDS = ("spatial", "temporal")  # of teachers, and of the student's paths
BACKBONES = ("plain", "vgg16", "mobilenetv2", "efficientnetv2b0")
DISTANCES = ("kl", "cc", "mse")
# Width of the Gaussian in DHF1K's published density maps: 12.74 px (FWHM 30 px) at 640 px.
DHF1K_SIGMA = 12.74 / 640

# The fields that had another name up to version 0.1.0: from the old name to today's.
OLDER_FIELDS = {
    "teachers.spatial": "soft_targets.spatial",
    "teachers.temporal": "soft_targets.temporal",
    "teachers.soft_weight": "soft_targets.weight",
    "teachers.joint_soft_weight": "soft_targets.joint_weight",
    "teachers.temperature": "soft_targets.temperature",
    "teachers.freeze": "freeze_paths",
}


@dataclass(frozen=True)
class DataConfig:
    """How recordings become records.

    Attributes:
        size: side of the stored frames in pixels: the teachers' input.
        sigma: standard deviation of a fixation's Gaussian in image widths.
        quality: JPEG quality of the stored frames.

    Raises InputError for a value out of range.
    """

    size: int = 128
    sigma: float = DHF1K_SIGMA
    quality: int = 95

    def __post_init__(self) -> None:
        size = self.size
        fits = type(size) is int and 32 <= size <= 1024 and size % 16 == 0
        expect(fits, "size", size, "32 to 1024 pixels, a multiple of 16")
        check_types(self)
        expect(0.005 <= self.sigma <= 1, "sigma", self.sigma, "0.005 to 1 image widths")
        expect(1 <= self.quality <= 100, "quality", self.quality, "1 to 100")


@dataclass(frozen=True)
class StudentConfig:
    """Which student is trained, and with which neighbouring frame.

    Attributes:
        variant: a row of `uva_tf.models.variants.VARIANTS`, or of `uva_tf.models.plain.PLAIN`.
        pairing: the neighbour: `next` as in the paper, where the map of frame t needs frame
            t + 1, or `previous`, which needs no look-ahead.
        gap: how many frames before a frame of a video the one lies that it is paired with, in use
            and for calibration. Training draws it anew, see `augment.stride`. 1 with `next`.
        paths: which of the two paths the student has.
        channel_attention: whether its CA-Res blocks weight their channels.
        weights: its first weights: `none` for random ones, `shipped` for those that come with
            the package, or the path of a run's `student.keras`.
    """

    variant: str = "uva-64"
    pairing: Literal["next", "previous"] = "previous"
    gap: int = 1
    paths: tuple[str, ...] = ("spatial", "temporal")
    channel_attention: bool = True
    weights: str = "none"

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "variant", current(self.variant))
        expect(bool(self.weights), "weights", self.weights, "none, shipped or a file")
        choose("pairing", self.pairing, ("next", "previous"))
        expect(1 <= self.gap <= 16, "gap", self.gap, "1 to 16 frames")
        if self.gap > 1 and self.pairing == "next":
            raise InputError(
                f"gap {self.gap} with the pairing next: expected 1 (--set student.gap=1)"
            )
        if self.paths not in (("spatial", "temporal"), ("spatial",), ("temporal",)):
            raise InputError(
                f"paths {self.paths}: expected spatial, temporal, or both in this order"
            )


@dataclass(frozen=True)
class TeacherConfig:
    """How the run's own teachers are built; they see frames at the size stored in the shards.

    Attributes:
        backbone: `plain`, a small encoder of `widths`, or one of keras.applications.
        weights: of a keras.applications backbone: `none` for random ones, `imagenet` (Keras
            fetches them), or a `.weights.h5`, `.h5` or `.keras` file of it without its top.
        widths: channels of the plain encoder at each scale, coarsest last.
        decoder: channels of the decoder.
    """

    backbone: str = "plain"
    weights: str = "none"
    widths: tuple[int, ...] = (24, 48, 96, 160)
    decoder: int = 64

    def __post_init__(self) -> None:
        check_types(self)
        choose("backbone", self.backbone, BACKBONES)
        fits = 1 <= len(self.widths) <= 8 and all(1 <= width <= 4096 for width in self.widths)
        expect(fits, "widths", self.widths, "1 to 8 of them, each 1 to 4096")
        expect(2 <= self.decoder <= 4096, "decoder", self.decoder, "2 to 4096")
        if self.backbone == "plain" and self.weights != "none":
            raise InputError("weights of a plain backbone: expected none, as it is trained here")


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training examples, besides mirroring.

    Attributes:
        smallest_crop: side of the smallest crop as a fraction of the picture's; 1 for no crops.
        colour: largest relative change of brightness, contrast and saturation; 0 for none.
        time_reversal: fraction of the passes over a clip in which time runs backwards.
        camera_motion: how far a simulated camera may shift and zoom between a photograph and
            its copy as `other`, as a fraction of the crop's side; 0 for none.
        stride: most frames between a frame and its neighbour, drawn anew for every pass over a
            clip, as videos have 10 to 60 frames a second; 1 for adjacent frames.
        cuts: fraction of the examples whose neighbour is of another recording, as at a cut.
        stills: fraction of the examples that are their own neighbour, as in a still picture.
        noise: largest standard deviation of noise in frame and neighbour, in levels of 255.
        grey: fraction of the examples that lose their colour.
        dark: fraction of the examples that lose light, down to a tenth of it.
    """

    smallest_crop: float = 0.7
    colour: float = 0.3
    time_reversal: float = 0.5
    camera_motion: float = 0.03
    stride: int = 1
    cuts: float = 0.0
    stills: float = 0.0
    noise: float = 0.0
    grey: float = 0.0
    dark: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        crop, motion = self.smallest_crop, self.camera_motion
        expect(0.01 <= crop <= 1, "smallest_crop", crop, "0.01 to 1")
        expect(0 <= self.colour <= 1, "colour", self.colour, "0 to 1")
        expect(0 <= self.time_reversal <= 1, "time_reversal", self.time_reversal, "0 to 1")
        expect(0 <= motion <= 0.5, "camera_motion", motion, "0 to 0.5")
        expect(1 <= self.stride <= 16, "stride", self.stride, "1 to 16 frames")
        for name in ("cuts", "stills"):
            expect(0 <= getattr(self, name) <= 0.5, name, getattr(self, name), "0 to 0.5")
        expect(0 <= self.noise <= 64, "noise", self.noise, "0 to 64 levels")
        for name in ("grey", "dark"):
            expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")


@dataclass(frozen=True)
class StageConfig:
    """How long and how fast one stage trains: Adam, cosine decay from `learning_rate` to 0.

    Attributes:
        steps: updates of the weights; 0 skips the stage.
        batch: examples per step, on all devices together.
        learning_rate: at its highest, after the warm-up.
        loss: distances of a map from its target, joined by `+`; see `training.losses`.
    """

    steps: int
    batch: int = 32
    learning_rate: float = 3e-3
    loss: str = "kl"

    def __post_init__(self) -> None:
        check_types(self)
        expect(0 <= self.steps < 10**9, "steps", self.steps, "0 or more, below a billion")
        expect(0 < self.batch <= 2**16, "batch", self.batch, "1 to 65536")
        expect(
            0 < self.learning_rate <= 100, "learning_rate", self.learning_rate, "above 0, to 100"
        )
        distances = self.loss.split("+")
        for distance in distances:
            choose("loss", distance, DISTANCES)
        expect(len(set(distances)) == len(distances), "loss", self.loss, "each distance once")


@dataclass(frozen=True)
class SoftTargets:
    """Which teachers' maps the student learns from beside ground truth, and their weight.

    Attributes:
        spatial, temporal: which maps teach that path: `own` for those of the run's own teacher,
            `external` for those stored in the shards (a frame without one learns from ground
            truth alone), `any` for external maps where they exist and own maps elsewhere, or
            `none`.
        weight: of the teacher's map in the loss of the stage distill; ground truth has the rest.
        joint_weight: of the mean of the teachers' maps in the loss of the stage joint; 0 in the
            paper.
        temperature: teachers' maps are raised to the power of 1 / temperature.
        hint_weight: of the hints in the loss of the stage joint, so that trunk and paths keep what
            the stage hint taught them; it is added to the others, for the frames that have one.
    """

    spatial: str = "any"
    temporal: str = "any"
    weight: float = 0.5
    joint_weight: float = 0.5
    temperature: float = 1.0
    hint_weight: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        for kind in KINDS:
            choose(f"{kind} teacher", getattr(self, kind), ("own", "external", "any", "none"))
        for name in ("weight", "joint_weight"):
            expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        expect(0 <= self.hint_weight <= 100, "hint_weight", self.hint_weight, "0 to 100")
        expect(0.1 <= self.temperature <= 10, "temperature", self.temperature, "0.1 to 10")


@dataclass(frozen=True)
class CompressionConfig:
    """How a trained student is fine-tuned for 8 bits, with the loss of the stage joint.

    Attributes:
        prune: the fine-tuning in which small weights become 0, for the recipe int8-pruned.
        sparsity: fraction of the weights that are 0 at its end.
        qat: the fine-tuning with rounding to 8 bits, for int8-qat and int8-pruned.
    """

    prune: StageConfig = field(default_factory=lambda: StageConfig(1000, learning_rate=3e-3))
    sparsity: float = 0.75
    qat: StageConfig = field(default_factory=lambda: StageConfig(200, learning_rate=1e-5))

    def __post_init__(self) -> None:
        check_types(self)
        expect(0 < self.sparsity < 1, "sparsity", self.sparsity, "above 0, below 1")
        for name in ("prune", "qat"):
            steps = getattr(self, name).steps
            expect(steps > 0, f"{name}.steps", steps, "1 or more")


@dataclass(frozen=True)
class LoopConfig:
    """How the training loop runs, the same in every stage.

    Attributes:
        strategy: `one` device, `mirrored` over this machine's devices, or `multi-worker` over
            the machines listed in the environment variable TF_CONFIG.
        warm_up: fraction of the steps over which the learning rate rises from 0.
        clip_norm: largest norm of all gradients together; 0 for no limit.
        average: decay of a moving average of the weights, with which the stage ends; 0 for none.
        keep: the weights that a stage ends with: the `last`, or those `best` on validation.
        checkpoint_steps, checkpoint_seconds: the longest time between checkpoints, in steps and
            in seconds; whichever comes first.
        mixed_precision: compute in bfloat16 on a GPU.
        tensorboard: write the metrics for TensorBoard too.
    """

    strategy: str = "one"
    warm_up: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.0
    keep: str = "last"
    checkpoint_steps: int = 100
    checkpoint_seconds: float = 300.0
    mixed_precision: bool = True
    tensorboard: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        choose("strategy", self.strategy, ("one", "mirrored", "multi-worker"))
        choose("keep", self.keep, ("last", "best"))
        expect(0 <= self.warm_up < 1, "warm_up", self.warm_up, "0 to below 1")
        expect(0 <= self.average < 1, "average", self.average, "0 to below 1")
        expect(self.clip_norm >= 0, "clip_norm", self.clip_norm, "0 or more")
        for name in ("checkpoint_steps", "checkpoint_seconds"):
            expect(getattr(self, name) > 0, name, getattr(self, name), "above 0")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's result, except the data itself.

    Attributes:
        teach: training of each own teacher.
        hint: training of trunk and paths to predict another network's features; none by default.
        distill: training of the two paths, each under its own head and by its own teacher.
        joint: training of the whole student, both paths under the fused head.
        teacher: how the own teachers are built.
        soft_targets: which teachers' maps the student learns from in distill and joint.
        freeze_paths: train only the head in joint, as in the paper; trunk and paths stay as
            distill left them.
        temperature: what the student's logits are divided by when it is trained: below 1, its maps
            are sharper than what it learned from (Guo et al., "On Calibration of Modern Neural
            Networks", ICML 2017). In training, and in fine-tuning for 8 bits, they are not.
        members: how often the stage joint is trained, each time from the same beginning and on
            other batches; the student has the mean of their weights (Wortsman et al., "Model
            soups", ICML 2022). Above 1, the beginning must be another stage or `student.weights`:
            networks with different beginnings have no useful mean.
        seed: of everything random.
        data: folders of the prepared datasets that the run trains on.
        data_weights: how often each is drawn, relative to the others; empty for equally often.
        data_sha256: checksums of their indexes.
    """

    name: str
    student: StudentConfig
    teach: StageConfig
    distill: StageConfig
    joint: StageConfig
    hint: StageConfig = field(default_factory=lambda: StageConfig(0, learning_rate=4e-3))
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    soft_targets: SoftTargets = field(default_factory=SoftTargets)
    freeze_paths: bool = False
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    compression: CompressionConfig = field(default_factory=CompressionConfig)
    temperature: float = 1.0
    members: int = 1
    seed: int = 1
    data: tuple[str, ...] = ()
    data_weights: tuple[float, ...] = ()
    data_sha256: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        expect(0.1 <= self.temperature <= 10, "temperature", self.temperature, "0.1 to 10")
        if self.temperature != 1 and self.student.variant.startswith("plain"):
            raise InputError(
                f"temperature of {self.student.variant}: expected 1, its last layer can't be scaled"
            )
        expect(1 <= self.members <= 100, "members", self.members, "1 to 100")
        expect(0 <= self.seed < 2**31, "seed", self.seed, "0 to 2147483647")
        checksums = self.data_sha256
        if checksums and len(checksums) != len(self.data):
            raise InputError(
                f"{len(checksums)} data_sha256 of {len(self.data)} datasets: expected one for each"
            )
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
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"config.json is damaged, expected JSON ({error})") from None
        try:
            return build_dataclass(Config, _in_todays_names(values))
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            raise InputError(
                f"config.json is not a configuration of this version ({error}): use the version "
                "that wrote it, or train anew"
            ) from None

    def changed(self, *changes: str) -> Config:
        """The configuration with some fields changed, such as `soft_targets.weight=0.7`.

        A value is JSON or a plain word; several values are joined by commas, as in `a,b`. Raises
        InputError for an unknown field, a field that names the data, or a value of another type.
        """
        values = asdict(self)
        for change in changes:
            path, _, text = change.partition("=")
            path = OLDER_FIELDS.get(path, path)
            if path in ("data", "data_weights", "data_sha256"):
                raise InputError(f"{change!r}: set the data with --data and --weight")
            *parents, name = path.split(".")
            inner: Any = values
            for parent in parents:
                inner = inner.get(parent) if isinstance(inner, dict) else None
            if not isinstance(inner, dict) or isinstance(inner.get(name, {}), dict):
                near = difflib.get_close_matches(path, _paths(values), 1)
                hint = f"did you mean {near[0]}?" if near else "expected one of config.json"
                raise InputError(f"{change!r}: no such field, {hint}")
            inner[name] = read_field(change, text, inner[name])
        return build_dataclass(Config, values)


def _paths(values: dict[str, Any], above: str = "") -> Iterator[str]:
    """The fields of nested dictionaries by their paths, such as `soft_targets.weight`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _in_todays_names(values: Any) -> Any:
    """What `to_json` wrote, brought up to date if it is of version 0.1.0 or earlier."""
    if not isinstance(values, dict) or "teachers" not in values:
        return values
    older = values.pop("teachers")
    values["soft_targets"] = {}
    for path, now in OLDER_FIELDS.items():
        *parents, name = now.split(".")
        (values[parents[0]] if parents else values)[name] = older[path.partition(".")[2]]
    for holder, key in ((values, "name"), (values["student"], "variant")):
        name = holder[key]
        paper = name in ("uva-64", "uva-32")  # today the names of other students
        holder[key] = name.replace("uva", "paper") if paper else OLDER.get(name, name)
    return values
