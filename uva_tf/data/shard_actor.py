"""Shards written by the machines of a cluster, which all see the recordings and the dataset."""

from __future__ import annotations

import contextlib
import os
import platform
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from uva_tf.core.errors import InputError
from uva_tf.data.dataset import shard_from_dict
from uva_tf.data.prepare import Request, job_of, list_recordings
from uva_tf.data.writer import Elsewhere, Finished, Group, finish_shard, group_by_shard

# From what all tasks share and the tasks to their answers, as they come.
Engine = Callable[["ShardJob", deque[dict[str, Any]]], Generator[dict[str, Any]]]


@dataclass(frozen=True)
class ShardJob:
    """What all tasks share.

    Attributes:
        folder: to write shards to.
        here: the current folder, from which paths may be given.
    """

    request: Request
    folder: Path
    here: Path


def spread(engine: Engine, request: Request) -> Elsewhere:
    """A way to finish a request's shards by an engine's actors."""

    def finish(folder: Path, groups: Sequence[Group]) -> Generator[tuple[int, Finished]]:
        tasks = deque(
            {"number": number, "recordings": _names(group)} for number, group in enumerate(groups)
        )
        job = ShardJob(request, folder.absolute(), Path.cwd())
        with contextlib.closing(engine(job, tasks)) as answers:
            for answer in answers:
                shard = answer["shard"] and shard_from_dict(answer["shard"])
                if shard and not (folder / shard.file).is_file():
                    raise InputError(
                        f"{folder}: {shard.file} was written on another machine and is not here: "
                        "with --address, all machines must see the same folders"
                    )
                yield answer["number"], (shard, answer["skipped"])

    return finish


class ShardActor:
    """Lists the recordings once, then finishes one shard after another.

    A task has the `number` of a shard and the names of its `recordings`; the answer has the number,
    the `shard`, and why recordings were `skipped`.

    Raises InputError if this machine does not see the same recordings.
    """

    def __init__(self, job: ShardJob):
        for folder in (job.here, job.folder):
            if not folder.is_dir():
                raise InputError(
                    f"{platform.node()} does not see {folder}: with --address, all machines must "
                    "see the same folders under the same paths"
                )
        os.chdir(job.here)
        cv2.setNumThreads(1)  # each core has an actor
        listing = list_recordings(job.request)
        self._groups = group_by_shard(listing.good, listing.splits)
        self._job, self._folder = job_of(job.request, listing), job.folder

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Finish a shard."""
        number = task["number"]
        groups = self._groups[number : number + 1]
        if [_names(group) for group in groups] != [task["recordings"]]:
            raise InputError(
                f"{platform.node()} sees other recordings than this machine: see whether --root "
                "lies there too"
            )
        shard, skipped = finish_shard(self._folder, number, groups[0], self._job)
        return {"number": number, "shard": shard and asdict(shard), "skipped": skipped}

    def close(self) -> None:
        """Nothing is left behind."""


def _names(group: Group) -> list[str]:
    return [recording.name for recording in group.recordings]
