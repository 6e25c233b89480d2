"""The path of a crop, in cases whose answer is known."""

from fractions import Fraction

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.runtime.crop_path import (
    ACCELERATION,
    SPEED,
    Crop,
    crop_of,
    crop_path,
    find_cuts,
    parse_aspect,
    profile,
)

RATE, SHARE = 25, 0.3


def blob(place, columns=64, width=0.03):
    """The profile of attention at one place."""
    x = (np.arange(columns) + 0.5) / columns
    bump = np.exp(-0.5 * ((x - place) / width) ** 2)
    return (bump / bump.sum()).astype(np.float32)


def path_of(places, rate=RATE, cuts=()):
    """The middle of the crop in every frame, for attention at these places."""
    profiles = np.array([blob(place) for place in places])
    return crop_path(profiles, np.arange(len(places)) / rate, SHARE, cuts) + SHARE / 2


def fastest(path, rate=RATE):
    """The highest speed and acceleration."""
    return (np.abs(np.diff(path, n)).max() * rate**n for n in (1, 2))


@pytest.mark.parametrize("place", [0.2, 0.5, 0.72])
def test_attention_at_rest_is_in_the_middle_of_a_crop_at_rest(place):
    path = path_of([place] * 100)
    assert np.ptp(path) == 0
    assert path[0] == pytest.approx(place, abs=0.02)


def test_a_crop_stays_in_the_frame():
    path = path_of([0.0] * 50)
    assert path == pytest.approx(SHARE / 2)
    assert path_of([1.0] * 50) == pytest.approx(1 - SHARE / 2)


def test_without_attention_the_crop_is_in_the_middle():
    path = crop_path(np.zeros((50, 64), np.float32), np.arange(50) / RATE, SHARE)
    assert path + SHARE / 2 == pytest.approx(0.5, abs=0.01)
    assert crop_path(np.zeros((1, 64), np.float32), np.zeros(1), 1.0) == [0.0]


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_a_step_is_followed_within_the_limits(rate):
    path = path_of([0.15] * 5 * rate + [0.85] * 5 * rate, rate)
    assert (path[0], path[-1]) == (pytest.approx(0.15, abs=0.04), pytest.approx(0.85, abs=0.04))
    speed, acceleration = fastest(path, rate)
    assert 0.9 * SPEED < speed <= SPEED * 1.001
    assert acceleration <= ACCELERATION * 1.01
    # It knows what comes: half of the way is behind it when attention moves.
    assert path[5 * rate] == pytest.approx(0.5, abs=0.05)
    assert (np.diff(path) >= -1e-9).all()


def test_attention_that_turns_back_keeps_the_limits():
    places = np.tile(np.repeat([0.1, 0.9], 50), 6)
    speed, acceleration = fastest(path_of(places))
    assert speed <= SPEED * 1.001
    assert 0.3 * ACCELERATION < acceleration <= ACCELERATION * 1.01


def test_a_short_glance_elsewhere_is_not_followed():
    places = np.full(200, 0.3)
    places[100:105] = 0.9
    assert np.ptp(path_of(places)) == 0


def test_noise_does_not_shake_the_crop():
    places = 0.5 + np.random.default_rng(1).normal(0, 0.05, 300)
    assert np.ptp(path_of(places)) == 0


def test_slow_movement_is_followed_calmly():
    places = np.linspace(0.2, 0.8, 250)  # 0.06 sides/s
    path = path_of(places)
    assert np.abs(path - places).max() < SHARE / 2
    speed, acceleration = fastest(path)
    assert speed < 0.25
    assert acceleration < ACCELERATION


def test_the_path_jumps_at_a_cut_and_only_there():
    path = path_of([0.15] * 60 + [0.85] * 60, cuts=[60])
    assert np.ptp(path[:60]) == np.ptp(path[60:]) == 0
    assert path[60] - path[59] == pytest.approx(0.7, abs=0.03)


def test_shots_are_independent():
    one, other = np.linspace(0.2, 0.7, 80), np.linspace(0.9, 0.4, 55)
    both = path_of([*one, *other], cuts=[80])
    assert both == pytest.approx(np.concatenate([path_of(one), path_of(other)]))


