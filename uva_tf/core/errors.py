"""The two errors whose message is for the user, and the words of messages.

The errors are for a wrong input, and for a model that must not be shipped.
"""

import errno
from collections.abc import Sequence

# System errors that mean the user gave a wrong path.
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


class InputError(ValueError):
    """The user gave something that does not fit.

    Its message is one line: what was expected, what came, what to do. Commands
    print it and end with exit code 2.
    """


class ExportError(RuntimeError):
    """A converted model that must not be shipped.

    Its message is one line: what is wrong, in which layer, and the remedy.
    """


def is_users(error: BaseException) -> bool:
    """Whether an error is the user's mistake: an InputError, or the system's for a wrong path."""
    return isinstance(error, InputError) or (
        isinstance(error, OSError) and error.errno in USERS_ERRNO
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def counted(number: int, what: str) -> str:
    """A number of things: `1 frame`, `2 frames`."""
    return f"{number} {what}{'s' * (number != 1)}"


def some(names: Sequence[object]) -> str:
    """The first three names of a list, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
