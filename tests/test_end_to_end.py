"""The commands one after another, as a user gives them."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from uva_tf.core.video import VideoReader
from uva_tf.data import synthetic

pytestmark = pytest.mark.usefixtures("small_grid")

SMOKE = [
    "--preset",
    "smoke",
    "--set",
    "student.variant=tiny",
    "--set",
    "soft_targets.temporal=none",
]


@pytest.fixture(scope="module")
def small_clips():
    """Fewer and shorter synthetic clips than a quickstart draws."""
    with pytest.MonkeyPatch.context() as patch:
        write = synthetic.write_recordings
        patch.setattr(
            synthetic, "write_recordings", lambda root: write(root, train=2, val=1, length=6)
        )
        yield


@pytest.mark.slow  # .ci/run runs it; its steps one by one are below
def test_quickstart_leaves_model_overlay_and_report(small_clips, script, tmp_path, capsys):
    out = tmp_path / "quickstart"
    assert script("pipelines/quickstart.py").main(["--out", str(out), "--preset", "smoke"]) == 0
    assert str(out / "report.html") in capsys.readouterr().out
    manifest = json.loads((out / "uva-32-int8-step.json").read_text())
    assert (manifest["recipe"], manifest["form"]) == ("int8", "step")
    page = (out / "report.html").read_text()
    for row in ("spatial teacher", "temporal teacher", "student, float", "student, int8"):
        assert f"<td>{row}</td>" in page
    assert page.count("data:image/png;base64,") == 2
    for heading in ("Attention on a video", "Size and speed", "Training", "What next"):
        assert f"<h2>{heading}</h2>" in page
    assert 'max="5"' in page  # of the player, from 0
    assert len(page) < 3_000_000
    clip = out / "recordings" / "videos" / "clip03.mp4"
    with VideoReader(clip) as original, VideoReader(out / "overlay.mp4") as overlay:
        assert overlay.rate == original.rate
        assert len(list(overlay)) == len(list(original)) == 6


@pytest.fixture(scope="module")
def prepared(small_clips, script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    prepare = script("pipelines/prepare.py").main
    arguments = ["--layout", "synthetic", "--root", f"{folder}/clips", "--out", f"{folder}/shards"]
    assert prepare([*arguments, "--size", "64"]) == 0
    arguments = ["--data", f"{folder}/shards", "--run", f"{folder}/run", *SMOKE]
    assert script("pipelines/train.py").main(arguments) == 0
    for form in ("pair", "step"):
        arguments = ["--run", f"{folder}/run", "--recipe", "fp32", "--form", form]
        convert = script("tflite/convert.py").main
        assert convert([*arguments, "--out", f"{folder}/{form}.tflite"]) == 0
    return folder


def test_run_keras_and_tflite_are_evaluated_alike(prepared, script, tmp_path, capsys):
    evaluate = script("pipelines/evaluate.py").main
    models = ("run", "run/student.keras", "pair.tflite", "step.tflite")
    report, data = tmp_path / "scores.json", ["--data", f"{prepared}/shards", "--split", "val"]
    words = [f"--model={prepared}/{model}" for model in models]
    assert evaluate([*words, *data, "--json", str(report)]) == 0
    printed, means = capsys.readouterr().out, json.loads(report.read_text())["means"]
    names = [model.split("/")[-1] for model in models]
    for name in names:
        assert name in printed
        # A level of 255 may round differently between TensorFlow and LiteRT.
        assert means[name] == pytest.approx(means["run"], abs=0.02)
    assert evaluate(["--model", f"{prepared}/run/teachers/spatial.keras", *data]) == 0


def test_an_evaluation_reports_alike_twice(prepared, script, tmp_path, capsys):
    evaluate = script("pipelines/evaluate.py").main
    arguments = ["--model", f"{prepared}/run", "--data", f"{prepared}/shards", "--report"]
    pages = []
    for name in ("one", "two"):
        assert evaluate([*arguments, str(tmp_path / name)]) == 0
        pages.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert pages[0] == pages[1]
    assert set(pages[0]) == {"report.html", "frames.csv", "scores.json"}
    printed = capsys.readouterr().out
    for row in ("uniform", "spectral residual", "motion energy", "centre prior", "spatial teacher"):
        assert row in printed
        assert row.encode() in pages[0]["report.html"]
    for heading in ("Scores", "Scores as bars", "Clips", "NSS over time", "Frames", "Cost"):
        assert f"<h2>{heading}</h2>".encode() in pages[0]["report.html"]
    # Bars, NSS over time, and the best, the median and the worst frame.
    assert pages[0]["report.html"].count(b"data:image/png;base64,") == 5


def test_several_models_on_several_datasets_have_a_row_and_a_table_each(
    prepared, script, tmp_path, capsys
):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        for name in ("run", "shards"):
            shutil.copytree(prepared / name, tmp_path / place / name)
    shutil.rmtree(tmp_path / "there" / "run" / "teachers")
    evaluate = script("pipelines/evaluate.py").main
    words = [f"--model={tmp_path}/{place}/run" for place in ("here", "there")]
    words += ["--model", f"{prepared}/step.tflite"]
    words += [f"--data={tmp_path}/{place}/shards" for place in ("here", "there")]
    words += ["--every", "4", "--json", f"{tmp_path}/all.json", "--report", f"{tmp_path}/report"]
    assert evaluate(words) == 0
    printed = capsys.readouterr().out
    sets = ("here/shards", "there/shards")
    tables = printed.split("there/shards, split val")
    assert len(tables) == 2
    rows = ("here/run", "there/run", "step.tflite", "here/run, spatial teacher")
    for text in tables:
        assert all(f"\n{row} " in text for row in rows)
    figures = json.loads((tmp_path / "all.json").read_text())
    assert tuple(figures) == sets
    pages = tmp_path / "report"
    for name in sets:
        assert figures[name]["dataset"] == name
        assert json.loads((pages / name / "scores.json").read_text()) == figures[name]
        assert (pages / name / "report.html").is_file()
        assert (pages / name / "frames.csv").is_file()
    assert figures[sets[0]]["means"] == figures[sets[1]]["means"]
    # A model beside others scores as alone.
    alone = [*words[2:5], "--every", "4", "--json", f"{tmp_path}/alone.json"]
    assert evaluate(alone) == 0
    means = json.loads((tmp_path / "alone.json").read_text())["means"]
    assert means["step.tflite"] == figures[sets[0]]["means"]["step.tflite"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--model {run} --model {run}", "run is given twice: give it once"),
        ("--maps {here} --maps {here}/../{name}", "is given twice"),
        ("--maps {here} --data {shards}", "shards is given twice"),
        ("--maps {here} --split val --split test", "--split given twice: expected once"),
        ("--maps {here} --spl val --split=test", "--split given twice: expected once"),
        ("", "give --model or --maps"),
        ("--maps {here}/absent", "no such folder of maps"),
        ("--maps {here} --smooth 7", "expected 0 to 1 image widths"),
        ("--maps {here} --persistence 0.5", "--maps are scored as they are: leave out --pers"),
        ("--maps {here} --ahead 2", "--maps are scored as they are: leave out --persistence"),
        ("--maps {here} --every 0", "'0': expected 1 to"),
        ("--maps {here} --every=-2", "'-2': expected 1 to"),
        ("--maps {here} --report {here}", "exists already"),
        ("--maps {here}", "000001.png: no such map, expected one for each frame"),
        ("--maps {here} --skip-bad", "no frame to score"),
    ],
)
def test_evaluate_refuses_in_one_line(prepared, script, tmp_path, capsys, arguments, words):
    places = {"here": tmp_path, "name": tmp_path.name, "run": prepared / "run"}
    places["shards"] = prepared / "shards"
    given = [word.format(**places) for word in arguments.split()]
    data = ["--data", f"{prepared}/shards"]
    assert script("pipelines/evaluate.py").main([*given, *data]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
    assert not list(tmp_path.iterdir())


def test_predict_writes_a_map_for_every_frame_in_the_clips_size(prepared, script, tmp_path):
    clip = prepared / "clips" / "videos" / "clip01.mp4"
    maps, overlay = tmp_path / "maps", tmp_path / "overlay.mp4"
    predict = script("tflite/predict.py").main
    arguments = ["--model", f"{prepared}/step.tflite", str(clip)]
    assert predict([*arguments, "--maps", str(maps), "--overlay", str(overlay)]) == 0
    assert sorted(p.name for p in maps.iterdir()) == [f"{n:06d}.png" for n in range(1, 7)]
    picture = cv2.imread(str(maps / "000006.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (synthetic.HEIGHT, synthetic.WIDTH)
    assert picture.dtype == np.uint8
    with VideoReader(overlay) as video:
        assert video.rate == synthetic.RATE
        assert len(list(video)) == 6


def test_benchmark_compares_files(prepared, script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("uva_tf.bench.model_files.RUNS", 2)
    files = [f"{prepared}/{form}.tflite" for form in ("pair", "step")]
    report = tmp_path / "times.json"
    assert script("tflite/benchmark.py").main([*files, "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "pair.tflite" in printed
    assert "step.tflite" in printed
    timings = json.loads(report.read_text())["timings"]
    assert [t["file"] for t in timings] == ["pair.tflite", "step.tflite"]
    assert timings[0]["ratio"] == 1
    assert all(t["median"] > 0 for t in timings)


def test_training_never_overwrites_and_resumes_only_its_own(prepared, script, capsys):
    train = script("pipelines/train.py").main
    arguments = ["--data", f"{prepared}/shards", "--run", f"{prepared}/run"]
    assert train([*arguments, *SMOKE]) == 2
    assert "exists already" in capsys.readouterr().err
    assert train([*arguments, "--preset", "quick", "--resume"]) == 2
    assert "with other settings" in capsys.readouterr().err
    assert train([*arguments, *SMOKE, "--resume"]) == 0
    *stages, wrote, then = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in stages] == ["teach-spatial", "distill", "joint"]
    assert all(re.search(r": loss \S+, validation loss \S+ after 3 steps$", s) for s in stages)
    assert wrote == f"wrote {prepared}/run"
    assert then == f"next: uva-tf evaluate --model {prepared}/run --data {prepared}/shards"


def test_prepare_reads_a_real_recording(recordings, call, tmp_path):
    name, hevc = "BasketballPass", recordings / "hevc"
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / f"{name}.avi").symlink_to(hevc / "videos" / f"{name}.avi")
    rows = (hevc / "fixations.csv").read_text().splitlines(keepends=True)
    rows = [row for row in rows if row.startswith(("video,", f"{name},"))]
    (tmp_path / "fixations.csv").write_text("".join(rows))
    given = ["--layout", "gaze", "--root", tmp_path, "--out", tmp_path / "shards", "--size", "64"]
    code, printed, err = call("pipelines/prepare.py", *given)
    assert (code, err) == (0, "")
    told = (
        "train: 1 recordings, 500 frames, 15011 fixations (counted in every frame that they last)"
    )
    assert told in printed


@pytest.mark.slow
def test_prepare_reads_real_recordings(recordings, script, tmp_path, capsys):
    arguments = [
        "--layout",
        "gaze",
        "--root",
        f"{recordings}/mufvet",
        "--out",
        f"{tmp_path}/shards",
    ]
    assert script("pipelines/prepare.py").main([*arguments, "--size", "32"]) == 0
    printed = capsys.readouterr().out
    # Facts of the set: 5 and 2 clips, 2421 and 988 frames, everyone inside the frame.
    assert "train: 5 recordings, 2421 frames" in printed
    assert "val: 2 recordings, 988 frames" in printed
    assert "743 fixations before the first frame or after the last" in printed
