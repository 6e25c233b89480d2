"""`uva-tf NAME ...`, or `python -m uva_tf NAME ...`: one of the commands."""

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
    """What is no command: a question, or a mistake."""
    if name == "--version":
        print(f"uva_tf {__version__}")
    elif name in ("--help", "-h"):
        print("usage: uva-tf NAME ...\n\n" + _listed())
    else:
        near = difflib.get_close_matches(name.replace("_", "-"), COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise InputError(f"no command {name!r}: {hint}")


def _listed() -> str:
    """Each command and what it does, a line each."""
    lines = [f"  {name:16}{_module(name).__doc__.splitlines()[0]}" for name in COMMANDS]
    more = "uva-tf NAME --help tells more; uva-tf --version, which version this is"
    return "\n".join([*lines, "", more])


def _module(name: str):
    return importlib.import_module(f"uva_tf.commands.{name.replace('-', '_')}")


if __name__ == "__main__":
    main()
