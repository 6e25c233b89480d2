"""Scores of frames, and what is said of them: means over clips, intervals, shares."""

from __future__ import annotations

import csv
import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uva_tf.core.outputs import UTF8
from uva_tf.evaluation import intervals

CENTRE, CEILING = "centre prior", "human ceiling"
METRICS = ("NSS", "CC", "SIM", "KL", "IG", "AUC-Judd", "sAUC")


@dataclass(frozen=True)
class Clip:
    """The scores of one clip's frames.

    Attributes:
        indices: `[n]` numbers of the frames.
        scores: `[n, rows, metrics]` float32; NaN where there is none.
    """

    indices: np.ndarray
    scores: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Means over the frames that have a score, `[rows, metrics]`."""
        return nanmean(self.scores)


@dataclass(frozen=True)
class Evaluation:
    """The outcome on one split.

    Attributes:
        prior: what the centre prior was made from.
        settings: how maps were brought to the fixations' grid, and the seed.
        rows: names of what was scored; the centre prior and the human ceiling among them.
        clips: by name.
        left_out: why and how many frames were not scored.
        notes: what else to know, such as how many maps say nothing.
    """

    dataset: str
    split: str
    prior: str
    settings: dict[str, Any]
    rows: tuple[str, ...]
    clips: dict[str, Clip]
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames scored."""
        return sum(len(clip.indices) for clip in self.clips.values())

    @functools.cached_property
    def _values(self) -> dict[str, np.ndarray]:
        """By row its mean in every clip, `[1, clips, metrics]` as of one seed; NaN for none."""
        means = np.array([clip.means for clip in self.clips.values()])  # (clips, rows, metrics)
        return {row: means[None, :, number] for number, row in enumerate(self.rows)}

    def _scores(self, row: str, metric: str) -> np.ndarray:
        return self._values[row][..., METRICS.index(metric)]  # (1, clips)

    def clip_means(self, row: str, metric: str) -> np.ndarray:
        """A row's mean in every clip; NaN where it has none."""
        return self._scores(row, metric)[0]

    def mean(self, row: str, metric: str) -> float:
        """A row's mean over the clips that have a score; NaN without any."""
        return intervals.mean(self._scores(row, metric))

    def interval(self, row: str, metric: str) -> tuple[float, float]:
        """95 % bootstrap interval of the mean over the clips that have a score."""
        return intervals.estimate(self._scores(row, metric)).interval

    def share(self, row: str, metric: str) -> float:
        """How much of the way from centre prior to human ceiling a row goes; 1 is all of it.

        Only clips count that all three have a score of.
        """
        return intervals.share(*self._way(row, metric))

    def clip_shares(self, row: str, metric: str) -> np.ndarray:
        """A row's share in every clip, `[clips]`; NaN where there is none."""
        way = self._way(row, metric)
        return np.array(
            [intervals.share(*(part[:, [n]] for part in way)) for n in range(len(self.clips))]
        )

    def _way(self, row: str, metric: str) -> list[np.ndarray]:
        """A row, the centre prior and the human ceiling, `[1, clips]` each, more is better."""
        better = -1 if metric == "KL" else 1
        return [better * self._scores(name, metric) for name in (row, CENTRE, CEILING)]

    @property
    def remarks(self) -> list[str]:
        """The notes, and how many clips were left out of what."""
        notes = [*self.notes, *intervals.left_out(self._values, METRICS)]
        low, high = self.mean(CENTRE, "NSS"), self.mean(CEILING, "NSS")
        if high <= low:
            notes.append(
                f"no share: people predict each other (NSS {high:.3f}) no better than the centre "
                f"prior does ({low:.3f}), as with few observers"
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Everything but single frames as plain values; None stands for what can't be computed."""

        def per_row(value) -> dict[str, dict[str, Any]]:
            return {row: {metric: value(row, metric) for metric in METRICS} for row in self.rows}

        clips = {
            name: {
                row: dict(zip(METRICS, map(float, means), strict=True))
                for row, means in zip(self.rows, clip.means, strict=True)
            }
            for name, clip in self.clips.items()
        }
        values = {
            "dataset": self.dataset,
            "split": self.split,
            "centre_prior": self.prior,
            "settings": self.settings,
            "frames": self.frames,
            "frames_left_out": self.left_out,
            "notes": self.remarks,
            "means": per_row(self.mean),
            "intervals": per_row(lambda row, metric: list(self.interval(row, metric))),
            "shares": per_row(self.share),
            "clips": clips,
        }
        return _without_nan(values)

    def write_frames(self, path: Path) -> None:
        """Write the scores of every frame as comma-separated values, empty where there is none."""
        with path.open("w", newline="", **UTF8) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["video", "index", "row", *METRICS])
            for name, clip in self.clips.items():
                for index, scores in zip(clip.indices, clip.scores, strict=True):
                    for row, values in zip(self.rows, scores, strict=True):
                        texts = ["" if np.isnan(v) else f"{v:.6g}" for v in values]
                        writer.writerow([name, index, row, *texts])


def table(evaluation: Evaluation) -> str:
    """The means as an aligned text table."""
    width = max(len(row) for row in evaluation.rows)
    left_out = "".join(f"; left out: {n} {why}" for why, n in evaluation.left_out.items() if n)
    lines = [
        f"{evaluation.dataset}, split {evaluation.split}: {len(evaluation.clips)} clips, "
        f"{evaluation.frames} frames{left_out}",
        f"{'':{width}} " + " ".join(f"{metric:>8}" for metric in METRICS) + "  share  95 % of NSS",
    ]
    for row in evaluation.rows:
        scores = " ".join(f"{evaluation.mean(row, metric):8.3f}" for metric in METRICS)
        low, high = evaluation.interval(row, "NSS")
        share = percent(evaluation.share(row, "NSS"), 6)
        lines.append(f"{row:{width}} {scores} {share}  {low:.3f} to {high:.3f}")
    lines.append(
        f"share: of NSS, of the way from the centre prior ({evaluation.prior}) to the human "
        "ceiling; 95 %: bootstrap over clips; KL: less is better"
    )
    return "\n".join([*lines, *evaluation.remarks])


def percent(share: float, width: int = 0) -> str:
    """A share for a table, `-` where there is none."""
    return f"{'-' if np.isnan(share) else f'{100 * share:.1f}%':>{width}}"


def nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is no NaN; NaN where all is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=0)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
