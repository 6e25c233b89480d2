"""Checks before a training: that a new run can be trained, and that no stage would be skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from uva_tf.config import STAGES, Config
from uva_tf.core.errors import InputError
from uva_tf.data.dataset import open_dataset
from uva_tf.models.teachers import check_teacher
from uva_tf.training.devices import check_batch, device_count
from uva_tf.training.examples import (
    check_external,
    check_hints,
    has_validation,
    kinds_to_teach,
    kinds_used,
)
from uva_tf.training.run import Run


def check_new(config: Config, stages: Sequence[str] = STAGES) -> None:
    """Raise InputError if a new run could not train some stages; call it before the run exists.

    Args:
        config: made by `with_data`.
    """
    datasets = [open_dataset(Path(folder), verify=False) for folder in config.data]
    if "joint" in stages and not config.joint.steps:
        raise InputError("joint.steps 0: expected 1 or more, as the stage joint makes the student")
    begun = config.hint.steps or config.distill.steps or config.student.weights != "none"
    if config.members > 1 and not begun:
        raise InputError(
            f"members={config.members}: expected 1, or hint.steps, distill.steps or "
            "student.weights to begin with: networks with different beginnings have no useful mean"
        )
    if config.loop.keep == "best" and not any(map(has_validation, datasets)):
        raise InputError(
            "loop.keep=best: no --data has a val split with fixations: prepare one, or set "
            "loop.keep=last"
        )
    for kind in kinds_used(config, stages):
        check_external(config, kind, datasets)
    weighs = "joint" in stages and config.soft_targets.hint_weight
    if weighs or ("hint" in stages and config.hint.steps):
        check_hints(datasets)
    wanted = kinds_to_teach(config, datasets) if "teach" in stages else []
    if wanted:
        if not config.teach.steps:
            raise InputError(
                "teach.steps 0: expected 1 or more, or "
                + " ".join(f"soft_targets.{kind}=none" for kind in wanted)
            )
        check_teacher(config.teacher, datasets[0].size)
    trained = [stage for stage in stages if stage != "teach" or wanted]
    for stage in (getattr(config, name) for name in trained):
        if stage.steps:
            check_batch(stage.batch, device_count(config.loop))


def check_order(run: Run, stages: Sequence[str]) -> None:
    """Raise InputError if a stage of the student would not build on a finished one before it."""
    student = STAGES[1:]
    config = run.config
    begun = config.student.weights != "none" or any(
        getattr(config, stage).steps and (stage in stages or _last_step(run, stage))
        for stage in ("hint", "distill")
    )
    if "joint" in stages and config.members > 1 and not begun:
        raise InputError(
            f"members={config.members}: train the stage hint or distill first: add it to --stages"
        )
    for number, stage in enumerate(student):
        trained, later = _last_step(run, stage), student[number + 1 :]
        if trained >= getattr(run.config, stage).steps:
            continue
        if stage in stages:
            if begun := [name for name in later if _last_step(run, name)]:
                raise InputError(
                    f"{run.folder}: {begun[-1]} was trained before {stage}: start another run"
                )
        elif trained and any(name in stages for name in later):
            raise InputError(f"{run.folder}: {stage} is unfinished: add it to --stages")


def _last_step(run: Run, stage: str) -> int:
    """The step of a stage's last checkpoint; 0 if there is none."""
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    return int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
