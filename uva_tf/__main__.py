"""The command line: `uva-tf NAME ...`, or `python -m uva_tf NAME ...`."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import NoReturn

from uva_tf import __version__
from uva_tf.commands import COMMANDS
from uva_tf.commands.command import command, start
from uva_tf.core.errors import InputError


def main() -> NoReturn:
    """Run the command that the command line names."""
    name, *rest = sys.argv[1:] or ["--help"]
    start((lambda: _module(name).main(rest)) if name in COMMANDS else lambda: _other(name))


@command
def _other(name: str) -> None:
    """Answer `--help` and `--version`; refuse any other name that is not a command."""
    if name == "--version":
        print(f"uva_tf {__version__}")
    elif name in ("--help", "-h"):
        print("usage: uva-tf NAME ...\n\n" + _listed())
    else:
        near = difflib.get_close_matches(name.replace("_", "-"), COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise InputError(f"unknown command {name!r}: {hint}")


def _listed() -> str:
    """One line for each command: its name and what it does."""
    lines = [f"  {name:16}{_module(name).__doc__.splitlines()[0]}" for name in COMMANDS]
    more = ["uva-tf NAME --help   describe one command", "uva-tf --version     print the version"]
    return "\n".join([*lines, "", *more])


def _module(name: str):
    return importlib.import_module(f"uva_tf.commands.{name.replace('-', '_')}")


if __name__ == "__main__":
    main()
