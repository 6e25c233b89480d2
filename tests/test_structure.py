"""The rules of the house: what docs/architecture.md says is so."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from uva_tf.commands import COMMANDS

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "uva_tf").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "pipelines").glob("*.py"), *(ROOT / "tflite").glob("*.py")])

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


@functools.cache
def nodes(path):
    """All nodes of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path):
    """Names of all modules that a file imports, anywhere in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms():
    """From the table of docs/architecture.md: each room of the library and those it may import."""
    rows = re.findall(r"^\| `(\w+)/?` \|[^|]*\| ([^|]*) \|$", ARCHITECTURE, re.MULTILINE)
    found = {}
    for room, may in rows:
        named = set(re.findall(r"`(\w+)`", may))
        found[room] = set(found) if may.startswith("all above") else named
    return found


def room_of(name):
    """The room of a module's dotted name; none of the package itself."""
    return name.split(".")[1] if name.startswith("uva_tf.") else ""


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_what_the_architecture_says(path):
    own = path.relative_to(ROOT / "uva_tf").parts[0].removesuffix(".py")
    if own.startswith("__"):  # the package's face and its command line
        return
    allowed = rooms()[own] | {own, "", "__version__"}
    for module in imports(path):
        assert not module.startswith("uva_tf") or room_of(module) in allowed, module


def test_the_architecture_names_every_room_and_no_other():
    inside = {path.name.removesuffix(".py") for path in (ROOT / "uva_tf").glob("[a-z]*")}
    assert set(rooms()) == inside
    below = set()
    for room, may in rooms().items():  # from the bottom up: nothing flows back
        assert may <= below, room
        below.add(room)


def test_the_runtime_imports_without_tensorflow_or_keras():
    program = (
        "import sys, pkgutil, importlib, uva_tf.runtime as r\n"
        "for m in pkgutil.iter_modules(r.__path__, 'uva_tf.runtime.'):\n"
        "    importlib.import_module(m.name)\n"
        "print([n for n in ('tensorflow', 'keras', 'tf_keras', 'matplotlib') if n in sys.modules],"
        " sorted(n for n in sys.modules if n.startswith('uva_tf.')"
        " and not n.startswith(('uva_tf.core', 'uva_tf.runtime', 'uva_tf.weights'))))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[] []", result.stderr


@pytest.mark.parametrize("path", LIBRARY + SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_writes_tf_dot_keras_or_asserts(path):
    attributes = [n for n in nodes(path) if isinstance(n, ast.Attribute) and n.attr == "keras"]
    assert not [a for a in attributes if ast.unparse(a) == "tf.keras"]
    assert not [n for n in nodes(path) if isinstance(n, ast.Assert)]


def test_one_module_counts_processors():
    """It knows which of them the process may use; Python's `os.cpu_count` does not."""
    assert {p.name for p in LIBRARY + SCRIPTS if "cpu_count" in p.read_text()} == {"processors.py"}


def test_one_module_knows_tf_keras_and_tfmot():
    packages = {"tf_keras", "tensorflow_model_optimization"}
    knows = {p.name for p in LIBRARY + SCRIPTS if packages & {m.split(".")[0] for m in imports(p)}}
    assert knows == {"qat.py"}
    # Its importer comes to it late, and no other module of the library does.
    users = {p.name for p in LIBRARY + SCRIPTS if "uva_tf.compression.qat" in imports(p)}
    assert users == {"qat.py"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_what_takes_time_or_may_be_missing_once_it_runs(name):
    program = (
        f"import sys, uva_tf.commands.{name.replace('-', '_')};"
        "late = ('cv2', 'numpy', 'tensorflow', 'ai_edge_litert', 'openvino', 'pyarrow', 'ray');"
        "print([n for n in late if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_needs_no_extra(name):
    absent = ("tensorflow", "keras", "scipy", "matplotlib", "openvino", "tf_keras", "tqdm", "ray")
    absent = (*absent, "pyarrow", "fsspec")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}));"
        f"sys.argv = ['uva-tf', '{name}', '--help'];"
        "from uva_tf.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: uva-tf {name}")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_a_command_of_the_same_name(path):
    result = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: {path.name} ")
    assert f"uva-tf {path.stem}" in result.stdout
    assert len(path.read_text().splitlines()) < 10


def test_the_glossarys_terms_are_the_codes():
    rows = re.findall(r"^\| [\w ]+ \| `(\w+)` \|", ARCHITECTURE, re.MULTILINE)
    assert len(rows) > 30
    written = {
        name
        for path in LIBRARY
        for node in nodes(path)
        for name in (
            getattr(node, "name", None),
            getattr(node, "id", None),
            getattr(node, "attr", None),
        )
    }
    assert set(rows) <= written