def test_a_frame_counts_as_long_as_it_is_shown():
    # One frame is shown for 4 s, then 25 others elsewhere within 1 s.
    seconds = np.concatenate([[0], 4 + np.arange(25) / 25])
    profiles = np.array([blob(0.2)] + [blob(0.8)] * 25)
    path = crop_path(profiles, seconds, SHARE) + SHARE / 2
    assert path[0] == pytest.approx(0.2, abs=0.04)


def test_times_may_begin_anywhere():
    profiles = np.array([blob(place) for place in np.linspace(0.2, 0.8, 100)])
    times = np.arange(100) / RATE
    late = crop_path(profiles, times + 1.4, SHARE)
    assert late == pytest.approx(crop_path(profiles, times, SHARE))


def test_a_profile_adds_up_along_the_other_axis():
    attention = np.zeros((4, 8), np.uint8)
    attention[1, 6], attention[3, 6], attention[3, 0] = 255, 255, 255
    assert profile(attention, 0) == pytest.approx([1 / 3, 0, 0, 0, 0, 0, 2 / 3, 0])
    assert profile(attention, 1) == pytest.approx([0, 1 / 3, 0, 2 / 3])
    assert not profile(np.zeros((4, 8), np.uint8), 0).any()


def test_cuts_stand_out_from_what_is_around_them():
    changes = np.full(40, 5.0)
    changes[20] = 60
    assert find_cuts(changes) == [20]
    changes[20] = 9  # more than around it, but little
    assert not len(find_cuts(changes))
    changes[:] = 30  # fast movement
    assert not len(find_cuts(changes))


def test_a_flash_is_no_cut():
    changes = np.full(40, 2.0)
    changes[[20, 21]] = 90  # into the flash and out of it
    assert not len(find_cuts(changes))


def test_the_last_frame_may_be_another_shot_and_the_first_is_none():
    changes = np.full(40, 2.0)
    changes[[0, 39]] = 90
    assert find_cuts(changes) == [39]
    assert not len(find_cuts(np.zeros(1)))


@pytest.mark.parametrize(
    ("frame", "aspect", "pixel_aspect", "crop"),
    [
        ((1280, 720), "9:16", 1, Crop(404, 720, 0)),
        ((1920, 1080), "1:1", 1, Crop(1080, 1080, 0)),
        ((1920, 1080), "16:9", 1, Crop(1920, 1080, 0)),
        ((1080, 1920), "16:9", 1, Crop(1080, 608, 1)),
        ((1080, 1920), "4:5", 1, Crop(1080, 1350, 1)),
        ((853, 479), "9:16", 1, Crop(270, 478, 0)),
        # 720x576 at 64:45 is 16:9 as displayed: 9:16 of 576 lines are 324 square pixels.
        ((720, 576), "9:16", Fraction(64, 45), Crop(228, 576, 0)),
        ((720, 576), "16:9", Fraction(64, 45), Crop(720, 576, 0)),
        ((640, 360), "2.39:1", 1, Crop(640, 268, 1)),
    ],
)
def test_the_largest_crop_of_an_aspect(frame, aspect, pixel_aspect, crop):
    assert crop_of(*frame, parse_aspect(aspect), Fraction(pixel_aspect)) == crop


@pytest.mark.parametrize(
    "text",
    ["0:1", "1:0", "9", "9/16", "a:b", "-9:16", "21:1", "1:20.1", "9:16:9", "", "9:1e1", "nan:1"],
)
def test_other_aspects_are_refused(text):
    with pytest.raises(InputError, match="expected WIDTH:HEIGHT such as 9:16, from 1:20 to 20:1"):
        parse_aspect(text)


def test_extreme_aspects_are_taken():
    assert parse_aspect("20:1") == 20
    assert parse_aspect("1:20") == Fraction(1, 20)


def test_a_frame_without_room_is_refused():
    with pytest.raises(InputError, match="frame of 16x16 has no room"):
        crop_of(16, 16, Fraction(1, 20))
