"""Which shipped model suits this processor: int8 where it has fast 8-bit products, else fp16."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from uva_tf.weights import BEST, located, shipped_model

# As Linux names them: x86's VNNI, ARM's dot product and matrix instructions. Without them int8
# takes longer than floats do (docs/results-speed.md).
FAST = {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}
RECIPES = ("int8", "fp16")


def choose_model(model: str | Path | None = None) -> tuple[Path, str]:
    """A model's file, and why it was chosen if nobody named it.

    Args:
        model: `int8` or `fp16`, the best shipped student; or a file; None for what suits this
            processor.
    """
    if model is None:
        found = fast_instructions()
        recipe = "int8" if found else "fp16"
        why = f"this processor has {found}" if found else "no fast 8-bit instructions found"
        return shipped_model(f"{BEST}-{recipe}-step"), f"{recipe}: {why}"
    if str(model) in RECIPES and not Path(model).exists():
        return shipped_model(f"{BEST}-{model}-step"), ""
    return located(Path(model)), ""


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
