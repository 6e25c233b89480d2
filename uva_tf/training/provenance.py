"""Where a run comes from: the command, the commit, the packages and the day."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from uva_tf.runtime.names import distinct_names
from uva_tf.training.run import Run

ROOT = Path(__file__).parents[2]
PACKAGES = ("tensorflow", "keras", "numpy")


def provenance(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What one needs to run a command again.

    Args:
        script: path of the script in the repository.
        arguments: that it was given.
    """
    return {
        "command": f"python {script} {shlex.join(arguments)}",
        "commit": commit(),
        "date": date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def origin(run: Run) -> dict[str, Any]:
    """Where a run's weights come from: its provenance, its seed, and the checksums of its data."""
    config = run.config
    names = distinct_names([Path(folder) for folder in config.data])
    checksums = config.data_sha256 or [None] * len(names)
    return {
        **(json.loads(run.provenance.read_text()) if run.provenance.is_file() else {}),
        "seed": config.seed,
        "data": dict(zip(names, checksums, strict=True)),
    }


def commit() -> str | None:
    """The checkout's commit, with `+changes` if files differ from it; None outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "-uno") else head
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
