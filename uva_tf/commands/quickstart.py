"""Train, convert and run a student on synthetic clips.

uva-tf quickstart --out quickstart
"""

from __future__ import annotations

import html
from pathlib import Path

from uva_tf.commands.command import Parser, command, goes_on, losses_printed
from uva_tf.config import KINDS, Config
from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.presets import PRESETS

TITLE = "uva_tf quickstart: a student is trained, converted to int8, and run on a video"
EVERY = 4  # score every 4th frame: neighbours are much alike
WHAT_NEXT = {
    "Your own video, with the student that comes with the package:": (
        "uva-tf predict VIDEO.mp4 --overlay OVERLAY.mp4"
    ),
    "Your own recordings: a folder of videos and a table of fixations (docs/data.md has the "
    "layout). The training begins with the package's student:": (
        "uva-tf prepare --layout gaze --root RECORDINGS --out SHARDS\n"
        "uva-tf train --data SHARDS --preset fine-tune --run RUN\n"
        "uva-tf evaluate --model RUN --data SHARDS --report REPORT"
    ),
    "Convert your student to an int8 file for streams:": (
        "uva-tf convert --run RUN --recipe int8 --out STUDENT.tflite"
    ),
    "Time it on your machine:": "uva-tf benchmark STUDENT.tflite",
}
# Of the presets, those that need no maps of other models.
ALONE = [name for name, of in PRESETS.items() if of().soft_targets.spatial != "external"]
PARTS = ("prepare", "train", "convert", "evaluate", "benchmark", "predict", "report")


@command
def main(argv: list[str] | None = None) -> None:
    """Prepare, train, convert, evaluate, time, predict, report."""
    parser = Parser("quickstart", __doc__)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("quickstart"),
        help="folder to write to (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        type=current,
        choices=ALONE,
        default="quickstart",
        help="configuration to train: %(choices)s (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="continue what --out holds")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    if out.exists() and not args.resume:
        raise InputError(f"{out} exists already: --resume continues it, or choose another --out")
    with goes_on("quickstart", argv, "--resume"):
        _run(out, PRESETS[args.preset]())


def _run(out: Path, preset: Config) -> None:
    """Do whatever has left nothing in `out` yet."""
    from uva_tf.bench.model_files import benchmark
    from uva_tf.compression.export import convert
    from uva_tf.data.dataset import open_dataset
    from uva_tf.data.prepare import prepare
    from uva_tf.evaluation.evaluate import Settings, evaluate
    from uva_tf.training.examples import with_data
    from uva_tf.training.run import Run
    from uva_tf.training.stages import train

    _say("prepare", "draw synthetic clips, write shards")
    shards = out / "shards"
    dataset = (
        open_dataset(shards)
        if shards.exists()
        else prepare("synthetic", out / "recordings", shards)
    )

    _say("train", "the preset's teachers, if it has any, then the student; some minutes")
    config = with_data(preset, [dataset.folder])
    folder = out / "run"
    run = Run.open(folder) if folder.exists() else Run.create(folder, config)
    if run.config != config:
        raise InputError(f"{out} was begun with another --preset, choose another --out")
    with losses_printed():
        train(run)

    _say("convert", "the student to TFLite, float and int8")
    models = {}
    for recipe in ("fp32", "int8"):
        models[recipe] = out / f"{config.student.variant}-{recipe}-step.tflite"
        if not models[recipe].exists():
            convert(run, recipe, "step", models[recipe])

    _say("evaluate", "teachers and students on clips not trained on")
    sources = _sources(run, models["int8"], dataset.size)
    settings = Settings(every=EVERY)
    evaluation = evaluate(sources, dataset, "val", settings, baselines=False)

    _say("benchmark", "both files on this machine's CPU, one thread")
    timings = benchmark(list(models.values()))

    clip = out / "recordings" / "videos" / f"{dataset.split('val')[0].recordings[0]}.mp4"
    _say("predict", f"attention over {clip.name}")
    if not (out / "overlay.mp4").exists():
        _predict(models["int8"], clip, out / "overlay.mp4")

    _say("report", "one page with all of it")
    if not (out / "report.html").exists():
        _report(out, run, dataset, sources, evaluation, timings)
    print(f"\nint8 model: {models['int8']}\noverlay:    {out / 'overlay.mp4'}")
    print(f"report:     {out / 'report.html'}")


