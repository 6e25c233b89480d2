"""The run folder: what a training writes, and where."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from uva_tf.config import Config
from uva_tf.core.errors import InputError
from uva_tf.core.files import check_folder, read_input
from uva_tf.core.outputs import locked, new_folder, refuse_undecodable, replace_file

LOG = logging.getLogger(__name__)

MOST_BYTES = 2**24  # of a config
SAY_EVERY = 30.0  # seconds between two lines with the training loss, or more
NORM = "gradient_norm"  # logged beside the loss's terms


class Losses(NamedTuple):
    """Where a stage is.

    Attributes:
        step: the last one in the metrics.
        training: the loss of the last steps.
        validation: the loss of the weights that the stage keeps, its last or its best; None
            where the data have no validation split.
    """

    step: int
    training: float
    validation: float | None

    def __str__(self) -> str:
        validation = "" if self.validation is None else f", validation loss {self.validation:.3f}"
        return f"loss {self.training:.3f}{validation} after {self.step} steps"


@dataclass(frozen=True)
class Run:
    """The folder of one training.

    It holds `config.json`, `metrics.jsonl`, `checkpoints/`, `teachers/` and `student.keras`.
    """

    folder: Path
    config: Config

    @classmethod
    def create(cls, folder: Path, config: Config, provenance: dict[str, Any] | None = None) -> Run:
        """Start a run; raises InputError if the folder exists.

        Args:
            provenance: the command that starts it, see `training.provenance`.
        """
        _refuse_patterns(folder)
        if (folder / "config.json").is_file():
            raise InputError(f"{folder} exists already, {cls.open(folder).progress}")
        run = cls(folder, config)
        with new_folder(folder) as partial:
            (partial / "config.json").write_text(config.to_json())
            if provenance:
                text = json.dumps(provenance, indent=1) + "\n"
                (partial / run.provenance.name).write_text(text)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing run; raises InputError if the folder is not a run."""
        _refuse_patterns(folder)
        path = folder / "config.json"
        check_folder(folder)
        if not path.exists():
            raise InputError(f"{folder}: no config.json, expected a run made by uva-tf train")
        content = read_input(path, MOST_BYTES, "config")
        try:
            return cls(folder, Config.from_json(content.decode(errors="replace")))
        except InputError as error:
            raise InputError(f"{folder}: its {error}") from None

    def locked(self) -> AbstractContextManager[None]:
        """Within the block, no other process trains the run.

        Raises InputError if one is training it already.
        """
        return locked(self.folder / "config.json", self.folder, "trained")

    def continued(self, config: Config) -> Run:
        """The run, to resume with the configuration that it was begun with.

        Only paths may differ: data and first weights that moved are read from their new place from
        now on. Raises InputError for anything else that differs.
        """
        before = replace(self.config, data=config.data)
        if moved := _moved(before.student.weights, config.student.weights):
            student = replace(before.student, weights=config.student.weights)
            before = replace(before, student=student)
        mine, theirs = vars(before), vars(config)
        if differing := [name for name in mine if mine[name] != theirs[name]]:
            raise InputError(
                f"{self.folder} was begun with other settings or data ({', '.join(differing)}): "
                "give those of its config.json, or choose another folder"
            )
        if self.config == config:
            return self
        with self.locked():
            replace_file(self.folder / "config.json", config.to_json())
        places = config.data if self.config.data != config.data else ()
        places += (config.student.weights,) if moved else ()
        LOG.warning("%s: its data moved, read from %s now", self.folder, ", ".join(places))
        return Run(self.folder, config)

    @property
    def progress(self) -> str:
        """How far the training is, and what to do, for a message."""
        if self.student.is_file():
            return "with a finished training: choose another path"
        stages = [f" at step {step} of {stage}" for stage, (step, *_) in self.last_losses().items()]
        reached = stages[-1] if stages else ""
        return f"with a training{reached}: --resume continues it, or choose another path"

    @property
    def metrics(self) -> Path:
        """The losses by stage and step, one JSON object per line."""
        return self.folder / "metrics.jsonl"

    @property
    def student(self) -> Path:
        """The trained student's `pair` model."""
        return self.folder / "student.keras"

    def read_provenance(self) -> dict[str, Any]:
        """What `provenance` holds; empty if there is none. Raises InputError if it is damaged."""
        if not self.provenance.is_file():
            return {}
        try:
            found = json.loads(read_input(self.provenance, MOST_BYTES))
            resumed = found.get("resumed", [])
            sound = isinstance(resumed, list) and all(isinstance(one, dict) for one in resumed)
        except (ValueError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise InputError(f"{self.provenance}: damaged, expected a JSON object: remove it")
        return found

    @property
    def provenance(self) -> Path:
        """The command that began the run, with commit, packages and date."""
        return self.folder / "provenance.json"

    def checkpoints(self, stage: str) -> Path:
        """The folder of a stage's last checkpoint."""
        return self.folder / "checkpoints" / stage

    def teacher(self, kind: str) -> Path:
        """The trained teacher of a kind."""
        return self.folder / "teachers" / f"{kind}.keras"

    def teacher_maps(self, number: int) -> Path:
        """The teachers' maps of dataset `number` of the run: a folder that has one per kind."""
        folder = self.folder / "teachers" / "maps"
        path = folder / f"{number}-{Path(self.config.data[number]).name}"
        if not path.exists() and folder.is_dir():  # the dataset may have been renamed since
            return min(folder.glob(f"{number}-*"), default=path)
        return path

    def fine_tuned(self, recipe: str) -> Path:
        """The student fine-tuned for a recipe by `uva-tf qat`: a `step` without a manifest."""
        return self.folder / "fine-tuned" / f"{recipe}.tflite"

    def log(self, **entry: Any) -> None:
        """Append a line to `metrics.jsonl`."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The metrics so far."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text(errors="replace").splitlines(keepends=True)
        try:
            # A run that was killed may have left half a line.
            found = [json.loads(one) for one in lines if one.endswith("\n") and one.strip()]
        except (ValueError, RecursionError):
            found = [None]
        if not all(isinstance(entry, dict) and {"stage", "step"} <= set(entry) for entry in found):
            raise InputError(
                f"{self.metrics}: damaged, expected a JSON object with stage and step in each "
                "line: remove it to go on without the losses so far"
            )
        return found

    def last_losses(self) -> dict[str, Losses]:
        """Each stage's last step and its losses, in the order of the stages."""
        best = self.config.loop.keep == "best"
        found: dict[str, Losses] = {}
        for entry in self.history():
            losses = found.get(entry["stage"], Losses(0, math.nan, None))
            if "loss" in entry:
                losses = losses._replace(step=entry["step"], training=entry["loss"])
            if "val_loss" in entry:
                past = losses.validation if best and losses.validation is not None else math.inf
                losses = losses._replace(validation=min(past, entry["val_loss"]))
            found[entry["stage"]] = losses
        return {stage: losses for stage, losses in found.items() if losses.step}

    def forget(self, stage: str, step: int) -> None:
        """Drop a stage's metrics after a step, as they are about to be written again."""
        kept = [e for e in self.history() if e["stage"] != stage or e["step"] <= step]
        replace_file(self.metrics, "".join(json.dumps(entry) + "\n" for entry in kept))


class Journal:
    """Writes a stage's metrics into its run: lines of `metrics.jsonl`, and TensorBoard's files.

    It also logs a line with the loss at first, at every validation, at the end, and when there was
    none for `SAY_EVERY` seconds.

    Args:
        start: the step that the stage continues from; metrics of later steps are dropped.
        steps: number of the stage's steps.
        writes: False on all machines but the first, which writes for all.

    Attributes:
        best: the stage's least validation loss so far.
    """

    def __init__(self, run: Run, stage: str, start: int, steps: int, *, writes: bool) -> None:
        self._run, self._stage, self._steps, self._writes = run, stage, steps, writes
        self._board = None
        self._sums, self._count = Counter(), 0
        self._said = -math.inf
        self.best = math.inf
        if not writes:
            return
        run.forget(stage, start)
        if run.config.loop.tensorboard:
            import tensorflow as tf

            self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard" / stage))
        past = [e["val_loss"] for e in run.history() if e["stage"] == stage and "val_loss" in e]
        self.best = min(past, default=math.inf)

    def add(self, terms: Mapping[str, float]) -> None:
        """Take in the loss's terms, and the gradients' norm, of one more step."""
        self._sums.update(terms)
        self._count += 1

    def training(self, step: int) -> float:
        """Write the means over the steps since the last call; returns the mean loss."""
        means = {name: value / self._count for name, value in self._sums.items()}
        loss = sum(v for name, v in means.items() if name != NORM and not name.endswith("_frames"))
        self.log(step, loss=loss, **means)
        self._sums, self._count = Counter(), 0
        if step == self._steps or time.monotonic() - self._said >= SAY_EVERY:
            self._say(step, f"loss {loss:.3f}")
            self._said = time.monotonic()
        return loss

    def validation(self, step: int, terms: Mapping[str, float]) -> bool:
        """Write the terms of the validation loss; returns whether it is the least so far."""
        before, loss = self.best, sum(terms.values())
        self.best = min(before, loss)
        self.log(step, val_loss=loss, **terms)
        self._say(step, f"validation loss {loss:.3f}")
        return loss < before

    def log(self, step: int, **values: float) -> None:
        """Write values of a step by name."""
        if not self._writes:
            return
        self._run.log(stage=self._stage, step=step, **values)
        if self._board is not None:
            import tensorflow as tf

            with self._board.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._board.flush()

    def _say(self, step: int, what: str) -> None:
        if self._writes:
            LOG.info("%s: step %d of %d, %s", self._stage, step, self._steps, what)


def _moved(before: str, now: str) -> bool:
    """Whether a run's first weights may have moved: one file by two paths, or the first is gone."""
    if before == now or {before, now} & {"none", "shipped"}:
        return False
    return not Path(before).is_file() or Path(before).samefile(now)


def data_folders(config: Config) -> list[Path]:
    """The folders of a configuration's datasets; raises InputError if a run's are missing."""
    folders = [Path(folder) for folder in config.data]
    for folder in folders if config.data_sha256 else ():
        if not (folder / "index.json").is_file():
            raise InputError(
                f"{folder}: the run's data is not there: if it was moved, give the run's uva-tf "
                "train command again, with --resume and the new --data"
            )
    return folders


def _refuse_patterns(folder: Path) -> None:
    """Raise InputError for a path that TensorFlow can't use for checkpoints.

    It reads the path as UTF-8 and as a pattern.
    """
    refuse_undecodable(folder)
    if set(str(folder.resolve())) & set("*?[]\\"):
        raise InputError(f"{folder}: choose a path without any of * ? [ ] \\ for a run")
