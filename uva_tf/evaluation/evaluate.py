"""Score maps frame by frame and clip by clip, beside baselines and other observers.

Maps are scored on a grid as wide as DHF1K's videos, with the picture's aspect. A clip's frames
are decoded, mapped and scored in chunks, so that memory does not grow with their number.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.processors import processors
from uva_tf.core.resize import resize
from uva_tf.data.dataset import Dataset, Shard
from uva_tf.data.records import Record, read_gaze, read_records
from uva_tf.evaluation.baselines import BASELINES, centre_prior, observer_halves
from uva_tf.evaluation.map_sources import MapSource
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Clip, Evaluation
from uva_tf.evaluation.truth import WIDTH, Truth

# Splits of the observers for the human ceiling; a clip's frames use them in turn.
HALVES = 10
# For each frame, sAUC's negatives are the fixations of this many frames of other clips, ...
ELSEWHERE_FRAMES = 10
# ... drawn from about this many frames of each clip.
SURVEYED_FRAMES = 32
AT_A_TIME = 64

WITHOUT_GAZE = "frames without gaze"
WITHOUT_A_MAP = "frames without a usable map"
END = object()  # marks the end of a source's maps


@dataclass(frozen=True)
class Settings:
    """How maps are scored.

    Attributes:
        smoothing: standard deviation of a Gaussian that smooths the sources' maps, in image
            widths; choose it on validation clips only.
        seed: of the observers' halves, sAUC's negatives and the noise that breaks ties.
        skip_bad: leave out frames that a source has no usable map of, instead of raising.
        every: score every Nth frame of a clip, from the first; the sources see all frames.
    """

    smoothing: float = 0.0
    seed: int = 0
    skip_bad: bool = False
    every: int = 1


@dataclass(frozen=True)
class Survey:
    """What is read of a clip beforehand: its observers, and some frames' fixations."""

    observers: np.ndarray
    points: list[np.ndarray]


