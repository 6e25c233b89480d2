"""The memory that LiteRT for Microcontrollers needs for a file: its tensor arena.

`tflite-micro` is an optional package. Without it nothing is measured.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from uva_tf.core.children import python

LARGEST = 2**24  # bytes that are tried at most
STEP = 16  # bytes, to which the arena is aligned
SECONDS = 120
PROGRAM = f"from {__name__} import search_here; search_here()"


def smallest_arena(content: bytes) -> int | None:
    """The smallest arena in bytes, a multiple of 16, in which a file is loaded and run.

    Measured by a search with the interpreter of the package `tflite-micro`, in a process of its
    own, as a bad file can end it. Its pointers have 64 bits and its kernels are the reference
    ones: a microcontroller of 32 bits needs less for its bookkeeping, optimised kernels may need
    more for intermediate results.

    Returns:
        None without `tflite-micro`.

    Raises ValueError for a file that LiteRT for Microcontrollers does not run in 16 MiB.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    try:
        child = subprocess.run(
            python(PROGRAM), input=content, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"no arena was found in {SECONDS} seconds") from None
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        lines = [line for line in lines if not line.startswith(("Traceback", "  ", "RuntimeError"))]
        reason = lines[-1] if lines else f"it ends the process (exit code {child.returncode})"
        raise ValueError(f"LiteRT for Microcontrollers does not run the file: {reason}")
    return int(child.stdout)


def search_here() -> None:
    """Print the smallest arena of the file that comes on stdin, or raise RuntimeError."""
    from tflite_micro import runtime

    content = sys.stdin.buffer.read()

    def run(arena: int) -> None:
        runtime.Interpreter.from_bytes(content, arena_size=arena).invoke()

    run(LARGEST)
    too_small, enough = 0, LARGEST
    while enough - too_small > STEP:
        middle = (too_small + enough) // 2 // STEP * STEP
        try:
            run(middle)
            enough = middle
        except RuntimeError:
            too_small = middle
    print(enough)
