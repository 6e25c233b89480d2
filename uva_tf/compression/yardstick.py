"""The plain network as .tflite files, to time students against."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from uva_tf.compression.export import convert_student
from uva_tf.config import StudentConfig
from uva_tf.models.plain import PLAIN
from uva_tf.models.student import build_student


def write_yardsticks(resolutions: Iterable[int], folder: Path) -> list[Path]:
    """Write the plain networks of some resolutions, with and without LRN, float, `pair`.

    Their weights are random: the time does not depend on them.
    """
    files = []
    for side in sorted(set(resolutions)):
        for name in [name for name, (resolution, _) in PLAIN.items() if resolution == side]:
            config = StudentConfig(name)
            files.append(folder / f"{name}.tflite")
            convert_student(build_student(config), config, "fp32", "pair", files[-1])
    return files
