"""What the commands share: one-line errors, exit codes, progress bars."""

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

from uva_tf.core.errors import ExportError, InputError
from uva_tf.core.interruption import handle_signals, ignore_signals, was_interrupted
from uva_tf.core.names import current

T = TypeVar("T")

# What the system says of a path that the user should not have given.
USERS_ERRNO = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
BASE_PACKAGES = ("ai_edge_litert", "cv2", "flatbuffers", "numpy")
OPENCV_LIBRARIES = ("libEGL", "libGL", "libSM", "libX", "libglib", "libgthread", "libxcb")
QAT_PACKAGES = ("tf_keras", "tensorflow_model_optimization", "distutils")
Main = Callable[[list[str] | None], None]


class _Once(argparse.Action):
    """Refuses an option that was given before, whose first value would be lost in silence."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if option_string is not None and self in parser.given:
            parser.error(f"{self.option_strings[-1]} given twice: expected once")
        parser.given.add(self)
        super().__call__(parser, namespace, values, option_string)


class _Store(_Once, argparse._StoreAction):
    pass


class _StoreTrue(_Once, argparse._StoreTrueAction):
    pass


class _AppendChange(argparse._AppendAction):
    """Appends FIELD=VALUE; refuses a field that was given before."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        field = values.partition("=")[0]
        if field in {change.partition("=")[0] for change in getattr(namespace, self.dest)}:
            parser.error(f"{self.option_strings[-1]} {field} given twice: expected once")
        super().__call__(parser, namespace, values, option_string)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and whose options are given once.

    Those that append are given as often as one likes.

    Args:
        name: of the command.
        about: the docstring of its module: a line that says what it does, and an example.
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
        """As of argparse; what was given to an earlier call is forgotten."""
        self.given.clear()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the message as InputError."""
        raise InputError(f"{message} (see --help)")


def command(main: Main) -> Callable[[list[str] | None], int]:
    """Turn a script's `main` into one that returns the exit code.

    0 for success, 2 for a user's mistake (one line on stderr, no traceback), 1 for a
    failure that is not the user's: an interruption, a full disk or a model that must not be
    shipped in one line, a defect with its traceback.
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
    """Make a command this process: Ctrl-C and SIGTERM interrupt it, and it ends with its code."""
    _fill_standard_descriptors()
    faulthandler.enable(2)
    handle_signals()
    code = run()
    ignore_signals()  # TensorFlow takes its time to end
    sys.exit(code)


def _outcome(error: BaseException) -> tuple[str, int]:
    """What a command says of an error, in one line, and its exit code; raises a defect again."""
    if isinstance(error, KeyboardInterrupt) or was_interrupted():
        # Libraries turn an interruption into errors of their own.
        reached = [str(error)] if isinstance(error, KeyboardInterrupt) and str(error) else []
        return "; ".join(["interrupted", *reached, *getattr(error, "__notes__", ())]), 1
    if isinstance(error, InputError):
        return f"error: {_line(error)}", 2
    if isinstance(error, ImportError) and (line := _missing(error)):
        return f"error: {line}", 2
    if isinstance(error, OSError) and error.errno in USERS_ERRNO:
        return f"error: {_line(error)}", 2
    # TensorFlow's errors are no OSErrors, a full disk included.
    from_tensorflow = any(kind.__name__ == "OpError" for kind in type(error).__mro__)
    if isinstance(error, OSError | ExportError | FloatingPointError) or from_tensorflow:
        return f"failed: {_line(error)}", 1
    raise error


@contextlib.contextmanager
def goes_on(name: str, argv: Sequence[str] | None, *more: str) -> Iterator[None]:
    """Say with which command the block's work goes on, should it be interrupted or fail.

    Args:
        name, argv: of the command, as `as_typed` takes them.
        more: an argument to add, such as `--resume`.
    """
    try:
        yield
    except (InputError, ExportError, FloatingPointError):
        raise  # which it would meet again
    except BaseException as error:
        error.add_note(f"go on with: {as_typed(name, argv, *more)}")
        raise


def as_typed(name: str, argv: Sequence[str] | None, *more: str) -> str:
    """A command's line as it was typed: that of its script, or that of `uva-tf`.

    Args:
        argv: its arguments, None for those of this process.
        more: an argument to add if it is not there.
    """
    begins = ["uva-tf", name]
    if argv is None:
        script, *argv = sys.argv
        if script.endswith(".py"):
            begins = ["python", script]
    return shlex.join([*begins, *argv, *(one for one in more if one not in argv)])


