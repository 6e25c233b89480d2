"""Eye tracking in BIDS: samples, sidecars, events and fixations become trials, or are refused."""

import gzip
import json

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports import bids as reader
from uva_tf.gaze.exports.bids import DEVICE, MEANS, ONE_EYE, WHOLE_RUN, bids
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen

RUN = "sub-01/beh/sub-01_task-film_run-1"
SIDECAR = {
    "PhysioType": "eyetrack",
    "SamplingFrequency": 100,
    "StartTime": 0,
    "Columns": ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"],
    "timestamp": {"Units": "s"},
    "x_coordinate": {"Units": "pixel"},
    "y_coordinate": {"Units": "pixel"},
}
EVENTS = {"Columns": ["onset", "duration", "trial_type", "message"], "OnsetSource": "timestamp"}
SHOWN = {
    "StimulusPresentation": {
        "ScreenResolution": [1920, 1080],
        "ScreenSize": [0.52, 0.29],
        "ScreenDistance": 0.6,
    }
}


def rows(start=0.0, count=6, step=0.01, x=100.0):
    return "".join(f"{start + n * step:.4f}\t{x + n}\t{200 + n}\t3\n" for n in range(count))


@pytest.fixture
def read(tmp_path):
    """A function that writes files of a dataset by name, and reads it."""

    def read(files, clips=("a", "b"), **stated):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text if isinstance(text, bytes) else text.encode()
            zipped = name.endswith(".gz") and not data.startswith(b"\x1f\x8b")
            path.write_bytes(gzip.compress(data) if zipped else data)
        return bids(tmp_path, set(clips), GazeOptions(**stated))

    return read


def dataset(samples=None, events="", **more):
    """One run of one eye, with a sidecar of the task above it."""
    files = {
        "task-film_physio.json": SIDECAR,
        f"{RUN}_recording-eye1_physio.tsv.gz": rows() if samples is None else samples,
    }
    if events:
        files[f"{RUN}_events.tsv"] = events
    return {**files, **more}


def at(trial):
    samples = trial.samples
    return [
        (round(t, 3), None if np.isnan(x) else (x, y))
        for t, x, y in zip(samples.time, samples.x, samples.y, strict=True)
    ]


def test_a_run_without_clips_is_one_trial(read):
    (trial,) = read(dataset())
    assert (trial.clip, trial.observer, trial.units) == ("", "sub-01", "pixels")
    assert at(trial)[:2] == [(0, (100, 200)), (10, (101, 201))]
    assert (trial.screen, trial.origin, trial.fixations) == (None, "upper-left", None)
    assert trial.notes == (WHOLE_RUN,)


def test_events_say_which_clip_was_shown_and_how_long(read):
    events = "\ufeffonset\tduration\ttrial_type\tstim_file\n"
    events += "0.01\t0.02\tshow\tstimuli/a.mp4\n0.03\tn/a\tshow\tb.mp4\n"
    one, other = read(dataset(events=events, **{"task-film_events.json": SHOWN}))
    assert [(t.clip, t.number, [time for time, _ in at(t)]) for t in (one, other)] == [
        ("a", 1, [0, 10]),
        ("b", 2, [0, 10, 20]),
    ]
    assert one.screen == Screen(1920, 1080, 52.0, 60.0)


def test_clips_may_be_named_in_any_cell_but_not_by_a_number(read):
    events = "onset\tduration\ttrial_type\tnumber\n0.01\t0\tvideo b\t1\n"
    (trial,) = read(dataset(events=events), clips=["b", "1"])
    assert trial.clip == "b"


def test_clips_that_are_no_files_keep_the_name_that_events_give_them(read):
    events = "onset\tduration\tstim_file\n0.01\t0\tother.mp4\n"
    assert read(dataset(events=events))[0].clip == "other"


def test_a_pattern_finds_the_onset_in_events_and_messages(read):
    logged = "0.02\t0\tn/a\tBEGIN b\n"
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": logged,
        "task-film_physioevents.json": EVENTS,
    }
    (trial,) = read(dataset(**more), onset=r"BEGIN (?P<clip>\w+)")
    assert (trial.clip, at(trial)[0]) == ("b", (0, (102, 202)))
    with pytest.raises(InputError, match="no message matches --onset 'x', found 'BEGIN b'"):
        read({}, onset="x")


