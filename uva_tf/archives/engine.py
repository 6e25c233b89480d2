"""Tasks through Ray: on this machine's cores, or on a cluster.

Ray starts actors on the cores, which get one task after another. What is lost with a process or a
machine is done again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from uva_tf.archives.actor import Actor
from uva_tf.archives.job import Job
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import SIGNALS

# Ray reports to its makers unless told otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# It tells on stdout, between a command's lines, which of its processes died.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
import ray

# A process or a machine, and what it was doing.
LOST = ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError
MOST_LOSSES = 5  # of one task, which may be what kills its actors
PATIENCE = 10  # seconds for a cluster to answer
OBJECT_STORE = 2**27  # bytes; what passes through it is small


def check_listens(address: str) -> None:
    """Raise InputError unless something listens there; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(f"--address {address}: expected HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--address {address}: no cluster answers there: {error}") from None


def done_by_ray(
    job: Job, tasks: deque[dict[str, Any]], address: str | None = None, jobs: int | None = None
) -> Iterator[dict[str, Any]]:
    """The answers to tasks, see `Actor`, as they come; tasks may be added meanwhile.

    Args:
        address: of a cluster, `HOST:PORT`; by default, one of this machine's cores is started, and
            ends with the iterator.
        jobs: tasks to do at a time; by default, one for each core.

    Raises InputError if there is no cluster at the address, OSError if Ray can't go on.
    """
    with _connected(address, jobs):
        most = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared, running, idle, ends, losses = ray.put(job), {}, [], [], Counter()
        try:
            while tasks or running:
                while tasks and len(running) < most:
                    actor, task = idle.pop() if idle else _Actor.remote(shared), tasks.popleft()
                    running[actor.do.remote(json.dumps(task))] = actor, task
                # One without a task leaves its core to one that waits for a core.
                ends += [actor.close.remote() for actor in idle]
                (done,), _ = ray.wait([*running])
                (actor, task), idle = running.pop(done), []
                try:
                    answer = ray.get(done)
                except LOST as error:
                    what = json.dumps(task)
                    losses[what] += 1
                    if getattr(error, "actor_init_failed", False) or losses[what] == MOST_LOSSES:
                        raise
                    tasks.appendleft(task)
                    continue
                idle = [actor]
                yield json.loads(answer)
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise OSError(f"Ray: {lines[-1] if lines else type(error).__name__}") from error
        ends += [actor.close.remote() for actor in idle]
        ray.wait(ends, num_returns=len(ends), timeout=PATIENCE)


@ray.remote(num_cpus=1)
class _Actor:
    """An actor in a process of Ray's, which does one task after another."""

    def __init__(self, job: Job):
        self._job, self._actor = job, None

    def do(self, task: str) -> str:
        self._actor = self._actor or Actor(self._job)
        return self._actor({"task": task})["answer"]

    def close(self) -> None:
        if self._actor:
            self._actor.close()


@contextlib.contextmanager
def _connected(address: str | None, jobs: int | None) -> Iterator[None]:
    """Connect to a cluster, or start one that ends with the block."""
    options = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {
            "num_cpus": jobs,  # None for all
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
            "_node_ip_address": "127.0.0.1",  # out of reach from other machines
        }
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    # Workers run in the current folder and import from it, where modules of any kind may lie.
    with tempfile.TemporaryDirectory() as empty:
        try:
            with contextlib.chdir(empty):
                ray.init(address or "local", **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if address is None:
                raise
            why = str(error).partition("\n")[0]
            raise InputError(f"--address {address}: no cluster answers there: {why}") from None
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        try:
            yield
        finally:
            ray.shutdown()
