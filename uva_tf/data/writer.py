"""Recordings to shards: written in parallel, complete or not at all, continued after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import tensorflow as tf

from uva_tf import __version__
from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import Stop, hold, result
from uva_tf.core.outputs import resumable_folder
from uva_tf.core.resize import one_opencv_thread
from uva_tf.data.dataset import Dataset, Shard, file_sha256, shard_from_dict, write_index
from uva_tf.data.recordings import Recording
from uva_tf.data.records import FORMAT, frame_record

STILLS_PER_SHARD = 64

# Wraps an iterator of known length to show its progress.
Progress = Callable[[Iterator, int], Iterator]
# A finished shard, None if all its recordings were skipped; and by recording, why it was skipped.
Finished = tuple["Shard | None", dict[str, str]]
# Other machines' way to finish shards in a folder: their names and groups to numbers and shards, as
# they come.
Elsewhere = Callable[[Path, Sequence["Group"]], Generator[tuple[int, Finished]]]


@dataclass(frozen=True)
class Group:
    """The recordings of one shard: a clip, or some photographs of a split."""

    split: str
    recordings: list[Recording]


@dataclass(frozen=True)
class Job:
    """What is the same for all shards.

    Attributes:
        layout: of the recordings, for the index.
        gaze: what was stated of the recorded gaze.
        teachers: kinds of teacher whose maps the gaze frames have.
        hints: components of the hints that the gaze frames have.
        skip_bad: leave out recordings that can't be read instead of raising.
        cancelled: set when the shards are no longer wanted.
    """

    layout: str
    config: DataConfig
    gaze: Mapping[str, object] = field(default_factory=dict)
    teachers: tuple[str, ...] = ()
    hints: int = 0
    skip_bad: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)


def write_dataset(
    recordings: Sequence[Recording],
    split: dict[str, str],
    out: Path,
    job: Job,
    *,
    jobs: int,
    map_sigma: float = 0.0,
    skipped: Mapping[str, str] | None = None,
    withheld: int = 0,
    progress: Progress = lambda shards, total: shards,
    elsewhere: Elsewhere | None = None,
) -> Dataset:
    """Write recordings as shards with an index.

    The result does not depend on `jobs` or `elsewhere`, nor on whether the writing was killed and
    continued: shards are numbered in the order of the recordings, and a shard from before the kill
    is kept only if it would be written again with the same content.

    Args:
        split: the split of each recording, by its name.
        jobs: number of shards that are written at a time.
        map_sigma: of published density maps, for the index.
        skipped, withheld: what was left out before, for the index.
        progress: wraps the iterator over finished shards.
        elsewhere: finishes the shards on other machines, in place of `jobs` threads.

    Raises InputError if `out` exists or a recording can't be read.
    """
    groups = group_by_shard(recordings, split)
    # Signals are held for threads of our own; other machines are not waited for.
    with nullcontext() if elsewhere else hold() as stop, resumable_folder(out) as folder:
        for path in folder.glob("*.partial"):
            path.unlink()  # of a preparation that was killed
        try:
            if elsewhere:
                with closing(elsewhere(folder, groups)) as finished:
                    done = dict(progress(finished, len(groups)))
                written = [done[number] for number in range(len(groups))]
            else:
                written = _in_threads(folder, groups, job, jobs, progress, stop)
        except BaseException as error:
            if kept := len(list(folder.glob("*.tfrecord"))):
                left = f"{kept} of {len(groups)} shards are kept"
                error.add_note(f"{left}: the same command continues from them")
            raise
        reasons = dict(skipped or {})
        for _, bad in written:
            reasons.update(bad)
        dataset = Dataset(
            folder=out,
            layout=job.layout,
            size=job.config.size,
            sigma=job.config.sigma,
            shards=tuple(shard for shard, _ in written if shard is not None),
            teachers=job.teachers,
            hints=job.hints,
            gaze=dict(job.gaze),
            map_sigma=map_sigma,
            skipped=dict(sorted(reasons.items())),
            withheld=withheld,
        )
        if not dataset.shards:
            raise InputError(f"{out.name}: every recording was skipped, nothing is left to write")
        _remove_all_but({shard.file for shard in dataset.shards}, folder)
        write_index(dataset, folder)
    return dataset


def _in_threads(
    folder: Path, groups: Sequence[Group], job: Job, jobs: int, progress: Progress, stop: Stop
) -> list[Finished]:
    """Finish all shards, in threads."""
    with one_opencv_thread(), ThreadPoolExecutor(jobs) as pool:
        tasks = [
            pool.submit(finish_shard, folder, number, group, job)
            for number, group in enumerate(groups)
        ]
        try:
            written = [result(task, stop) for task in progress(iter(tasks), len(tasks))]
        except BaseException:
            job.cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise
    stop.asked()  # a signal comes too late now: everything is written
    return written


def group_by_shard(recordings: Sequence[Recording], split: dict[str, str]) -> list[Group]:
    """One group for each clip, and one for every `STILLS_PER_SHARD` photographs of a split."""
    groups: list[Group] = []
    open_groups: dict[str, Group] = {}
    for recording in recordings:
        name = split[recording.name]
        group = open_groups.get(name)
        if recording.still and group and len(group.recordings) < STILLS_PER_SHARD:
            group.recordings.append(recording)
            continue
        groups.append(Group(name, [recording]))
        if recording.still:
            open_groups[name] = groups[-1]
    return groups


def finish_shard(folder: Path, number: int, group: Group, job: Job) -> Finished:
    """Write a shard unless it is there already.

    Beside a finished shard is `NUMBER.json`, with what it was made from and what is in it.
    """
    path = folder / f"{number:05d}.tfrecord"
    stamp = _stamp(group, job)
    beside = path.with_suffix(".json")
    with suppress(OSError, ValueError, KeyError, TypeError):  # missing or incomplete
        found = json.loads(beside.read_text())
        if found["stamp"] == stamp and found["shard"]["sha256"] == file_sha256(path):
            return shard_from_dict(found["shard"]), {}
    # A machine that was taken for lost may still be writing the same shard.
    partial = path.with_suffix(f".{uuid.uuid4().hex}.partial")
    try:
        shard, skipped = _write_shard(partial, group, job)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if not shard.recordings:
        partial.unlink()
        return None, skipped
    shard = replace(shard, file=path.name)
    partial.replace(path)
    if not skipped:  # else the next call tries the skipped recordings again
        partial.write_text(json.dumps({"stamp": stamp, "shard": asdict(shard)}))
        partial.replace(beside)
    return shard, skipped


def _write_shard(path: Path, group: Group, job: Job) -> tuple[Shard, dict[str, str]]:
    total: Counter = Counter()
    kept: list[Recording] = []
    skipped: dict[str, str] = {}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for recording in group.recordings:
            try:
                total += _write_recording(writer, recording, group.split, job)
                kept.append(recording)
            except InputError as error:
                if not job.skip_bad:
                    raise InputError(f"{error}; --skip-bad leaves it out") from None
                skipped[recording.name] = str(error)
    shard = Shard(
        file=path.name,
        split=group.split,
        still=group.recordings[0].still,
        recordings=tuple(recording.name for recording in kept),
        frames=total["frames"],
        fixations=total["fixations"],
        not_looked_at=total["not looked at"],
        left_out={r.name: dict(+r.left_out) for r in kept if any(r.left_out.values())},
        notes={r.name: r.notes for r in kept if r.notes},
        sha256=file_sha256(path),
    )
    return shard, skipped


def _write_recording(
    writer: tf.io.TFRecordWriter, recording: Recording, split: str, job: Job
) -> Counter:
    """Write a recording's records, and count its frames and fixations.

    A photograph is read completely before it is written: if it can't be read, nothing of it may
    be in the shard, which holds others too.
    """
    counts: Counter = Counter()

    def records() -> Iterator[bytes]:
        for gaze_frame in recording.read():
            if job.cancelled.is_set():
                raise CancelledError
            found = len(gaze_frame.fixations.points)
            looked_at = found or gaze_frame.density is not None
            counts.update({"frames": 1, "fixations": found, "not looked at": int(not looked_at)})
            yield frame_record(recording.name, gaze_frame, job.config, lossless=split != "train")

    for record in list(records()) if recording.still else records():
        writer.write(record)
    return counts


def _stamp(group: Group, job: Job) -> str:
    """A checksum of what a shard's content depends on; of files, the size and time of change."""
    files = [
        (recording.name, *_state(path))
        for recording in group.recordings
        for given in recording.paths
        for path in ([given, *sorted(given.iterdir())] if given.is_dir() else [given])
    ]
    how = [__version__, FORMAT, job.layout, asdict(job.config), dict(job.gaze)]
    how += [job.teachers, job.hints, group.split]
    return hashlib.sha256(json.dumps([how, files]).encode()).hexdigest()


def _state(path: Path) -> tuple[str, int, int]:
    """A file's path, size and time of change; 0 for a missing file, which reading will refuse."""
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_size, state.st_mtime_ns


def _remove_all_but(files: set[str], folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in files:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
