"""The trial of a model file in a child process, which LiteRT may crash.

LiteRT checks little of a file: a damaged or malicious one can crash the process that loads it.
The trial loads it in a process that can be spared.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from uva_tf.core.children import python
from uva_tf.core.errors import InputError
from uva_tf.core.files import read_input
from uva_tf.runtime.manifest import MOST_BYTES, read_manifest
from uva_tf.weights import is_shipped

SECONDS = 60  # that a trial may take
MOST_MEMORY = 4 * 2**30  # bytes of address space, most of which libraries reserve and never use
RUNS = 3
PROGRAM = f"from {__name__} import try_here; try_here()"


def check_model(model: Path) -> None:
    """Refuse a model file that crashes LiteRT; commands call this before they load a file.

    It takes as long as starting Python and LiteRT. A file that comes with the package is
    known to be good and is not tried.

    Raises InputError for a file that fails the trial, and for one that its manifest does not
    vouch for, which is not loaded at all.
    """
    manifest, content = read_manifest(model)
    if not is_shipped(manifest.sha256):
        _try(model, content)


def check_foreign(model: Path) -> None:
    """Refuse another project's model file likewise, which needs no manifest."""
    _try(model, read_input(model, MOST_BYTES, "model file"))


def _try(model: Path, content: bytes) -> None:
    reason = failure(content)
    if reason:
        raise InputError(f"{model}: LiteRT refuses the file: {reason}")


def failure(content: bytes) -> str | None:
    """What goes wrong when a file is loaded and run with XNNPACK, in one line, or None."""
    try:
        child = subprocess.run(
            python(PROGRAM),
            input=content,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it was not done after {SECONDS} seconds"
    if child.returncode == 0:
        return None
    lines = child.stderr.decode(errors="replace").rpartition("Error: ")[2].splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("INFO")]
    return lines[0].strip() if lines else f"it ends the process (exit code {child.returncode})"


def try_here() -> None:
    """Load and run the model file that comes on stdin, in this process, which it may crash."""
    from uva_tf.runtime.predictor import open_interpreter

    _limit_memory()
    interpreter = open_interpreter(sys.stdin.buffer.read())
    rng = np.random.default_rng(0)
    for _ in range(RUNS):
        for tensor in interpreter.get_input_details():
            values = rng.integers(0, 256, tensor["shape"]).astype(tensor["dtype"])
            interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()
        for tensor in interpreter.get_output_details():
            interpreter.get_tensor(tensor["index"])


def _limit_memory() -> None:
    """Make a file that announces huge tensors fail before it fills the machine's memory."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, most))
