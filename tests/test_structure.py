"""The rules of the house: who may import whom."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "uva_tf").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "pipelines").glob("*.py"), *(ROOT / "tflite").glob("*.py")])

# Layers from the bottom up: a module imports from its own layer and those below it.
LAYERS = (
    "runtime",
    "data.gaze",
    "fields",
    "config",
    "data",
    "models",
    "training",
    "compression",
    "evaluation",
    "data.throughput",
    "command",
    "data.benchmark",
    "data.prepare_benchmark",
)


CODE = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    if name.endswith((".css", ".html", ".js", ".kt", ".py"))
]


def imports(path):
    """Names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module):
    """Number of the innermost layer that a module of the library belongs to, or None."""
    name = module.removeprefix("uva_tf.")
    fits = [n for n, prefix in enumerate(LAYERS) if f"{name}.".startswith(f"{prefix}.")]
    return max(fits, key=lambda n: len(LAYERS[n])) if fits else None


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_layers(path):
    if path == ROOT / "uva_tf" / "__init__.py":
        return  # names what users reach for, and imports it late
    own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module in imports(path):
        if module.startswith("uva_tf.") and layer(module) is not None:
            # `command` serves scripts only; it needs nothing but the runtime's errors.
            assert layer(module) <= own, f"{path.name} imports {module}"


def test_the_runtime_imports_without_tensorflow_or_keras():
    program = (
        "import sys, pkgutil, importlib, uva_tf.runtime as r\n"
        "for m in pkgutil.iter_modules(r.__path__, 'uva_tf.runtime.'):\n"
        "    importlib.import_module(m.name)\n"
        "print([n for n in ('tensorflow', 'keras', 'tf_keras', 'matplotlib') if n in sys.modules],"
        " sorted(n for n in sys.modules if n.startswith('uva_tf.')"
        " and not n.startswith('uva_tf.runtime')))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[] []", result.stderr


@pytest.mark.parametrize("path", LIBRARY + SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_writes_tf_dot_keras_or_asserts(path):
    tree = ast.parse(path.read_text())
    attributes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    assert not [a for a in attributes if ast.unparse(a) == "tf.keras"]
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Assert)]


def test_one_module_knows_tf_keras_and_tfmot():
    packages = {"tf_keras", "tensorflow_model_optimization"}
    knows = {p.name for p in LIBRARY + SCRIPTS if packages & {m.split(".")[0] for m in imports(p)}}
    assert knows == {"qat.py"}
    # Its importer comes to it late, and no other module of the library does.
    users = {p.name for p in LIBRARY + SCRIPTS if "uva_tf.compression.qat" in imports(p)}
    assert users == {"qat.py"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_imports_what_takes_time_or_may_be_missing_once_its_command_runs(path):
    program = (
        "import runpy, sys; runpy.run_path(sys.argv[1], run_name='script');"
        "print([n for n in ('cv2', 'numpy', 'tensorflow', 'ai_edge_litert') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_script_has_help_and_ends_with_0(path):
    result = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith("usage:")


def test_the_readmes_tree_is_what_is_there():
    tree = (ROOT / "README.md").read_text().split("```\nuva_tf/\n")[1].split("```")[0]
    named = set(re.findall(r"([\w-]+)/", tree)) | {"uva_tf"}
    folders = {path.relative_to(ROOT).parts[0] for path in CODE if path.parent != ROOT}
    inside = {path.name for path in (ROOT / "uva_tf").iterdir() if path.is_dir()}
    assert named >= (folders | inside) - {"__pycache__"}
    for folder in ("pipelines", "tflite"):
        line = next(line for line in tree.splitlines() if line.startswith(f"{folder}/"))
        scripts = {path.stem for path in (ROOT / folder).glob("*.py")}
        assert scripts <= set(re.findall(r"\w+", line)), line
