"""Cases after public bug reports, by the real commands: UVA_TF_CASES names their folder.

Its README says of each what is right. Those about decoding are left to other tests. Twins of all
that always run are in test_tables.py and test_export.py.
"""

from pathlib import Path

import pytest
from conftest import assert_refused, contents

from uva_tf.data.dataset import open_dataset
from uva_tf.data.records import read_records


@pytest.fixture
def prepare(cases, tmp_path, call):
    """A function that prepares a case; returns exit code, what is printed, and the shards."""

    def run(name, *more):
        root, out = cases / name, tmp_path / "out"
        if not root.is_dir():
            pytest.skip(f"{root}: no such case")
        layout = "images" if (root / "images").is_dir() else "gaze"
        args = ["--layout", layout, "--root", root, "--out", out, "--jobs", "1"]
        return call("pipelines/prepare.py", *args, *more)

    return run


def looks(out):
    """The fixations by recording: who looked in which frames."""
    dataset, found = open_dataset(out), {}
    for shard in dataset.shards:
        for record in read_records(dataset, shard):
            people = found.setdefault(record.video, {})
            for person in record.fixations.observers.tolist():
                people.setdefault(person, set()).add(record.index)
    return found


def spans(out):
    """By recording the first and last frame of each observer."""
    return {
        name: [(min(frames), max(frames)) for _, frames in sorted(people.items())]
        for name, people in looks(out).items()
    }


# Frames of 40 ms; two observers, or one, and what is said.
READ = {
    "g_latin1b": ({"a": [(1, 10), (11, 20)]}, "note: fixations.csv was read as cp1252 (a)"),
    "g_obsspace": ({"a": [(1, 20), (21, 25)]}, "wrote"),
    "g_semicolon": (
        {"a": [(1, 10), (11, 20)]},
        "note: fixations.csv was read with ';' between cells (a)",
    ),
    "g_trailingcommas": ({"a": [(1, 10)]}, "wrote"),
    "g_nan_skipbad": (
        {"a": [(1, 10)], "b": [(1, 10)]},
        "left out: 1 rows without gaze (a cell is empty, NaN or NA) (a 1)",
    ),
    "g_zerozero": (
        {"a": [(3, 48)]},
        "left out: 8 rows at exactly 0,0, where tracking was lost (a 8)",
    ),
}


@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
@pytest.mark.parametrize("case", READ)
def test_what_can_be_read_is_read_and_said(prepare, tmp_path, case, more):
    expected, said = READ[case]
    code, printed, err = prepare(case, *more)
    assert (code, err) == (0, "")
    assert said in printed
    assert "skipped" not in printed
    assert spans(tmp_path / "out") == expected


REFUSED = {
    "g_normalised": "between 0.2 and 0.91, expected pixels of the 160x120 frame: multiply x by 160",
    "g_seconds": "expected milliseconds from the first frame: seconds? multiply onset and duration",
    "g_microseconds": "microseconds? divide onset and duration by 1000",
}


@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_in_another_unit_is_refused(prepare, tmp_path, case, more):
    assert_refused(prepare(case, *more), REFUSED[case] if not more else "")
    assert not (tmp_path / "out").exists()
    assert contents(tmp_path) == {}


def test_a_very_long_picture_is_prepared_and_evaluated_or_refused(prepare, tmp_path, call):
    code, printed, err = prepare("pano")
    if code:
        assert_refused((code, printed, err), "p, frame 1 of 2560x4: ")
        return
    model = Path(__file__).parents[1] / "uva_tf/weights/uva-32-int8-step.tflite"
    out = tmp_path / "out"
    args = ("--model", model, "--data", out, "--split", "train")
    code, _, err = call("pipelines/evaluate.py", *args)
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_photographs_alone_become_a_model_by_the_way_of_the_readme(prepare, tmp_path, call):
    code, printed, err = prepare("g_photos")
    assert (code, err) == (0, "")
    assert "8 recordings, 8 frames, 24 fixations" in printed
    out, run = tmp_path / "out", tmp_path / "run"
    train = ("--preset", "fine-tune", "--data", out, "--run", run)
    less = ("--set", "joint.steps=20", "--set", "joint.batch=8")
    code, _, err = call("pipelines/train.py", *train, *less)
    assert code == 0, err
    for form in ("step", "pair"):
        file = tmp_path / f"{form}.tflite"
        args = ("--run", run, "--recipe", "int8", "--form", form, "--out", file)
        code, printed, err = call("tflite/convert.py", *args)
        assert code == 0, err
        assert file.stat().st_size > 100_000
        assert "mean correlation 0.9" in printed
