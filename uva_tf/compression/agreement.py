"""How well a converted file's maps agree with those expected of it."""

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

CLOSE = 2  # levels of 255


@dataclass(frozen=True)
class Agreement:
    """How well maps agree with those expected, or the least agreement that is accepted.

    Attributes:
        mean_cc: mean correlation of a map with the expected one; NaN if all maps are flat.
        worst_cc: the lowest correlation.
        close: fraction of all pixels that differ by at most 2 of 255 levels.
        flat: number of maps that are flat on both sides, and so have no correlation.
    """

    mean_cc: float
    worst_cc: float
    close: float
    flat: int = 0


def student_maps(student: Student, form: str, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """The float student's maps of some pairs of frames, `[R, R]` uint8 each.

    Args:
        form: `pair`, or `step` with the features of `other` as the state.
    """
    side = student.trunk.input_shape[1]
    frame, other = (normalise(frames) for frames in _stacked(pairs, side))
    if form == "pair":
        logits = student.pair({"frame": frame, "other": other}, training=False)
    else:
        state = student.trunk(other, training=False)  # (N, R/4, R/4, C)
        logits = student.step({"frame": frame, "state": state}, training=False)["attention"]
    return [to_bytes(drawn) for drawn in attention(logits, student.centre_share).numpy()[..., 0]]


def file_maps(interpreter: Interpreter, form: str, pairs: Sequence[Pair]) -> list[np.ndarray]:
    """A converted file's maps of the same pairs, computed by the interpreter's kernels."""
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
    """Compare maps with those expected, one by one; both are uint8 of any shape.

    A map whose values span at most 2 levels is flat. If both maps are flat, they are counted and
    left out, as their correlation means nothing. Otherwise the correlation is 1 if no pixel
    differs by more than 2 levels, which is rounding, and 0 if one of the maps is constant.

    Raises ValueError for no maps, and for maps that differ in number, shape or dtype.
    """
    couples = list(zip(maps, expected, strict=True))
    if not couples:
        raise ValueError("no maps to compare")
    for one, two in couples:
        if one.shape != two.shape or one.dtype != np.uint8 or two.dtype != np.uint8:
            raise ValueError(
                f"maps {one.dtype} {list(one.shape)} and {two.dtype} {list(two.shape)}: "
                f"expected both uint8 and of the same shape"
            )
    shown = [(one, two) for one, two in couples if max(np.ptp(one), np.ptp(two)) > CLOSE]
    scores = [_correlation(one, two) for one, two in shown] or [float("nan")]
    differences = [np.abs(one.astype(int) - two).ravel() for one, two in couples]
    close = float(np.mean(np.concatenate(differences) <= CLOSE))
    return Agreement(float(np.mean(scores)), min(scores), close, len(couples) - len(shown))


def check_contrast(maps: Sequence[np.ndarray], what: str) -> None:
    """Raise ExportError if most maps are flat: then no file can be shown to agree with them.

    Args:
        maps: the student's, uint8.
        what: whose maps they are, such as `the float student`.
    """
    flat = sum(int(np.ptp(drawn)) <= CLOSE for drawn in maps)
    if 2 * flat > len(maps):
        raise ExportError(
            f"{what} draws flat maps: {flat} of {len(maps)} span at most {CLOSE} of 255 levels: "
            "train longer, or on frames like those it will see"
        )


def check_agreement(found: Agreement, least: Agreement, what: str) -> None:
    """Raise ExportError if maps agree less than required.

    Args:
        what: what was compared, such as `int8 step against the float student`.
    """
    figures = (
        ("mean correlation", found.mean_cc, least.mean_cc),
        ("worst correlation", found.worst_cc, least.worst_cc),
        (f"fraction of pixels within {CLOSE} of 255", found.close, least.close),
    )
    # Not `<`, so that NaN is refused.
    short = [figure for figure in figures if not figure[1] >= figure[2]]
    if short:
        listed = ", ".join(f"{name} {value:.4f}, least {least:g}" for name, value, least in short)
        raise ExportError(
            f"{what}: the maps differ too much ({listed}): calibrate on frames like those it "
            f"will see, train longer, or choose a recipe with more bits"
        )


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    if np.abs(one.astype(int) - two).max() <= CLOSE:
        return 1.0
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def _stacked(pairs: Sequence[Pair], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Each pair's frame and each pair's other, `[N, side, side, 3]` uint8 each."""
    small = np.stack([[shrink(picture, side) for picture in pair] for pair in pairs])  # (N, 2, ..)
    return small[:, 0], small[:, 1]
