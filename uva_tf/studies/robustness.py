"""How much of its attention a model keeps when the same clips come from a worse camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, tee
from pathlib import Path

import cv2
import numpy as np

from uva_tf.data.dataset import Dataset
from uva_tf.data.records import Record, read_records
from uva_tf.evaluation.map_sources import MapSource, open_map_source
from uva_tf.evaluation.results import CEILING, CENTRE, percent, span
from uva_tf.studies.scoring import Scores, score
from uva_tf.studies.table import write_markdown

FILE = "table.md"
LEGEND = (
    "Share of the way from the centre prior to the human ceiling, in NSS; NSS with its 95 % "
    "interval over clips; kept: NSS over that of the clips as they are."
)
AS_THEY_ARE = "as they are"

# From a clip's records to what a model sees: each frame, and for how many of the clip's frames,
# from there on, its map stands.
Change = Callable[[Iterable[Record]], Iterator[tuple[Record, int]]]
Picture = np.ndarray  # [H, W, 3] uint8 RGB


def every_nth(count: int) -> Change:
    """A camera of a lower rate: of `count` frames one is seen, and its map stands for all."""

    def change(records: Iterable[Record]) -> Iterator[tuple[Record, int]]:
        records = iter(records)
        while chunk := list(islice(records, count)):
            yield chunk[0], len(chunk)

    return change


def twice(records: Iterable[Record]) -> Iterator[tuple[Record, int]]:
    """Every frame shown twice, as where 30 frames/s are sent as 60."""
    for record in records:
        yield record, 0
        yield record, 1


def after_a_cut(elsewhere: Record) -> Change:
    """Every frame comes right after a frame of another clip."""

    def change(records: Iterable[Record]) -> Iterator[tuple[Record, int]]:
        for record in records:
            yield replace(record, frame=elsewhere.frame), 0
            yield record, 1

    return change


def pictures(change_picture: Callable[[Picture, np.random.Generator], Picture]) -> Change:
    """Every frame changed by itself; what is random is drawn from the frame's number."""

    def change(records: Iterable[Record]) -> Iterator[tuple[Record, int]]:
        for record in records:
            rng = np.random.default_rng(record.index)
            yield replace(record, frame=change_picture(record.frame, rng)), 1

    return change


def recompressed(frame: Picture, quality: int) -> Picture:
    """A frame after JPEG of a quality from 0 to 100."""
    _, jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]


def noisy(frame: Picture, deviation: float, rng: np.random.Generator) -> Picture:
    """A frame with normal noise of a standard deviation in levels of 255."""
    return _levels(frame + rng.normal(0, deviation, frame.shape))


def dark(frame: Picture, rng: np.random.Generator) -> Picture:
    """A frame at an eighth of the brightness, with the noise of a camera that has little light."""
    return noisy(frame / 8, 2, rng)


def grey(frame: Picture) -> Picture:
    """A frame without colour."""
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def conditions(elsewhere: Record) -> dict[str, Change]:
    """What is tried, by the names of the rows.

    Args:
        elsewhere: a record of another clip, for cuts.
    """
    return {
        AS_THEY_ARE: every_nth(1),
        "every frame twice": twice,
        "every 2nd frame": every_nth(2),
        "every 4th frame": every_nth(4),
        "right after a cut": after_a_cut(elsewhere),
        "JPEG of quality 10": pictures(lambda frame, rng: recompressed(frame, 10)),
        "an eighth of the light": pictures(dark),
        "grey": pictures(lambda frame, rng: grey(frame)),
        "noise of 20 levels": pictures(lambda frame, rng: noisy(frame, 20, rng)),
    }


def changed(source: MapSource, change: Change) -> MapSource:
    """A source that sees changed clips, with one map for each of the clip's frames."""

    def maps(records: Iterable[Record]) -> Iterator[np.ndarray | None]:
        seen, counted = tee(change(records))
        drawn = source(record for record, _ in seen)
        for picture, (_, frames) in zip(drawn, counted, strict=True):
            yield from [picture] * frames

    return maps


def score_conditions(
    model: Path,
    folders: Sequence[Path],
    *,
    every: int,
    progress: Callable[[Iterator, int], Iterator],
) -> Scores:
    """Score a model under every condition on the validation clips of some datasets."""

    def sources(dataset: Dataset) -> dict[str, MapSource]:
        tried = conditions(_elsewhere(dataset))
        # A source each, as a .tflite file's keeps frames before, and conditions take turns.
        return {
            name: changed(open_map_source(model, dataset.size), change)
            for name, change in tried.items()
        }

    return score(folders, sources, every=every, progress=progress)


def table(scores: Scores) -> list[list[str]]:
    """The scores as text, the head first; `LEGEND` explains it."""
    lines = [["", "share", "NSS", "95 %", "kept", "95 %"]]
    first = scores.rows[AS_THEY_ARE]
    for name, row in scores.rows.items():
        if name in (CENTRE, CEILING):
            continue
        kept = row.ratio(first, "NSS")
        lines.append(
            [
                name,
                percent(row.share(scores.rows[CENTRE], scores.rows[CEILING], "NSS")),
                f"{row.mean('NSS'):.3f}",
                span(row.interval("NSS")),
                f"{kept.value:.3f}",
                span(kept.interval, 3),
            ]
        )
    return lines


def write_study(out: Path, scores: Scores, command: str) -> None:
    """Write `FILE` into a folder; raises InputError if it exists."""
    write_markdown(out / FILE, command, table(scores), notes=[LEGEND, *scores.notes])


def _elsewhere(dataset: Dataset) -> Record:
    """The first frame of a clip that is not scored, else of the last one that is."""
    shards = [shard for shard in dataset.shards if shard.split != "val"] or dataset.shards
    return next(iter(read_records(dataset, shards[-1])))


def _levels(frame: np.ndarray) -> Picture:
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)
