"""The centre prior: whatever a picture shows, people look at its middle more than at its edges."""

from __future__ import annotations

import numpy as np

# Width of the Gaussian that stands for a centre prior where no recordings give one, in image
# widths: a rough average of published centre biases.
PRIOR_SIGMA = 0.2


def log_centre_prior(height: int, width: int) -> np.ndarray:
    """Logarithm of a Gaussian of `PRIOR_SIGMA` of each side, `[height, width]` float64.

    It is 0 in the middle of the picture and negative elsewhere.
    """
    y, x = (((np.arange(n) + 0.5) / n - 0.5) / PRIOR_SIGMA for n in (height, width))
    return -0.5 * (y[:, None] ** 2 + x**2)
