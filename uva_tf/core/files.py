"""Files and folders that a user names: read, listed, or refused with the true cause."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from uva_tf.core.errors import InputError

# How names begin that systems and archivers add to folders.
HIDDEN = (".", "__", "@")


def check_file(path: Path, what: str = "file", remedy: str = "") -> int:
    """Check that a file can be read, and return its size in bytes.

    Args:
        what: the kind of file that is expected, for the message.
        remedy: what to do if it is missing or something else, for the message's end.

    Raises InputError that says why it can't be read, and OSError for a failure that the user
    did not cause.
    """
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: no such {what}{remedy}")
    try:
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            raise InputError(f"{path}: expected a {what}, found a folder{remedy}")
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path}: expected a {what}, found a pipe or a device{remedy}")
        with path.open("rb"):
            return state.st_size
    except OSError as error:
        raise _refused(path, error, what, remedy) from None


def read_input(path: Path, most: int, what: str = "file") -> bytes:
    """Read a file's bytes; raises as `check_file` does, and InputError for more than `most`."""
    size = check_file(path, what)
    if size > most:
        raise InputError(f"{path}: {size} bytes, expected at most {most} in a {what}")
    return path.read_bytes()


def check_folder(path: Path, why: str = "") -> None:
    """Raise InputError unless a path is a folder that can be listed.

    Args:
        why: the folder is needed, for the message.
    """
    try:
        next(path.iterdir(), None)
    except OSError as error:
        if isinstance(error, NotADirectoryError) and path.exists():
            raise InputError(f"{path}: expected a folder, found a file") from None
        raise _refused(path, error, "folder", why) from None


def listed(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """A folder's files with one of the suffixes, in any case, sorted; hidden files are left out.

    Raises InputError unless the folder can be listed.
    """
    check_folder(folder)
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not is_hidden(path) and not path.is_dir()
    )


def is_hidden(path: Path) -> bool:
    """Whether a system or an archiver put the path there: `._1.jpg`, `__MACOSX`, `@eaDir`."""
    return path.name.startswith(HIDDEN if path.is_dir() else ".")


def _refused(path: Path, error: OSError, what: str, why: str = "") -> Exception:
    """The InputError for what the user did wrong, or else the error itself."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if path.is_symlink():
            return InputError(f"{path}: a link to {path.readlink()}, which is not there")
        return InputError(f"{path}: no such {what}{why}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(f"{path}: no permission to read it: change that, or copy it elsewhere")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
        return InputError(f"{path}: can't be opened: {error.strerror}")
    return error
