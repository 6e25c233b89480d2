"""What distillation brings: the same training with one thing changed, over several seeds.

Every row takes as many steps. The own teachers are trained once and shared by all rows and
seeds, so that the seeds show how much students vary. Every run is a folder that goes on where
it was when the study is started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from uva_tf.config import Config
from uva_tf.runtime.errors import InputError
from uva_tf.training.run import Run
from uva_tf.training.stages import with_data

TRAIN = Path(__file__).parents[2] / "pipelines" / "train.py"

BASELINE = "no teacher"
NOBODY = ("teachers.spatial=none", "teachers.temporal=none")
COUPLED = ("teachers.spatial=own", "teachers.temporal=own")
# By the row's name, what it changes.
ROWS: dict[str, tuple[str, ...]] = {
    BASELINE: NOBODY,  # in stage joint alone, which takes the steps of both
    "no teacher, in two steps": NOBODY,
    "spatial teacher": ("teachers.spatial=own", "teachers.temporal=none"),
    "temporal teacher": ("teachers.spatial=none", "teachers.temporal=own"),
    "coupled": COUPLED,
    "coupled, step 2 on ground truth alone": (*COUPLED, "teachers.joint_soft_weight=0"),
    "coupled, external temporal teacher": ("teachers.spatial=own", "teachers.temporal=any"),
    "external teacher alone": ("teachers.spatial=none", "teachers.temporal=external"),
    "coupled, no channel attention": (*COUPLED, "student.channel_attention=false"),
    "coupled, no temporal path": (*COUPLED, "student.paths=spatial"),
    "coupled, no spatial path": (*COUPLED, "student.paths=temporal"),
}
TEACHERS = "teachers"


@dataclass(frozen=True)
class Training:
    """One run of a study.

    Attributes:
        row: a row of `ROWS`, or `TEACHERS`.
        changes: to the preset, as `train.py --set` takes them.
    """

    row: str
    seed: int
    stages: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Names the run's folder."""
        return f"{self.row.replace(',', '').replace(' ', '-')}-{self.seed}"


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
    for given in (rows, seeds):
        if twice := [one for one in given if given.count(one) > 1]:
            raise InputError(f"{twice[0]} is named twice: name every row and seed once")
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


def train_all(
    runs: Sequence[Training],
    preset: Config,
    data: Sequence[Path],
    out: Path,
    *,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterator] = lambda runs, total: runs,
) -> dict[Training, float]:
    """Train all runs below `out`, some at a time, each in a process of its own.

    Returns:
        The seconds that each took just now, about 0 for one that was finished before.

    Raises InputError if a run was begun otherwise, or a training fails.
    """
    seconds = {}
    with ThreadPoolExecutor(jobs) as pool:
        # The others need the teachers.
        for batch, share in ((runs[:1], 1), (runs[1:], jobs)):
            for run in batch:
                _begin(run, runs[0], preset, data, out)
            tasks = [pool.submit(_train, run, preset, data, out, share) for run in batch]
            try:
                for run, task in zip(batch, progress(iter(tasks), len(tasks)), strict=True):
                    seconds[run] = task.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return seconds


def _begin(
    training: Training, teachers: Training, preset: Config, data: Sequence[Path], out: Path
) -> None:
    """Make a run's folder, with the study's teachers, or check the one that there is."""
    folder = out / training.name
    config = with_data(preset.changed(*training.changes, f"seed={training.seed}"), data)
    if not folder.exists():
        Run.create(folder, config)
    elif Run.open(folder).config != config:
        raise InputError(f"{folder} was begun with other settings or data: choose another --out")
    if training != teachers:
        link, shared = folder / "teachers", Path("..") / teachers.name / "teachers"
        if not link.is_symlink():  # a study killed just now may have left none
            link.symlink_to(shared)
        elif link.readlink() != shared:
            raise InputError(f"{folder} was begun with other teachers: give the same first seed")


def _train(training: Training, preset: Config, data: Sequence[Path], out: Path, jobs: int) -> float:
    """Run `train.py`, with its share of the processors; returns the seconds it took."""
    run = Run.open(out / training.name)
    if run.student.is_file():
        return 0.0
    command = [sys.executable, str(TRAIN), "--preset", preset.name, "--run", str(run.folder)]
    for folder in data:
        command += ["--data", str(folder)]
    for change in training.changes:
        command += ["--set", change]
    command += ["--seed", str(training.seed), "--stages", ",".join(training.stages), "--resume"]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, threads)
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(f"{training.name}: {reason}")
    return time.perf_counter() - start
