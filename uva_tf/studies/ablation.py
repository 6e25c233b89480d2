"""What distillation brings: the same training with one thing changed, over several seeds.

Every row takes as many steps. The own teachers are trained once and shared by all rows and
seeds, so that the seeds show how much students vary.
"""

from __future__ import annotations

from collections.abc import Sequence

from uva_tf.config import Config
from uva_tf.core.errors import InputError
from uva_tf.studies.trainings import TEACHERS, Training, refuse_repeats

BASELINE = "no teacher"
NOBODY = ("soft_targets.spatial=none", "soft_targets.temporal=none")
COUPLED = ("soft_targets.spatial=own", "soft_targets.temporal=own")
# By the row's name, what it changes.
ROWS: dict[str, tuple[str, ...]] = {
    BASELINE: NOBODY,  # in stage joint alone, which takes the steps of both
    "no teacher, in two stages": NOBODY,
    "spatial teacher": ("soft_targets.spatial=own", "soft_targets.temporal=none"),
    "temporal teacher": ("soft_targets.spatial=none", "soft_targets.temporal=own"),
    "coupled": COUPLED,
    "coupled, joint on ground truth alone": (*COUPLED, "soft_targets.joint_weight=0"),
    "coupled, external temporal teacher": ("soft_targets.spatial=own", "soft_targets.temporal=any"),
    "external teacher alone": ("soft_targets.spatial=none", "soft_targets.temporal=external"),
    "coupled, no channel attention": (*COUPLED, "student.channel_attention=false"),
    "coupled, no temporal path": (*COUPLED, "student.paths=spatial"),
    "coupled, no spatial path": (*COUPLED, "student.paths=temporal"),
}


def trainings(
    preset: Config, rows: Sequence[str], seeds: Sequence[int], changes: Sequence[str]
) -> list[Training]:
    """The runs of a study, the teachers' first.

    Args:
        changes: to every run's configuration, before the row's own.

    Raises InputError for a row that there is not, or a row or seed named twice.
    """
    if unknown := [row for row in rows if row not in ROWS]:
        raise InputError(f"no row {unknown[0]!r}: choose from {'; '.join(ROWS)}")
    refuse_repeats(rows, seeds)
    config = preset.changed(*changes)
    whole = f"joint.steps={config.distill.steps + config.joint.steps}"
    runs = [Training(TEACHERS, seeds[0], ("teach",), (*changes, *COUPLED))]
    for seed in seeds:
        for row in rows:
            if row == BASELINE:
                runs.append(Training(row, seed, ("joint",), (*changes, whole, *ROWS[row])))
            else:
                runs.append(Training(row, seed, ("distill", "joint"), (*changes, *ROWS[row])))
    return runs
