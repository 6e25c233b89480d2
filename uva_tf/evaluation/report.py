"""One self-contained HTML page: losses, scores, speed, and what the maps look like."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from uva_tf.bench.cost import layer_costs, summary
from uva_tf.bench.model_files import Timing, machine, noisy
from uva_tf.config import StudentConfig
from uva_tf.core.outputs import UTF8
from uva_tf.data.dataset import Dataset
from uva_tf.data.fixations import density_map
from uva_tf.data.records import Record, read_records
from uva_tf.evaluation.map_sources import MapSource
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Evaluation, percent
from uva_tf.models.student import build_student

STRIP_FRAMES = 4

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } th, td { padding: .25rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr + tr { border-top: 1px solid #ddd }
img { max-width: 100% } footer, .note { color: #666; font-size: .9rem }
</style></head><body>
<h1>$title</h1>
$body
</body></html>
""")


def write_report(path: Path, title: str, sections: Sequence[tuple[str, str, str]]) -> None:
    """Write a page of sections, each a heading, a note in plain text, and HTML."""
    body = "\n".join(
        f'<h2>{html.escape(heading)}</h2>\n<p class="note">{html.escape(note)}</p>\n{content}'
        for heading, note, content in sections
    )
    path.write_text(_PAGE.substitute(title=html.escape(title), body=body), **UTF8)


def score_table(evaluation: Evaluation) -> str:
    """The rows' mean scores and their share of the way from centre prior to human ceiling."""
    rows = [
        [
            row,
            *(f"{evaluation.mean(row, metric):.3f}" for metric in METRICS),
            percent(evaluation.share(row, "NSS")),
        ]
        for row in evaluation.rows
    ]
    return _table(["", *METRICS, "share of NSS"], rows)


def timing_table(timings: Sequence[Timing]) -> str:
    """Size and latency of model files."""
    rows = [
        [
            t.file,
            t.recipe,
            f"{t.kilobytes:.0f}",
            str(t.threads),
            f"{t.median:.3f}",
            f"{t.latency.p90:.3f}",
            f"{t.frames_per_second:.0f}",
            f"{t.ratio:.2f}",
        ]
        for t in timings
    ]
    head = ["file", "recipe", "kB", "threads", "median ms", "p90 ms", "frames/s", "ratio"]
    return _table(head, rows)


def cost_section(config: StudentConfig) -> tuple[str, str, str]:
    """What a student's layers cost on a stream; their table is folded up."""
    rows = layer_costs(build_student(config), "step")
    head = ["layer", "kind", "output", "parameters", "multiply-adds", "bytes"]
    cells = [
        [
            row.layer,
            row.kind,
            row.output,
            *(f"{n:,}" for n in (row.parameters, row.multiply_adds, row.activation_bytes)),
        ]
        for row in rows
    ]
    note = f"Of a frame in a stream, float32: {summary(rows)}."
    return "Cost", note, f"<details><summary>layers</summary>{_table(head, cells)}</details>"


def machine_note(timings: Sequence[Timing]) -> str:
    """Where timings were taken, and which of them are noise."""
    where = ", ".join(f"{name}: {value}" for name, value in machine().items())
    return ". ".join([where, *noisy(timings)])


def evaluation_sections(
    evaluation: Evaluation, dataset: Dataset, sources: Mapping[str, MapSource]
) -> list[tuple[str, str, str]]:
    """The sections of an evaluation's page: scores, bars, NSS over time, frames."""
    row = list(sources)[-1]
    settings = ", ".join(f"{name}: {value}" for name, value in evaluation.settings.items())
    left_out = ", ".join(f"{count} {why}" for why, count in evaluation.left_out.items())
    return [
        (
            "Scores",
            f"Means over {len(evaluation.clips)} clips, {evaluation.frames} frames; left out: "
            f"{left_out}. Share of NSS: of the way from the centre prior ({evaluation.prior}) to "
            f"the human ceiling. {settings}. {'; '.join(evaluation.remarks)}",
            score_table(evaluation),
        ),
        (
            "Bars",
            "With 95 % bootstrap intervals over clips; of KL less is better.",
            bars(evaluation),
        ),
        ("NSS over time", "Running means of 15 scored frames.", nss_over_time(evaluation, row)),
        (
            "Frames",
            f"Where {row} has its best, its median and its worst NSS.",
            telling_frames(evaluation, dataset, sources, row),
        ),
    ]


def bars(evaluation: Evaluation) -> str:
    """Every metric's mean for every row, with intervals."""
    figure = Figure(figsize=(9.6, 0.28 * len(evaluation.rows) + 0.9), layout="constrained")
    places = np.arange(len(evaluation.rows))[::-1]
    panels = figure.subplots(1, len(METRICS), sharey=True)
    for axes, metric in zip(panels, METRICS, strict=True):
        means = np.array([evaluation.mean(row, metric) for row in evaluation.rows])
        ends = np.array([evaluation.interval(row, metric) for row in evaluation.rows])
        axes.barh(places, means, color="#88a", height=0.7)
        axes.hlines(places, *ends.T, color="black", linewidth=1)
        axes.set_title(metric, fontsize="small")
        axes.tick_params(labelsize="x-small")
        axes.set_yticks(places, evaluation.rows)
    return _picture(figure, "metrics of all rows")


