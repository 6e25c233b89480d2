"""Scores of frames, and what tables say of them: means over clips, intervals, shares."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uva_tf.core.errors import counted
from uva_tf.core.text_tables import aligned, write_csv
from uva_tf.evaluation import intervals
from uva_tf.evaluation.intervals import UNKNOWN, Estimate, estimate, scored

CENTRE, CEILING = "centre prior", "human ceiling"
METRICS = ("NSS", "CC", "SIM", "KL", "IG", "AUC-Judd", "sAUC")


@dataclass(frozen=True, eq=False)
class Row:
    """What was scored under one name, and what a table says of it.

    Attributes:
        name: of a model, a file, a baseline, or of a training over several seeds.
        scores: `[seeds, clips, metrics]`, each a mean over a clip's frames; NaN where there is
            none. One seed where no seed changes anything.
    """

    name: str
    scores: np.ndarray

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.scores)

    def values(self, metric: str) -> np.ndarray:
        """Scores in one metric, `[seeds, clips]`."""
        return self.scores[..., METRICS.index(metric)]

    def mean(self, metric: str) -> float:
        """Mean over the seeds and the clips that have a score; NaN if none has."""
        return intervals.mean(self.values(metric))

    def interval(self, metric: str) -> tuple[float, float]:
        """95 % bootstrap interval of the mean, over clips and seeds."""
        return estimate(self.values(metric)).interval

    def ratio(self, baseline: Row | None, metric: str) -> Estimate:
        """The mean over that of `baseline`, with its interval; NaN without a baseline."""
        if baseline is None:
            return UNKNOWN
        return estimate(self.values(metric), baseline.values(metric))

    def share(self, low: Row, high: Row, metric: str) -> float:
        """How far the mean gets from that of `low` (0) to that of `high` (1)."""
        better = -1 if metric == "KL" else 1  # lower KL is better
        return intervals.share(*(better * row.values(metric) for row in (self, low, high)))


def clips_left_out(rows: Iterable[Row]) -> list[str]:
    """A line for each group of metrics in which some clips, but not all, have no score."""
    rows = tuple(rows)
    clips = rows[0].scores.shape[1]
    found: dict[tuple[int, ...], list[str]] = {}
    for metric in METRICS:
        counts = tuple(int((~scored(row.values(metric))).sum()) for row in rows)
        found.setdefault(counts, []).append(metric)
    lines = []
    for counts, metrics in found.items():
        # A row without any score is visible in the table.
        partly = {row.name: n for row, n in zip(rows, counts, strict=True) if 0 < n < clips}
        if partly:
            of_most = min(counts)
            told = [f"{of_most} of {clips}"] if of_most else []
            told += [f"of {name} {n}" for name, n in partly.items() if n != of_most]
            lines.append(f"clips without {', '.join(metrics)}, left out: {'; '.join(told)}")
    return lines


@dataclass(frozen=True)
class Clip:
    """The scores of one clip's frames.

    Attributes:
        indices: numbers of the frames, `[n]`.
        scores: `[n, rows, metrics]` float32; NaN for a missing score.
    """

    indices: np.ndarray
    scores: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Means over the frames with a score, `[rows, metrics]`."""
        return nanmean(self.scores)


@dataclass(frozen=True)
class Evaluation:
    """The outcome on one split.

    Attributes:
        prior: what the centre prior was made from.
        settings: how maps were scored: the grid, the smoothing, the seed and so on.
        rows: names of what was scored, with the centre prior and the human ceiling.
        clips: by name.
        left_out: number of frames that were not scored, by reason.
        notes: other remarks, such as how many maps were constant.
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
    def by_row(self) -> dict[str, Row]:
        """The clips' means, as of one seed."""
        means = np.array([clip.means for clip in self.clips.values()])  # (clips, rows, metrics)
        return {name: Row(name, means[None, :, n]) for n, name in enumerate(self.rows)}

    def clip_means(self, row: str, metric: str) -> np.ndarray:
        """A row's mean in every clip, `[clips]`; NaN where it has none."""
        return self.by_row[row].values(metric)[0]

    def mean(self, row: str, metric: str) -> float:
        """A row's mean over the clips that have a score; NaN if none has."""
        return self.by_row[row].mean(metric)

    def interval(self, row: str, metric: str) -> tuple[float, float]:
        """95 % bootstrap interval of the mean over the clips that have a score."""
        return self.by_row[row].interval(metric)

    def share(self, row: str, metric: str) -> float:
        """How far a row gets from the centre prior (0) to the human ceiling (1)."""
        return self.by_row[row].share(self.by_row[CENTRE], self.by_row[CEILING], metric)

    def clip_shares(self, row: str, metric: str) -> np.ndarray:
        """A row's share in every clip, `[clips]`; NaN where there is none."""
        way = [self.by_row[name] for name in (row, CENTRE, CEILING)]
        clips = [[Row(r.name, r.scores[:, [n]]) for r in way] for n in range(len(self.clips))]
        return np.array([one.share(low, high, metric) for one, low, high in clips])

    @property
    def remarks(self) -> list[str]:
        """The notes, and how many clips were left out of what."""
        notes = [*self.notes, *clips_left_out(self.by_row.values())]
        low, high = self.mean(CENTRE, "NSS"), self.mean(CEILING, "NSS")
        if high <= low:
            notes.append(
                f"no share: people predict each other (NSS {high:.3f}) no better than the centre "
                f"prior does ({low:.3f}), as with few observers"
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Everything but single frames as plain values; None for what can't be computed."""

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
        write_csv(path, self._frame_rows())

    def _frame_rows(self) -> Iterator[list]:
        yield ["video", "index", "row", *METRICS]
        for name, clip in self.clips.items():
            for index, scores in zip(clip.indices, clip.scores, strict=True):
                for row, values in zip(self.rows, scores, strict=True):
                    yield [name, index, row, *digits(values)]


def table(evaluation: Evaluation) -> str:
    """The means as an aligned text table."""
    left_out = "".join(f"; left out: {n} {why}" for why, n in evaluation.left_out.items() if n)
    cells = [["", *METRICS, "share", "95 % of NSS"]]
    for row in evaluation.rows:
        scores = [f"{evaluation.mean(row, metric):.3f}" for metric in METRICS]
        share = percent(evaluation.share(row, "NSS"))
        cells.append([row, *scores, share, span(evaluation.interval(row, "NSS"), 3)])
    clips = counted(len(evaluation.clips), "clip")
    lines = [
        f"{evaluation.dataset}, split {evaluation.split}: {clips}, "
        f"{counted(evaluation.frames, 'frame')}{left_out}",
        aligned(cells),
        f"share: of NSS, of the way from the centre prior ({evaluation.prior}) to the human "
        "ceiling; 95 %: bootstrap over clips; KL: less is better",
    ]
    return "\n".join([*lines, *evaluation.remarks])


def percent(share: float) -> str:
    """A share for a table, `-` where there is none."""
    return "-" if np.isnan(share) else f"{100 * share:.1f}%"


def span(interval: tuple[float, float], places: int = 2) -> str:
    """An interval for a table, with a number of decimal places; `-` where there is none."""
    low, high = interval
    if np.isnan(low) and np.isnan(high):
        return "-"
    return f"{low:.{places}f} to {high:.{places}f}"


def digits(scores: Iterable[float]) -> list[str]:
    """Scores for a file, six digits each, empty where there is none."""
    return ["" if np.isnan(score) else f"{score:.6g}" for score in scores]


def nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN values; NaN if there are no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=0)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
