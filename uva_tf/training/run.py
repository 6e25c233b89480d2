"""The run folder: what a training leaves behind, and where."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uva_tf.config import Config
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.files import check_folder, read_input
from uva_tf.runtime.outputs import new_file, refuse_existing

MOST_BYTES = 2**24  # of a config


@dataclass(frozen=True)
class Run:
    """A folder of `config.json`, `metrics.jsonl`, `checkpoints/`, `teachers/`, `student.keras`."""

    folder: Path
    config: Config

    @classmethod
    def create(cls, folder: Path, config: Config) -> Run:
        """Start a run; raises InputError if the folder exists."""
        _refuse_patterns(folder)
        refuse_existing(folder)
        folder.mkdir(parents=True)
        with new_file(folder / "config.json") as path:
            path.write_text(config.to_json())
        return cls(folder, config)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing run; raises InputError if the folder is none."""
        _refuse_patterns(folder)
        path = folder / "config.json"
        check_folder(folder)
        if not path.exists():
            raise InputError(f"{folder}: no config.json, expected a run folder made by train.py")
        content = read_input(path, MOST_BYTES, "config")
        return cls(folder, Config.from_json(content.decode(errors="replace")))

    @property
    def metrics(self) -> Path:
        """One JSON object a line: the losses by stage and step."""
        return self.folder / "metrics.jsonl"

    @property
    def student(self) -> Path:
        """The trained student's `pair` model."""
        return self.folder / "student.keras"

    @property
    def provenance(self) -> Path:
        """The command that began the run, with commit, packages and day."""
        return self.folder / "provenance.json"

    def checkpoints(self, stage: str) -> Path:
        """Where a stage keeps its last checkpoint."""
        return self.folder / "checkpoints" / stage

    def teacher(self, kind: str) -> Path:
        """The trained teacher of a kind."""
        return self.folder / "teachers" / f"{kind}.keras"

    def teacher_maps(self, number: int) -> Path:
        """The teachers' maps of the run's dataset `number`, a folder for each kind."""
        name = Path(self.config.data[number]).name
        return self.folder / "teachers" / "maps" / f"{number}-{name}"

    def fine_tuned(self, recipe: str) -> Path:
        """What `qat.py` made of the student for a recipe: its `step`, without a manifest."""
        return self.folder / "fine-tuned" / f"{recipe}.tflite"

    def log(self, **entry: Any) -> None:
        """Append a line to the metrics."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The metrics so far."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text().splitlines(keepends=True)
        # A run that was killed may have left half a line.
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def last_losses(self) -> dict[str, tuple[int, float]]:
        """Each stage's last step and its training loss."""
        return {e["stage"]: (e["step"], e["loss"]) for e in self.history() if "loss" in e}

    def forget(self, stage: str, step: int) -> None:
        """Drop a stage's metrics after a step: they are about to be made again."""
        kept = [e for e in self.history() if e["stage"] != stage or e["step"] <= step]
        partial = self.metrics.with_suffix(".partial")
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
        partial.replace(self.metrics)


def _refuse_patterns(folder: Path) -> None:
    """TensorFlow takes a checkpoint's path for a pattern."""
    if set(str(folder.resolve())) & set("*?[]\\"):
        raise InputError(f"{folder}: choose a path without any of * ? [ ] \\ for a run")
