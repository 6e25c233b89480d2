"""An archive from its sources to its table: what is left to do, in rounds, and its progress.

The first round predicts every video that is not too long, and finds where the long ones can be
cut. The second predicts their segments, the third joins these.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uva_tf.archives.engine import done_by_actors
from uva_tf.archives.job import PLACES, Job, edges
from uva_tf.archives.picture import PICTURE, draw_throughput
from uva_tf.archives.sources import Source
from uva_tf.archives.storage import UNFINISHED, WORK, Store, states
from uva_tf.archives.table import VideoTable
from uva_tf.core.errors import InputError, some
from uva_tf.core.outputs import locked
from uva_tf.core.urls import is_url, masked

FLUSH = 30.0  # seconds between two parts of the table
MANY = 1000  # sources whose states are asked for at a time
Answers = Callable[[Job, Sequence[dict[str, Any]], int], Iterator[dict[str, Any]]]


@dataclass
class Progress:
    """How far an archive is.

    Attributes:
        total: videos.
        before: videos that an earlier run had done.
        done: videos that this run has done.
        failed: the rows of those that have no outputs.
        frames: of those done; of segments too.
        moments: seconds since the beginning, videos and frames done until then, for a picture.
    """

    total: int
    before: int = 0
    done: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    duration: float = 0.0
    moments: list[tuple[float, int, int]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the beginning of this run."""
        return time.monotonic() - self.begun

    def note(self) -> None:
        """Note how far it is now; once a second is enough."""
        now = self.seconds
        if self.moments and now - self.moments[-1][0] < 1:
            now = self.moments.pop()[0]
        self.moments.append((now, self.done, self.frames))

    def left(self) -> float:
        """Seconds that the rest takes at this pace; 0 where nothing is known."""
        finished = self.done + len(self.failed)
        rest = self.total - self.before - finished
        return rest * self.seconds / finished if finished else 0.0


class Archive:
    """The outputs of many videos in a folder or store, and their table.

    Attributes:
        store: where they are.

    Raises InputError if it can't be written.
    """

    def __init__(self, job: Job, sources: Sequence[Source]):
        self._job, self._sources = job, sources
        self.store = Store(job.out)
        self.store.create(*(PLACES[kind][0] for kind in job.kinds))

    def run(self, actors: int, answers: Answers = done_by_actors) -> Iterator[Progress]:
        """Predict what is missing or was made otherwise; yields the progress after each answer.

        The table is written at the end, and when the iterator is closed; the picture of the pace at
        the end alone.

        Raises InputError if another process is writing it, or its table or picture is another
        program's; OSError if it can't be written any more, or Ray can't go on.
        """
        with contextlib.ExitStack() as stack:
            if not is_url(self._job.out):
                folder = Path(self.store.root)
                stack.enter_context(locked(folder, folder, "written"))
            self.store.remove_folder(UNFINISHED)  # of a run that was killed
            rest = UNFINISHED  # segments are of use to the next run
            stack.callback(lambda: self.store.remove_folder(rest))
            table = VideoTable(self.store)
            if table.is_new and self.store.has(PICTURE):
                where = f"{masked(self.store.address)}: {PICTURE}"
                raise InputError(f"{where} is another program's: choose another folder")
            done = self._done(table)
            left = [source for source in self._sources if source.name not in done]
            progress = Progress(len(self._sources), before=len(self._sources) - len(left))
            stack.callback(table.finish, [source.name for source in self._sources])
            yield progress
            yield from self._rounds(left, table, progress, actors, answers)
            draw_throughput(self.store, progress)
            rest = WORK

    def _rounds(
        self,
        left: Sequence[Source],
        table: VideoTable,
        progress: Progress,
        actors: int,
        answers: Answers,
    ) -> Iterator[Progress]:
        tasks = [{"do": "video", **source._asdict()} for source in left]
        of, flushed = {source.name: source for source in left}, time.monotonic()
        seconds: dict[str, float] = {}  # that a video's segments took
        joins: list[dict[str, Any]] = []
        while tasks:
            cuts = {}  # by name, since Ray may answer twice
            for answer in answers(self._job, tasks, actors):
                if "failure" in answer:
                    raise OSError(answer["failure"])
                name = answer["name"]
                if "cuts" in answer:
                    cuts[name] = answer
                elif "row" in answer:
                    if of.pop(name, None):
                        _count(progress, answer["row"], seconds.pop(name, 0.0))
                        table.add(answer["row"])
                else:
                    seconds[name] = seconds.get(name, 0.0) + answer.get("seconds", 0.0)
                    progress.frames += answer.get("frames", 0)
                    progress.note()
                if time.monotonic() - flushed > FLUSH:
                    table.flush()
                    flushed = time.monotonic()
                yield progress
            if cuts:
                films = [(of[name], cut) for name, cut in cuts.items() if name in of]
                tasks = [task for film, cut in films for task in _segments(film, cut["cuts"])]
                joins = [_join(film, cut) for film, cut in films]
            else:
                tasks, joins = joins, []
        if of:
            raise OSError(f"Ray: no answer came for {some([*of])}")

    def _done(self, table: VideoTable) -> set[str]:
        """The names of the sources whose outputs are there and are what they are to be."""
        there = [
            {name.removesuffix(PLACES[kind][1]) for name in self.store.names(PLACES[kind][0])}
            for kind in self._job.kinds
        ]
        whole, state_of, done = set.intersection(*there), {}, set()
        for begin in range(0, len(self._sources), MANY):
            some = [source for source in self._sources[begin:][:MANY] if source.name in whole]
            found = states([source.address for source in some])
            state_of |= dict(zip((source.name for source in some), found, strict=True))
        for row in table.rows():
            name = row["name"]
            if name in state_of:
                made = row["error"] is None and self._job.is_made(row, state_of[name])
                (done.add if made else done.discard)(name)
        return done


def _segments(source: Source, cuts: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"do": "segment", **source._asdict(), "part": part, "begin": begin, "end": end}
        for part, (begin, end) in enumerate(edges(cuts))
    ]


def _join(source: Source, cut: dict[str, Any]) -> dict[str, Any]:
    return {"do": "join", **source._asdict(), "cuts": cut["cuts"], "frames": cut["frames"]}


def _count(progress: Progress, row: dict[str, Any], seconds: float) -> None:
    """Count a video; its row gets the time that its segments took."""
    if row.get("error") is not None:
        progress.failed.append(row)
    else:
        progress.done += 1
        progress.frames += row["frames"] if row["segments"] == 1 else 0  # else counted before
        progress.duration += row["duration"]
        if row.get("seconds") is not None:
            row["seconds"] = round(row["seconds"] + seconds, 3)
    progress.note()
