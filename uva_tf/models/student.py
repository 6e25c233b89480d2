"""The student: one set of weights, as a function of two frames (`pair`) or of a stream (`step`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from uva_tf.config import KINDS, StudentConfig
from uva_tf.core.centre_prior import log_centre_prior
from uva_tf.core.errors import InputError
from uva_tf.models.plain import PLAIN, plain_parts
from uva_tf.models.variants import VARIANTS, variant_parts

Model = Any


@dataclass(frozen=True)
class Student:
    """Keras models that share one set of weights.

    Frames are `[B, R, R, 3]` float32 in -1..1, features `[B, S/4, S/4, C]` float32 in 0..6
    (without an upper bound in the plain network), logits `[B, R, R, 1]`. The side S that the layers
    work at is R, or less (`Variant.inside`). `models.maps` makes frames from bytes and finished
    maps from logits.

    Attributes:
        trunk: `frame -> features`.
        pair: `frame, other -> logits`, for training and files.
        step: `frame, state -> logits, state`, for streams; the state is the features of the
            last frame.
        fused: `frame, other -> path features`, `[B, S/8, S/8, C]` or at S/4, those of both paths
            joined; the stage hint trains it.
        paths: `frame, other -> {kind: logits}`, each path under its own head; only the stage
            distill uses these heads.
        pairing: the neighbour that a frame is paired with, `next` or `previous`.
        centre_share: of the centre prior in finished maps, see `models.maps.mixed_with_centre`.
    """

    trunk: Model
    pair: Model
    step: Model
    fused: Model
    paths: Model
    pairing: str
    centre_share: float = 0.0


def resolution(config: StudentConfig) -> int:
    """Side of a student's frames and maps in pixels; raises InputError like `build_student`."""
    if config.variant in VARIANTS:
        return VARIANTS[config.variant].resolution
    if config.variant in PLAIN:
        return PLAIN[config.variant][0]
    names = ", ".join([*VARIANTS, *PLAIN])
    raise InputError(f"unknown student variant {config.variant!r}: expected one of {names}")


def path_kinds(config: StudentConfig) -> tuple[str, ...]:
    """Which paths a student has: those of its variant that the configuration keeps.

    Raises InputError if none is left.
    """
    known = VARIANTS[config.variant].paths if config.variant in VARIANTS else KINDS
    kept = tuple(kind for kind in config.paths if kind in known)
    if not kept:
        raise InputError(
            f"paths {', '.join(config.paths)} of {config.variant}: it has {', '.join(known)} only"
        )
    return kept


def with_centre_prior(student: Student, power: float, share: float = 0.0) -> Student:
    """The student, whose maps lean to the middle; with 0 and 0 it is the student itself.

    The weights stay; `paths` has no prior.

    Args:
        power: of the prior that the densities of `pair` and `step` are multiplied by. So many times
            its logarithm is added to their logits.
        share: the new `centre_share`, which whoever makes finished maps of the logits mixes in.
    """
    if share:
        student = replace(student, centre_share=share)
    if not power:
        return student
    side = student.trunk.input_shape[1]
    prior = (power * log_centre_prior(side, side)).astype("float32")[..., None]  # (R, R, 1)
    pair, step = student.pair, student.step
    outputs = step.output | {"attention": step.output["attention"] + prior}
    model = type(pair)  # of the student's Keras
    return replace(
        student,
        pair=model(pair.input, pair.output + prior, name="pair"),
        step=model(step.input, outputs, name="step"),
    )


def build_student(config: StudentConfig, keras: ModuleType | None = None) -> Student:
    """Build the student of a configuration, with random weights.

    Args:
        keras: Keras 3 (the default) or tf_keras.

    Raises InputError for a variant in neither `VARIANTS` nor `PLAIN`, and for paths that it lacks.
    """
    if keras is None:
        import keras
    side = resolution(config)
    plain = config.variant in PLAIN
    parts = plain_parts(keras, config.variant) if plain else variant_parts(keras, config)
    trunk = parts.trunk()
    paths = {kind: parts.paths[kind]() for kind in path_kinds(config)}
    fuse = keras.layers.Concatenate(name="fuse") if len(paths) > 1 else lambda features: features[0]
    fused_head = parts.head("head")
    heads = {kind: parts.head(f"{kind}_head") for kind in paths}

    def join(f, g):  # two (B, S/4, S/4, features) -> (B, S/4, S/4, C), or at S/8
        return fuse([path(f, g) for path in paths.values()])

    def frame_input(name):
        return keras.Input((side, side, 3), name=name)

    frame, other = frame_input("frame"), frame_input("other")
    trunk_model = keras.Model(frame, trunk(frame), name="trunk")
    f, g = trunk(frame), trunk(other)  # (B, S/4, S/4, features) each
    inputs = {"frame": frame, "other": other}
    joined = join(f, g)
    pair = keras.Model(inputs, fused_head(joined, f), name="pair")
    fused_model = keras.Model(inputs, joined, name="fused")
    apart = {kind: heads[kind](path(f, g), f) for kind, path in paths.items()}
    paths_model = keras.Model(inputs, apart, name="paths")

    frame = frame_input("frame")
    state = keras.Input(trunk_model.output_shape[1:], name="state")
    f = trunk(frame)
    # With pairing `next` the map is that of the last frame, whose features are the state.
    mapped, neighbour = (state, f) if config.pairing == "next" else (f, state)
    logits = fused_head(join(mapped, neighbour), mapped)
    step = keras.Model(
        {"frame": frame, "state": state}, {"attention": logits, "state": f}, name="step"
    )
    return Student(trunk_model, pair, step, fused_model, paths_model, config.pairing)
