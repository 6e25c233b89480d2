"""How many processors this process has."""

from __future__ import annotations

import os


def processors() -> int:
    """The processors that this process may use.

    In a container, under `taskset` and in a cluster's job these are fewer than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