def test_the_start_of_the_run_may_be_before_the_samples_or_after(read):
    events = "onset\tduration\tstim_file\n0\t0\ta.mp4\n"
    near = {f"{RUN}_recording-eye1_physio.json": {"StartTime": -0.02}}
    (trial,) = read(dataset(samples=rows(500.0), events=events, **near))
    assert at(trial)[0] == (0, (102, 202))


def test_events_on_the_clock_of_the_tracker(read):
    events = "onset\tduration\tstim_file\n500.03\t0\ta.mp4\n"
    (trial,) = read(dataset(samples=rows(500.0), events=events))
    assert at(trial)[0] == (0, (103, 203))
    assert DEVICE in trial.notes
    stated = {"task-film_events.json": {"OnsetSource": "timestamp"}}
    (trial,) = read(stated)
    assert DEVICE not in trial.notes


def test_timestamps_in_milliseconds(read):
    near = {f"{RUN}_recording-eye1_physio.json": {"timestamp": {"Units": "ms"}}}
    (trial,) = read(dataset(samples=rows(7000, step=10), **near))
    assert [time for time, _ in at(trial)] == [0, 10, 20, 30, 40, 50]


def test_units_of_time_that_do_not_fit_the_rate_are_refused(read):
    with pytest.raises(InputError, match=r"not 100 samples/s in s as .*: state --units ms"):
        read(dataset(samples=rows(7000, step=10)))
    (trial,) = read({}, times="ms")
    assert [time for time, _ in at(trial)][:2] == [0, 10]


def test_without_timestamps_the_rate_counts(read):
    near = {"Columns": ["x_coordinate", "y_coordinate"], "StartTime": 1.5}
    near = {f"{RUN}_recording-eye1_physio.json": near}
    (trial,) = read(dataset(samples="1\t2\nn/a\tn/a\n0\t0\n", **near))
    assert at(trial) == [(1500, (1, 2)), (1510, None), (1520, None)]


def test_both_eyes_are_averaged_where_both_are_tracked(read):
    other = rows(x=200.0).splitlines(keepends=True)
    other[1] = "0.01\tn/a\tn/a\t0\n"
    more = {f"{RUN}_recording-eye2_physio.tsv.gz": "".join(other[:-1])}
    (trial,) = read(dataset(**more))
    assert at(trial)[:2] == [(0, (150, 200)), (10, (101, 201))]
    assert at(trial)[-1] == (50, (105, 205))


@pytest.mark.parametrize("lost", ["-1", "-999", "-9999", "-32768", "1e8", "-100", "0"])
def test_signs_of_lost_tracking_are_no_part_of_fixations(read, lost):
    cells = [f"{0.01 * n:.2f}\t100\t200\t3\n" for n in range(40)]
    cells[1::4] = [f"{0.01 * n:.2f}\t{lost}\t{lost}\t0\n" for n in range(1, 40, 4)]
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": "0\t0.4\tfixation\tn/a\n",
        "task-film_physioevents.json": EVENTS,
    }
    (trial,) = read(dataset(samples="".join(cells), **more))
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([100], [200])
    assert np.isnan(trial.samples.x).sum() == 10
    said = LOST_AT.format(f"{float(lost):.15g},{float(lost):.15g}")
    assert (said in trial.notes) == (lost != "0")


def test_the_centre_is_a_place_where_places_count_from_it(read):
    centre = {"StimulusPresentation": {"ScreenOrigin": ["center"]}}
    cells = "".join(f"{0.01 * n:.2f}\t{n // 2}\t{n // 2}\t3\n" for n in range(-6, 6))
    (trial,) = read(dataset(samples=cells, **{"task-film_events.json": centre}))
    assert not np.isnan(trial.samples.x).any()


def test_fixations_of_the_tracker(read):
    logged = "0.005\t0.02\tfixation\tn/a\n0.03\t0.01\tsaccade\tn/a\n0.04\t0.5\tfixation\tn/a\n"
    events = "onset\tduration\tstim_file\n0.01\t0\ta.mp4\n"
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": "\ufeff" + logged,
        f"{RUN}_recording-eye2_physioevents.tsv.gz": logged,
        f"{RUN}_recording-eye2_physio.tsv.gz": rows(),
        "task-film_physioevents.json": EVENTS,
    }
    (trial,) = read(dataset(events=events, **more))
    found = trial.fixations
    assert found.onset.round(6).tolist() == [-5, 30]
    assert found.duration.tolist() == [20, 500]
    assert found.x.tolist() == [101.5, 104.5]
    assert trial.notes == (ONE_EYE, MEANS)


