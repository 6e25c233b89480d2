"""Where a run comes from: the command, the commit, the packages and the date."""

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
# What tells a checkout of this project from another repository that holds the package.
OURS = ("setup.cfg", "pipelines/train.py", "uva_tf/__init__.py")  # tracked files
NAME = "name = uva_tf"  # a line of setup.cfg


def provenance(command: str) -> dict[str, Any]:
    """What is needed to run a command again: its line, the commit, the date and the packages."""
    return {"command": command, **_here_and_now()}


def note_resumed(run: Run) -> None:
    """Note in an unfinished run's provenance if other code or packages resume it."""
    now = _here_and_now()
    with run.locked():
        if run.student.is_file() or not (found := run.read_provenance()):
            return
        last = (found.get("resumed") or [found])[-1]
        if any(last.get(key) != now[key] for key in ("commit", "versions")):
            found["resumed"] = [*found.get("resumed", ()), now]
            replace_file(run.provenance, json.dumps(found, indent=1) + "\n")


def _here_and_now() -> dict[str, Any]:
    """The commit, today's date, and the versions of the packages."""
    return {
        "commit": commit(),
        "date": date.today().isoformat(),
        # Of the modules, as a package may be installed under another name (tensorflow-cpu).
        "versions": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def origin(run: Run) -> dict[str, Any]:
    """Where a run's weights come from: its provenance, its seed, and the checksums of its data.

    If it began with weights of a file, the origin of their run is in `begun_from`: None if there is
    no such run, or no longer.
    """
    config = run.config
    begun = {}
    if config.student.weights not in ("none", "shipped"):
        first = Path(config.student.weights).parent
        known = (first / "config.json").is_file() and not first.samefile(run.folder)
        begun["begun_from"] = origin(Run.open(first)) if known else None
    names = distinct_names([Path(folder) for folder in config.data])
    checksums = config.data_sha256 or [None] * len(names)
    return {
        **run.read_provenance(),
        "seed": config.seed,
        "data": dict(zip(names, checksums, strict=True)),
        **begun,
    }


def commit() -> str | None:
    """The checkout's commit, with `+changes` if files differ from it; None outside a checkout.

    The package may lie inside another repository, whose commit would say nothing about it.
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
    """The output of a git command on this checkout, whatever GIT_ variables are set."""
    # Without fsmonitor: a repository's settings can name a program that git would run.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(ROOT), *arguments]
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()
