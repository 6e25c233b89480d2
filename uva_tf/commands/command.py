"""How every command runs: the parser, one-line errors, exit codes, signals, progress."""

from __future__ import annotations

import argparse
import contextlib
import errno
import faulthandler
import functools
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

from uva_tf.core.errors import ExportError, InputError, first_line, is_users
from uva_tf.core.interruption import handle_signals, ignore_signals, was_interrupted

T = TypeVar("T")

BASE_PACKAGES = ("ai_edge_litert", "av", "cv2", "flatbuffers", "numpy")
OPENCV_LIBRARIES = ("libEGL", "libGL", "libSM", "libX", "libglib", "libgthread", "libxcb")
QAT_PACKAGES = ("tf_keras", "tensorflow_model_optimization", "distutils")
GAZE_PACKAGES = ("pymovements", "polars")
HINTS_PACKAGES = ("openvino",)
CLUSTER_PACKAGES = ("ray", "pyarrow", "fsspec")
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")  # what a file's name may hold, and ends a line
Main = Callable[[list[str] | None], None]


class _Once(argparse.Action):
    """Refuses an option given twice: its first value would be lost without a word."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if option_string is not None and self in parser.given:
            parser.error(f"{self.option_strings[-1]} given twice: expected once")
        parser.given.add(self)
        super().__call__(parser, namespace, values, option_string)


class _Store(_Once, argparse._StoreAction):
    pass


class _StoreTrue(_Once, argparse._StoreTrueAction):
    pass


class Parser(argparse.ArgumentParser):
    """An argument parser with one-line errors that accepts each option once.

    Options with the action `append` may be repeated.

    Args:
        name: the command's name.
        about: its module's docstring: one line that says what it does, then an example.
    """

    def __init__(self, name: str, about: str):
        what, _, example = about.partition("\n")
        script = sys.argv[0].endswith(f"{name}.py")
        super().__init__(
            prog=Path(sys.argv[0]).name if script else f"uva-tf {name}",
            description=what,
            epilog=f"example: {' '.join(example.split())}",
        )
        self.given: set[argparse.Action] = set()
        for name, action in ((None, _Store), ("store", _Store), ("store_true", _StoreTrue)):
            self.register("action", name, action)

    def parse_known_args(self, args=None, namespace=None):
        """As in argparse; each call starts afresh, and an empty argument is refused.

        As a path it would be the current folder.
        """
        self.given.clear()
        for text in sys.argv[1:] if args is None else args:
            if not text or (text.startswith("--") and text.endswith("=")):
                self.error(
                    f"{text or 'an argument'} is empty: expected a value (an unset variable?)"
                )
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the message."""
        raise InputError(f"{message} (see --help)")


def command(main: Main) -> Callable[[list[str] | None], int]:
    """Turn a command's `main` into a function that returns its exit code.

    0 is success. 2 is a user's mistake: one line on stderr, no traceback. 1 is any other
    failure: one line for an interruption, a full disk or a model that must not be shipped;
    a traceback for a defect.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        with _without_native_chatter(), _lasting_streams():
            try:
                main(argv)
            except (Exception, KeyboardInterrupt) as error:
                line, code = _outcome(error)
                print(line, file=sys.stderr)
                return code
            return 0

    return run


def start(run: Callable[[], int]) -> NoReturn:
    """Run a command as this process; Ctrl-C and SIGTERM interrupt it. Exits with its code."""
    _fill_standard_descriptors()
    faulthandler.enable(2)
    handle_signals()
    code = run()
    ignore_signals()  # TensorFlow is slow to exit
    sys.exit(code)


def _outcome(error: BaseException) -> tuple[str, int]:
    """The line that reports an error, and its exit code; a defect is raised again."""
    if isinstance(error, KeyboardInterrupt) or was_interrupted():
        # Libraries turn an interruption into their own errors.
        reached = [str(error)] if isinstance(error, KeyboardInterrupt) and str(error) else []
        return "; ".join(["interrupted", *reached, *getattr(error, "__notes__", ())]), 1
    if is_users(error):
        return f"error: {_line(error)}", 2
    if isinstance(error, ImportError) and (line := _missing(error)):
        return f"error: {line}", 2
    # TensorFlow's errors are not OSErrors, even for a full disk.
    from_tensorflow = any(kind.__name__ == "OpError" for kind in type(error).__mro__)
    if isinstance(error, OSError | ExportError | FloatingPointError) or from_tensorflow:
        return f"failed: {_line(error)}", 1
    raise error


@contextlib.contextmanager
def goes_on(name: str, argv: Sequence[str] | None, *more: str) -> Iterator[None]:
    """Add the command that resumes the block's work to an interruption or failure.

    Args:
        name, argv: the command, as `as_typed` takes it.
        more: arguments to add, such as `--resume`.
    """
    try:
        yield
    except BaseException as error:
        fails_again = is_users(error) or isinstance(error, ExportError | FloatingPointError)
        if not fails_again:
            error.add_note(f"resume with: {as_typed(name, argv, *more)}")
        raise


def as_typed(name: str, argv: Sequence[str] | None, *more: str) -> str:
    """The command line as the user typed it: `python SCRIPT ...` or `uva-tf NAME ...`.

    Args:
        argv: its arguments; None for those of this process.
        more: arguments to add if they are missing.
    """
    begins = ["uva-tf", name]
    if argv is None:
        script, *argv = sys.argv
        if script.endswith(".py"):
            begins = ["python", script]
    return shlex.join([*begins, *argv, *(one for one in more if one not in argv)])


def use_one_blas_thread() -> None:
    """Keep NumPy's matrix products on one thread. Call it before NumPy is imported.

    Measurements refer to one core, and scoring already runs one thread per processor.
    """
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")


def progress(label: str, unit: str) -> Callable[[Iterable[T], int], Iterator[T]]:
    """A progress bar on stderr, shown only in a terminal."""

    def wrap(items: Iterable[T], total: int) -> Iterator[T]:
        from tqdm import tqdm  # late: starting should be fast

        return iter(tqdm(items, label, total, unit=unit, disable=None))

    return wrap


@contextlib.contextmanager
def losses_printed() -> Iterator[None]:
    """Print what a training within the block logs of its losses, with the time.

    Where both stdout and stderr are a terminal its progress bar says it.
    """
    if sys.stdout.isatty() and sys.stderr.isatty():
        yield
        return
    log, handler = logging.getLogger("uva_tf.training.run"), logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False  # libraries print what reaches the root
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
        log.propagate = True


def show(text: str, *, kept: bool) -> None:
    """Print a result; raises OSError if it can't be printed and no file keeps it (`kept`)."""
    print(text, flush=True)
    lost = getattr(sys.stdout, "lost", None)
    if lost and not kept:
        sys.stdout.lost = None
        raise OSError(lost.errno, f"{lost.strerror}, nothing could be printed", "stdout")


