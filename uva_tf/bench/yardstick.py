"""Untrained networks as .tflite files, to time them: the plain network, and any variant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from uva_tf.compression.export import to_tflite, write_model
from uva_tf.config import StudentConfig
from uva_tf.models.plain import PLAIN
from uva_tf.models.student import build_student


def write_untrained(config: StudentConfig, form: str, folder: Path) -> Path:
    """Write a float network with random weights; its time does not depend on them.

    Returns the file's path. Raises ExportError if it fails the export gate.
    """
    path = folder / f"{config.variant}.tflite"
    content = to_tflite(build_student(config), "fp32", form)
    write_model(content, config, "fp32", form, path, left=("LOCAL_RESPONSE_NORMALIZATION",))
    return path


def write_yardsticks(resolutions: Iterable[int], folder: Path) -> list[Path]:
    """Write the plain networks of some resolutions as `pair`, with LRN and without."""
    return [
        write_untrained(StudentConfig(name), "pair", folder)
        for side in sorted(set(resolutions))
        for name, (resolution, _) in PLAIN.items()
        if resolution == side
    ]
