"""How much memory a model file takes, measured in a process of its own.

python -m uva_tf.runtime.memory FILE.tflite THREADS
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from uva_tf.runtime.errors import InputError

RUNS = 5
MB = 1e6
# Of C's `struct mallinfo2`.
MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


@dataclass(frozen=True)
class Memory:
    """Memory in MB (10^6 bytes) that a fresh process needs to load a file and run it.

    Attributes:
        peak: growth of its largest resident set over that of a process which has only
            imported what it needs.
        malloc: growth of what the allocator has handed out; None where it can't be asked.
        process: growth of its largest resident set over that of an empty Python.
    """

    peak: float
    malloc: float | None
    process: float


def measure_memory(file: Path, threads: int = 1) -> Memory:
    """Load and run a file in a process of its own; raises InputError if that fails."""
    command = [sys.executable, "-m", "uva_tf.runtime.memory", str(file), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(f"{file}: could not be run in a process of its own: {reason}")
    return Memory(**json.loads(done.stdout))


def _measure(file: Path, threads: int) -> Memory:
    """Measure this process, which has done nothing yet."""
    empty = _largest_set()
    from uva_tf.runtime.timing import Call

    imported, given = _largest_set(), _handed_out()
    call = Call(file, threads)
    for _ in range(RUNS):
        call()
    largest, now = _largest_set(), _handed_out()
    malloc = None if now is None or given is None else (now - given) / MB
    return Memory((largest - imported) / MB, malloc, (largest - empty) / MB)


def _largest_set() -> int:
    """The largest resident set of this process so far, in bytes."""
    try:
        # ru_maxrss would do, but on Linux it remembers the process that started this one.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        import resource

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


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Path(sys.argv[1]), int(sys.argv[2])))))
