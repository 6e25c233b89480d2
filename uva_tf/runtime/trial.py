"""A model file tried in a process of its own, which LiteRT may bring down with it.

LiteRT checks little of a file: one that was made or changed to harm can end the process that
loads it. The trial shows what a file does to a process that nobody needs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from uva_tf.core.children import python
from uva_tf.core.errors import InputError
from uva_tf.runtime.manifest import read_manifest
from uva_tf.weights import is_shipped

SECONDS = 60
MOST_MEMORY = 4 * 2**30  # of addresses, most of which the libraries reserve and never use
RUNS = 3
PROGRAM = f"from {__name__} import try_here; try_here()"


def check_model(model: Path) -> None:
    """Refuse a model file that LiteRT does not survive; for commands, before they load it.

    It takes as long as starting Python and LiteRT. A file that comes with the package is
    known, and not tried.

    Raises InputError, also for a file that its manifest does not vouch for: that one is
    not loaded at all.
    """
    manifest, content = read_manifest(model)
    if is_shipped(manifest.sha256):
        return
    reason = failure(content)
    if reason:
        raise InputError(f"{model}: LiteRT refuses the file: {reason}")


def failure(content: bytes) -> str | None:
    """What goes wrong when a file is loaded and run with XNNPACK, or None, in a line."""
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
    told = child.stderr.decode(errors="replace").rpartition("Error: ")[2].splitlines()
    told = [line for line in told if line.strip() and not line.startswith("INFO")]
    return told[0].strip() if told else f"it ends the process (exit code {child.returncode})"


def try_here() -> None:
    """Load and run what comes on stdin, in this process, which may not survive it."""
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
    """Let a file that announces huge tensors fail instead of filling the machine."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, most))
