"""What the command-line scripts share: one-line errors, exit codes, progress bars."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from tqdm import tqdm

from uva_tf.runtime.errors import ExportError, InputError

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
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
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
        with _without_native_chatter():
            try:
                main(argv)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            except ModuleNotFoundError as error:
                if (error.name or "").startswith("uva_tf"):
                    raise
                extra = "qat" if error.name in QAT_PACKAGES else "train"
                remedy = f'python -m pip install -e ".[{extra}]"'
                print(f"error: {error.name} is not installed, try {remedy}", file=sys.stderr)
                return 2
            except OSError as error:
                users = error.errno in USERS_ERRNO
                print(f"{'error' if users else 'failed'}: {_line(error)}", file=sys.stderr)
                return 2 if users else 1
            except (ExportError, FloatingPointError) as error:
                print(f"failed: {_line(error)}", file=sys.stderr)
                return 1
            except Exception as error:
                # TensorFlow's errors are no OSErrors, a full disk included.
                if not any(kind.__name__ == "OpError" for kind in type(error).__mro__):
                    raise
                print(f"failed: {_line(error)}", file=sys.stderr)
                return 1
            except KeyboardInterrupt as error:
                print(f"interrupted{_line(error)}", file=sys.stderr)
                return 1
            return 0

    return run


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
    parser.add_argument("--preset", choices=presets, required=True)
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
        if not (text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {low} to {high}")
        return int(text)

    return parse


def progress(label: str, unit: str) -> Callable[[Iterable[T], int], Iterator[T]]:
    """A progress bar on stderr that is off when that is no terminal."""
    return lambda items, total: iter(tqdm(items, label, total, unit=unit, disable=None))


def _line(error: BaseException) -> str:
    """An error's first line, and what was noted on its way up."""
    first = str(error).partition("\n")[0]
    return "; ".join([first, *getattr(error, "__notes__", ())])


@contextlib.contextmanager
def _without_native_chatter() -> Iterator[None]:
    """Keep what TensorFlow, LiteRT and FFmpeg print from C++ off the terminal.

    They write to file descriptor 2 whatever Python is told; Python's own stderr goes on
    through a copy of it. UVA_TF_VERBOSE=1 shows everything.
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
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(saved, 2)
            os.close(saved)
