"""Many sources into folders: each whole or not at all, some at a time, and resumed where it was."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from uva_tf.core.errors import InputError
from uva_tf.core.files import listed, read_input
from uva_tf.core.interruption import POLL, hold
from uva_tf.core.names import distinct_ends, distinct_names
from uva_tf.core.outputs import (
    locked,
    make_folder,
    refuse_existing,
    remove_leftovers,
    replace_file,
)
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.processors import processors
from uva_tf.core.text_tables import csv_text
from uva_tf.core.video import RATE
from uva_tf.core.video_writer import CODECS, CONTAINERS, check_codec
from uva_tf.runtime.manifest import read_manifest
from uva_tf.runtime.sinks import COLUMNS, Options, Outputs
from uva_tf.runtime.worker import Worker

MOST_BYTES = 2**28  # of a record
RECORD = "predict.json"  # in each output folder: what its outputs were made with and of
TABLE = ("picture", *COLUMNS[2:])  # the columns of the table of stills


# Endings that no folder is meant to have.
FILES = (*CONTAINERS, *IMAGE_SUFFIXES, ".csv")


class Work(NamedTuple):
    """A source, its name among the others, its outputs, and a picture's name in the table."""

    place: Path
    name: str
    outputs: Outputs
    row: str

    def missing(self) -> Outputs:
        """The outputs that are not there yet."""
        return Outputs(*(path if path and not path.exists() else None for path in self.outputs))


class Answer(NamedTuple):
    """What became of a source, see `Worker.do`."""

    work: Work
    reply: dict[str, Any]