def use_one_blas_thread() -> None:
    """Keep NumPy's matrix products on one thread; only before NumPy is imported.

    Measurements relate to one core, and scoring has a thread for each processor already.
    """
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(name, "1")


def add_training_arguments(parser: Parser, presets: Sequence[str]) -> None:
    """What every command that trains is told: `--data`, `--preset`, `--set` (as `changes`)."""
    parser.add_argument(
        "--data", metavar="DIR", type=Path, action="append", required=True, help="by prepare.py"
    )
    parser.add_argument("--preset", type=current, choices=presets, required=True)
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action=_AppendChange,
        default=[],
        dest="changes",
        help="change a field of config.json, such as joint.steps=600",
    )


def add_study_arguments(parser: Parser, presets: Sequence[str]) -> None:
    """What every study of several trainings is told beside."""
    add_training_arguments(parser, presets)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="goes on in it")
    parser.add_argument("--seeds", metavar="N", type=number(0, 10**6), nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--every", type=number(1, 10**6), default=8, help="score every N-th frame (8)"
    )
    parser.add_argument("--jobs", type=number(1, 256), default=1, help="trainings at a time (1)")


def number(low: int, high: int) -> Callable[[str], int]:
    """An argument's type: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) < 10
        if not (digits and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {low} to {high}")
        return int(text)

    return parse


def progress(label: str, unit: str) -> Callable[[Iterable[T], int], Iterator[T]]:
    """A progress bar on stderr that is off when that is no terminal."""

    def wrap(items: Iterable[T], total: int) -> Iterator[T]:
        from tqdm import tqdm  # not while a script is starting

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
    log, handler = logging.getLogger("uva_tf.training.loop"), logging.StreamHandler(sys.stdout)
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
    """Print what a command found; raises OSError if it can't be printed and no file keeps it."""
    print(text, flush=True)
    lost = getattr(sys.stdout, "lost", None)
    if lost and not kept:
        sys.stdout.lost = None
        raise OSError(lost.errno, f"{lost.strerror}, nothing could be printed", "stdout")


def _missing(error: ImportError) -> str | None:
    """A line for a package or a system's library that is not there, or None for a defect."""
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        extra = "[qat]" if name in QAT_PACKAGES else "" if name in BASE_PACKAGES else "[train]"
        remedy = f'python -m pip install -e ".{extra}"'
        return None if name == "uva_tf" else f"{error.name} is not installed, try {remedy}"
    library = re.match(r"\S+(?=: cannot open shared object file)", str(error))
    if library is None:
        return None
    if name == "cv2" or library[0].startswith(OPENCV_LIBRARIES):
        return (
            f"OpenCV lacks the system's {library[0]}: on a server without a screen put "
            "opencv-python-headless in place of opencv-python (pip uninstall, pip install), or "
            "apt install libgl1 libglib2.0-0"
        )
    return f"{name or 'a package'} lacks the system's {library[0]}: install it"


def _line(error: BaseException) -> str:
    """An error's first line, and what was noted on its way up."""
    first = str(error).partition("\n")[0]
    return "; ".join([first, *getattr(error, "__notes__", ())])


class _Lasting:
    """A text stream that outlives whoever reads it.

    What can't be written is left out, so that it does not cost the work that it tells of;
    characters that the stream can't encode are escaped.

    Attributes:
        lost: the error that ended the writing, if it is more than that nobody reads on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._ended, self.lost = stream, False, None

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            self._attempt(self._stream.write, text)
        except UnicodeEncodeError:
            code = self._stream.encoding
            self._attempt(self._stream.write, text.encode(code, "backslashreplace").decode(code))
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
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
                # What its buffer holds must go somewhere when Python ends.
                number = os.open(os.devnull, os.O_WRONLY)
                os.dup2(number, self._stream.fileno())
                os.close(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _lasting_streams() -> Iterator[None]:
    """Let neither stdout nor stderr end the work: a closed pipe, a full disk, another encoding."""
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
    """Open what was closed (`2>&-`), else the next file gets its number and libraries' chatter."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


@contextlib.contextmanager
def _without_native_chatter() -> Iterator[None]:
    """Keep what TensorFlow, LiteRT and FFmpeg print from C++ off the terminal.

    They write to file descriptor 2 whatever Python is told; Python's own stderr goes on
    through a copy of it, and so does the trace of a crash. UVA_TF_VERBOSE=1 shows everything.
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
