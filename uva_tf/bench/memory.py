"""The memory that a model file needs, measured in a fresh process."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from uva_tf.core.children import python
from uva_tf.core.errors import InputError

RUNS = 5
MB = 1e6
# The fields of C's `struct mallinfo2`.
MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


@dataclass(frozen=True)
class Memory:
    """Memory in MB (10^6 bytes) that a fresh process needs to load a file and run it.

    Attributes:
        peak: growth of the largest resident set after the imports.
        malloc: growth of the memory that the allocator has handed out.
        process: growth of the largest resident set over that of an empty Python.

    A figure is None if the system does not report it.
    """

    peak: float | None
    malloc: float | None
    process: float | None


def measure_memory(file: Path, threads: int = 1, *, delegate: bool = True) -> Memory:
    """Load and run a file in a fresh process; raises InputError if that fails."""
    program = f"from {__name__} import measure_here; measure_here()"
    command = python(program, str(file), str(threads), "1" if delegate else "")
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(f"{file}: can't be run in a fresh process: {reason}")
    return Memory(**json.loads(done.stdout))


def measure_here() -> None:
    """Measure this fresh process, with `measure_memory`'s arguments, and print the figures."""
    file, threads, delegate = sys.argv[1:]
    try:
        memory = _measure(Path(file), int(threads), delegate=bool(delegate))
    except InputError as error:
        sys.exit(str(error))
    print(json.dumps(asdict(memory)))


def _measure(file: Path, threads: int, *, delegate: bool) -> Memory:
    """Measure this process, which must not have done anything yet."""
    empty = largest_set()
    from uva_tf.bench.timing import Call

    imported, given = largest_set(), _handed_out()
    call = Call(file, threads, delegate=delegate)
    for _ in range(RUNS):
        call()
    largest, now = largest_set(), _handed_out()
    return Memory(_grown(imported, largest), _grown(given, now), _grown(empty, largest))


def _grown(before: int | None, after: int | None) -> float | None:
    return None if before is None or after is None else (after - before) / MB


def largest_set() -> int | None:
    """The largest resident set of this process so far, in bytes; None on Windows."""
    try:
        # Not ru_maxrss: on Linux it includes the process that started this one.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        try:
            import resource
        except ImportError:
            return None
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO.split()]


def _handed_out() -> int | None:
    """Bytes that malloc has handed out, on glibc 2.33 or later."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    ask.restype = _Mallinfo
    info = ask()
    return info.uordblks + info.hblkhd
