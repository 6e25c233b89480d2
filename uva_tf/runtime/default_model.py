"""Which shipped model suits this processor: int8 where it has fast 8-bit products, else fp16."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.weights import BEST, located, shipped_model, shipped_names

# As Linux names them: x86's VNNI, ARM's dot product and matrix instructions. Without them int8
# takes longer than floats do (docs/results-speed.md).
FAST = {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}


def choose_model(model: str | Path | None = None) -> tuple[Path, str]:
    """A model's file, and why it was chosen if that was left open.

    Args:
        model: a file, or a shipped student: `uva-32`, `uva-32-fp16`; `int8` or `fp16` for the best
            one. None for the best one, in the form that suits this processor.

    Raises InputError for what is neither.
    """
    found = fast_instructions()
    recipe = "int8" if found else "fp16"
    why = f"this processor has {found}" if found else "no fast 8-bit instructions found"
    suited = f"{recipe}: {why}"
    if model is None:
        return shipped_model(f"{BEST}-{recipe}-step"), suited
    path, name = located(Path(model)), current(str(model))
    if path.exists() or path.suffix:
        return path, ""
    shipped = shipped_names()
    for stem, said in (
        (name, ""),
        (f"{name}-step", ""),
        (f"{BEST}-{name}-step", ""),
        (f"{name}-{recipe}-step", suited),
    ):
        if stem in shipped:
            return shipped_model(stem), said
    students = ", ".join(stem.removesuffix("-step") for stem in shipped)
    raise InputError(f"{model}: no such file, and no shipped student, which are {students}")


def fast_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The first fast 8-bit instructions that every core of this processor has; "" if none."""
    if platform.system() == "Darwin":
        return "dot products" if platform.machine() == "arm64" else ""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:  # not Linux
        return ""
    cores = [set(found.split()) for found in re.findall(r"^(?:flags|Features)\s*:(.*)", text, re.M)]
    common = set.intersection(*cores) if cores else set()
    return min(FAST & common, default="")
