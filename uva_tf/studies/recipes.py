"""What each recipe keeps of a student's accuracy, and what it saves."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uva_tf.bench.model_files import Timing, benchmark, noisy
from uva_tf.compression.export import convert
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import new_file
from uva_tf.evaluation.map_sources import open_map_source
from uva_tf.evaluation.results import Row, clips_left_out, span
from uva_tf.runtime.manifest import read_manifest
from uva_tf.studies.scoring import datasets_to_score, over_seeds, score
from uva_tf.studies.table import write_markdown
from uva_tf.training.run import Run, data_folders

BASELINE = "fp32"  # what the others are compared with
SHOWN = ("CC", "SIM", "AUC-Judd", "sAUC")
AGREEMENT = {"mean_cc": "mean CC", "worst_cc": "worst CC", "close": "within 2 of 255"}
FILE, RUNS = "compression.md", "runs.json"


@dataclass(frozen=True)
class Compressed:
    """A variant compressed by a recipe.

    Attributes:
        row: scores of its files, one for each seed.
        baseline: scores of the float files.
        timing: of the first seed's file, timed side by side with the other recipes'.
        zipped: bytes of that file in a zip archive.
        metrics: of that file's manifest: agreement with the float student and between kernels.
    """

    variant: str
    recipe: str
    row: Row
    baseline: Row
    timing: Timing
    zipped: int
    metrics: dict[str, Any]


def open_comparison(runs: Sequence[Run], folder: Path) -> None:
    """Write into a folder which runs it compares, before anything slow begins.

    Raises InputError if two runs have the same variant and seed, a run is not trained, the runs
    were trained on different data or without validation video, or the folder compares other runs.
    """
    names = [_name(run) for run in runs]
    for run, name in zip(runs, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{run.folder}: another run has the same variant and seed")
        if run.config.data_sha256 != runs[0].config.data_sha256:
            raise InputError(
                f"{run.folder} was not trained on the data of {runs[0].folder}: give runs with the "
                "same --data"
            )
        if not run.student.is_file():
            raise InputError(
                f"{run.folder}: no student.keras yet, finish its training by uva-tf train"
            )
    datasets_to_score(data_folders(runs[0].config))
    checksums = [hashlib.sha256(run.student.read_bytes()).hexdigest() for run in runs]
    text = json.dumps(dict(zip(names, checksums, strict=True)), indent=1) + "\n"
    if not (folder / RUNS).exists():
        with new_file(folder / RUNS) as path:
            path.write_text(text)
    elif (folder / RUNS).read_text() != text:
        raise InputError(f"{folder} compares other runs: choose another --out")


def convert_all(
    runs: Sequence[Run], recipes: Sequence[str], form: str, folder: Path
) -> dict[tuple[Run, str], Path]:
    """Convert every run by every recipe into a folder; files already there are kept.

    A run must be fine-tuned for the recipes that need it, see `fine_tune_all`.
    """
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
) -> dict[tuple[Run, str], Row]:
    """Score each file on the runs' validation clips.

    Args:
        every: score every Nth frame.
        progress: wraps the iterator over clips.
    """
    run = next(iter(files))[0]
    scored = score(
        data_folders(run.config),
        lambda dataset: {p.name: open_map_source(p, dataset.size) for p in files.values()},
        every=every,
        progress=progress,
    )
    return {key: scored.rows[path.name] for key, path in files.items()}


def measure(
    files: dict[tuple[Run, str], Path], scores: dict[tuple[Run, str], Row]
) -> list[Compressed]:
    """Each variant by each recipe; the files of a variant's first run are timed side by side."""
    found = []
    recipes = list(dict.fromkeys(recipe for _, recipe in files))
    variants: dict[str, list[Run]] = {}
    for run in dict.fromkeys(run for run, _ in files):
        variants.setdefault(run.config.student.variant, []).append(run)
    for variant, runs in variants.items():
        timed = [files[runs[0], recipe] for recipe in recipes]
        rows = {r: over_seeds(f"{variant} {r}", [scores[run, r] for run in runs]) for r in recipes}
        for recipe, path, timing in zip(recipes, timed, benchmark(timed, memory=True), strict=True):
            manifest, _ = read_manifest(path)
            found.append(
                Compressed(
                    variant=variant,
                    recipe=recipe,
                    row=rows[recipe],
                    baseline=rows[BASELINE],
                    timing=timing,
                    zipped=zipped_size(path),
                    metrics=manifest.metrics,
                )
            )
    return found


def zipped_size(path: Path) -> int:
    """Bytes of a zip archive of one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.write(path, path.name)
    return len(archive.getvalue())


def table(compressed: Sequence[Compressed]) -> list[list[str]]:
    """Size, speed and accuracy as text, the head first; "of fp32" is a ratio of NSS."""
    lines = [["", "recipe", "kB", "zip kB", "ms", "ratio", "MB", "NSS", "95 %", "of fp32", "95 %"]]
    for metric in SHOWN:
        lines[0] += [metric, "95 %"]
    for one in compressed:
        of_float = one.row.ratio(one.baseline, "NSS")
        cells = [
            one.variant,
            one.recipe,
            f"{one.timing.kilobytes:.0f}",
            f"{one.zipped / 1000:.0f}",
            f"{one.timing.median:.3f}",
            f"{one.timing.ratio:.2f}",
            "-" if one.timing.memory is None else f"{one.timing.memory.peak:.1f}",
            f"{one.row.mean('NSS'):.3f}",
            span(one.row.interval("NSS")),
            f"{of_float.value:.4f}",
            span(of_float.interval, 3),
        ]
        for metric in SHOWN:
            cells += [f"{one.row.mean(metric):.3f}", span(one.row.interval(metric))]
        lines.append(cells)
    return lines


def agreement_table(compressed: Sequence[Compressed]) -> list[list[str]]:
    """How the maps agree with the float student's, and between kernels, as the manifests say."""
    columns = [f"{what}, {side}" for side in ("float", "kernels") for what in AGREEMENT.values()]
    lines = [["", "recipe", "frames", *columns]]
    for one in compressed:
        figures = [
            f"{one.metrics[side][name]:.4f}"
            for side in ("with_float", "with_reference_kernels")
            for name in AGREEMENT
        ]
        lines.append([one.variant, one.recipe, str(one.metrics["frames"]), *figures])
    return lines


def write_study(out: Path, compressed: Sequence[Compressed], command: str) -> None:
    """Write `FILE` with both tables into a folder.

    Args:
        command: that made the study, for the caption.

    Raises InputError if the file exists.
    """
    notes = clips_left_out(one.row for one in compressed)
    notes += noisy([one.timing for one in compressed])
    tables = table(compressed), agreement_table(compressed)
    write_markdown(out / FILE, command, *tables, notes=notes)
