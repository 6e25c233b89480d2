"""Score maps frame by frame, clip by clip, beside the centre prior and people.

Means are taken over a clip's frames, then over clips. Maps are scored on a grid as
wide as DHF1K's, with the picture's own aspect.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from uva_tf.data.dataset import Dataset
from uva_tf.data.gaze import density_map, fixation_map
from uva_tf.data.records import Record, read_records
from uva_tf.evaluation import metrics
from uva_tf.evaluation.baselines import centre_prior, observer_halves
from uva_tf.evaluation.sources import Source
from uva_tf.runtime.errors import InputError

WIDTH = 640
# Splits of the observers for the human ceiling; a clip's frames take them in turn.
HALVES = 10
CENTRE, CEILING = "centre prior", "human ceiling"
METRICS = ("NSS", "CC", "SIM", "AUC-Judd")

Scores = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The outcome on one split.

    Attributes:
        prior: what the centre prior was made from.
        frames, without_fixations: frames scored, and left out because nobody looked.
        clips: mean scores by clip and row; rows are the sources, the centre prior and
            the human ceiling.
    """

    dataset: str
    split: str
    prior: str
    frames: int
    without_fixations: int
    clips: dict[str, dict[str, Scores]]

    @property
    def rows(self) -> list[str]:
        """The rows' names: centre prior, sources, human ceiling."""
        return list(next(iter(self.clips.values())))

    def mean(self, row: str, metric: str) -> float:
        """A row's mean over the clips that have a score.

        The human ceiling needs fixations of two observers in one frame; NaN without any.
        """
        scores = [rows[row][metric] for rows in self.clips.values()]
        known = [score for score in scores if not np.isnan(score)]
        return float(np.mean(known)) if known else float("nan")

    def share(self, row: str, metric: str) -> float:
        """How much of the way from centre prior to human ceiling a row goes; 1 is all of it."""
        low, high = self.mean(CENTRE, metric), self.mean(CEILING, metric)
        return (self.mean(row, metric) - low) / (high - low) if high != low else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; None stands for what can't be computed."""
        values = {
            "dataset": self.dataset,
            "split": self.split,
            "centre_prior": self.prior,
            "grid_width": WIDTH,
            "frames": self.frames,
            "frames_without_fixations": self.without_fixations,
            "means": {r: {m: self.mean(r, m) for m in METRICS} for r in self.rows},
            "shares": {r: {m: self.share(r, m) for m in METRICS} for r in self.rows},
            "clips": self.clips,
        }
        return _without_nan(values)


def evaluate(
    sources: Mapping[str, Source],
    dataset: Dataset,
    split: str,
    *,
    seed: int = 0,
    progress: Callable[[Iterator, int], Iterator] = lambda clips, total: clips,
) -> Evaluation:
    """Score sources on every frame of a split that somebody looked at.

    Args:
        sources: by the name of their row.
        seed: draws the halves of observers for the human ceiling.
        progress: wraps the iterator over clips.

    Raises InputError if the dataset has no such split or nobody looks at anything in it.
    """
    shards = dataset.split(split)
    prior, prior_from = centre_prior(dataset)
    rows: dict[str, Source] = {
        CENTRE: lambda frames: (prior for _ in frames),
        **sources,
    }
    clips: dict[str, dict[str, Scores]] = {}
    counts = [0, 0]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        total = sum(len(shard.recordings) for shard in shards)
        for records in progress(_clips(dataset, shards), total):
            seen = [record for record in records if record.looked_at]
            counts[0] += len(seen)
            counts[1] += len(records) - len(seen)
            if seen:
                clips[records[0].video] = _score_clip(rows, records, dataset.sigma, seed, pool)
    if not clips:
        raise InputError(f"{dataset.folder}: nobody looks at anything in split {split!r}")
    return Evaluation(dataset.folder.name, split, prior_from, *counts, clips)


