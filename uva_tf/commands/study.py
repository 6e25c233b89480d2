"""What `ablate` and `frontier` have in common: check, train, score, show the table."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.command import goes_on, progress
from uva_tf.core.outputs import locked, make_folder, refuse_existing, refuse_undecodable

if TYPE_CHECKING:
    from uva_tf.config import Config
    from uva_tf.studies.scoring import Scores
    from uva_tf.studies.trainings import Training


@contextlib.contextmanager
def trained_and_scored(
    name: str,
    argv: Sequence[str] | None,
    args: argparse.Namespace,
    preset: Config,
    runs: Sequence[Training],
    files: Sequence[str],
    *,
    external: Path | None = None,
) -> Iterator[Scores]:
    """Train the runs of a study in `args.out` and yield their scores to the block that writes.

    No other process can write the same study meanwhile. Once the block has ended, the table is
    printed.

    Args:
        name, argv: of the command.
        args: as `add_study_arguments` defines them.
        files: names of what the block writes, the table first.
        external: maps of the external teacher, see `score_runs`.

    Raises InputError before the first training if a file exists, or if something can't be
    trained or scored.
    """
    from uva_tf.studies.scoring import datasets_to_score, score_runs
    from uva_tf.studies.trainings import check_trainings, train_all

    for file in files:
        refuse_existing(args.out / file)
    refuse_undecodable(args.out)
    datasets_to_score(args.data)
    folder = args.out / "runs"
    check_trainings(runs, preset, args.data, folder)
    make_folder(folder)
    with goes_on(name, argv), locked(folder, args.out, "written"):
        bar = progress("train", "run")
        seconds = train_all(runs, preset, args.data, folder, jobs=args.jobs, progress=bar)
        for run, taken in seconds.items():
            print(f"{run.name}: {'begun before' if math.isnan(taken) else f'{taken:.0f} s'}")
        bar = progress("evaluate", "clip")
        yield score_runs(runs, folder, every=args.every, external=external, progress=bar)
    print((args.out / files[0]).read_text("utf-8"))
