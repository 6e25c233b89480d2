"""Ctrl-C and SIGTERM: the work stops once, after a complete frame, step or shard."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))
PATIENCE = 10.0  # seconds after which another signal ends the process at once
POLL = 0.1  # seconds


class Stop:
    """A signal handler that raises KeyboardInterrupt; within `hold` only when the work asks.

    Only the first signal counts: when others follow, the process is stopping already.
    """

    def __init__(self) -> None:
        self._first: float | None = None  # when the first signal came
        self._holds = 0
        self._unanswered = False

    @property
    def came(self) -> bool:
        """Whether a signal has come."""
        return self._first is not None

    def asked(self) -> bool:
        """Whether a signal came since the last call; a caller that gets True stops the work."""
        asked, self._unanswered = self._unanswered, False
        return asked

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if self._first is not None:
            if now - self._first > PATIENCE:
                print("interrupted at once: unfinished work is lost", file=sys.stderr)
                os._exit(1)
        elif self._holds:
            self._first, self._unanswered = now, True
        elif _is_importing(frame):
            # A half-imported module would fail later, in other ways.
            later = threading.Timer(POLL, _raise_in, [threading.get_ident(), number])
            later.daemon = True
            later.start()
        else:
            self._first = now
            raise KeyboardInterrupt


_current: Stop | None = None


def handle_signals() -> Callable[[], None]:
    """Make Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt, once.

    Signals that the process ignored from its start stay ignored. Only the main thread can
    handle signals: in any other thread this does nothing.

    Returns:
        A function that puts the handlers back.
    """
    global _current
    before, previous = _current, {}
    if threading.current_thread() is threading.main_thread():
        _current = Stop()
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, _current)

    def put_back() -> None:
        global _current
        _current = before
        for number, handler in previous.items():
            signal.signal(number, handler)

    return put_back


def ignore_signals() -> None:
    """Ignore signals from now on: the work is done, and the process is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def was_interrupted() -> bool:
    """Whether a signal has come since the handlers were set."""
    return _current is not None and _current.came


@contextmanager
def hold() -> Iterator[Stop]:
    """Hold signals back within the block; the work asks `Stop.asked` between its parts.

    A signal that was not asked for raises KeyboardInterrupt at the end of the outermost block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Stop()  # the main thread gets the signals
        return
    put_back = handle_signals() if _current is None else lambda: None
    stop = _current
    stop._holds += 1
    try:
        yield stop
    finally:
        stop._holds -= 1
        put_back()
    if not stop._holds and stop.asked():
        raise KeyboardInterrupt


def result(task: Future[T], stop: Stop) -> T:
    """What a task returns or raises; raises KeyboardInterrupt as soon as a signal has come."""
    while not stop.asked():
        try:
            return task.result(POLL)
        except TimeoutError:
            if task.done():  # the task's own
                raise
    raise KeyboardInterrupt


def _raise_in(thread: int, number: int) -> None:
    """Send a signal to a thread, which wakes it; on Windows it gets the signal when it wakes."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, number)
    else:
        signal.raise_signal(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None