@pytest.mark.parametrize(("duration", "units"), [("20", {}), ("0.02", {"Units": "s"})])
def test_durations_without_a_unit_are_those_in_which_fixations_do_not_overlap(
    read, duration, units
):
    near = {f"{RUN}_recording-eye1_physio.json": {"timestamp": {"Units": "ms"}}}
    logged = f"7000\t{duration}\tfixation\tn/a\n7030\t{duration}\tfixation\tn/a\n"
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": logged,
        "task-film_physioevents.json": EVENTS | {"duration": units},
    }
    (trial,) = read(dataset(samples=rows(7000, step=10), **near, **more))
    assert trial.fixations.duration.tolist() == [20, 20]
    assert trial.fixations.onset.tolist() == [0, 30]


def test_onsets_may_be_numbers_of_rows(read):
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": "2\t0.02\tfixation\tn/a\n",
        "task-film_physioevents.json": EVENTS | {"OnsetSource": "n/a"},
    }
    (trial,) = read(dataset(**more))
    assert trial.fixations.onset.tolist() == [pytest.approx(20)]


def test_the_form_of_the_proposal(read):
    about = {"SamplingFrequency": 100, "SampleCoordinateUnits": "pixel", "ScreenSize": [38.6, 29]}
    about |= {"ScreenResolution": [1024, 768], "ScreenDistance": 60}
    about |= {"EnvironmentCoordinates": "center"}
    head = "eye_timestamp\teye1_x_coordinate\teye1_y_coordinate\teye2_x_coordinate\t"
    content = head + "eye2_y_coordinate\teye1_pupil_x_coordinate\n5000\t1\t2\t3\t4\t9\n"
    content += "5010\t1\t2\tn/a\tn/a\t9\n"
    (trial,) = read({f"{RUN}_eyetrack.tsv": content, f"{RUN}_eyetrack.json": about})
    assert at(trial) == [(0, (2, 3)), (10, (1, 2))]
    assert (trial.screen, trial.origin) == (Screen(1024, 768, 38.6, 60), "centre")


def test_other_physiology_is_no_gaze(read):
    more = {
        f"{RUN}_recording-cardiac_physio.tsv.gz": "1\n2\n",
        f"{RUN}_recording-cardiac_physio.json": {"Columns": ["ecg"], "PhysioType": "generic"},
    }
    assert len(read(dataset(**more))) == 1


def test_runs_without_samples_are_refused_or_noted(read):
    with pytest.raises(InputError, match=r"run-1_recording-eye1_physio.tsv.gz: no samples in it"):
        read(dataset(samples=""))
    name = "sub-02/beh/sub-02_task-film_recording-eye1_physio.tsv.gz"
    (trial,) = read({name: rows()})
    assert trial.observer == "sub-02"
    assert any("without samples are left out: sub-01" in note for note in trial.notes)


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_kept(read, monkeypatch):
    monkeypatch.setattr(reader, "MOST_UNPACKED", 100)
    with pytest.raises(InputError, match="unpacks to more than 100 bytes"):
        read(dataset())


def test_samples_without_a_sidecar_are_refused_by_its_name(read):
    files = {name: content for name, content in dataset().items() if "json" not in name}
    with pytest.raises(InputError, match=r"eye1_physio.tsv.gz: no sidecar \S+eye1_physio\.json"):
        read(files)


def test_other_signals_without_a_sidecar_are_no_gaze(read):
    files = {f"{RUN}_recording-cardiac_physio.tsv.gz": "1\n2\n"}
    files[f"{RUN}_recording-eye1_physio.tsv.gz"] = rows()
    files[f"{RUN}_recording-eye1_physio.json"] = SIDECAR
    assert len(read(files)) == 1


def test_units_of_the_sidecar_count_before_stated_ones(read):
    (trial,) = read(dataset(), units="fractions")
    assert trial.units == "pixels"


REFUSED = {
    "degrees": ({"x_coordinate": {"Units": "deg"}}, "x_coordinate is in deg, expected pixels or"),
    "no units": ({"x_coordinate": {}}, "gives 'no' as Units of x_coordinate: state --units pixels"),
    "eye in head": ({"SampleCoordinateSystem": "eye-in-head"}, "angles of the eye in the head"),
    "no columns": ({"Columns": []}, "no Columns in its sidecar"),
    "other columns": ({"Columns": ["timestamp", "x_coordinate"]}, "4 columns, its sidecar names 2"),
    "no gaze": ({"Columns": ["timestamp", "a", "b", "c"]}, "no column of gaze, expected x_coor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_cause(read, case):
    about, words = REFUSED[case]
    with pytest.raises(InputError) as refused:
        read(dataset(**{f"{RUN}_recording-eye1_physio.json": about}))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08 damaged", "damaged, not a whole gzip file"),
        (gzip.compress(rows().encode(), mtime=0)[:-9], "damaged, not a whole gzip file"),
        ("0\tx\t1\t2\n", "not a table of numbers"),
        ("0\t1\t1\t2\n1\n", "not a table of numbers"),
        (b"0\t1\t1\t\xff\n", "not UTF-8"),
    ],
)
def test_damaged_samples(read, content, words):
    with pytest.raises(InputError) as refused:
        read(dataset(samples=content))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"a"', b"\xff"])
