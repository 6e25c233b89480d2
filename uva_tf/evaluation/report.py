"""Self-contained HTML pages: losses, scores, speed, and what the maps look like."""

from __future__ import annotations

import base64
import html
import io
import json
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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
from uva_tf.training.run import NORM

STRIP_FRAMES = 4
MOST_PANELS = 12  # clips whose NSS over time is drawn
MOST_CLIPS = 100  # rows in the table of clips
JPEG_QUALITY = 75  # of a player's frames

# What each metric's axis shows, and what the metric measures.
MEASURES = {
    "NSS": (
        "standard deviations",
        "normalised scanpath saliency: the map's mean at the fixations, in its own standard "
        "deviations; 0 is chance",
    ),
    "CC": ("correlation", "Pearson's correlation of the map and the density map; 1 is perfect"),
    "SIM": ("overlap", "overlap of the map and the density map; 1 is perfect"),
    "KL": (
        "nats, less is better",
        "Kullback-Leibler divergence of the map from the density map; 0 is perfect",
    ),
    "IG": (
        "bits",
        "information gain: how much better the map predicts the fixations than the centre prior "
        "does; 0 is the centre prior",
    ),
    "AUC-Judd": (
        "area",
        "how often the map is higher at a fixation than elsewhere; 0.5 is chance, 1 is perfect",
    ),
    "sAUC": (
        "area",
        "shuffled AUC: how often the map is higher at a fixation than where people look in other "
        "clips; the centre prior is at chance, 0.5",
    ),
}

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem }
table { border-collapse: collapse } th, td { padding: .25rem .8rem; text-align: right }
th, td { white-space: pre-line } tr + tr { border-top: 1px solid #ddd }
th:first-child, td:first-child, .text td { text-align: left }
img { max-width: 100% } pre { background: #f4f4f4; padding: .6rem; overflow-x: auto }
.wide { overflow-x: auto; font-size: .85rem }
.wide th, .wide td { padding: .25rem .5rem; vertical-align: top }
.note { color: #555; font-size: .9rem } .player { margin: 0 }
.player img { width: 32rem; display: block } .player input { width: 24rem; max-width: 60% }
</style></head><body>
<h1>$title</h1>
$body
</body></html>
""")

_PLAYER = Template("""<figure class="player" data-rate="$rate">
<img alt="$alt" src="data:image/jpeg;base64,$first">
<button type="button">play</button>
<input type="range" aria-label="frame" value="0" max="$last">
<script type="application/json">$frames</script>
</figure>
<script>
for (const player of document.querySelectorAll(".player")) {
  const find = (name) => player.querySelector(name);
  const frames = JSON.parse(find("script").textContent);
  const [image, button, slider] = ["img", "button", "input"].map(find);
  let timer;
  const show = (number) => {
    slider.value = number;
    image.src = "data:image/jpeg;base64," + frames[number];
  };
  const play = (on) => {
    clearInterval(timer);
    if (on) {
      const next = () => show((Number(slider.value) + 1) % frames.length);
      timer = setInterval(next, 1000 / player.dataset.rate);
    }
    button.textContent = on ? "pause" : "play";
  };
  button.onclick = () => play(button.textContent === "play");
  slider.oninput = () => { play(false); show(slider.value); };
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
}
</script>""")


def write_report(path: Path, title: str, sections: Sequence[tuple[str, str, str]]) -> None:
    """Write a page of sections, each a heading, what one sees in plain text, and HTML."""
    body = "\n".join(
        f"<h2>{html.escape(heading)}</h2>\n<p>{html.escape(text)}</p>\n{content}"
        for heading, text, content in sections
    )
    path.write_text(_PAGE.substitute(title=html.escape(title), body=body), **UTF8)


def player(frames: Iterable[np.ndarray], rate: float, alt: str) -> str:
    """A video that plays in every browser, without files or network: JPEG frames and a script.

    Args:
        frames: at least one, `[H, W, 3]` uint8 BGR.
        rate: frames per second.
    """
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    encoded = [cv2.imencode(".jpg", frame, quality)[1] for frame in frames]
    texts = [base64.b64encode(jpeg).decode() for jpeg in encoded]
    return _PLAYER.substitute(
        rate=f"{rate:g}",
        alt=html.escape(alt),
        first=texts[0],
        last=len(texts) - 1,
        frames=json.dumps(texts),
    )


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
    meanings = _table(["metric", "what it measures"], [[m, MEASURES[m][1]] for m in METRICS])
    return (
        f"{_table(['', *METRICS, 'share of NSS'], rows)}\n"
        f'<details class="text"><summary>what the metrics measure</summary>{meanings}</details>'
    )


def bullets(lines: Sequence[str]) -> str:
    """A list of sentences; nothing for none."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def cautions(evaluation: Evaluation, models: Collection[str]) -> list[str]:
    """Where a row scores better or worse than it should by the nature of a metric.

    Args:
        models: names of the rows that are neither baselines nor people.
    """

    def leads(one: str, other: str, metric: str) -> bool:
        ahead = evaluation.mean(one, metric) - evaluation.mean(other, metric)
        return -ahead > 0 if metric == "KL" else ahead > 0

    found = []
    metrics = [m for m in ("KL", "IG") if any(leads(r, CEILING, m) for r in evaluation.rows)]
    if metrics:
        found.append(
            f"The {CEILING} is not the best row in {_and(metrics)}. Its map shows the fixations of "
            "half of the observers: it is spiky, and almost 0 elsewhere. KL and IG punish that "
            "wherever the other half looks, so a smoother map can score better. Compare with "
            "people by NSS."
        )
    metrics = [m for m in ("CC", "SIM") if any(leads(r, CEILING, m) for r in models)]
    if metrics:
        found.append(
            f"A model is above the {CEILING} in {_and(metrics)}. A density map drawn from half of "
            "the observers is a noisy estimate of the other half's, so a model that knows the mean "
            "can come closer to it. Compare with people by NSS."
        )
    gaps = (
        "KL and IG punish a map most where it is almost 0 and people look. A map that is low "
        "nowhere avoids that, although it tells little."
    )
    ranks = (
        "AUC-Judd counts only whether fixated places rank above others, and many fixations lie "
        "near the centre of any frame. sAUC is free of that."
    )
    for flat in [row for row in ("uniform", CENTRE) if row in evaluation.rows]:
        for metrics, reason in ((("KL", "IG"), gaps), (("AUC-Judd",), ranks)):
            rows = [row for row in (*models, CEILING) if leads(row, flat, "NSS")]
            beaten = {m: [row for row in rows if leads(flat, row, m)] for m in metrics}
            beaten = {m: names for m, names in beaten.items() if names}
            if beaten:
                names = dict.fromkeys(name for names in beaten.values() for name in names)
                found.append(
                    f"In {_and(beaten)}, {flat} scores better than {_and(names)}, although its NSS "
                    f"is lower. {reason}"
                )
    return found


def clip_table(evaluation: Evaluation, row: str) -> str:
    """NSS and share of every row in every clip, from a row's lowest NSS to its highest."""
    order = np.argsort(evaluation.clip_means(row, "NSS"))[:MOST_CLIPS]  # NaN comes last
    names = list(evaluation.clips)
    columns = []
    for shown in evaluation.rows:
        scores, shares = evaluation.clip_means(shown, "NSS"), evaluation.clip_shares(shown, "NSS")
        ends = shown in (CENTRE, CEILING)  # whose shares are 0 and 1
        columns.append(
            [
                "-"
                if np.isnan(scores[n])
                else f"{scores[n]:.2f}" + f"\n{percent(shares[n])}" * (not ends)
                for n in order
            ]
        )
    frames = [str(len(evaluation.clips[names[n]].indices)) for n in order]
    rows = [list(cells) for cells in zip([names[n] for n in order], frames, *columns, strict=True)]
    return f'<div class="wide">{_table(["clip", "frames", *evaluation.rows], rows)}</div>'


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
    text = f"What the student computes for a frame of a stream, in float32: {summary(rows)}."
    return (
        "Cost",
        text,
        f"<details><summary>layer by layer</summary>{_table(head, cells)}</details>",
    )


def machine_note(timings: Sequence[Timing]) -> str:
    """Where timings were taken, and which of them are noise."""
    where = ", ".join(f"{name}: {value}" for name, value in machine().items())
    return ". ".join([where, *noisy(timings)])


def slow_int8(timings: Sequence[Timing]) -> str:
    """Why an int8 file is slower than the float file before it; nothing where it is not."""
    first, *others = timings
    slower = [t for t in others if t.recipe == "int8" and first.recipe == "fp32" and t.ratio > 1]
    if not slower:
        return ""
    return (
        f"<p>On this CPU, int8 takes {slower[0].ratio:.2f} times as long as float. 8-bit "
        "arithmetic is faster where the CPU has instructions for it: VNNI on x86, dot products on "
        "64-bit ARM. Without them every number is widened first, which costs more than smaller "
        f"numbers save. The int8 file is smaller on any machine: {slower[0].kilobytes:.0f} kB, "
        f"float {first.kilobytes:.0f} kB.</p>"
    )


def evaluation_sections(
    evaluation: Evaluation, dataset: Dataset, sources: Mapping[str, MapSource]
) -> list[tuple[str, str, str]]:
    """The sections of an evaluation's page: scores, bars, clips, NSS over time, frames."""
    row = list(sources)[-1]
    settings = ", ".join(f"{name}: {value}" for name, value in evaluation.settings.items())
    left_out = [f"{count} {why}" for why, count in evaluation.left_out.items() if count]
    clips = len(evaluation.clips)
    first = (
        f"The first {MOST_CLIPS} of {clips}; scores.json has all. " if clips > MOST_CLIPS else ""
    )
    return [
        (
            "Scores",
            "How well each row predicts where people look: means over "
            f"{clips} clips, {evaluation.frames} frames.",
            "\n".join(
                [
                    score_table(evaluation),
                    bullets(
                        [
                            "Share of NSS: how far a row goes from the centre prior (0 %) to the "
                            f"human ceiling (100 %). The centre prior: {evaluation.prior}. The "
                            "human ceiling: one half of the observers predicts the other.",
                            *cautions(evaluation, sources),
                            *evaluation.remarks,
                            *[f"Left out: {', '.join(left_out)}." for _ in left_out[:1]],
                        ]
                    ),
                    f'<p class="note">Settings: {html.escape(settings)}.</p>',
                ]
            ),
        ),
        (
            "Scores as bars",
            "Each metric's mean over the clips. The black lines are 95 % bootstrap intervals over "
            "clips.",
            bars(evaluation),
        ),
        (
            "Clips",
            f"NSS of every row in every clip, and below it the share, from the lowest NSS of {row} "
            f"to the highest. {first}Scores differ between clips much more than between models, so "
            "compare within a line.",
            clip_table(evaluation, row),
        ),
        (
            "NSS over time",
            f"NSS of {row} along each clip, between the centre prior and the human ceiling: "
            f"running means of 15 scored frames.",
            nss_over_time(evaluation, row),
        ),
        (
            "Frames",
            f"The frames where {row} has its best, its median and its worst NSS, with the "
            "fixations' density map and every map that was scored. Bright is where people look.",
            telling_frames(evaluation, dataset, sources, row),
        ),
    ]


def bars(evaluation: Evaluation) -> str:
    """Every metric's mean for every row, with intervals."""
    figure = Figure(figsize=(9.6, 0.28 * len(evaluation.rows) + 1.1), layout="constrained")
    places = np.arange(len(evaluation.rows))[::-1]
    panels = figure.subplots(1, len(METRICS), sharey=True)
    for axes, metric in zip(panels, METRICS, strict=True):
        means = np.array([evaluation.mean(row, metric) for row in evaluation.rows])
        ends = np.array([evaluation.interval(row, metric) for row in evaluation.rows])
        axes.barh(places, means, color="#88a", height=0.7)
        axes.hlines(places, *ends.T, color="black", linewidth=1)
        axes.set_title(metric, fontsize="small")
        axes.set_xlabel(textwrap.fill(MEASURES[metric][0], 12), fontsize="x-small")
        axes.tick_params(labelsize="x-small")
        axes.set_yticks(places, evaluation.rows)
    return _picture(figure, "metrics of all rows")


def nss_over_time(evaluation: Evaluation, row: str) -> str:
    """NSS of a row, the centre prior and people along clips of more than one frame."""
    means = dict(zip(evaluation.clips, evaluation.clip_means(row, "NSS"), strict=True))
    names = [name for name, clip in evaluation.clips.items() if len(clip.indices) > 1]
    if not names:
        return "<p>No clip has more than one frame.</p>"
    chosen, note = names, ""
    if len(names) > MOST_PANELS:
        ranked = sorted(names, key=lambda name: np.nan_to_num(means[name], nan=np.inf))
        chosen = ranked[:: -(-len(ranked) // MOST_PANELS)]
        note = f"<p>{len(chosen)} of {len(names)} clips, from the lowest mean to the highest.</p>"
    figure = Figure(figsize=(9.6, 1.5 * len(chosen) + 0.6), layout="constrained")
    panels = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    nss = METRICS.index("NSS")
    for axes, name in zip(panels, chosen, strict=True):
        clip = evaluation.clips[name]
        for shown, style in ((CEILING, "--"), (row, "-"), (CENTRE, ":")):
            scores = clip.scores[:, evaluation.rows.index(shown), nss]
            axes.plot(clip.indices, _running_mean(scores), style, label=shown)
        axes.set_title(name, fontsize="small", loc="left")
        axes.set_ylabel("NSS", fontsize="small")
        axes.tick_params(labelsize="x-small")
    panels[-1].set_xlabel("frame", fontsize="small")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize="small", ncols=3)
    return note + _picture(figure, "NSS over time")


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
        parts.append(
            f"<p>{what.capitalize()}: {html.escape(name)}, frame {index}, NSS {score:.2f}</p>"
        )
        parts.append(strip(records, sources, dataset.sigma, [number]))
    return "\n".join(parts)


def _running_mean(values: np.ndarray, width: int = 15) -> np.ndarray:
    kernel = np.ones(min(width, len(values)))
    known = ~np.isnan(values)
    total = np.convolve(np.where(known, values, 0), kernel, "same")
    count = np.convolve(known, kernel, "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def loss_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """A line of plots for each stage: every term of its loss, and the gradients' norm."""
    stages = list(dict.fromkeys(entry["stage"] for entry in history))
    figure = Figure(figsize=(9.6, 2 * len(stages)), layout="constrained")
    grid = figure.subplots(len(stages), 2, squeeze=False, width_ratios=(2, 1))
    for stage, (losses, norms) in zip(stages, grid, strict=True):
        entries = [entry for entry in history if entry["stage"] == stage]
        terms = dict.fromkeys(key.removeprefix("val_") for entry in entries for key in entry)
        shown = [term for term in terms if term not in ("stage", "step", "loss", NORM)]
        for number, term in enumerate(shown):
            colour = f"C{number}"
            _curve(losses, entries, term, term, color=colour)
            _curve(losses, entries, f"val_{term}", f"{term}, validation", color=colour, ls="--")
        _curve(norms, entries, NORM, NORM, color="grey")
        losses.set_title(stage, fontsize="small", loc="left")
        losses.set_ylabel("loss", fontsize="small")
        norms.set_ylabel("gradient norm", fontsize="small")
        losses.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
        for axes in (losses, norms):
            axes.set_ylim(0)
            axes.tick_params(labelsize="x-small")
    for axes in grid[-1]:
        axes.set_xlabel("step", fontsize="small")
    return _picture(figure, "losses and gradient norms by step")


def _curve(axes: Axes, entries: Sequence[Mapping[str, Any]], key: str, label: str, **how) -> None:
    """Draw one value over the steps where it is known; few points are marked."""
    points = [(entry["step"], entry[key]) for entry in entries if key in entry]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, marker="." * (len(points) < 10), **how)


def strip(
    records: Sequence[Record],
    sources: Mapping[str, MapSource],
    sigma: float,
    chosen: Sequence[int] | None = None,
) -> str:
    """Frames of one clip side by side: input, ground truth, and every source's map.

    Args:
        chosen: numbers of the records to show; by default some evenly spread.
    """
    if chosen is None:
        chosen = np.linspace(0, len(records) - 1, STRIP_FRAMES + 2).round().astype(int)[1:-1]
    columns: dict[str, list[np.ndarray]] = {
        "input": [records[i].frame for i in chosen],
        "density map": [_truth(records[i], sigma) for i in chosen],
    }
    for name, source in sources.items():
        maps = list(source(records))
        columns[name] = [maps[i] for i in chosen]
    aspect = records[0].aspect
    titles = [textwrap.fill(name, 18) for name in columns]
    lines = 1 + max(title.count("\n") for title in titles)
    figure = Figure(
        figsize=(1.6 * len(columns), (1.6 * aspect + 0.02) * len(chosen) + 0.2 + 0.2 * lines),
        layout=ConstrainedLayoutEngine(h_pad=0.01, w_pad=0.01, hspace=0.02, wspace=0.02),
    )
    grid = figure.subplots(len(chosen), len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(zip(titles, columns.values(), strict=True)):
        grid[0, column].set_title(title, fontsize="small")
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


def _and(names: Iterable[str]) -> str:
    """Names as a phrase: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
