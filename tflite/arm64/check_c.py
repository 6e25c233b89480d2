"""Build the C program for 64-bit ARM, run it under qemu, and compare its maps with the vectors.

python tflite/arm64/check_c.py
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from check import compare
from root import MACHINE, download, qemu, write_processors

from uva_tf.commands.command import Parser, command
from uva_tf.core.errors import ExportError, InputError
from uva_tf.weights import shipped_model

HERE = Path(__file__).parent
SOURCES = HERE.parent / "c"
VECTORS = HERE.parents[1] / "tests" / "vectors"
COMPILER = "aarch64-linux-gnu-gcc"


@command
def main(argv: list[str] | None = None) -> None:
    """Build, run every model, compare, print; raises ExportError if maps differ too much."""
    Parser("check_c", __doc__).parse_args(argv)
    index = json.loads((VECTORS / "index.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        program = _build(Path(folder))
        missed = []
        for name, model in index["models"].items():
            path, size = shipped_model(name), (str(index["width"]), str(index["height"]))
            call = [qemu(), *MACHINE, "-L", folder, program, path, *size, VECTORS / "frames.rgb"]
            shape = (index["frames"], model["resolution"], model["resolution"])
            there = np.frombuffer(_run(call), np.uint8).reshape(shape)
            here = np.fromfile(VECTORS / f"{name}.maps", np.uint8).reshape(shape)
            told, met = compare(here, there, exact=False)
            print(f"{name}, C: {told}: {'met' if met else 'missed'}")
            missed += [] if met else [name]
    if missed:
        raise ExportError(f"maps of the C program on ARM differ by too much: {', '.join(missed)}")


def _build(root: Path) -> Path:
    """The program, and in `root` what it needs to run under qemu; raises InputError."""
    qemu()
    version = importlib.metadata.version("ai-edge-litert")
    (wheel,) = download(root / "wheel", f"ai-edge-litert=={version}")
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract("ai_edge_litert/libLiteRt.so", root)
    libc = _run([COMPILER, "-print-file-name=libc.so.6"]).decode().strip()
    (root / "lib").symlink_to(Path(libc).parent)
    write_processors(root)
    target = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    target += [f"-DCMAKE_C_COMPILER={COMPILER}", f"-DLITERT_LIBRARY={library}"]
    _run(["cmake", "-S", SOURCES, "-B", root / "build", *target])
    _run(["cmake", "--build", root / "build", "--target", "attention"])
    return root / "build" / "attention"


def _run(call: list) -> bytes:
    try:
        done = subprocess.run(call, capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError(f"{call[0]} is not installed: see tflite/c/README.md") from None
    if done.returncode:
        reason = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(f"{call[0]}: exit code {done.returncode}, expected 0: {' '.join(reason)}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