def _missing(error: ImportError) -> str | None:
    """The line for a missing package or system library; None for a defect."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        extras = {
            BASE_PACKAGES: "",
            QAT_PACKAGES: "[qat]",
            GAZE_PACKAGES: "[gaze]",
            HINTS_PACKAGES: "[hints]",
            CLUSTER_PACKAGES: "[cluster]",
        }
        extra = next((one for names, one in extras.items() if name in names), "[train]")
        remedy = f'python -m pip install -e ".{extra}" in a clone of the repository'
        return None if name == "uva_tf" else f"{error.name} is not installed, try {remedy}"
    library = re.match(r"\S+(?=: cannot open shared object file)", str(error))
    if library is None:
        return None
    if name == "cv2" or library[0].startswith(OPENCV_LIBRARIES):
        return (
            f"OpenCV needs the system library {library[0]}: on a server without a screen replace "
            "opencv-python by opencv-python-headless (pip uninstall, pip install), or "
            "apt install libgl1 libglib2.0-0"
        )
    return f"{name or 'a package'} needs the system library {library[0]}: install it"


def _line(error: BaseException) -> str:
    """An error's message, of another's its first line, and its notes, as one line."""
    said = str(error) if isinstance(error, InputError) else first_line(error)
    return CONTROL.sub(_escaped, "; ".join([said, *getattr(error, "__notes__", ())]))


def _escaped(found: re.Match) -> str:
    return found[0].encode("unicode_escape").decode()


class _Lasting:
    """A text stream that survives the loss of its reader.

    Text that can't be written is dropped, so that printing never ends the work itself.
    Characters that the stream can't encode are escaped.

    Attributes:
        lost: the error that ended the writing; None if there was none or the reader left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._ended, self.lost = stream, False, None

    def write(self, text: str) -> int:
        """Write as much as possible."""
        try:
            self._attempt(self._stream.write, text)
        except UnicodeEncodeError:
            code = self._stream.encoding
            self._attempt(self._stream.write, text.encode(code, "backslashreplace").decode(code))
        return len(text)

    def flush(self) -> None:
        """Flush as much as possible."""
        self._attempt(self._stream.flush)

    def _attempt(self, call: Callable[..., object], *args: str) -> None:
        if self._ended:
            return
        try:
            call(*args)
        except UnicodeEncodeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: closed within Python
            self._ended = True
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                self.lost = error
            with contextlib.suppress(OSError, ValueError):
                # Python flushes the buffer when it exits: it must go somewhere.
                number = os.open(os.devnull, os.O_WRONLY)
                os.dup2(number, self._stream.fileno())
                os.close(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _lasting_streams() -> Iterator[None]:
    """Keep the work going when stdout or stderr fails: closed pipe, full disk, encoding."""
    streams = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout, sys.stderr = (_Lasting(stream or nowhere) for stream in streams)
        try:
            yield
        finally:
            sys.stdout.flush()
            if lost := sys.stdout.lost:
                print(f"stdout: {lost.strerror}, what was printed is lost", file=sys.stderr)
            sys.stdout, sys.stderr = streams


def _fill_standard_descriptors() -> None:
    """Open standard descriptors that were closed (`2>&-`).

    Otherwise the next file would take their number, and receive what libraries print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


@contextlib.contextmanager
def _without_native_chatter() -> Iterator[None]:
    """Hide what TensorFlow, LiteRT and FFmpeg print from C++.

    They write to file descriptor 2, whatever Python's stderr is. Python's stderr and the
    trace of a crash use a copy of that descriptor. UVA_TF_VERBOSE=1 shows everything.
    """
    if os.environ.get("UVA_TF_VERBOSE"):
        yield
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    python, saved = sys.stderr, os.dup(2)
    with (
        Path(os.devnull).open("w") as nowhere,
        os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace") as visible,
    ):
        if python is sys.__stderr__:
            sys.stderr = visible
            faulthandler.enable(visible)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            if python is sys.__stderr__:
                faulthandler.enable(2)
            sys.stderr = python
            os.dup2(saved, 2)
            os.close(saved)
