"""How alike maps are, and how alike they have to be."""

import numpy as np
import pytest

from uva_tf.compression.agreement import (
    Agreement,
    agreement,
    check_agreement,
    check_contrast,
)
from uva_tf.core.errors import ExportError


def maps(*values):
    return [np.uint8(value) for value in values]


RAMP = np.arange(0, 200, 2).reshape(10, 10)


def test_equal_maps_agree_in_full():
    assert agreement(maps(RAMP, RAMP + 3), maps(RAMP, RAMP + 3)) == Agreement(1, 1, 1)


def test_a_flat_map_has_no_correlation_with_another():
    flat = np.zeros((10, 10))
    assert agreement(maps(flat), maps(RAMP)) == Agreement(0, 0, 0.02)  # of 0 and 2
    assert agreement(maps(RAMP), maps(flat)) == Agreement(0, 0, 0.02)


SPECKLED = 254 + np.arange(100).reshape(10, 10) % 2


@pytest.mark.parametrize("flat", [np.full((10, 10), 7), np.full((10, 10), 255), SPECKLED])
def test_flat_maps_say_nothing_of_each_other_and_are_counted(flat):
    found = agreement(maps(RAMP, flat, flat), maps(RAMP + 2, flat, flat))
    assert found == Agreement(pytest.approx(1), pytest.approx(1), 1, flat=2)
    alone = agreement(maps(flat), maps(flat))
    assert np.isnan([alone.mean_cc, alone.worst_cc]).all()
    assert (alone.close, alone.flat) == (1, 1)
    with pytest.raises(ExportError, match="correlation nan"):
        check_agreement(alone, Agreement(-1, -1, 0), "int8 step")


def test_flat_maps_of_other_levels_are_not_close():
    flat = np.full((10, 10), 7)
    assert agreement(maps(flat), maps(flat + 3)).close == 0


def test_maps_that_rounding_parts_agree():
    faint = 100 + np.arange(100).reshape(10, 10) // 25  # of four levels
    jittered = faint + np.arange(100).reshape(10, 10) % 2
    assert agreement(maps(faint), maps(jittered)) == Agreement(1, 1, 1)


def test_a_student_of_mostly_flat_maps_is_refused():
    flat = np.full((10, 10), 254)
    check_contrast(maps(RAMP, flat), "the student")
    words = "the student draws flat maps: 3 of 5 span at most 2 of 255 levels: train longer"
    with pytest.raises(ExportError, match=words):
        check_contrast(maps(RAMP, flat, SPECKLED, flat, RAMP), "the student")


def test_mean_and_worst_are_over_maps_and_close_is_over_pixels():
    found = agreement(maps(RAMP, 198 - RAMP), maps(RAMP, RAMP))
    assert (found.mean_cc, found.worst_cc) == pytest.approx((0, -1))
    # A ramp of steps of 2 and its mirror image differ by 2 at the two middle pixels.
    assert found.close == (100 + 2) / 200


@pytest.mark.parametrize(("steps", "close"), [(2, 1), (3, 0), (-2, 1), (-3, 0)])
def test_two_steps_are_close_and_three_are_not(steps, close):
    found = agreement(maps(RAMP + 10 + steps), maps(RAMP + 10))
    assert found.mean_cc == pytest.approx(1)
    assert found.close == close


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ([], [], "no maps"),
        (maps(RAMP), maps(RAMP, RAMP), "zip"),
        (maps(RAMP), maps(RAMP[:5]), "same shape"),
        ([RAMP / 255], maps(RAMP), "float64"),
    ],
)
def test_maps_that_do_not_fit_are_no_agreement(one, two, words):
    with pytest.raises(ValueError, match=words):
        agreement(one, two)


LEAST = Agreement(0.98, 0.9, 0.95)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Agreement(0.97, 0.95, 1), r"int8 step: .*\(mean correlation 0\.9700, least 0\.98\)"),
        (Agreement(0.99, 0.89, 1), r"\(worst correlation 0\.8900, least 0\.9\)"),
        (
            Agreement(0.99, 0.95, 0.5),
            r"\(fraction of pixels within 2 of 255 0\.5000, least 0\.95\)",
        ),
        (Agreement(float("nan"), 0.95, 1), r"\(mean correlation nan"),
        (Agreement(0, 0, 0), r"mean .* worst .* fraction .*: calibrate on frames"),
    ],
)
def test_maps_that_agree_less_are_refused(found, words):
    with pytest.raises(ExportError, match=words):
        check_agreement(found, LEAST, "int8 step")


def test_maps_that_agree_as_asked_pass():
    check_agreement(LEAST, LEAST, "int8 step")
