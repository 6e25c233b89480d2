"""What every recipe keeps of a student's accuracy, and what it saves."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uva_tf.bench.model_files import Timing, benchmark, machine, noisy
from uva_tf.compression.export import convert
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import UTF8, new_file
from uva_tf.evaluation.evaluate import Settings, evaluate
from uva_tf.evaluation.intervals import estimate, left_out
from uva_tf.evaluation.map_sources import open_map_source
from uva_tf.evaluation.results import METRICS
from uva_tf.runtime.manifest import read_manifest
from uva_tf.studies.comparison import compared, to_score
from uva_tf.training.run import Run, data_folders

BASELINE = "fp32"  # what the others are compared with
SHOWN = ("CC", "SIM", "AUC-Judd", "sAUC")
AGREEMENT = {"mean_cc": "mean CC", "worst_cc": "worst CC", "close": "within 2 of 255"}
FILE, RUNS = "compression.md", "runs.json"


@dataclass(frozen=True)
class Row:
    """A recipe of one variant.

    Attributes:
        values: scores `[seeds, clips, metrics]`.
        baseline: those of the float files.
        timing: of the first seed's file, beside those of the other recipes.
        zipped: bytes of that file in a zip archive.
        metrics: of its manifest: how its maps agree with the float student's and between kernels.
    """

    variant: str
    recipe: str
    values: np.ndarray
    baseline: np.ndarray
    timing: Timing
    zipped: int
    metrics: dict[str, Any]


def open_comparison(runs: Sequence[Run], folder: Path) -> None:
    """Note in a folder which runs are compared in it, before anything takes long.

    Raises InputError if two are of one variant and seed, one is not trained, they were
    trained on different data or on no video to score, or the folder is of other runs.
    """
    names = [_name(run) for run in runs]
    for run, name in zip(runs, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{run.folder}: another run is of the same variant and seed")
        if run.config.data_sha256 != runs[0].config.data_sha256:
            raise InputError(f"{run.folder} was trained on other data than {runs[0].folder}")
        if not run.student.is_file():
            raise InputError(f"{run.folder}: no student.keras yet, finish its training")
    to_score(data_folders(runs[0].config))
    checksums = [hashlib.sha256(run.student.read_bytes()).hexdigest() for run in runs]
    text = json.dumps(dict(zip(names, checksums, strict=True)), indent=1) + "\n"
    if not (folder / RUNS).exists():
        with new_file(folder / RUNS) as path:
            path.write_text(text)
    elif (folder / RUNS).read_text() != text:
        raise InputError(f"{folder} was begun with other runs: choose another --out")


def convert_all(
    runs: Sequence[Run], recipes: Sequence[str], form: str, folder: Path
) -> dict[tuple[Run, str], Path]:
    """Convert runs, fine-tuned where a recipe needs it, into a folder; files there are kept."""
    files = {}
    for run in runs:
        for recipe in recipes:
            path = folder / f"{_name(run)}-{recipe}-{form}.tflite"
            if not path.exists():
                convert(run, recipe, form, path)
            files[run, recipe] = path
    return files


def _name(run: Run) -> str:
    return f"{run.config.student.variant}-{run.config.seed}"


def score_files(
    files: dict[tuple[Run, str], Path],
    *,
    every: int,
    progress: Callable[[Iterator, int], Iterator] = lambda clips, total: clips,
) -> dict[tuple[Run, str], np.ndarray]:
    """Scores of each file on the runs' validation clips, `[clips, metrics]`.

    Args:
        every: score every so manieth frame.
    """
    run = next(iter(files))[0]
    found: dict[tuple[Run, str], list[np.ndarray]] = {key: [] for key in files}
    for dataset in to_score(data_folders(run.config)):
        sources = {path.name: open_map_source(path, dataset.size) for path in files.values()}
        settings = Settings(every=every)
        scored = evaluate(sources, dataset, "val", settings, baselines=False, progress=progress)
        means = np.stack([clip.means for clip in scored.clips.values()])  # (clips, rows, metrics)
        for key, path in files.items():
            found[key].append(means[:, scored.rows.index(path.name)])
    return {key: np.concatenate(parts) for key, parts in found.items()}


def measure(
    files: dict[tuple[Run, str], Path],
    scores: dict[tuple[Run, str], np.ndarray],
) -> list[Row]:
    """A row for each variant and recipe; the files of a variant's first run are timed in turn."""
    rows = []
    recipes = list(dict.fromkeys(recipe for _, recipe in files))
    variants: dict[str, list[Run]] = {}
    for run in dict.fromkeys(run for run, _ in files):
        variants.setdefault(run.config.student.variant, []).append(run)
    for variant, runs in variants.items():
        timed = [files[runs[0], recipe] for recipe in recipes]
        values = {r: np.stack([scores[run, r] for run in runs]) for r in recipes}
        for recipe, path, timing in zip(recipes, timed, benchmark(timed, memory=True), strict=True):
            manifest, _ = read_manifest(path)
            rows.append(
                Row(
                    variant,
                    recipe,
                    values[recipe],
                    values[BASELINE],
                    timing,
                    zipped_size(path),
                    manifest.metrics,
                )
            )
    return rows


def zipped_size(path: Path) -> int:
    """Bytes of a zip archive of one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.write(path, path.name)
    return len(archive.getvalue())


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown; ratios are to the float file of the same variant."""
    head = ["", "recipe", "kB", "zip kB", "ms", "ratio", "MB", "NSS", "95 %", "of fp32", "95 %"]
    for metric in SHOWN:
        head += [metric, "95 %"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        line = compared(row.recipe, row.values, row.baseline)
        cells = [
            row.variant,
            row.recipe,
            f"{row.timing.kilobytes:.0f}",
            f"{row.zipped / 1000:.0f}",
            f"{row.timing.median:.3f}",
            f"{row.timing.ratio:.2f}",
            "-" if row.timing.memory is None else f"{row.timing.memory.peak:.1f}",
            f"{line.means['NSS']:.3f}",
            "{:.2f} to {:.2f}".format(*line.interval),
            f"{line.ratio:.4f}",
            "{:.3f} to {:.3f}".format(*line.ratio_interval),
        ]
        for metric in SHOWN:
            low, high = estimate(row.values[..., METRICS.index(metric)]).interval
            cells += [f"{line.means[metric]:.3f}", f"{low:.2f} to {high:.2f}"]
        lines.append(cells)
    return _ruled(lines)


def agreement_table(rows: Sequence[Row]) -> str:
    """What the manifests say of the maps: against the float student, and between kernels."""
    head = ["", "recipe", "frames"]
    head += [f"{what}, {side}" for side in ("float", "kernels") for what in AGREEMENT.values()]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        figures = [
            f"{row.metrics[side][name]:.4f}"
            for side in ("with_float", "with_reference_kernels")
            for name in AGREEMENT
        ]
        lines.append([row.variant, row.recipe, str(row.metrics["frames"]), *figures])
    return _ruled(lines)


def _ruled(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_table(out: Path, rows: Sequence[Row], command: str) -> None:
    """Write `compression.md`, both tables, into a folder.

    Args:
        command: that made it, for the caption.
    """
    about = ", ".join(f"{key} {value}" for key, value in machine().items())
    with new_file(out / FILE) as path:
        scores = {f"{row.variant} {row.recipe}": row.values for row in rows}
        notes = [*left_out(scores, METRICS), *noisy([row.timing for row in rows])]
        caption = "\n".join([f"`{command}`, {datetime.date.today()}, {about}.", *notes])
        path.write_text(f"{caption}\n\n{table(rows)}\n\n{agreement_table(rows)}\n", **UTF8)
