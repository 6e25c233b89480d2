"""Python in a process of its own that runs this package's code, and nothing that lies about.

Python looks for modules in the current folder, where somebody may have put a `numpy.py` beside a
downloaded model. A child started here does not: it is isolated (`python -I`), imports this very
package, and all else from where its parent may, the current folder excepted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).absolute().parents[1]

# Given in JSON: where modules are looked for, and this package's __init__.py.
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
    """The command line of a program of some lines, which finds its arguments in `sys.argv[1:]`."""
    given = json.dumps([_search_path(), str(PACKAGE / "__init__.py")])
    # -I forgets PYTHONUTF8 too, which says how paths are spelt.
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}"]
    return [sys.executable, *options, "-c", START + program, given, *arguments]


def uva_tf(name: str, *arguments: str) -> list[str]:
    """The command line of a command of this package."""
    return python(COMMAND, name, *arguments)


def _search_path() -> list[str]:
    """Where this process looks for modules, without the current folder by whatever name."""
    here = Path.cwd()
    return [
        folder
        for folder in sys.path
        if Path(folder).is_absolute() and not (Path(folder).exists() and here.samefile(folder))
    ]