def nss_over_time(evaluation: Evaluation, row: str) -> str:
    """NSS of a row, the centre prior and people in every clip of more than one frame."""
    clips = {name: clip for name, clip in evaluation.clips.items() if len(clip.indices) > 1}
    if not clips:
        return "<p>No clip has more than one frame.</p>"
    figure = Figure(figsize=(9.6, 1.7 * len(clips)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(clips), 1))
    nss = METRICS.index("NSS")
    for axes, (name, clip) in zip(panels, clips.items(), strict=True):
        for shown, style in ((CENTRE, ":"), (CEILING, "--"), (row, "-")):
            scores = clip.scores[:, evaluation.rows.index(shown), nss]
            axes.plot(clip.indices, _running_mean(scores), style, label=shown)
        axes.set_ylabel(name, fontsize="x-small")
        axes.tick_params(labelsize="x-small")
    panels[0].legend(fontsize="x-small", ncols=3)
    return _picture(figure, "NSS over time")


def telling_frames(
    evaluation: Evaluation, dataset: Dataset, sources: Mapping[str, MapSource], row: str
) -> str:
    """Strips of the frames where a row has its best, median and worst NSS."""
    nss, place = METRICS.index("NSS"), evaluation.rows.index(row)
    scores = [
        (float(score), name, int(index))
        for name, clip in evaluation.clips.items()
        for score, index in zip(clip.scores[:, place, nss], clip.indices, strict=True)
        if not np.isnan(score)
    ]
    if not scores:
        return "<p>NSS needs fixations.</p>"
    ranked = sorted(scores, reverse=True)
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    parts = []
    for what, (score, name, index) in chosen.items():
        (shard,) = [s for s in dataset.split(evaluation.split) if name in s.recordings]
        records = [
            r for r in read_records(dataset, shard) if r.video == name and r.index <= index + 1
        ]
        number = next(n for n, record in enumerate(records) if record.index == index)
        parts.append(f"<p>{what}: {html.escape(name)}, frame {index}, NSS {score:.2f}</p>")
        parts.append(strip(records, sources, dataset.sigma, [number]))
    return "\n".join(parts)


def _running_mean(values: np.ndarray, width: int = 15) -> np.ndarray:
    kernel = np.ones(min(width, len(values)))
    known = ~np.isnan(values)
    total = np.convolve(np.where(known, values, 0), kernel, "same")
    count = np.convolve(known, kernel, "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def loss_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """A plot for each stage: every term over its steps, validation dashed."""
    stages = list(dict.fromkeys(entry["stage"] for entry in history))
    figure = Figure(figsize=(3.2 * len(stages), 2.8), layout="constrained")
    for stage, axes in zip(stages, np.atleast_1d(figure.subplots(1, len(stages))), strict=True):
        entries = [entry for entry in history if entry["stage"] == stage]
        terms = dict.fromkeys(key for entry in entries for key in entry)
        for term in terms:
            if term in ("stage", "step", "loss"):
                continue
            points = [(entry["step"], entry[term]) for entry in entries if term in entry]
            style = "--" if term.startswith("val_") else "-"
            axes.plot(*zip(*points, strict=True), style, label=term)
        axes.set(title=stage, xlabel="step", ylim=(0, None))
        axes.legend(fontsize="x-small")
    return _picture(figure, "loss curves")


def strip(
    records: Sequence[Record],
    sources: Mapping[str, MapSource],
    sigma: float,
    chosen: Sequence[int] | None = None,
) -> str:
    """Frames of one clip side by side: input, truth, and every source's map.

    Args:
        chosen: numbers of the records to show; by default some evenly spread.
    """
    if chosen is None:
        chosen = np.linspace(0, len(records) - 1, STRIP_FRAMES + 2).round().astype(int)[1:-1]
    columns: dict[str, list[np.ndarray]] = {
        "input": [records[i].frame for i in chosen],
        "truth": [_truth(records[i], sigma) for i in chosen],
    }
    for name, source in sources.items():
        maps = list(source(records))
        columns[name] = [maps[i] for i in chosen]
    aspect = records[0].aspect
    figure = Figure(
        figsize=(2 * len(columns), (2 * aspect + 0.1) * len(chosen) + 0.3), layout="constrained"
    )
    grid = figure.subplots(len(chosen), len(columns), squeeze=False)
    for column, (name, pictures) in enumerate(columns.items()):
        grid[0, column].set_title(name, fontsize="small")
        for row, picture in enumerate(pictures):
            axes = grid[row, column]
            axes.imshow(
                picture, "inferno", vmin=0, extent=(0, 1, aspect, 0), interpolation="bicubic"
            )
            axes.set_axis_off()
    return _picture(figure, f"frames of {records[0].video} and their maps")


def _truth(record: Record, sigma: float) -> np.ndarray:
    side = record.frame.shape[0]
    if record.density is not None:
        return record.density
    return density_map(record.fixations.points, side, side, sigma, record.aspect)


def _picture(figure: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + line("th", head) + "".join(line("td", row) for row in rows) + "</table>"