def evaluate(
    sources: Mapping[str, MapSource],
    dataset: Dataset,
    split: str,
    settings: Settings = Settings(),
    *,
    baselines: bool = True,
    progress: Callable[[Iterator, int], Iterator] = lambda clips, total: clips,
) -> Evaluation:
    """Score map sources on the frames of a split that have fixations or density maps.

    Args:
        sources: by the names of their rows.
        baselines: whether to score all of `BASELINES`, or the centre prior alone.
        progress: `(iterator over clips, number of clips) -> iterator`, to show progress.

    Raises InputError if the dataset has no such split, no frame of it can be scored, or a source
    has fewer or more maps than a clip has frames.
    """
    shards = dataset.split(split)
    prior, prior_from = centre_prior(dataset)
    rows: dict[str, MapSource] = {CENTRE: lambda records: (prior for _ in records)}
    if baselines:
        rows = BASELINES | rows
    scorer = _Scorer(rows, sources, prior, _survey(dataset, shards), dataset.sigma, settings)
    clips: dict[str, Clip] = {}
    left_out: Counter = Counter({WITHOUT_GAZE: 0, WITHOUT_A_MAP: 0})
    constant: Counter = Counter()
    with ThreadPoolExecutor(processors()) as pool:
        total = sum(len(shard.recordings) for shard in shards)
        for name, records in progress(_clips(dataset, shards), total):
            clip = scorer.score_clip(name, records, pool, left_out, constant)
            if len(clip.indices):
                clips[name] = clip
    if not clips:
        raise InputError(
            f"{dataset.folder}: no frame to score in split {split!r}: expected some with fixations"
        )
    notes = [
        f"{row}: {count} maps are constant, scored as chance"
        for row, count in constant.items()
        if row in sources
    ]
    return Evaluation(
        dataset=dataset.folder.name,
        split=split,
        prior=prior_from,
        settings={
            "grid_width": WIDTH,
            "resize": "antialiased bicubic",
            "smoothing_sigma": settings.smoothing,
            "seed": settings.seed,
            "every": settings.every,
            "halves_of_observers": HALVES,
        },
        rows=scorer.names,
        clips=clips,
        left_out=dict(left_out),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Scorer:
    """What is the same for all clips, and scores each of them."""

    rows: Mapping[str, MapSource]
    sources: Mapping[str, MapSource]
    prior: np.ndarray
    surveys: Mapping[str, Survey]
    sigma: float
    settings: Settings

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.rows, *self.sources, CEILING)

    def score_clip(
        self,
        name: str,
        records: Iterator[Record],
        pool: ThreadPoolExecutor,
        left_out: Counter,
        constant: Counter,
    ) -> Clip:
        """Score a clip's frames; count the frames left out and the maps that are constant."""
        halves = itertools.cycle(
            observer_halves(self.surveys[name].observers, HALVES, self.settings.seed)
        )
        everything = {**self.rows, **self.sources}
        records, *branches = itertools.tee(records, 1 + len(everything))
        maps = {row: iter(source(branches.pop())) for row, source in everything.items()}
        frames = self._frames(name, records, halves, maps)
        indices, scores = [], []
        while chunk := list(itertools.islice(frames, AT_A_TIME)):
            wanted = []
            for record, half, *predictions in chunk:
                if (record.index - 1) % self.settings.every:
                    continue
                if not record.looked_at:
                    left_out[WITHOUT_GAZE] += 1
                elif any(p is None for p in predictions):
                    left_out[WITHOUT_A_MAP] += 1
                else:
                    wanted.append((record, half, predictions))
                    constant.update(
                        row
                        for row, p in zip(everything, predictions, strict=True)
                        if p.min() == p.max()
                    )
            indices += [record.index for record, _, _ in wanted]
            scores += pool.map(lambda frame: self._score_frame(name, *frame), wanted)
        shape = (-1, len(self.names), len(METRICS))
        return Clip(np.array(indices, int), np.array(scores, np.float32).reshape(shape))

    def _frames(
        self,
        clip: str,
        records: Iterator[Record],
        halves: Iterator[tuple[np.ndarray, np.ndarray]],
        maps: Mapping[str, Iterator[np.ndarray | None]],
    ) -> Iterator[tuple]:
        """Each record with its halves of the observers and every row's map.

        Raises InputError for a source with more or fewer maps than frames; with `skip_bad`,
        missing maps are None instead.
        """
        count = 0
        ended: set[str] = set()
        for count, record in enumerate(records, start=1):
            drawn = {row: next(source, END) for row, source in maps.items()}
            ended |= {row for row, picture in drawn.items() if picture is END}
            if ended and not self.settings.skip_bad:
                total = count + sum(1 for _ in records)
                raise InputError(
                    f"{min(ended)}: {count - 1} maps of {clip}, which has {total} frames: expected "
                    "one map for each frame"
                )
            yield record, next(halves), *(None if p is END else p for p in drawn.values())
        for row, source in maps.items():
            if row not in ended and next(source, END) is not END:
                raise InputError(
                    f"{row}: more than {count} maps of {clip}, which has {count} frames: expected "
                    "one map for each frame"
                )

    def _score_frame(
        self, name: str, record: Record, half: tuple[np.ndarray, np.ndarray], predictions: list
    ) -> np.ndarray:
        """One frame's scores of all rows, `[rows, metrics]`."""
        truth = Truth.of_record(record, self.sigma)
        shape = truth.density.shape
        prior = resize(self.prior, *shape)
        elsewhere = self._elsewhere(name, record.index)
        seed = self.settings.seed
        scores = []
        for number, prediction in enumerate(predictions):
            prediction = resize(prediction, *shape)
            if self.settings.smoothing and number >= len(self.rows):
                prediction = cv2.GaussianBlur(prediction, (0, 0), self.settings.smoothing * WIDTH)
            scores.append(truth.score(prediction, prior, elsewhere, seed))
        scores.append(self._score_people(record, half, prior, elsewhere))
        return np.array(scores)

    def _score_people(
        self, record: Record, half: tuple[np.ndarray, np.ndarray], prior, elsewhere
    ) -> np.ndarray:
        """The human ceiling: one half's density map as a prediction of the other's fixations."""
        one, other = (record.fixations.of(observers).points for observers in half)
        if not len(one) or not len(other):
            return np.full(len(METRICS), np.nan, np.float32)
        prediction = Truth.of(one, record.aspect, self.sigma).density.astype(np.float64)
        truth = Truth.of(other, record.aspect, self.sigma)
        prediction = 255 * prediction / prediction.max()
        return truth.score(prediction, prior, elsewhere, self.settings.seed)

    def _elsewhere(self, name: str, index: int) -> np.ndarray:
        """Fixations in some frames of other clips, `[n, 2]`, by a seeded draw."""
        frames = [p for other, s in self.surveys.items() if other != name for p in s.points]
        if not frames:
            return np.zeros((0, 2), np.float32)
        rng = np.random.default_rng([self.settings.seed, index])
        drawn = rng.permutation(len(frames))[:ELSEWHERE_FRAMES]
        return np.concatenate([frames[n] for n in drawn])


def _clips(dataset: Dataset, shards: Sequence[Shard]) -> Iterator[tuple[str, Iterator[Record]]]:
    for shard in shards:
        yield from itertools.groupby(read_records(dataset, shard), key=lambda record: record.video)


def _survey(dataset: Dataset, shards: Sequence[Shard]) -> dict[str, Survey]:
    """Read the gaze of every clip; keep its observers and some frames' fixations."""
    surveys = {}
    for shard in shards:
        for name, frames in itertools.groupby(read_gaze(dataset, shard), key=lambda f: f.video):
            observers: set[int] = set()
            points: list[np.ndarray] = []
            every = max(1, shard.frames // SURVEYED_FRAMES)
            for number, frame in enumerate(frames):
                observers.update(frame.fixations.observers.tolist())
                if number % every == 0 and len(frame.fixations.points):
                    points.append(frame.fixations.points)
            surveys[name] = Survey(np.array(sorted(observers)), points)
    return surveys
