"""Several trainings beside each other, each a run that goes on where it was."""

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uva_tf.config import Config
from uva_tf.core.children import uva_tf
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import hold, result
from uva_tf.training.checks import check_new
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run

T = TypeVar("T")

TEACHERS = "teachers"


@dataclass(frozen=True)
class Training:
    """One run of a study.

    Attributes:
        row: what several seeds have in common; `TEACHERS` for the run that trains teachers.
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


def refuse_repeats(*given: Sequence) -> None:
    """Raise InputError if something is named twice."""
    for names in given:
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"{twice[0]} is named twice: name every row and seed once")


def check_trainings(
    runs: Sequence[Training], preset: Config, data: Sequence[Path], out: Path
) -> None:
    """Raise InputError if one of the runs below `out` that are not begun can't be trained."""
    for run in runs:
        config = _config(run, preset, data)
        if not (out / run.name).exists():
            check_new(config, run.stages)


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

    A first run of the row `TEACHERS` is trained before the others, which share its teachers.

    Returns:
        The seconds that each took just now, about 0 for one that was finished before.

    Raises InputError if a run was begun otherwise, or a training fails.
    """
    seconds = {}
    first = [run for run in runs[:1] if run.row == TEACHERS]
    for batch, share in ((first, 1), (runs[len(first) :], jobs)):
        if not batch:
            continue
        for run in batch:
            _begin(run, first, _config(run, preset, data), out)
        children = Children(share)
        works = [functools.partial(_train, run, preset, data, out, children) for run in batch]
        seconds |= dict(zip(batch, children.finish(works, progress), strict=True))
    return seconds


def _config(training: Training, preset: Config, data: Sequence[Path]) -> Config:
    if any(change.partition("=")[0] == "seed" for change in training.changes):
        raise InputError("seed is not set in a study: give --seeds")
    return with_data(preset.changed(*training.changes, f"seed={training.seed}"), data)


def _begin(training: Training, first: Sequence[Training], config: Config, out: Path) -> None:
    """Make a run's folder, with the teachers of the first, or check the one that there is."""
    folder = out / training.name
    if not folder.exists():
        Run.create(folder, config)
    else:
        Run.open(folder).continued(config)
    for teachers in first if training not in first else ():
        link, shared = folder / "teachers", Path("..") / teachers.name / "teachers"
        if not link.is_symlink():  # a study killed just now may have left none
            link.symlink_to(shared)
        elif link.readlink() != shared:
            raise InputError(f"{folder} was begun with other teachers: give the same first seed")


def _train(
    training: Training, preset: Config, data: Sequence[Path], out: Path, children: Children
) -> float:
    """Run `train.py`; returns the seconds it took."""
    run = Run.open(out / training.name)
    if run.student.is_file():
        return 0.0
    command = uva_tf("train", "--preset", preset.name, "--run", str(run.folder))
    for folder in data:
        command += ["--data", str(folder)]
    # Of changes to one field the last holds, as in the configuration that the run has.
    for change in {change.partition("=")[0]: change for change in training.changes}.values():
        command += ["--set", change]
    command += ["--seed", str(training.seed), "--stages", ",".join(training.stages), "--resume"]
    start = time.perf_counter()
    children.run(command, training.name)
    return time.perf_counter() - start


def fine_tune_all(
    runs: Sequence[Run],
    recipes: Sequence[str],
    *,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterator] = lambda runs, total: runs,
) -> None:
    """Fine-tune runs by `qat.py` for some recipes, where they are not yet; some runs at a time.

    Raises InputError if one fails.
    """
    children = Children(jobs)

    def fine_tune(run: Run) -> None:
        for recipe in recipes:
            if not run.fine_tuned(recipe).is_file():
                command = uva_tf("qat", "--run", str(run.folder))
                children.run([*command, "--recipe", recipe], f"{run.folder.name} {recipe}")

    children.finish([functools.partial(fine_tune, run) for run in runs], progress)


class Children:
    """Scripts that run some at a time, each in a process with its share of the processors.

    A signal or a failure ends those that run, each with a checkpoint. The terminal's Ctrl-C
    reaches them through this process alone.
    """

    def __init__(self, jobs: int):
        self._jobs, self._running, self._over = jobs, set(), False

    def finish(self, works: Sequence[Callable[[], T]], progress: Callable) -> list[T]:
        """What works, which call `run`, return, in order; raises what one of them raises."""
        with hold() as stop, ThreadPoolExecutor(self._jobs) as pool:
            tasks = [pool.submit(work) for work in works]
            try:
                return [result(task, stop) for task in progress(iter(tasks), len(tasks))]
            except BaseException:
                self._over = True
                for child in tuple(self._running):
                    child.terminate()
                pool.shutdown(cancel_futures=True)
                raise

    def run(self, command: Sequence[str], name: str) -> None:
        """Run a script; raises InputError if it fails."""
        threads = str(max(1, (os.cpu_count() or 1) // self._jobs))
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        child = subprocess.Popen(
            command,
            env=os.environ | dict.fromkeys(names, threads),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._running.add(child)
        if self._over:  # since the work was begun
            child.terminate()
        _, err = child.communicate()
        self._running.remove(child)
        if child.returncode:
            code = f"exit code {child.returncode}"
            told = "" if child.returncode < 0 else err.strip()  # of a crash, a trace
            raise InputError(f"{name}: {(told or code).splitlines()[-1]}")
