"""Command lines of child processes that run this package and nothing from the current folder.

Python looks for modules in the current folder, where somebody may have put a `numpy.py` beside a
downloaded model. A child started here does not: it is isolated (`python -I`), imports this very
package, and imports everything else from its parent's search path without the current folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).absolute().parents[1]

# Its first argument is JSON: the search path for modules, and this package's __init__.py.
START = """\
import importlib.util, json, sys
path, package = json.loads(sys.argv.pop(1))
sys.path[:] = path + [folder for folder in sys.path if folder not in path]
spec = importlib.util.spec_from_file_location("uva_tf", package)
sys.modules["uva_tf"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["uva_tf"])
"""
COMMAND = "import runpy; runpy.run_module('uva_tf', run_name='__main__')"


def python(program: str, *arguments: str) -> list[str]:
    """The command line that runs a Python program; it finds its arguments in `sys.argv[1:]`."""
    given = json.dumps([_search_path(), str(PACKAGE / "__init__.py")])
    # -I ignores PYTHONUTF8 too, which decides how paths are encoded.
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    return [sys.executable, *options, "-c", START + program, given, *arguments]


def uva_tf(name: str, *arguments: str) -> list[str]:
    """The command line that runs `uva-tf NAME`."""
    return python(COMMAND, name, *arguments)


def _search_path() -> list[str]:
    """This process's search path for modules, without the current folder however it is spelt."""
    here = Path.cwd()
    return [
        folder
        for folder in sys.path
        if Path(folder).is_absolute() and not (Path(folder).exists() and here.samefile(folder))
    ]
