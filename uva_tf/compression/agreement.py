"""How well a converted file draws the maps that it should draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from uva_tf.compression.calibration import Pair
from uva_tf.core.errors import ExportError
from uva_tf.core.resize import shrink
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import Student
from uva_tf.runtime.predictor import to_bytes

CLOSE = 2  # steps of 255


@dataclass(frozen=True)
class Agreement:
    """How well maps agree with those expected; also the least that is asked of them.

    Attributes:
        mean_cc: mean correlation of a map with the one expected; NaN if all are flat.
        worst_cc: the least of them.
        close: share of all pixels within 2 steps of 255.
        flat: how many maps are flat on both sides, and so have no correlation.
    """

    mean_cc: float
    worst_cc: float
    close: float
    flat: int = 0


def student_maps(student: Student, form: str, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """The float student's maps of frames beside others, `[R, R]` uint8 each."""
    side = student.trunk.input_shape[1]
    frame, other = (normalise(frames) for frames in _stacked(pairs, side))
    if form == "pair":
        logits = student.pair({"frame": frame, "other": other}, training=False)
    else:
        state = student.trunk(other, training=False)
        logits = student.step({"frame": frame, "state": state}, training=False)["attention"]
    return [to_bytes(drawn) for drawn in attention(logits).numpy()[..., 0]]


def file_maps(interpreter: Interpreter, form: str, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """A converted file's maps of the same, by whichever kernels its interpreter has."""
    runner = interpreter.get_signature_runner(form)
    details = runner.get_input_details()
    maps = []
    for frame, other in zip(*_stacked(pairs, details["frame"]["shape"][1]), strict=True):
        beside = {"other": other[None]}
        if form == "step":
            nothing = np.zeros(details["state"]["shape"], details["state"]["dtype"])
            beside = {"state": runner(frame=other[None], state=nothing)["state"]}
        maps.append(to_bytes(runner(frame=frame[None], **beside)["attention"][0, :, :, 0]))
    return maps


def agreement(maps: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Agreement:
    """Compare maps, uint8 of any shape, with those expected, one by one.

    A map whose levels span 2 steps at most is flat. Two flat ones say nothing of each other:
    they are counted and left out. A constant map beside one that is not flat counts as 0. Others
    that nowhere differ by more than 2 steps correlate in full, for what there is between them is
    rounding. Raises ValueError if there are none or they do not fit each other.
    """
    couples = list(zip(maps, expected, strict=True))
    if not couples:
        raise ValueError("no maps to compare")
    for one, two in couples:
        if one.shape != two.shape or one.dtype != np.uint8 or two.dtype != np.uint8:
            raise ValueError(
                f"maps {one.dtype} {list(one.shape)} and {two.dtype} {list(two.shape)}, "
                f"expected two of uint8 and one shape"
            )
    told = [(one, two) for one, two in couples if max(np.ptp(one), np.ptp(two)) > CLOSE]
    scores = [_correlation(one, two) for one, two in told] or [float("nan")]
    steps = [np.abs(one.astype(int) - two).ravel() for one, two in couples]
    close = float(np.mean(np.concatenate(steps) <= CLOSE))
    return Agreement(float(np.mean(scores)), min(scores), close, len(couples) - len(told))


def check_contrast(maps: Sequence[np.ndarray], what: str) -> None:
    """Refuse a student most of whose maps are flat: no file can be shown to draw them.

    Args:
        maps: the student's, uint8.
        what: whose maps, such as `the float student`.

    Raises ExportError.
    """
    flat = sum(int(np.ptp(drawn)) <= CLOSE for drawn in maps)
    if 2 * flat > len(maps):
        raise ExportError(
            f"{what} draws flat maps: {flat} of {len(maps)} span {CLOSE} of 255 levels at most: "
            "train longer, or on frames like those it will see"
        )


def check_agreement(found: Agreement, least: Agreement, what: str) -> None:
    """Refuse maps that agree less than asked.

    Args:
        what: the maps, such as `int8 step against the float student`.

    Raises ExportError.
    """
    figures = (
        ("mean correlation", found.mean_cc, least.mean_cc),
        ("worst correlation", found.worst_cc, least.worst_cc),
        (f"share of pixels within {CLOSE} of 255", found.close, least.close),
    )
    # Written so that nan is refused.
    short = [figure for figure in figures if not figure[1] >= figure[2]]
    if short:
        told = ", ".join(f"{name} {value:.4f}, least {least:g}" for name, value, least in short)
        raise ExportError(
            f"{what}: the maps differ too much ({told}): calibrate on frames like those it "
            f"will see, train longer, or choose a recipe of more bits"
        )


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    if np.abs(one.astype(int) - two).max() <= CLOSE:
        return 1.0
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def _stacked(pairs: Sequence[Pair], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and the others, two `[N, side, side, 3]` uint8."""
    small = np.stack([[shrink(picture, side) for picture in pair] for pair in pairs])
    return small[:, 0], small[:, 1]
