"""What Ray's actors do: a task from its video in storage to its outputs in storage.

A task may be done twice, since Ray repeats what was lost with a process or a machine. It begins
with a look at what is there, and each output appears whole, so doing it again changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import platform
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from uva_tf.archives.child import CSV, NPZ, PROGRAM
from uva_tf.archives.job import SEGMENTS, Job, edges
from uva_tf.archives.maps_file import is_maps_file, read_record
from uva_tf.archives.storage import Store, fetch, is_web, states
from uva_tf.core.errors import InputError, first_line
from uva_tf.core.outputs import as_text, locked
from uva_tf.core.urls import is_url, masked
from uva_tf.runtime.worker import Worker

FOLDER = "uva-tf-actor-"  # how the names of actors' folders begin
ABANDONED = 60  # seconds, before which an unlocked folder may be about to be locked


class Actor:
    """Does tasks one after another in a child process, which holds a predictor.

    A task has the `address` and `name` of a video, and what to `do`:

    - `video`: predict it. The answer has its `row`; or, if it is long, where to cut it: `cuts` in
      ticks, and its `frames`.
    - `segment`: predict its segment number `part` from `begin` to `end`. The answer has its
      `frames` and the `seconds` it took, or an `error`, or nothing if it was there.
    - `join`: join the segments that its `cuts` make, of `frames` altogether, or predict it in one
      go if that would not be the same. The answer has its `row`.

    Raises InputError or OSError where the archive can't be written, or this machine's disk is full.
    """

    def __init__(self, job: Job):
        self._job, self._store = job, Store(job.out)
        self._folder, self._lock = _own_folder()
        model = self._folder / "model.tflite"
        model.write_bytes(job.model)
        model.with_suffix(".json").write_bytes(job.manifest)
        setup = {
            "model": str(model),
            "persistence": job.persistence,
            "options": job.reading._asdict(),
            "strict": job.strict,
        }
        self._child = Worker(setup, PROGRAM)
        self._fetched: tuple[str, Path] | None = None
        atexit.register(self.close)

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do a task; see the class."""
        do = {"video": self._video, "segment": self._segment, "join": self._join}[task["do"]]
        same = {"do": task["do"], "name": task["name"], "part": task.get("part")}
        try:
            return same | do(task)
        except OSError as error:
            why = error.strerror or first_line(error)
            raise OSError(f"{error.filename or masked(self._job.out)}: {why}") from None

    def close(self) -> None:
        """End the child, and remove what lies on this machine."""
        self._child.stop()
        self._child.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _video(self, task: dict[str, Any], segment: float | None = None) -> dict[str, Any]:
        begun = time.monotonic()
        address, name = task["address"], task["name"]
        (state,) = states([address])
        row, outputs = self._row(task, state), self._job.outputs(name)
        if self._store.has(outputs[NPZ]):
            with self._store.open(outputs[NPZ]) as file:
                if not is_maps_file(file):
                    why = f"{outputs[NPZ]} is another program's: move it, or choose another folder"
                    return {"row": row | {"error": why}}
            there = self._record(outputs[NPZ])
            if self._job.is_made(there, state) and self._store.has(*outputs.values()):
                return {"row": there | {"seconds": None}}
        if segment is None:
            uncut = self._job.overlay or self._job.deinterlace or is_web(address)
            segment = 0 if uncut else self._job.segment
        done = self._in_child(
            address,
            {"do": "video", "segment": segment, "overlay": self._job.overlay, "record": row},
        )
        if "cuts" in done:
            return {"cuts": done["cuts"], "frames": done["frames"]}
        return {"row": self._put(name, row, done) | {"seconds": _since(begun)}}

    def _segment(self, task: dict[str, Any]) -> dict[str, Any]:
        begun = time.monotonic()
        address, name = task["address"], _part(task, task["part"])
        (state,) = states([address])
        limits = {"begin": task["begin"], "end": task["end"]}
        record = self._row(task, state) | limits
        if record.items() <= self._record(name).items():
            return {}
        done = self._in_child(address, {"do": "segment", "record": record} | limits)
        if "error" in done:
            return {"error": done["error"]}
        self._store.put(self._made(CSV), _places(name))
        self._store.put(self._made(NPZ), name)
        return {"frames": done["frames"], "seconds": _since(begun)}

    def _join(self, task: dict[str, Any]) -> dict[str, Any]:
        begun = time.monotonic()
        address, name = task["address"], task["name"]
        (state,) = states([address])
        row, done = self._row(task, state), {"inexact": True}
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            if parts := self._parts(task, row, Path(folder)):
                more = {"parts": parts, "frames": task["frames"], "record": row}
                done = self._in_child(None, {"do": "join"} | more)
        if "record" in done:
            answer = {"row": self._put(name, row, done) | {"seconds": _since(begun)}}
        else:  # an error in a part may not be one of the whole
            answer = self._video(task, segment=0)
        self._store.remove_folder(f"{SEGMENTS}/{name}")
        return answer

    def _parts(self, task: dict[str, Any], row: dict[str, Any], folder: Path) -> list[list[str]]:
        """The maps and places of a video's segments, copied into a folder.

        There are none if those of one segment are not there, or were made otherwise.
        """
        parts = []
        for part, (begin, end) in enumerate(edges(task["cuts"])):
            local, record = folder / f"{part}.npz", row | {"begin": begin, "end": end}
            places, name = folder / f"{part}.csv", _part(task, part)
            with contextlib.suppress(FileNotFoundError):
                self._store.get(name, local)
                self._store.get(_places(name), places)
                if record.items() <= read_record(local).items():
                    parts.append([str(local), str(places)])
        return parts if len(parts) == len(task["cuts"]) + 1 else []

    def _in_child(self, address: str | None, task: dict[str, Any]) -> dict[str, Any]:
        """The child's answer to a task; once more if it was killed, which need not be its fault."""
        folder = self._folder / "made"
        for _ in range(2):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                path = self._fetch(address) if address else None
            except ValueError as error:
                return {"error": str(error)}
            except OSError as error:
                self._check_space(error.errno)
                first = first_line(error)
                return {"error": f"{masked(address)}: can't be read: {first}"}
            task = task | {"path": path and str(path), "folder": str(folder)}
            done = self._child.do(task, self._job.seconds, self._job.memory)
            if done.get("signal") != signal.SIGKILL:
                break
        self._check_space(done.get("errno"))
        if "error" in done and address:  # of the copy, it may be
            done["error"] = done["error"].replace(str(path), as_text(masked(address)))
        return done

    def _fetch(self, address: str) -> Path:
        """The video as a file; that of the last task is kept, since its segments follow it."""
        if self._fetched and self._fetched[0] == address:
            return self._fetched[1]
        folder = self._folder / "fetched"
        self._fetched = None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = fetch(address, folder)
        if is_url(address):
            self._fetched = address, path
        return path

    def _check_space(self, number: int | None) -> None:
        """Raise OSError if the error is that of a full disk: every video would fail here."""
        if number == errno.ENOSPC:
            place = f"{self._folder.parent} on {platform.node()}"
            raise OSError(number, os.strerror(number), place)

    def _put(self, name: str, row: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
        """Put a video's outputs into the store; returns its row."""
        if "error" in done:
            return row | {"error": done["error"]}
        for kind, output in self._job.outputs(name).items():
            self._store.put(self._made(kind), output)
        return done["record"] | {"bytes": self._made(NPZ).stat().st_size}

    def _made(self, kind: str) -> Path:
        return self._folder / "made" / kind

    def _record(self, name: str) -> dict[str, Any]:
        """What a file of maps was made of, and its size; empty if it is damaged or not there."""
        with contextlib.suppress(FileNotFoundError), self._store.open(name) as file:
            return read_record(file) | {"bytes": file.size()}
        return {}

    def _row(self, task: dict[str, Any], state: str) -> dict[str, Any]:
        """What the table says of a video before it is predicted."""
        return {
            "source": as_text(masked(task["address"])),
            "name": task["name"],
            "model": self._job.model_name,
            "model_sha256": self._job.sha256,
            "options": self._job.options,
            "state": state,
        }


def _part(task: dict[str, Any], part: int) -> str:
    return f"{SEGMENTS}/{task['name']}/{part:05d}.npz"


def _places(name: str) -> str:
    return f"{name.removesuffix('.npz')}.csv"


def _own_folder() -> tuple[Path, contextlib.ExitStack]:
    """A folder on this machine's disk, locked until the stack is closed or the process ends.

    Folders of actors that were killed are removed.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with contextlib.suppress(InputError, OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED:
                with locked(folder, folder, "used"):
                    shutil.rmtree(folder, ignore_errors=True)
    folder, lock = Path(tempfile.mkdtemp(prefix=FOLDER)), contextlib.ExitStack()
    lock.enter_context(locked(folder, folder, "used"))
    return folder, lock


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
