"""Small maps and fixations for the tests of the metrics."""

import numpy as np

HEIGHT, WIDTH = 90, 160
CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))
# Vectorised sums run in another order than loops; 1e-9 is far above float64's rounding of a
# few thousand terms, and far below a figure that anybody reports.
ROUNDING = 1e-9


def one_hot(shape, *pixels):
    fixated = np.zeros(shape, bool)
    for pixel in pixels:
        fixated[pixel] = True
    return fixated


def scattered(rng, shape, count):
    fixated = np.zeros(shape, bool)
    fixated.flat[rng.choice(fixated.size, count, replace=False)] = True
    return fixated


def distinct(rng, shape):
    """255 x (0, 1/N, 2/N, ...) in random order."""
    return 255 * rng.permutation(np.prod(shape)).reshape(shape) / np.prod(shape)


def tied(rng, shape):
    """Whole tenths of 255, among them 0 and 255, where sAUC's thresholds meet predictions."""
    levels = np.resize(np.arange(11), np.prod(shape))
    return 25.5 * rng.permutation(levels).reshape(shape)
