"""WebGazer's data, as experiments in a browser store it."""

import csv
import io
import json

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports import webgazer
from uva_tf.gaze.exports.listing import EXPORTS, NAMELESS, read_trials
from uva_tf.gaze.fixation_table import LOST
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen


@pytest.fixture
def read(tmp_path):
    """A function that reads a file of the folder `gaze` and returns its trials."""

    def read(name, content, clips=("a", "b"), listed="", **options):
        path = tmp_path / "gaze" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if listed:
            (tmp_path / "trials.csv").write_text(listed)
        return read_trials(EXPORTS["webgazer"], tmp_path, set(clips), GazeOptions(**options))

    return read


def points(start=20.0, count=12, step=40.0, x=400.0, **more):
    return [{"t": start + step * n, "x": x + n, "y": 300.5 - n, **more} for n in range(count)]


def as_csv(rows):
    """Rows as jsPsych writes them: every column that any has, JSON for what is no text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for row in rows:
        writer.writerow({n: v if isinstance(v, str) else json.dumps(v) for n, v in row.items()})
    return text.getvalue()


def test_points_are_parted_by_what_they_belong_to(read):
    session = points(610, trial=2, img="clips/a.mp4") + points(5000, trial=3, img="clips/b.mp4")
    first, second = read("p1.json", session)
    assert [(t.clip, t.observer, t.number) for t in (first, second)] == [
        ("a", "p1", 1),
        ("b", "p1", 2),
    ]
    np.testing.assert_array_equal(second.samples.time, 40.0 * np.arange(12))
    np.testing.assert_array_equal(second.samples.y, 300.5 - np.arange(12))
    assert webgazer.FROM_FIRST in first.notes
    assert (first.on_clip, first.units, first.screen) == (False, "pixels", None)


def test_each_observer_has_a_clock(read):
    people = [[{**TRIALS[2], "subject": who}] for who in ("p1", "p2")]
    late = {**TRIALS[4], "subject": "p1", "webgazer_data": points(6000)}
    trials = read("p.json", [[*people[0], late], people[1]])
    assert [(t.observer, t.samples.time[0]) for t in trials] == [("p1", 0), ("p1", 0), ("p2", 20)]


def test_what_was_shown_counts_before_the_files_name(read):
    cross = {**TRIALS[3], "webgazer_data": points(30)}
    (trial,) = read("a.json", [TRIALS[2], cross])
    assert trial.left_out[NAMELESS] == 1


def test_times_of_each_trial_stay(read):
    first, second = read("p1.json", points(20, img="a.mp4") + points(30, img="b.mp4"))
    assert (first.samples.time[0], second.samples.time[0]) == (20, 30)


def test_times_stay_where_a_list_says_when_clips_began(read):
    listed = "file,trial,clip,onset_ms\np1.json,1,a,600\np1.json,2,b,5000\n"
    session = points(610, trial=2) + points(5000, trial=3)
    first, second = read("p1.json", session, listed=listed)
    assert (first.samples.time[0], second.samples.time[0]) == (10, 0)


TRIALS = [
    {"trial_type": "browser-check", "width": 1280, "height": 720},
    {"trial_type": "webgazer-validate", "raw_gaze": [[{"x": 1, "y": 2}]]},
    {
        "trial_type": "video-keyboard-response",
        "stimulus": ["video/a.mp4", "video/a.webm"],
        "subject": "p7",
        "webgazer_data": points(),
        "webgazer_targets": {},
    },
    {"trial_type": "html-keyboard-response", "stimulus": "<p>+</p>", "subject": "p7"},
    {
        "trial_type": "html-keyboard-response",
        "stimulus": "<video src='video/b.mp4'></video>",
        "subject": "p7",
        "webgazer_data": points(30),
    },
]
FORMS = {
    "an array": json.dumps(TRIALS),
    "an object": json.dumps({"id": 3, "trials": TRIALS}),
    "a mark before it": "\ufeff" + json.dumps(TRIALS),
    "a table": as_csv(TRIALS),
    "a table of semicolons": as_csv(TRIALS).replace('","', '";"'),
}


@pytest.mark.parametrize("form", FORMS)
def test_trials_of_jspsych(read, form):
    name = "results.csv" if "table" in form else "results.json"
    first, second = read(name, FORMS[form])
    assert [(t.clip, t.observer) for t in (first, second)] == [("a", "p7"), ("b", "p7")]
    np.testing.assert_array_equal(first.samples.time, 20 + 40.0 * np.arange(12))
    np.testing.assert_array_equal(first.samples.x, 400 + np.arange(12))
    assert first.screen == Screen(1280, 720)


def test_an_array_a_line_is_a_participant_each(read):
    nameless = [{**trial, "subject": ""} for trial in TRIALS]
    text = f"{json.dumps(nameless)}\n{json.dumps(nameless)}\n"
    trials = read("jatos.json", text)
    assert [trial.observer for trial in trials] == ["jatos 1", "jatos 1", "jatos 2", "jatos 2"]


def test_places_are_relative_to_the_element_that_showed_the_clip(read):
    rectangle = {"x": 100, "y": 60, "width": 640, "height": 360, "top": 60, "left": 100}
    trial = {**TRIALS[2], "webgazer_targets": {"#jspsych-video": rectangle, "#other": {}}}
    for name, content in (("p.json", [trial]), ("p.csv", as_csv([trial]))):
        (found,) = read(name, content)
        np.testing.assert_allclose(found.samples.x, (300 + np.arange(12)) / 640)
        np.testing.assert_allclose(found.samples.y, (240.5 - np.arange(12)) / 360)
        assert (found.units, found.on_clip) == ("fractions", True)
        assert webgazer.ON_ELEMENT in found.notes
        (found.file).unlink()
    (found,) = read("p.json", [trial], screen=(1280, 720))
    assert (found.units, found.on_clip, found.samples.x[0]) == ("pixels", False, 400)


IN_CELLS = [
    {"workerid": "w1", "stimulus": "a.mp4", "webgazer_time": "", "x": "", "y": ""},
    {
        "workerid": "w1",
        "stimulus": "b.mp4",
        "webgazer_time": [90_000 + 50.5 * n for n in range(12)],
        "x": [400.5 + n for n in range(12)],
        "y": [None if n == 3 else 0 if n in (5, 6) else 200 for n in range(12)],
        "system.windowW": 1500,
        "system.windowH": 900,
    },
]


def test_arrays_in_cells(read):
    (trial,) = read("pilot.csv", as_csv(IN_CELLS))
    assert (trial.clip, trial.observer, trial.number) == ("b", "w1", 1)
    np.testing.assert_allclose(trial.samples.time, 50.5 * np.arange(12))
    assert np.flatnonzero(np.isnan(trial.samples.x)).tolist() == [3]
    assert trial.screen == Screen(1500, 900)
    assert trial.left_out[webgazer.EMPTY] == 1


def test_lost_and_overtaken_predictions(read):
    taken = points(img="a.mp4")
    taken[3], taken[4] = taken[4], taken[3]
    taken[6] = dict(taken[5], x=7)
    lost = [{"t": 500 + 40 * n, "x": 0, "y": 0, "img": "a.mp4"} for n in range(3)]
    (trial,) = read("p.json", taken + lost)
    assert (np.diff(trial.samples.time) > 0).all()
    assert trial.left_out[webgazer.SAME_TIME] == 1
    assert trial.left_out[LOST] == np.isnan(trial.samples.x).sum() == 3


def test_lost_predictions_are_not_taken_for_an_origin_in_the_centre(read):
    lost = [{"t": 500 + 40 * n, "x": -1, "y": -1, "img": "a.mp4"} for n in range(8)]
    (trial,) = read("p.json", points(img="a.mp4") + lost)
    assert np.isnan(trial.samples.x).sum() == 8


REFUSED = {
    "no JSON": ("a.json", "[{", "no JSON (Expecting property name"),
    "deep JSON": ("a.json", "[" * 200_000, "nested too deeply, expected WebGazer's data"),
    "a long number": ("a.json", '[{"t":' + "9" * 6000 + ',"x":1,"y":1}]', "no JSON"),
    "not UTF-8": ("a.json", b'["\xff"]', "not UTF-8"),
    "other JSON": ("a.json", '{"a": 1}', "no gaze in it, expected WebGazer's data"),
    "a number": ("a.json", "3", "no gaze in it"),
    "nothing": ("a.json", "", "no JSON"),
    "a table of samples": ("a.csv", "t,x,y\n1,2,3\n", "no column 'webgazer_time'"),
    "a word for a number": (
        "a.json",
        [{"t": 1, "x": "left", "y": 2}],
        "a.json trial 1: 'left', expected a number",
    ),
    "a number without end": ("a.json", '[{"t":1,"x":1e999,"y":2}]', "'inf', expected a number"),
    "lists in lists": ("a.json", "[" * 800 + "]" * 800, "no gaze in it"),
    "a list for a number": ("a.json", [{"t": 1, "x": [1], "y": 2}], "expected a number"),
    "arrays of other lengths": (
        "a.csv",
        as_csv([{"webgazer_time": [1, 2], "x": [3], "y": [4, 5]}]),
        "line 2: 2 times, 1 x and 2 y, expected as many of each",
    ),
    "no array": ("a.csv", as_csv([{"webgazer_time": "7", "x": [3], "y": [4]}]), "list of numbers"),
    "no objects": ("a.csv", as_csv([{"webgazer_data": [1, 2]}]), "no list of objects with t, x"),
    "deep JSON in a cell": ("a.csv", as_csv([{"webgazer_data": "[" * 99_999}]), "too deeply"),
    "seconds": ("a.json", points(0, step=0.04), "state --units s"),
    "fractions": ("a.json", [{"t": 40 * n, "x": 0.5, "y": 0.25} for n in range(12)], "fractions"),
    "disorder": ("a.json", points(9000) + points(20), "times fall back by 9420 ms"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_such_data_is_refused_in_one_line(read, what):
    name, content, words = REFUSED[what]
    with pytest.raises(InputError) as refused:
        read(name, content)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_large_file_is_refused_before_it_is_read(read, monkeypatch):
    monkeypatch.setattr(webgazer, "MOST_BYTES", 1000)
    for name, content in (("a.json", TRIALS), ("a.csv", as_csv(TRIALS))):
        with pytest.raises(InputError, match="1000"):
            read(name, content)


# Real files.


def real(recordings, name):
    known = json.loads((recordings / "trackers" / "facts.json").read_text())[name]
    return (recordings / "trackers" / name).read_bytes(), known


def test_real_points(read, recordings):
    content, known = real(recordings, "web/webgazer_points.json")
    trials = read("p1.json", content, clips={"i2", "i3"})
    assert [trial.clip for trial in trials] == ["i2", "i3"]
    assert [len(trial.samples.x) for trial in trials] == list(known["trials"].values())
    first, last = known["first"], known["last"]
    assert (trials[0].samples.x[0], trials[0].samples.y[0]) == (first["x"], first["y"])
    assert (trials[1].samples.x[-1], trials[1].samples.y[-1]) == (last["x"], last["y"])
    x, y = (np.concatenate([getattr(t.samples, axis) for t in trials]) for axis in "xy")
    assert ((x < 0) | (y < 0)).sum() == known["negative"]
    listed = "file,trial,clip,onset_ms\np1.json,1,i2,0\np1.json,2,i3,0\n"
    trials = read("p1.json", content, clips={"i2", "i3"}, listed=listed)
    assert (trials[0].samples.time[0], trials[1].samples.time[-1]) == (first["t"], last["t"])


def test_real_arrays_in_cells(read, recordings):
    content, known = real(recordings, "web/webgazer_arrays_in_cells.csv")
    listed = "file,trial,clip,onset_ms\n" + "".join(f"p.csv,{n},a,0\n" for n in range(1, 8))
    trials = read("p.csv", content, listed=listed)
    assert [len(trial.samples.x) for trial in trials] == known["samples_per_row"]
    assert trials[0].left_out[webgazer.EMPTY] == known["rows"] - known["rows_with_gaze"]
    first = known["first"]
    assert trials[0].samples.time[:2].tolist() == first["t"]
    assert (trials[0].samples.x[0], trials[0].samples.y[0]) == (first["x"], first["y"])
    assert trials[0].screen == Screen(*map(int, first["win"]))
    assert {trial.observer for trial in trials} == {"P01"}
