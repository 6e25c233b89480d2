"""Tasks through Ray: on this machine's cores, or on a cluster.

Ray hands out the tasks, starts again what dies, and keeps few of them in memory at a time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from uva_tf.archives.actor import Actor
from uva_tf.archives.job import Job
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import SIGNALS

# Ray reports to its makers unless told otherwise.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

MOST_BLOCKS = 10_000  # of tasks, which Ray hands out whole
AHEAD = 2  # tasks that an actor is given at a time, so that it need not wait
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


@contextlib.contextmanager
def connected(address: str | None = None, jobs: int | None = None) -> Iterator[int]:
    """Connect to a cluster, or start one of this machine's cores that ends with the block.

    Where this process is connected already, that connection is used.

    Args:
        address: of a cluster, `HOST:PORT`.
        jobs: actors; by default, one for each core.

    Yields:
        The number of actors to use.

    Raises InputError if there is no cluster at the address.
    """
    if ray.is_initialized():
        yield jobs or _cores()
        return
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
            yield jobs or _cores()
        finally:
            ray.shutdown()


def done_by_actors(
    job: Job, tasks: Sequence[dict[str, Any]], actors: int
) -> Iterator[dict[str, Any]]:
    """The answers to tasks, see `Actor`, as they come.

    Raises OSError if Ray can't go on.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"task": json.dumps(task)} for task in tasks]
    # A stage between these would wait for cores that the actors never give back.
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
        Actor,
        fn_constructor_args=[job],
        compute=ActorPoolStrategy(size=min(actors, len(rows)), max_tasks_in_flight_per_actor=AHEAD),
        num_cpus=1,
    )
    try:
        for row in dataset.iter_rows():
            yield json.loads(row["answer"])
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise OSError(f"Ray: {lines[-1] if lines else type(error).__name__}") from error


def _cores() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))
