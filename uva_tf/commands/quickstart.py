"""Train, convert and run a student on synthetic clips.

uva-tf quickstart --out quickstart
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import Parser, command, goes_on
from uva_tf.config import PRESETS, Config
from uva_tf.core.errors import InputError

TITLE = "uva_tf quickstart: a trained, quantised student looks at a video"
EVERY = 4  # of a clip's frames, which are much alike, one in so many is scored
STEPS = ("prepare", "train", "convert", "evaluate", "benchmark", "predict", "report")


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
        choices=list(PRESETS),
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

    _say("train", "two teachers, then the student they teach; some minutes")
    config = with_data(preset, [dataset.folder])
    folder = out / "run"
    run = Run.open(folder) if folder.exists() else Run.create(folder, config)
    if run.config != config:
        raise InputError(f"{out} was begun with another --preset, choose another --out")
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


def _say(step: str, what: str) -> None:
    print(f"[{STEPS.index(step) + 1}/{len(STEPS)}] {step}: {what}", flush=True)


def _sources(run, int8: Path, size: int) -> dict:
    from uva_tf.evaluation import map_sources as sources

    return {
        "spatial teacher": sources.teacher_source(run, "spatial", size),
        "temporal teacher": sources.teacher_source(run, "temporal", size),
        "student, float": sources.student_source(run),
        "student, int8": sources.open_map_source(int8, size),
    }


def _predict(model: Path, clip: Path, overlay: Path) -> None:
    from uva_tf.core.interruption import hold
    from uva_tf.core.outputs import new_file
    from uva_tf.core.video import VideoReader, VideoWriter
    from uva_tf.runtime.annotate import annotate
    from uva_tf.runtime.overlay import heat
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.sinks import write_overlay

    with (
        hold() as stop,
        VideoReader(clip) as video,
        new_file(overlay) as path,
        VideoWriter(path, video.rate, video.width, video.height) as writer,
    ):
        sinks = [write_overlay(writer.write, heat)]
        _, cause = annotate(video, Predictor(model, channels="bgr"), sinks, stop=stop)
        if cause:  # half an overlay is of no use
            raise cause


def _report(out: Path, run, dataset, sources: dict, evaluation, timings) -> None:
    from uva_tf.core.outputs import new_file
    from uva_tf.data.records import read_records
    from uva_tf.evaluation import report

    records = list(read_records(dataset, dataset.split("val")[0]))
    sections = [
        (
            "What it sees",
            "Frames of a clip that was not trained on: bright is where people look. In these "
            "clips one disc moves against the panning background and draws most fixations, a "
            "coloured one draws some.",
            report.strip(records, sources, dataset.sigma),
        ),
        (
            "Scores",
            f"Means over {len(evaluation.clips)} validation clips, every {EVERY}th frame. Share of "
            "NSS: how much of the way from the centre prior to the human ceiling (half of the "
            "observers predict the other half).",
            report.score_table(evaluation),
        ),
        (
            "Size and speed",
            f"Frames in turn on this machine, {report.machine_note(timings)}.",
            report.timing_table(timings),
        ),
        report.cost_section(run.config.student),
        (
            "Training",
            "Kullback-Leibler divergence by stage; validation dashed.",
            report.loss_curves(run.history()),
        ),
    ]
    with new_file(out / "report.html") as path:
        report.write_report(path, TITLE, sections)
