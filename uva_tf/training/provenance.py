"""Where a run comes from: the command, the commit, the packages and the day."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import replace_file
from uva_tf.training.run import Run

ROOT = Path(__file__).resolve().parents[2]
OURS = ("setup.cfg", "pipelines/train.py", "uva_tf/__init__.py")  # what a checkout tracks
NAME = "name = uva_tf"  # a line of its setup.cfg


def provenance(command: str) -> dict[str, Any]:
    """What one needs to run a command line again."""
    return {"command": command, **_here_and_now()}


def note_resumed(run: Run) -> None:
    """Note in an unfinished run's provenance that other code or packages go on with it."""
    now = _here_and_now()
    with run.locked():
        if run.student.is_file() or not run.provenance.is_file():
            return
        told = json.loads(run.provenance.read_text())
        last = told.get("resumed", [told])[-1]
        if any(last.get(key) != now[key] for key in ("commit", "versions")):
            told["resumed"] = [*told.get("resumed", ()), now]
            replace_file(run.provenance, json.dumps(told, indent=1) + "\n")


def _here_and_now() -> dict[str, Any]:
    """Which code runs, of which day, in which packages."""
    return {
        "commit": commit(),
        "date": date.today().isoformat(),
        # As they are loaded; the name that a package was installed by may be another.
        "versions": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
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
    """The checkout's commit, with `+changes` if files differ from it; None outside a checkout.

    The package may lie in somebody's else repository, of which the commit would say nothing.
    """
    try:
        if not ROOT.samefile(_git("rev-parse", "--show-toplevel")):
            return None
        _git("ls-files", "--error-unmatch", *OURS)
        if NAME not in _git("show", "HEAD:setup.cfg").splitlines():
            return None
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "-uno") else head
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    """What git says of this checkout, whatever the environment says of another."""
    # A repository's own settings may name a program to run.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(ROOT), *arguments]
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()
