"""Tasks through Ray: on this machine's cores, or on a cluster.

Ray starts actors on the cores, which get one task after another. What is lost with a process or a
machine is done again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from uva_tf import __version__
from uva_tf.core.errors import InputError, first_line, is_users
from uva_tf.core.interruption import SIGNALS
from uva_tf.core.processors import processors

# Ray reports to its makers unless told otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# It tells on stdout, between a command's lines, which of its processes died.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
import ray

# A process or a machine, and what it was doing.
LOST = ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError
MOST_LOSSES = 5  # of one task, which may be what kills its actors
PATIENCE = 10  # seconds for a cluster to answer
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # a frame of HTTP/2, whose fourth byte is its type
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS
FAILURE = "failure"  # in an answer, what an actor raised
OBJECT_STORE = 2**27  # bytes; what passes through it is small


class Doer(Protocol):
    """Does tasks one after another, in a process of Ray's."""

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do a task; returns the answer. Both must be JSON-serialisable."""

    def close(self) -> None:
        """Leave nothing behind."""


def check_listens(address: str) -> None:
    """Raise InputError unless a cluster listens there; Ray itself would try for minutes, or more.

    Ray speaks gRPC, so whatever listens must answer in HTTP/2 with its settings (RFC 9113, 3.4).
    """
    host, _, port = address.rpartition(":")
    if not (host and "/" not in host and port.isdecimal() and int(port) < 2**16):
        raise InputError(f"--address {address!r}: expected HOST:PORT, such as 10.0.0.1:6379")
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(len(EMPTY_SETTINGS))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"--address {address}: no cluster answers there ({why}): start one with ray start "
            f"--head --port={port}, or leave out --address"
        ) from None
    if answer[3:4] != EMPTY_SETTINGS[3:4]:
        raise InputError(
            f"--address {address}: what answers there is not a Ray cluster, expected the port of "
            "ray start --head --port=PORT"
        )


def done_by_ray(
    job: Any,
    tasks: deque[dict[str, Any]],
    address: str | None = None,
    jobs: int | None = None,
    *,
    actor: Callable[[Any], Doer],
) -> Iterator[dict[str, Any]]:
    """The answers to tasks as they come; tasks may be added meanwhile.

    Args:
        job: what all tasks share.
        address: of a cluster, `HOST:PORT`; by default, one is started on this machine's cores, and
            shut down when the iterator ends.
        jobs: tasks to do at a time; by default, one for each core.
        actor: makes an actor for the job; called in a process of Ray's, with its first task.

    Raises InputError if there is no cluster at the address, OSError if Ray can't go on, and either
    if an actor raises it.
    """
    with _connected(address, jobs):
        most = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared, running, idle, ends, losses = ray.put(job), {}, [], [], Counter()
        try:
            while tasks or running:
                while tasks and len(running) < most:
                    one = idle.pop() if idle else _Actor.remote(actor, shared, __version__)
                    task = tasks.popleft()
                    running[one.do.remote(json.dumps(task))] = one, task
                # One without a task leaves its core to one that waits for a core.
                ends += [one.close.remote() for one in idle]
                (done,), _ = ray.wait([*running])
                (one, task), idle = running.pop(done), []
                try:
                    answer = json.loads(ray.get(done))
                except LOST as error:
                    what = json.dumps(task)
                    losses[what] += 1
                    if getattr(error, "actor_init_failed", False) or losses[what] == MOST_LOSSES:
                        raise
                    tasks.appendleft(task)
                    continue
                if FAILURE in answer:
                    raise (InputError if answer["mistake"] else OSError)(answer[FAILURE])
                idle = [one]
                yield answer
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise OSError(f"Ray: {lines[-1] if lines else type(error).__name__}") from error
        ends += [one.close.remote() for one in idle]
        ray.wait(ends, num_returns=len(ends), timeout=PATIENCE)


@ray.remote(num_cpus=1)
class _Actor:
    """An actor in a process of Ray's, which does one task after another."""

    def __init__(self, make: Callable[[Any], Doer], job: Any, version: str):
        self._make, self._job, self._version, self._actor = make, job, version, None

    def do(self, task: str) -> str:
        # Ray sends this class with its globals, so that they are of the machine of the command.
        here = importlib.import_module("uva_tf").__version__
        if self._version != here:
            why = f"a machine of the cluster has uva_tf {here}, not {self._version}"
            return json.dumps({FAILURE: why, "mistake": False})
        try:
            self._actor = self._actor or self._make(self._job)
            return json.dumps(self._actor(json.loads(task)))
        except (InputError, OSError) as error:
            return json.dumps({FAILURE: str(error), "mistake": is_users(error)})

    def close(self) -> None:
        if self._actor:
            self._actor.close()


@contextlib.contextmanager
def _connected(address: str | None, jobs: int | None) -> Iterator[None]:
    """Connect to a cluster, or start one that ends with the block."""
    options = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {
            "num_cpus": jobs or processors(),
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
            why = first_line(error)
            raise InputError(f"--address {address}: no cluster answers there: {why}") from None
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        try:
            yield
        finally:
            ray.shutdown()