def _say(part: str, what: str) -> None:
    print(f"[{PARTS.index(part) + 1}/{len(PARTS)}] {part}: {what}", flush=True)


def _sources(run, int8: Path, size: int) -> dict:
    from uva_tf.evaluation import map_sources as sources

    teachers = {
        f"{kind} teacher": sources.teacher_source(run, kind, size)
        for kind in KINDS
        if run.teacher(kind).is_file()
    }
    return teachers | {
        "student, float": sources.student_source(run),
        "student, int8": sources.open_map_source(int8, size),
    }


def _predict(model: Path, clip: Path, overlay: Path) -> None:
    from uva_tf.core.interruption import hold
    from uva_tf.core.outputs import new_file
    from uva_tf.core.video import VideoReader
    from uva_tf.core.video_writer import VideoWriter
    from uva_tf.runtime.annotate import annotate
    from uva_tf.runtime.overlay import heat
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.sinks import write_overlay

    with (
        hold() as stop,
        VideoReader(clip) as video,
        new_file(overlay) as path,
        VideoWriter.like(video, path) as writer,
    ):
        sinks = [write_overlay(writer.write, heat)]
        _, cause = annotate(video, Predictor(model), sinks, stop=stop)
        if cause:  # half an overlay is of no use
            raise cause


def _report(out: Path, run, dataset, sources: dict, evaluation, timings) -> None:
    from uva_tf.core.outputs import new_file
    from uva_tf.core.video import VideoReader
    from uva_tf.data.records import read_records
    from uva_tf.evaluation import report

    records = list(read_records(dataset, dataset.split("val")[0]))
    with VideoReader(out / "overlay.mp4") as video:
        overlay = report.player((frame.copy() for frame in video), video.rate, "the overlay")
    sections = [
        (
            "Attention on a video",
            "What the int8 student sees in a clip that it was not trained on: the warmer the "
            "colour, the more people should look there. overlay.mp4 is the same video.",
            overlay,
        ),
        (
            "Maps side by side",
            "Frames of that clip, their fixations' density map, and what each network makes of "
            "them: bright is where people look. In these clips one disc moves against the panning "
            "background and draws most fixations; a coloured one draws some.",
            report.strip(records, sources, dataset.sigma),
        ),
        (
            "Scores",
            "How well each network predicts where people look: means over "
            f"{len(evaluation.clips)} validation clips, every {EVERY}th frame. The last column "
            "says how far the NSS goes from the centre prior, the same map for every frame, to "
            "the human ceiling, where half of the observers predict the other half.",
            report.score_table(evaluation) + report.bullets(report.cautions(evaluation, sources)),
        ),
        (
            "Size and speed",
            "How large the two model files are, and how long one frame takes on one thread of "
            "this machine. The ratio compares with the first file: below 1 is faster.",
            report.timing_table(timings)
            + report.slow_int8(timings)
            + f'<p class="note">{html.escape(report.machine_note(timings))}</p>',
        ),
        report.cost_section(run.config.student),
        (
            "Training",
            "How the losses fell in each stage: solid lines on training clips, dashed lines on "
            "validation clips. A hard loss compares with the fixations' density maps, a soft loss "
            "with a teacher's maps; kl is the Kullback-Leibler divergence, cc is 1 minus the "
            "correlation.",
            report.loss_curves(run.history()),
        ),
        (
            "What next",
            "This student knows only the drawn clips. The one that comes with the package has seen "
            "real videos, and you can train it on your own recordings.",
            "".join(
                f"<p>{html.escape(what)}</p><pre>{html.escape(commands)}</pre>"
                for what, commands in WHAT_NEXT.items()
            ),
        ),
    ]
    with new_file(out / "report.html") as path:
        report.write_report(path, TITLE, sections)
