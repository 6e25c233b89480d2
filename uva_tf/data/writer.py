"""Recordings to shards: in parallel, complete or not at all, and going on after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import tensorflow as tf

from uva_tf import __version__
from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import hold, result
from uva_tf.core.outputs import resumable_folder
from uva_tf.data.dataset import Dataset, Shard, file_sha256, shard_from_dict, write_index
from uva_tf.data.recordings import Recording
from uva_tf.data.records import FORMAT, frame_record

STILLS_PER_SHARD = 64

# Wraps an iterator of known length to show how far it is.
Progress = Callable[[Iterator, int], Iterator]


@dataclass(frozen=True)
class Group:
    """The recordings of one shard: a clip, or some photographs of a split."""

    split: str
    recordings: list[Recording]


@dataclass(frozen=True)
class Job:
    """What is the same for all shards; see `write_dataset`.

    Attributes:
        cancelled: set once nobody wants the shards any more.
    """

    layout: str
    config: DataConfig
    teachers: tuple[str, ...]
    skip_bad: bool
    cancelled: threading.Event = field(default_factory=threading.Event)


def write_dataset(
    recordings: Sequence[Recording],
    split: dict[str, str],
    out: Path,
    *,
    layout: str,
    config: DataConfig,
    jobs: int,
    teachers: tuple[str, ...] = (),
    skip_bad: bool = False,
    skipped: Mapping[str, str] | None = None,
    withheld: int = 0,
    progress: Progress = lambda shards, total: shards,
) -> Dataset:
    """Write recordings as shards with an index.

    The result depends neither on `jobs` nor on how often the writing was killed: shards are
    numbered by the recordings' order, and those that a killed writing left are kept if
    they would be written again the same.

    Args:
        split: split by name of recording.
        jobs: how many shards are written at a time.
        teachers: kinds of teacher whose maps the samples have.
        skip_bad: leave out recordings that can't be read, in place of raising.
        skipped, withheld: what was left out before, for the index.
        progress: wraps the iterator over finished shards.

    Raises InputError if `out` exists or a recording can't be read.
    """
    groups = _group(recordings, split)
    job = Job(layout, config, teachers, skip_bad)
    with (
        hold() as stop,
        resumable_folder(out) as folder,
        _one_thread_a_job(),
        ThreadPoolExecutor(jobs) as pool,
    ):
        tasks = [
            pool.submit(_finish_shard, folder / f"{n:05d}.tfrecord", group, job)
            for n, group in enumerate(groups)
        ]
        try:
            written = [result(task, stop) for task in progress(iter(tasks), len(tasks))]
        except BaseException as error:
            job.cancelled.set()
            pool.shutdown(cancel_futures=True)
            if kept := len(list(folder.glob("*.tfrecord"))):
                left = f"{kept} of {len(groups)} shards are kept"
                error.add_note(f"{left}: the same command goes on from them")
            raise
        stop.asked()  # too late to stop anything: all is written
        reasons = dict(skipped or {})
        for _, bad in written:
            reasons.update(bad)
        dataset = Dataset(
            folder=out,
            layout=layout,
            size=config.size,
            sigma=config.sigma,
            shards=tuple(shard for shard, _ in written if shard is not None),
            teachers=teachers,
            skipped=dict(sorted(reasons.items())),
            withheld=withheld,
        )
        if not dataset.shards:
            raise InputError(f"{out.name}: every recording was skipped, nothing is left to write")
        _remove_all_but({shard.file for shard in dataset.shards}, folder)
        write_index(dataset, folder)
    return dataset


def _group(recordings: Sequence[Recording], split: dict[str, str]) -> list[Group]:
    """A shard for each clip, and one for every few photographs of a split."""
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


def _finish_shard(path: Path, group: Group, job: Job) -> tuple[Shard | None, dict[str, str]]:
    """Write a shard, unless it is there already; None if all of it was skipped.

    Beside a finished shard stands `NUMBER.json`: what it was made from and what is in it.
    """
    stamp = _stamp(group, job)
    beside = path.with_suffix(".json")
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or not whole
        found = json.loads(beside.read_text())
        if found["stamp"] == stamp and found["shard"]["sha256"] == file_sha256(path):
            return shard_from_dict(found["shard"]), {}
    partial = path.with_suffix(".partial")
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
    if not skipped:  # else it is tried again
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
                    raise InputError(f"{error}; --skip-bad goes on without") from None
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
    """Write a recording's records and count them.

    A photograph is written once all of it was read, for its shard holds others too.
    """
    counts: Counter = Counter()

    def records() -> Iterator[bytes]:
        for sample in recording.read():
            if job.cancelled.is_set():
                raise CancelledError
            found = len(sample.fixations.points)
            looked_at = found or sample.density is not None
            counts.update({"frames": 1, "fixations": found, "not looked at": int(not looked_at)})
            yield frame_record(recording.name, sample, job.config, lossless=split != "train")

    for record in list(records()) if recording.still else records():
        writer.write(record)
    return counts


def _stamp(group: Group, job: Job) -> str:
    """A checksum of everything that decides a shard's content, as far as a listing shows it."""
    sources = [
        (recording.name, *_state(path))
        for recording in group.recordings
        for source in recording.paths
        for path in ([source, *sorted(source.iterdir())] if source.is_dir() else [source])
    ]
    how = [__version__, FORMAT, job.layout, asdict(job.config), job.teachers, group.split]
    return hashlib.sha256(json.dumps([how, sources]).encode()).hexdigest()


def _state(path: Path) -> tuple[str, int, int]:
    """A file's path, size and time of change; reading it will tell if it can't be."""
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_size, state.st_mtime_ns


def _remove_all_but(files: set[str], folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in files:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _one_thread_a_job() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own within each job."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
