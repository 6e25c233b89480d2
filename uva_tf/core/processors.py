"""How many processors this process has."""

from __future__ import annotations

import math
import os
from pathlib import Path

# Of Linux's control groups (version 2), as a container sees its own: microseconds of processor time
# in each period, or `max`, and the period.
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors(quota: Path = QUOTA) -> int:
    """The processors that this process may use.

    In a container, under `taskset` and in a cluster's job these are fewer than the machine has.

    Args:
        quota: the file of its quota, which need not exist.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        time, period = quota.read_text().split()
        return max(1, min(allowed, math.ceil(int(time) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no quota
        return allowed
