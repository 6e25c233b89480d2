"""A child process that predicts one source after another, so that a crash costs only one.

The parent writes lines of JSON to its stdin, first a setup, then tasks, and reads one answer for
each task from its stdout. If the parent is killed, the child ends at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import cv2

from uva_tf.core.children import python
from uva_tf.core.errors import InputError, first_line, is_users
from uva_tf.core.interruption import PATIENCE, POLL, handle_signals
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.single import predict_still, predict_stream
from uva_tf.runtime.sinks import Options, Outputs

PROGRAM = f"from {__name__} import serve; serve()"


class Worker:
    """The parent's side of a child, which is started for the first task and after a crash.

    Args:
        setup: what all tasks share: `model` and `threads` of a Predictor; `cores` that the child
            may use, 0 for all; `options`, as a dictionary; `strict`.
        program: that the child runs, which calls `serve`; by default, that of `uva-tf predict`.
    """

    def __init__(self, setup: dict[str, Any], program: str | None = None):
        self._setup, self._program = setup, program or PROGRAM
        self._child, self._over = None, False

    def do(self, task: dict[str, Any], seconds: float = 0, memory: int = 0) -> dict[str, Any]:
        """Do a task in the child.

        Args:
            task: `place`, `outputs` as a dictionary of paths, and whether it is a `still`.
            seconds, memory: that it may take, its start included and the memory in bytes; 0 for
                any. Beyond them the child is killed.

        Returns:
            `frames`, `seconds` and `notes` of a stream's Result; or a still's `places`; or an
            `error` in one line, whether it is the user's `mistake`, an OSError's `errno`, and the
            `signal` that ended the child.
        """
        why: list[str] = []
        try:
            if self._child is None:
                self._start()
            self._tell(task)
            with _within(seconds, memory, self._child) as why:
                answer = self._child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if answer.endswith(b"\n"):
            return json.loads(answer)
        child, self._child = self._child, None
        with contextlib.suppress(BrokenPipeError), child:  # closes its pipes, and waits
            pass
        if why:
            return {"error": why[0], "mistake": False}
        code = child.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        error = f"reading or writing it crashed the process ({how})"
        return {"error": error, "mistake": False, "signal": max(0, -code)}

    def _start(self) -> None:
        verbose = os.environ.get("UVA_TF_VERBOSE")
        self._child = subprocess.Popen(
            python(self._program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal reaches it through the parent only
        )
        if self._over:  # while it was being started
            self._child.terminate()
        self._tell(self._setup)

    def _tell(self, message: dict[str, Any]) -> None:
        self._child.stdin.write(json.dumps(message).encode() + b"\n")
        self._child.stdin.flush()

    def stop(self) -> None:
        """End the child, which leaves nothing of the task that it may be doing."""
        self._over = True
        if child := self._child:
            child.terminate()

    def close(self) -> None:
        """Wait for the end of the child, which has nothing more to do or was stopped."""
        if child := self._child:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()


@contextlib.contextmanager
def _within(seconds: float, memory: int, child: subprocess.Popen) -> Iterator[list[str]]:
    """Kill the child if it takes more than that within the block; yields why, if it was killed."""
    over, why = threading.Event(), []

    def watch() -> None:
        begun = time.monotonic()
        while not over.wait(POLL):
            if seconds and time.monotonic() - begun > seconds:
                why.append(f"it was not done after {seconds:g} seconds")
            elif memory and _memory(child.pid) > memory:
                why.append(f"it takes more than {memory / 2**20:.0f} MB of memory")
            if why:
                child.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    if seconds or memory:
        watcher.start()
    try:
        yield why
    finally:
        over.set()
        if watcher.ident:
            watcher.join()


def _memory(process: int) -> int:
    """Bytes of memory that a process has to itself; 0 where that is not known (all but Linux)."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


Answers = Callable[[dict[str, Any]], dict[str, Any]]


def serve(make: Callable[[dict[str, Any]], Answers] | None = None) -> None:
    """Do the tasks that come on stdin, in this process.

    Args:
        make: gets the setup and returns a function from a task to its answer; by default, tasks
            are those of `uva-tf predict`.
    """
    # Copies: Python closes its own stdin while the listener may still be reading it.
    asked = os.fdopen(os.dup(0), "rb")
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever libraries print
        handle_signals()
        tasks, busy = SimpleQueue(), threading.Event()
        setup = json.loads(asked.readline())
        threading.Thread(target=_listen, args=(asked, tasks, busy), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            do = _guarded((make or _predicting)(setup))
            while (task := tasks.get()) is not None:
                answer = do(task)
                busy.clear()
                answers.write(json.dumps(answer).encode() + b"\n")
                answers.flush()


def _listen(asked: BinaryIO, tasks: SimpleQueue, busy: threading.Event) -> None:
    for line in asked:
        busy.set()
        tasks.put(json.loads(line))
    if busy.is_set():  # the parent was killed: another may be about to begin anew
        os._exit(1)
    tasks.put(None)


def _predicting(setup: dict[str, Any]) -> Answers:
    """A function that predicts a source."""
    predictor = Predictor(
        Path(setup["model"]),
        threads=setup["threads"],
        persistence=setup["persistence"],
        ahead=setup["ahead"],
    )
    options, cores = Options(**setup["options"]), setup["cores"]
    if cores:
        cv2.setNumThreads(cores)

    def answer(task: dict[str, Any]) -> dict[str, Any]:
        place = Path(task["place"])
        outputs = Outputs(**{kind: path and Path(path) for kind, path in task["outputs"].items()})
        if task["still"]:
            return {"places": predict_still(place, predictor, outputs, options.style)}
        result = predict_stream(
            place, predictor, outputs, options, strict=setup["strict"], whole=True, threads=cores
        )
        return {"frames": result.frames, "seconds": result.seconds, "notes": result.notes}

    return answer


def _guarded(answer: Answers) -> Answers:
    """The same function, whose errors are answers too."""

    def do(task: dict[str, Any]) -> dict[str, Any]:
        try:
            return answer(task)
        except InputError as error:
            return {"error": str(error), "mistake": True}
        except OSError as error:
            return {"error": str(error), "mistake": is_users(error), "errno": error.errno}
        except Exception as error:
            traceback.print_exc()  # shown with UVA_TF_VERBOSE=1
            first = first_line(error)
            return {"error": f"{type(error).__name__}: {first}", "mistake": False}

    return do
