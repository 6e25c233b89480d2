"""An archive from its sources to its table: what is left to do, and its progress.

Each video is a task. One that is long comes back with where it can be cut: its segments are done
next, and joined when the last of them is.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from pyarrow.fs import FileInfo

from uva_tf.archives.child import NPZ
from uva_tf.archives.job import PLACES, Job, edges
from uva_tf.archives.progress import PICTURE, Progress, draw_throughput, is_drawn
from uva_tf.archives.sources import Source
from uva_tf.archives.storage import UNFINISHED, WORK, Store, states
from uva_tf.archives.table import VideoTable
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import locked
from uva_tf.core.urls import is_url, masked

FLUSH = 30.0  # seconds between two parts of the table
MANY = 1000  # sources whose states are asked for at a time
Answers = Callable[[Job, deque[dict[str, Any]]], Generator[dict[str, Any]]]


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
        self._left: list[Source] = []
        self._before: dict[str, FileInfo] = {}

    def run(self, answers: Answers) -> Iterator[Progress]:
        """Predict what is missing or was made otherwise; yields the progress after each answer.

        The table is written at the end, and when the iterator is closed; the picture of the pace at
        the end alone, and only if videos were predicted.

        Args:
            answers: gets the job and its tasks, and does them, while more are added; called only
                if there is something to do.

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
            if self.store.has(PICTURE) and not is_drawn(self.store):
                where = f"{masked(self.store.address)}: {PICTURE}"
                raise InputError(f"{where} is another program's: choose another folder")
            done = self._done(table)
            self._left = [source for source in self._sources if source.name not in done]
            progress = Progress(len(self._sources), before=len(done))
            stack.callback(table.finish, [source.name for source in self._sources])
            yield progress
            if self._left:
                yield from self._predict(table, progress, answers)
            if progress.done:
                draw_throughput(self.store, progress)
            rest = WORK

    def finished(self) -> int:
        """How many videos have all their outputs, also those whose answer did not come."""
        there = self.store.listed(PLACES[NPZ][0])
        names = [f"{source.name}{PLACES[NPZ][1]}" for source in self._left]
        new = [name for name in names if there.get(name) != self._before.get(name)]
        return len(self._sources) - len(self._left) + len(new)

    def _predict(
        self, table: VideoTable, progress: Progress, answers: Answers
    ) -> Iterator[Progress]:
        of, flushed = {source.name: source for source in self._left}, time.monotonic()
        tasks = deque({"do": "video", **source._asdict()} for source in self._left)
        films: dict[str, _Film] = {}
        with contextlib.closing(answers(self._job, tasks)) as coming:
            for answer in coming:
                name = answer["name"]
                if "row" in answer:
                    film = films.pop(name, None)
                    _count(progress, answer["row"], film.seconds if film else 0.0)
                    table.add(answer["row"])
                elif "cuts" in answer:
                    films[name] = film = _Film(of[name], answer["cuts"], answer["frames"])
                    tasks.extendleft(film.segments())
                else:
                    film = films[name]
                    film.left -= 1
                    film.seconds += answer.get("seconds", 0.0)
                    if not film.left:
                        tasks.appendleft(film.join())
                    progress.frames += answer.get("frames", 0)
                    progress.note()
                if time.monotonic() - flushed > FLUSH:
                    table.flush()
                    flushed = time.monotonic()
                yield progress

    def _done(self, table: VideoTable) -> set[str]:
        """The names of the sources whose outputs are there and are what they are to be."""
        there = {kind: self.store.listed(PLACES[kind][0]) for kind in self._job.kinds}
        self._before = there[NPZ]
        stems = [
            {name.removesuffix(PLACES[kind][1]) for name in files} for kind, files in there.items()
        ]
        whole, state_of, done = set.intersection(*stems), {}, set()
        for begin in range(0, len(self._sources), MANY):
            some = [source for source in self._sources[begin:][:MANY] if source.name in whole]
            found = states([source.address for source in some])
            state_of |= dict(zip((source.name for source in some), found, strict=True))
        for row in table.rows():
            name = row["name"]
            if name in state_of:
                size = self._before[f"{name}{PLACES[NPZ][1]}"].size
                same = row["error"] is None and row["bytes"] == size
                made = same and self._job.is_made(row, state_of[name])
                (done.add if made else done.discard)(name)
        return done


class _Film:
    """A long video whose segments are being predicted.

    Attributes:
        left: segments that are not done.
        seconds: that the others took.
    """

    def __init__(self, source: Source, cuts: Sequence[int], frames: int):
        self._task, self._cuts, self._frames = source._asdict(), cuts, frames
        self.left, self.seconds = len(cuts) + 1, 0.0

    def segments(self) -> list[dict[str, Any]]:
        """The tasks that predict its segments, the last first."""
        tasks = [
            {"do": "segment", **self._task, "part": part, "begin": begin, "end": end}
            for part, (begin, end) in enumerate(edges(self._cuts))
        ]
        return tasks[::-1]

    def join(self) -> dict[str, Any]:
        """The task that joins them."""
        return {"do": "join", **self._task, "cuts": self._cuts, "frames": self._frames}


def _count(progress: Progress, row: dict[str, Any], seconds: float) -> None:
    """Count a video; its row gets the time that its segments took."""
    if row.get("error") is not None:
        progress.failed.append(row)
    elif row["seconds"] is None:
        progress.before += 1
    else:
        progress.done += 1
        progress.frames += row["frames"] if row["segments"] == 1 else 0  # else counted before
        progress.duration += row["duration"]
        row["seconds"] = round(row["seconds"] + seconds, 3)
    progress.note()
