"""The trainings of a study: each a run of its own, resumed if it was interrupted."""

from __future__ import annotations

import functools
import math
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
from uva_tf.core.processors import processors
from uva_tf.training.checks import check_new
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run

T = TypeVar("T")

TEACHERS = "teachers"


@dataclass(frozen=True)
class Training:
    """One run of a study.

    Attributes:
        row: what it is called in the table, the same for all seeds; `TEACHERS` for the run that
            trains the teachers.
        changes: to the preset, as `uva-tf train --set` takes them.
        without: the kind of scene that it leaves out, if any.
        data, weights: what it trains on, if not what the whole study does.
        hinted: the name of an earlier run of the study, whose stage hint it continues from.
    """

    row: str
    seed: int
    stages: tuple[str, ...]
    changes: tuple[str, ...]
    without: str = ""
    data: tuple[Path, ...] = ()
    weights: tuple[float, ...] = ()
    hinted: str = ""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        row = f"{self.row} without {self.without}" if self.without else self.row
        return f"{row.replace(',', '').replace(' ', '-')}-{self.seed}"


def refuse_repeats(*given: Sequence) -> None:
    """Raise InputError if a name occurs twice in one of the lists."""
    for names in given:
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"{twice[0]} is named twice: name every row and seed once")


def check_trainings(
    runs: Sequence[Training], preset: Config, data: Sequence[Path], out: Path
) -> None:
    """Raise InputError if a run that has no folder in `out` yet can't be trained."""
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
    """Train all runs in folders of `out`, each in a process of its own.

    Runs that others build on are trained before them: that of the row `TEACHERS`, whose teachers
    all share, and those whose stage hint another continues from.

    Args:
        jobs: trainings at a time.
        progress: wraps the iterator over runs.

    Returns:
        The seconds that each training took, NaN for a run that was begun before.

    Raises InputError if a run was begun with other settings, or a training fails.
    """
    seconds = {}
    teachers = [run for run in runs if run.row == TEACHERS]
    hinted = {run.hinted for run in runs}
    first = [run for run in runs if run in teachers or run.name in hinted]
    rest = [run for run in runs if run not in first]
    for batch, at_a_time in ((first, 1), (rest, jobs)):
        if not batch:
            continue
        for run in batch:
            _begin(run, teachers, _config(run, preset, data), out)
        children = Children(at_a_time)
        works = [functools.partial(_train, run, preset, data, out, children) for run in batch]
        seconds |= dict(zip(batch, children.finish(works, progress), strict=True))
    return seconds


def _config(training: Training, preset: Config, data: Sequence[Path]) -> Config:
    if any(change.partition("=")[0] == "seed" for change in training.changes):
        raise InputError("seed can't be set by --set in a study: give --seeds")
    config = preset.changed(*training.changes, f"seed={training.seed}")
    return with_data(config, training.data or data, training.weights)


def _begin(training: Training, teachers: Sequence[Training], config: Config, out: Path) -> None:
    """Make a run's folder, with links to what it shares with others, or check the folder."""
    folder = out / training.name
    if not folder.exists():
        Run.create(folder, config)
    else:
        Run.open(folder).continued(config)
    for shared in teachers if training not in teachers else ():
        _share(folder, Path("teachers"), shared.name)
    if training.hinted:
        _share(folder, Path("checkpoints/hint"), training.hinted)


def _share(folder: Path, part: Path, other: str) -> None:
    """Link a part of a run to that of another run, unless a study that was killed already did."""
    link = folder / part
    link.parent.mkdir(exist_ok=True)
    shared = Path(os.path.relpath(folder.parent / other / part, link.parent))
    if not os.path.lexists(link):
        link.symlink_to(shared)
    elif not link.is_symlink() or link.readlink() != shared:
        raise InputError(f"{folder} was begun with other {part.name}: give the same seeds and rows")


def _train(
    training: Training, preset: Config, data: Sequence[Path], out: Path, children: Children
) -> float:
    """Run `uva-tf train`; returns the seconds it took, NaN if it was begun before."""
    run = Run.open(out / training.name)
    begun = bool(run.history())
    if run.student.is_file():
        return math.nan
    command = uva_tf("train", "--preset", preset.name, "--run", str(run.folder))
    for folder in training.data or data:
        command += ["--data", str(folder)]
    for weight in training.weights:
        command += ["--weight", str(weight)]
    # --set takes each field once; the last change to a field is the one in the run's configuration.
    for change in {change.partition("=")[0]: change for change in training.changes}.values():
        command += ["--set", change]
    command += ["--seed", str(training.seed), "--stages", ",".join(training.stages), "--resume"]
    start = time.perf_counter()
    children.run(command, training.name)
    return math.nan if begun else time.perf_counter() - start


def fine_tune_all(
    runs: Sequence[Run],
    recipes: Sequence[str],
    *,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterator] = lambda runs, total: runs,
) -> None:
    """Fine-tune runs for some recipes by `uva-tf qat`, unless they are already.

    Args:
        jobs: runs at a time.
        progress: wraps the iterator over runs.

    Raises InputError if a fine-tuning fails.
    """
    children = Children(jobs)

    def fine_tune(run: Run) -> None:
        for recipe in recipes:
            if not run.fine_tuned(recipe).is_file():
                command = uva_tf("qat", "--run", str(run.folder))
                children.run([*command, "--recipe", recipe], f"{run.folder.name} {recipe}")

    children.finish([functools.partial(fine_tune, run) for run in runs], progress)


class Children:
    """Commands that run in processes of their own, which share the processors evenly.

    After a failure or a signal all running commands are terminated; a training then writes a
    checkpoint. Ctrl-C in the terminal reaches them through this process only.

    Args:
        jobs: commands at a time.
    """

    def __init__(self, jobs: int):
        self._jobs, self._running, self._over = jobs, set(), False

    def finish(self, works: Sequence[Callable[[], T]], progress: Callable) -> list[T]:
        """Call each of `works`, which call `run`; returns their results in order.

        Raises what the first one to fail raises.
        """
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
        """Run a command line; raises InputError with its last line if it fails.

        Args:
            name: of the work, for the message.
        """
        threads = str(max(1, processors() // self._jobs))
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
        if self._over:  # while this command was being started
            child.terminate()
        _, err = child.communicate()
        self._running.remove(child)
        if child.returncode:
            code = f"exit code {child.returncode}"
            told = "" if child.returncode < 0 else err.strip()  # a crash leaves only a trace
            raise InputError(f"{name}: {(told or code).splitlines()[-1]}")
