"""What distillation brings: the same training with one thing changed, over several seeds.

All rows train for the same number of steps. Our own teachers are trained once and shared by all
rows and seeds, so the spread over seeds is that of the students.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from uva_tf.config import Config
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file
from uva_tf.core.text_tables import write_csv
from uva_tf.evaluation.intervals import mean
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Row, digits, percent, span
from uva_tf.studies.scoring import ITSELF, Scores
from uva_tf.studies.table import write_markdown
from uva_tf.studies.trainings import TEACHERS, Training, refuse_repeats

FILES = ("table.md", "table.csv", "clips.csv", "plot.png")
BASELINE = "no teacher"
NOBODY = ("soft_targets.spatial=none", "soft_targets.temporal=none")
COUPLED = ("soft_targets.spatial=own", "soft_targets.temporal=own")
LEGEND = (
    "To no teacher, to best teacher: NSS over that row's, nan without that row. Share: how far NSS "
    "gets from the centre prior to the human ceiling. Columns named after a dataset: NSS on it."
)
# What each row changes in the configuration.
ROWS: dict[str, tuple[str, ...]] = {
    BASELINE: NOBODY,  # stage joint alone, for the steps of distill and joint together
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
    """The trainings of a study, that of the teachers first.

    Args:
        rows: names in `ROWS`.
        changes: to every configuration, before the row's own.

    Raises InputError for an unknown row, and for a row or seed named twice.
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


def table(scores: Scores) -> list[list[str]]:
    """The scores as text, the head first; `LEGEND` explains it."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in scores.clips))
    others = [metric for metric in METRICS if metric != "NSS"]
    ratios = ["to no teacher", "95 %", "to best teacher"]
    lines = [["", "seeds", "NSS", "95 %", *ratios, "share", *datasets, *others]]
    best = _best_teacher(scores.rows.values())
    for row in scores.rows.values():
        nss = row.values("NSS")
        to_baseline = row.ratio(scores.rows.get(BASELINE), "NSS")
        share = row.share(scores.rows[CENTRE], scores.rows[CEILING], "NSS")
        by_dataset = [mean(nss[:, [d == one for d, _ in scores.clips]]) for one in datasets]
        lines.append(
            [
                row.name,
                str(row.seeds),
                f"{row.mean('NSS'):.3f}",
                span(row.interval("NSS")),
                f"{to_baseline.value:.3f}",
                span(to_baseline.interval, 3),
                f"{row.ratio(best, 'NSS').value:.3f}",
                percent(share),
                *(f"{value:.3f}" for value in by_dataset),
                *(f"{row.mean(metric):.3f}" for metric in others),
            ]
        )
    return lines


def _best_teacher(rows: Iterable[Row]) -> Row | None:
    """The teacher of the highest NSS, if any was scored."""
    teachers = [row for row in rows if row.name.endswith(ITSELF)]
    return max(teachers, key=lambda row: np.nan_to_num(row.mean("NSS"), nan=-np.inf), default=None)


def write_study(out: Path, scores: Scores, command: str) -> None:
    """Write `FILES` into a folder.

    Args:
        command: that made the study, for the caption.

    Raises InputError if one of the files exists.
    """
    lines = table(scores)
    with new_file(out / "table.csv") as path:
        write_csv(path, lines)
    with new_file(out / "clips.csv") as path:
        write_csv(path, _clip_rows(scores))
    with new_file(out / "plot.png") as path:
        plot(scores, path)
    write_markdown(out / "table.md", command, lines, notes=[LEGEND, *scores.notes])


def plot(scores: Scores, path: Path) -> None:
    """NSS of each row with its interval, as a picture; the human ceiling is left out."""
    shown = [row for row in scores.rows.values() if row.name != CEILING][::-1]
    figure = Figure(figsize=(8, 0.36 * len(shown) + 1), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(shown):
        student = not (row.name.endswith(ITSELF) or row.name == CENTRE)
        colour = "tab:blue" if student else "tab:gray"
        axes.plot(row.interval("NSS"), [place, place], color=colour, linewidth=2)
        axes.plot(row.mean("NSS"), place, "o", color=colour)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.set_xlabel("NSS on validation clips, 95 % interval over clips and seeds")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _clip_rows(scores: Scores) -> Iterator[list]:
    yield ["row", "seed", "dataset", "clip", *METRICS]
    for row in scores.rows.values():
        for seed, of_clips in zip(scores.seeds[: row.seeds], row.scores, strict=True):
            for (dataset, clip), of_clip in zip(scores.clips, of_clips, strict=True):
                yield [row.name, seed, dataset, clip, *digits(of_clip)]