@dataclass
class Batch:
    """Many sources, and the folders that their outputs go to.

    Args:
        places: video files, folders of pictures as films; or picture files as `stills`.
        outputs: folders, or for stills' `csv` one table; a folder may be used for several kinds.
        jobs: sources that are predicted at a time, each in a process of its own.
        threads: that each runs the model on.
        persistence, ahead: how maps are joined, see `runtime.persistence`; None for what the
            manifest says.
        strict: fail damaged videos.

    Raises InputError if an output is a file or would lie among the sources.
    """

    places: Sequence[Path]
    stills: bool
    outputs: Outputs
    model: Path
    options: Options
    jobs: int = 1
    threads: int = 1
    persistence: float | None = None
    ahead: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        self._table = self.outputs.csv if self.stills else None
        self._folders = self.outputs._replace(csv=None) if self.stills else self.outputs
        self._check_places()
        self.works = [
            Work(place, name, self._named(name), row)
            for place, name, row in zip(
                self.places, _names(self.places), distinct_names(self.places), strict=True
            )
        ]
        self._check_distinct()
        self._rows: dict[str, list[str]] = {}

    def run(self) -> Iterator[Answer | int]:
        """Predict what is missing; yields how many sources were done before, then each Answer.

        Outputs appear when they are complete. Those that are there stay as they are.

        Raises InputError if what is there was made by another model, with other options or of
        other sources, and if another process is writing to the same folders; KeyboardInterrupt
        after a signal; OSError when the disk is full.
        """
        folders = {folder.resolve(): folder for folder in self._folders if folder}
        for folder in folders.values():
            make_folder(folder)
        with contextlib.ExitStack() as stack:
            for folder in folders.values():
                stack.enter_context(locked(folder, folder, "written"))
                stack.callback(_remove_if_empty, folder)
            if self._table:
                self._rows = _read_table(self._table)
            self._check_records()
            left = [work for work in self.works if not self._is_done(work)]
            remove_leftovers(path for work in left for path in work.outputs if path)
            yield len(self.works) - len(left)
            stack.callback(self._write_table)
            yield from self._predict(left)

    def _predict(self, works: Sequence[Work]) -> Iterator[Answer]:
        cores = max(1, processors() // self.jobs) if self.jobs > 1 else 0
        setup = {
            "model": str(self.model),
            "threads": self.threads,
            "persistence": self.persistence,
            "ahead": self.ahead,
            "cores": cores,
            "options": self.options._asdict(),
            "strict": self.strict,
        }
        todo, answers = deque(works), SimpleQueue()
        workers = [Worker(setup) for _ in range(min(self.jobs, len(works)))]

        def serve(worker: Worker) -> None:
            while True:
                try:
                    work = todo.popleft()
                except IndexError:  # nothing left to do
                    return
                outputs = work.missing()._asdict().items()
                task = {
                    "place": str(work.place),
                    "outputs": {kind: path and str(path) for kind, path in outputs},
                    "still": self.stills,
                }
                try:
                    reply = worker.do(task)
                except OSError as error:  # the process can't be started
                    reply = {"error": str(error), "mistake": False}
                answers.put(Answer(work, reply))

        threads = [threading.Thread(target=serve, args=[worker]) for worker in workers]
        with hold() as stop:
            count = 0
            try:
                for thread in threads:
                    thread.start()
                while count < len(works):
                    if stop.asked():
                        raise KeyboardInterrupt
                    with contextlib.suppress(Empty):
                        answer = answers.get(timeout=POLL)
                        count += 1
                        if answer.reply.get("errno") == errno.ENOSPC:
                            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                        if self._table and "places" in answer.reply:
                            self._rows[answer.work.row] = answer.reply["places"]
                        yield answer
            finally:
                todo.clear()
                if count < len(works):
                    for worker in workers:
                        worker.stop()
                for thread in threads:
                    thread.join()
                for worker in workers:
                    worker.close()

    def count_done(self) -> int:
        """How many sources have all their outputs."""
        return sum(map(self._is_done, self.works))

    def _is_done(self, work: Work) -> bool:
        there = any(self.outputs) and not any(work.missing())
        return there and (not self._table or work.row in self._rows)

    def _named(self, name: str) -> Outputs:
        """A source's own outputs in the folders."""
        overlay, maps, table, regions = self._folders
        suffix = ".jpg" if self.stills else ".webm" if self.options.codec == "vp9" else ".mp4"
        return Outputs(
            overlay and overlay / f"{name}{suffix}",
            maps and maps / (f"{name}.png" if self.stills else name),
            table and table / f"{name}.csv",
            regions and regions / f"{name}.regions.csv",
        )

    def _check_distinct(self) -> None:
        """Raise InputError if an output is another one, or would lie inside it."""
        owners: dict[Path, Path] = {}
        for work in self.works:
            for path in filter(None, work.outputs):
                if path in owners:
                    raise InputError(_clash(work.place, owners[path], path))
                owners[path] = work.place
        for path, place in owners.items():
            for above in path.parents:
                if above in owners:
                    raise InputError(_clash(place, owners[above], above))

    def _check_places(self) -> None:
        """Raise InputError for outputs that can't be where they are to go."""
        if self._table and self._table.is_dir():
            raise InputError(f"--csv {self._table}: of pictures it is one table, found a folder")
        if self._table and self._table.suffix.lower() == ".json":
            raise InputError(f"--csv {self._table}: its record goes there, expected a .csv name")
        for kind, folder in self._folders._asdict().items():
            is_file = folder and (folder.suffix.lower() in FILES or folder.is_file())
            if is_file and not folder.is_dir():
                raise InputError(
                    f"--{kind} {folder}: several sources are written to a folder, expected its name"
                )
        if self._folders.overlay and not self.stills:
            check_codec(self._named("x").overlay, self.options.codec, self.options.quality)
        among = {place.resolve().parent for place in self.places if not place.is_dir()}
        pictures = {"overlay": self._folders.overlay, "maps": self.stills and self._folders.maps}
        for kind, folder in pictures.items():
            if folder and folder.resolve() in among:
                raise InputError(f"--{kind} {folder}: the sources are there, choose another folder")

    def _check_records(self) -> None:
        """Compare what is there with what is to be made, and write down the latter."""
        stamps = {work.row: _stamp(work.place) for work in self.works}
        made: dict[Path, set[str]] = {}
        settings: dict[Path, dict[str, Any]] = {}
        for kind, folder in self._folders._asdict().items():
            if folder:
                record = folder / RECORD
                there = {work.row for work in self.works if getattr(work.outputs, kind).exists()}
                made.setdefault(record, set()).update(there)
                settings.setdefault(record, {}).update(self._settings(kind))
        if self._table:
            record = self._table.with_suffix(".json")
            made[record], settings[record] = set(self._rows), self._settings("csv")
        for record, values in settings.items():
            _compare(record, values, stamps, made[record])
        for record, values in settings.items():
            before = _read_record(record)
            values, sources = before["settings"] | values, before["sources"] | stamps
            make_folder(record.parent)
            replace_file(record, json.dumps({"settings": values, "sources": sources}, indent=1))

    def _settings(self, kind: str) -> dict[str, Any]:
        """What a kind of output depends on."""
        manifest, _ = read_manifest(self.model)
        settings = {"model": manifest.sha256, "brighten": manifest.brighten}
        options = self.options
        if not self.stills:
            rate = options.rate or RATE
            settings |= {"stream": options.stream, "deinterlace": options.deinterlace, "rate": rate}
            persists = manifest.persistence if self.persistence is None else self.persistence
            settings |= {"persistence": persists, "ahead": self.ahead, "gap": manifest.gap}
        if kind == "overlay":
            settings["style"] = options.style
        if kind == "overlay" and not self.stills:
            codec = check_codec(self._named("x").overlay, options.codec)
            quality = CODECS[codec].quality if options.quality is None else options.quality
            settings |= {"codec": codec, "quality": quality}
        return settings

    def _write_table(self) -> None:
        """Add the rows of this run to the table, in the order of the sources."""
        if not self._table:
            return
        if not self._rows:
            self._table.with_suffix(".json").unlink(missing_ok=True)
            return
        now = [work.row for work in self.works if work.row in self._rows]
        others = self._rows.keys() - set(now)
        order = [*(name for name in self._rows if name in others), *now]
        rows = [TABLE, *([name, *self._rows[name]] for name in order)]
        replace_file(self._table, csv_text(rows))


def _names(places: Sequence[Path]) -> list[str]:
    """What each source's outputs are called: its stem; more of its path where that is not unique.

    Raises InputError for a source that is given twice.
    """
    stems = [place if place.is_dir() else place.with_suffix("") for place in places]
    counts = Counter(stem.absolute() for stem in stems)
    named = zip(places, stems, strict=True)
    return distinct_ends([p if counts[stem.absolute()] > 1 else stem for p, stem in named])


def _clash(place: Path, other: Path, path: Path) -> str:
    return (
        f"{place} and {other} would both be written to {path}: rename one, or give each option a "
        "folder of its own"
    )


def _stamp(place: Path) -> str:
    """What tells a source from another, or from itself after a change: sizes and times."""
    files = listed(place, IMAGE_SUFFIXES) if place.is_dir() else [place]
    states = [(path.name, state.st_size, state.st_mtime_ns) for path, state in _states(files)]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def _states(files: Sequence[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in files:
        with contextlib.suppress(OSError):  # reading it will say so
            yield path, path.stat()


def _read_record(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {"settings": {}, "sources": {}}
    try:
        found = json.loads(read_input(path, MOST_BYTES, "record"))
        return {part: dict(found[part]) for part in ("settings", "sources")}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{path}: not a record of uva-tf predict: choose another place") from None


def _compare(
    record: Path, settings: dict[str, Any], stamps: dict[str, str], made: set[str]
) -> None:
    """Raise InputError if what is there can't go with what is to be made."""
    before = _read_record(record)
    if before["settings"]:  # older records do not say that frames are brightened
        before["settings"].setdefault("brighten", 0)
    if "rate" in before["settings"]:  # of streams; older records do not say that maps persist
        before["settings"] = {"persistence": 0.0, "ahead": 0, "gap": 1} | before["settings"]
    for name, value in settings.items():
        if name in before["settings"] and before["settings"][name] != value:
            old = before["settings"][name]
            raise InputError(
                f"{record.parent} holds outputs made with {name} {old}, this is {value}: choose "
                "another folder"
            )
    for name in sorted(made & set(stamps)):
        if name not in before["sources"]:
            raise InputError(
                f"{record.parent} holds {name} already, which {record.name} does not vouch for: "
                "choose another folder"
            )
        if before["sources"][name] != stamps[name]:
            raise InputError(
                f"{record.parent} holds {name} of another source, or it has changed since: choose "
                "another folder"
            )


def _read_table(path: Path) -> dict[str, list[str]]:
    """The rows of a table of stills by the picture's name; none if there is no table yet."""
    if not path.exists():
        refuse_existing(path)  # a link to nothing
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = [*csv.reader(file)] or [[]]
    if tuple(head) != TABLE or any(len(row) != len(TABLE) for row in rows):
        raise InputError(f"{path} exists already and is no table of stills: choose another path")
    return {name: places for name, *places in rows}


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds no more than the record of this command."""
    found = [path.name for path in folder.iterdir()]
    with contextlib.suppress(InputError):  # of something else that has the record's name
        if found == [RECORD]:
            _read_record(folder / RECORD)
            (folder / RECORD).unlink()
            found = []
    if not found:
        folder.rmdir()