def table(evaluation: Evaluation) -> str:
    """The means as an aligned text table."""
    width = max(len(row) for row in evaluation.rows)
    lines = [
        f"{evaluation.dataset}, split {evaluation.split}: {len(evaluation.clips)} clips, "
        f"{evaluation.frames} frames ({evaluation.without_fixations} without fixations left out)",
        f"{'':{width}} " + " ".join(f"{metric:>9}" for metric in METRICS) + "   share of NSS",
    ]
    for row in evaluation.rows:
        scores = " ".join(f"{evaluation.mean(row, metric):9.3f}" for metric in METRICS)
        lines.append(f"{row:{width}} {scores} {100 * evaluation.share(row, 'NSS'):13.1f}%")
    lines.append(
        f"share: of the way from the centre prior ({evaluation.prior}) to the human ceiling"
    )
    return "\n".join(lines)


@dataclass(frozen=True)
class Truth:
    """What people did in one frame, on the evaluation grid.

    Attributes:
        density: `[H, W]`, on any scale.
        fixated: `[H, W]` bool; None where the dataset publishes density maps only.
    """

    density: np.ndarray
    fixated: np.ndarray | None

    @classmethod
    def of(cls, points: np.ndarray, aspect: float, sigma: float) -> Truth:
        """From `[n, 2]` points, height / width of the picture, and the Gaussians' width."""
        height = round(WIDTH * aspect)
        return cls(density_map(points, height, WIDTH, sigma), fixation_map(points, height, WIDTH))

    @classmethod
    def of_record(cls, record: Record, sigma: float) -> Truth:
        """From what a frame's record holds, fixations or a density map."""
        if record.density is None:
            return cls.of(record.fixations.points, record.aspect, sigma)
        return cls(metrics.resize(record.density, round(WIDTH * record.aspect), WIDTH), None)

    def score(self, prediction: np.ndarray) -> Scores:
        """All metrics of a map, `[h, w]` on the scale 0..255; NaN for those that need fixations."""
        prediction = metrics.resize(prediction, *self.density.shape)
        known = self.fixated is not None
        return {
            "NSS": metrics.nss(prediction, self.fixated) if known else float("nan"),
            "CC": metrics.cc(prediction, self.density),
            "SIM": metrics.sim(prediction, self.density),
            "AUC-Judd": metrics.auc_judd(prediction, self.fixated) if known else float("nan"),
        }


def _clips(dataset: Dataset, shards) -> Iterator[list[Record]]:
    for shard in shards:
        for _, records in itertools.groupby(
            read_records(dataset, shard), key=lambda record: record.video
        ):
            yield list(records)


def _score_clip(
    rows: Mapping[str, Source],
    records: list[Record],
    sigma: float,
    seed: int,
    pool: ThreadPoolExecutor,
) -> dict[str, Scores]:
    """Mean scores of every row over a clip's frames."""
    maps = zip(*(source(r.frame for r in records) for source in rows.values()), strict=True)
    everyone = np.concatenate([record.fixations.observers for record in records])
    halves = observer_halves(everyone, HALVES, seed)

    def score_frame(record: Record, predictions: tuple, half: tuple) -> list[Scores | None]:
        if not record.looked_at:
            return [None] * (len(rows) + 1)
        truth = Truth.of_record(record, sigma)
        return [truth.score(p) for p in predictions] + [_score_people(record, half, sigma)]

    scored = list(pool.map(score_frame, records, maps, itertools.cycle(halves)))
    return {
        row: _mean([scores for scores in column if scores is not None])
        for row, column in zip([*rows, CEILING], zip(*scored, strict=True), strict=True)
    }


def _score_people(
    record: Record, half: tuple[np.ndarray, np.ndarray], sigma: float
) -> Scores | None:
    """One half of the observers as the prediction of the other's fixations."""
    one, other = (record.fixations.of(observers).points for observers in half)
    if not len(one) or not len(other):
        return None
    prediction = Truth.of(one, record.aspect, sigma).density.astype(np.float64)
    return Truth.of(other, record.aspect, sigma).score(255 * prediction / prediction.max())


def _mean(scores: list[Scores]) -> Scores:
    return {m: float(np.mean([s[m] for s in scores])) if scores else float("nan") for m in METRICS}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
