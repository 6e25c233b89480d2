"""Ground truth of a frame, on the grid that maps are scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uva_tf.core.resize import resize
from uva_tf.data.fixations import density_map, fixation_map
from uva_tf.data.records import Record
from uva_tf.evaluation import metrics

WIDTH = 640  # of the grid, as of DHF1K's videos


@dataclass(frozen=True)
class Truth:
    """A frame's fixations and their density map.

    Attributes:
        density: `[H, W]`, on any scale.
        fixated: `[H, W]` bool; None if the dataset publishes only density maps.
    """

    density: np.ndarray
    fixated: np.ndarray | None

    @classmethod
    def of(cls, points: np.ndarray, aspect: float, sigma: float) -> Truth:
        """Ground truth from fixations.

        Args:
            points: `[n, 2]`, x and y from 0 to 1.
            aspect: height / width of the picture.
            sigma: standard deviation of a fixation's Gaussian in image widths.
        """
        height = round(WIDTH * aspect)
        return cls(density_map(points, height, WIDTH, sigma), fixation_map(points, height, WIDTH))

    @classmethod
    def of_record(cls, record: Record, sigma: float) -> Truth:
        """Ground truth from a record, which holds fixations or a density map."""
        if record.density is None:
            return cls.of(record.fixations.points, record.aspect, sigma)
        return cls(resize(record.density, round(WIDTH * record.aspect), WIDTH), None)

    def score(
        self, prediction: np.ndarray, prior: np.ndarray, elsewhere: np.ndarray, seed: int
    ) -> np.ndarray:
        """All metrics of a map, in the order of `METRICS`; NaN for those that don't apply.

        Args:
            prediction: `[H, W]` float64 on the grid, in 0..255.
            prior: the centre prior, `[H, W]` on the grid.
            elsewhere: fixations in other clips, `[n, 2]`.
            seed: of sAUC's draws and of the noise that breaks ties.
        """
        nan = float("nan")
        cc = metrics.cc(prediction, self.density)
        sim = metrics.sim(prediction, self.density)
        kl = metrics.kl(prediction, self.density)
        if self.fixated is None:
            return np.array([nan, cc, sim, kl, nan, nan, nan], np.float32)
        others = fixation_map(elsewhere, *self.fixated.shape)
        scores = [
            metrics.nss(prediction, self.fixated),
            cc,
            sim,
            kl,
            metrics.information_gain(prediction, self.fixated, prior),
            metrics.auc_judd(prediction, self.fixated, seed=seed),
            metrics.auc_shuffled(prediction, self.fixated, others, seed=seed)
            if others.any()
            else nan,
        ]
        return np.array(scores, np.float32)