def test_damaged_sidecars(read, content):
    with pytest.raises(InputError, match=r"physio.json: (not JSON|expected an object)"):
        read(dataset(**{f"{RUN}_recording-eye1_physio.json": content}))


def test_events_of_another_time_are_refused(read):
    events = "onset\tduration\tstim_file\n900\t0\ta.mp4\n"
    with pytest.raises(InputError, match=r"from 900.000 s on, but the samples are from 0.000 to"):
        read(dataset(events=events))


def test_from_dataset_to_frames(read, tmp_path):
    (tmp_path / "videos").mkdir()
    with VideoWriter(tmp_path / "videos" / "a.mp4", 25, 64, 32) as video:
        for _ in range(3):
            video.write(np.zeros((32, 64, 3), np.uint8))
    more = {
        f"{RUN}_recording-eye1_physioevents.tsv.gz": "0.07\t0.04\tfixation\tn/a\n",
        "task-film_physioevents.json": EVENTS,
        "task-film_events.json": SHOWN,
    }
    events = "onset\tduration\tstim_file\n0.03\t0\ta.mp4\n"
    samples = "".join(f"{n / 100}\t480\t540\t3\n" for n in range(20))
    files = dataset(samples=samples, events=events, **more)
    read({f"gaze/{name}": content for name, content in files.items()})
    options = GazeOptions(placed="stretch", fixations="recorded")
    (recording,) = recordings_of("bids", tmp_path, options)
    found = [frame.fixations.points.tolist() for frame in recording.read()]
    assert found == [[], [[0.25, 0.5]], []]


@pytest.fixture
def excerpts(recordings):
    facts = json.loads((recordings / "trackers" / "facts.json").read_text())
    return recordings / "trackers" / "bids", facts


def test_excerpt_of_one_eye(excerpts):
    folder, facts = excerpts
    name = "ds007338/sub-01/ses-01/eeg/sub-01_ses-01_task-dots_run-01_recording-eye1_physio"
    about = facts[f"bids/{name}.tsv.gz"]
    logged = facts[f"bids/{name}events.tsv.gz"]
    (trial,) = bids(folder / "ds007338", {"clip"}, GazeOptions())
    assert (trial.observer, trial.units, trial.screen) == (
        "sub-01",
        "pixels",
        Screen(800, 600, pytest.approx(29), 68.0),
    )
    samples, fixations = trial.samples, trial.fixations
    assert len(samples.time) == about["rows"]
    assert np.isnan(samples.x).sum() == about["missing"]
    for n in (0, -1):
        row = [float(cell) for cell in about["first" if n == 0 else "last"][:3]]
        assert [samples.time[n] / 1e3, samples.x[n], samples.y[n]] == pytest.approx(row)
    expected = [[1e3 * float(cell) for cell in row[:2]] for row in logged["rows"]]
    expected = [e for e, row in zip(expected, logged["rows"], strict=True) if row[2] == "fixation"]
    assert len(fixations.onset) == logged["fixations"]
    assert np.stack([fixations.onset, fixations.duration], axis=1) == pytest.approx(
        np.array(expected)
    )


def test_excerpt_whose_events_are_found_by_a_pattern(excerpts):
    folder, facts = excerpts
    trials = bids(folder / "ds007338", {"clip"}, GazeOptions(onset=r"^\d+ "))
    name = "bids/ds007338/sub-01/ses-01/eeg/sub-01_ses-01_task-dots_run-01_events.tsv"
    assert 0 < len(trials) <= facts[name]["rows"]
    assert trials[1].samples.time[0] == pytest.approx(0)


def test_excerpt_without_samples(excerpts):
    folder, _ = excerpts
    with pytest.raises(InputError, match=r"eye1_physio.tsv.gz: no samples in it"):
        bids(folder / "freeview_binocular_empty", {"clip"}, GazeOptions())
