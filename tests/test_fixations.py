"""Fixation maps and density maps against what they are defined to be."""

import math

import numpy as np
import pytest

from uva_tf.config import DHF1K_SIGMA
from uva_tf.data.fixations import Fixations, density_map, fixation_map


def points(*rows):
    return np.array(rows, np.float32).reshape(-1, 2)


def marked(grid):
    return [tuple(place) for place in np.argwhere(grid).tolist()]


@pytest.mark.parametrize(
    ("point", "place"),
    [
        ((0.0, 0.0), (0, 0)),
        ((0.999, 0.0), (0, 7)),
        ((0.0, 0.999), (3, 0)),
        ((1.0, 1.0), (3, 7)),
        ((1.0, 0.5), (2, 7)),
        ((0.25, 0.25), (1, 2)),
    ],
)
def test_a_fixation_marks_the_pixel_that_it_falls_into(point, place):
    assert marked(fixation_map(points(point), 4, 8)) == [place]


def test_two_fixations_of_one_pixel_mark_it_once():
    grid = fixation_map(points((0.3, 0.3), (0.31, 0.31), (0.9, 0.9)), 4, 8)
    assert marked(grid) == [(1, 2), (3, 7)]
    assert grid.dtype == bool


def test_no_fixation_marks_nothing():
    assert marked(fixation_map(points(), 4, 8)) == []


def test_fixations_of_some_observers():
    both = Fixations(points((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)), np.array([4, 2, 4], np.int32))
    chosen = both.of(np.array([4]))
    np.testing.assert_array_equal(chosen.points, points((0.1, 0.2), (0.5, 0.6)))
    assert chosen.observers.tolist() == [4, 4]


def literal_density(fixations, height, width, sigma, aspect):
    """The definition, pixel by pixel in float64."""
    total = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for x, y in fixations.astype(float):
                across = (column + 0.5) / width - x
                down = ((row + 0.5) / height - y) * aspect
                total[row, column] += math.exp(-(across**2 + down**2) / (2 * sigma**2))
    return total / total.sum()


@pytest.mark.parametrize("aspect", [None, 9 / 16])
@pytest.mark.parametrize("sigma", [DHF1K_SIGMA, 0.1])
def test_density_is_the_sum_of_gaussians(sigma, aspect):
    fixations = np.random.default_rng(5).random((7, 2), np.float32)
    density = density_map(fixations, 12, 20, sigma, aspect)
    expected = literal_density(fixations, 12, 20, sigma, 12 / 20 if aspect is None else aspect)
    # A float32 exponent around -100 is off by some 1e-5, and so is, relatively, its power;
    # what is smaller than 1e-9 of the whole is not looked at.
    np.testing.assert_allclose(density, expected, rtol=1e-4, atol=1e-9)
    assert density.dtype == np.float32


@pytest.mark.parametrize("count", [1, 40])
def test_density_sums_to_1(count):
    fixations = np.random.default_rng(count).random((count, 2), np.float32)
    # 2,304 float32 summands of a relative error of 6e-8 each.
    assert density_map(fixations, 36, 64, DHF1K_SIGMA).sum() == pytest.approx(1, abs=1e-5)


def test_density_is_round_in_the_picture_whatever_the_grid():
    # On a square grid of a picture twice as wide as high, a row is half a column high.
    density = density_map(points((16.5 / 32, 16.5 / 32)), 32, 32, 0.1, aspect=0.5)
    assert density[16 + 8, 16] == pytest.approx(density[16, 16 + 4], rel=1e-4)  # float32
    assert density[16 + 4, 16] > 1.1 * density[16, 16 + 4]
    # On the picture's own grid rows and columns are alike.
    density = density_map(points((16.5 / 32, 8.5 / 16)), 16, 32, 0.1)
    assert density[8 + 4, 16] == pytest.approx(density[8, 16 + 4], rel=1e-4)


def test_density_of_no_fixation_is_zero():
    assert not density_map(points(), 6, 8, DHF1K_SIGMA).any()
