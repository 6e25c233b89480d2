"""Plain tables of samples and of frame numbers: read under any usual names, or refused."""

import json
import re

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports import viewings
from uva_tf.gaze.exports.columns import INVALID, usual
from uva_tf.gaze.exports.frame_numbered import FROM_ZERO, NO_FRAME
from uva_tf.gaze.exports.listing import EXPORTS, read_trials
from uva_tf.gaze.exports.plain import NO_PREDICTION, NO_TIME
from uva_tf.gaze.fixation_table import LOST, REPEATED
from uva_tf.gaze.lost import lost_places
from uva_tf.gaze.names import named_by
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen

HEAD = "video,observer,t_ms,x,y"


@pytest.fixture
def read(tmp_path):
    """A function that reads files of the folder `gaze`, by name, and returns their trials."""

    def read(files, layout="samples", clips=("a", "b"), listed="", **options):
        files = {"all.csv": files} if isinstance(files, str | bytes) else files
        for name, content in files.items():
            path = tmp_path / "gaze" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if listed:
            (tmp_path / "trials.csv").write_text(listed)
        return read_trials(EXPORTS[layout], tmp_path, set(clips), GazeOptions(**options))

    return read


def rows(count=12, start=0.0, step=4.0, x=300.5, y=200.25, video="a", observer="p1"):
    """Rows of a table, whose places move by a pixel each."""
    lines = (
        f"{video},{observer},{start + step * n:.15g},{x + n:.15g},{y + n:.15g}\n"
        for n in range(count)
    )
    return "".join(lines)


def table(*parts, head=HEAD):
    return f"{head}\n{''.join(parts)}"


def counts(trials):
    return {why: n for trial in trials for why, n in trial.left_out.items() if n}


def notes(trials):
    return "; ".join(note for trial in trials for note in trial.notes)


def test_a_table_becomes_a_trial_of_each_observer_and_clip(read):
    first, second, third = read(
        table(rows(), rows(video="b.mp4"), rows(observer="p2", x=310), rows(1, start=48, x=1))
    )
    assert [(t.clip, t.observer, t.number) for t in (first, second, third)] == [
        ("a", "p1", 1),
        ("b", "p1", 2),
        ("a", "p2", 3),
    ]
    np.testing.assert_array_equal(first.samples.time, 4.0 * np.arange(13))
    np.testing.assert_array_equal(first.samples.x, [*(300.5 + np.arange(12)), 1])
    np.testing.assert_array_equal(third.samples.y, 200.25 + np.arange(12))
    assert (first.units, first.origin, first.on_clip) == ("pixels", "upper-left", True)
    assert (first.notes, first.left_out.total()) == ((), 0)


NAMES = {
    "t": [
        "t",
        "time",
        "Timestamp",
        "time_ms",
        "t [s]",
        "timeMs",
        "Time (us)",
        "timestamp_ns",
        "ts",
    ],
    "x": ["x", "X", "gaze_x", "gx", "gazeX", "Gaze point X [px]", "x_px"],
    "y": ["y", "gaze_y", "GY"],
    "video": ["video", "clip", "Stimulus", "media", "Stimulus Name", "video_file"],
    "observer": ["observer", "participant", "Subject", "participant_id", "Subject ID"],
    "frame": ["frame", "Frame_Nr", "frame index"],
    "valid": ["valid", "Validity", "confidence"],
    "": ["x_deg", "pupil", "x_norm", "left_x", "onset_ms", "trial", "", "\u00e4"],
}


@pytest.mark.parametrize("role", NAMES)
def test_columns_have_usual_names(role):
    assert [usual(name) for name in NAMES[role]] == [role] * len(NAMES[role])


@pytest.mark.parametrize(
    ("name", "step"),
    [("time", 4), ("t_ms", 4), ("time_s", 0.004), ("Time [us]", 4000), ("timestamp_ns", 4_000_000)],
)
def test_the_name_of_the_time_states_its_unit(read, name, step):
    (trial,) = read(table(rows(step=step), head=HEAD.replace("t_ms", name)))
    np.testing.assert_allclose(trial.samples.time, 4.0 * np.arange(12), atol=1e-9)


PLAIN = table(rows(), rows(observer="J\u00e4n"), rows(observer="J\u00f6n"))
WRITTEN = {
    "with Windows' line ends": PLAIN.replace("\n", "\r\n"),
    "with semicolons and decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "with tabs": PLAIN.replace(",", "\t"),
    "with blanks": PLAIN.replace(",", "   "),
    "in UTF-16": PLAIN.encode("utf-16"),
    "in cp1252": PLAIN.encode("cp1252"),
    "with a mark": PLAIN.encode("utf-8-sig"),
    "as Excel writes it": "sep=;\n" + PLAIN.replace(",", ";"),
    "after a preamble": "Recorded with a tracker\n\n" + PLAIN,
    "with a last column that is empty": PLAIN.replace("\n", ",\n"),
    "with more columns": PLAIN.replace("\n", ",3.5\n").replace("y,3.5", "y,pupil"),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_is_read_however_it_is_written(read, how):
    trials = read(WRITTEN[how])
    assert [trial.observer for trial in trials] == ["p1", "J\u00e4n", "J\u00f6n"]
    for trial in trials:
        np.testing.assert_array_equal(trial.samples.x, 300.5 + np.arange(12))
        np.testing.assert_array_equal(trial.samples.time, 4.0 * np.arange(12))


def test_samples_without_gaze_stay_as_nan(read):
    lost = "a,p1,48,,\na,p1,52,NaN,NaN\na,p1,56,.,.\na,p1,60,0,0\na,p1,64,0,0\na,p1,68,,7\n"
    marks = "a,p1,72,-1,-1\na,p1,76,-1,-1\n"
    (trial,) = read(table(rows(), lost, marks, "a,p1,,5,5\n"))
    assert len(trial.samples.time) == 20
    assert np.isnan(trial.samples.x).sum() == np.isnan(trial.samples.y).sum() == 8
    found = counts([trial])
    assert (found[LOST], found[NO_TIME]) == (2, 1)
    assert found["rows at exactly -1,-1, where tracking was lost"] == 2


def test_the_centre_is_a_place_to_look_at(read):
    middle = "".join(f"a,p1,{4 * n},0,0\n" for n in range(12, 15))
    (trial,) = read(table(rows(x=-6, y=-6), middle), origin="centre")
    assert not np.isnan(trial.samples.x).any()


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([(-1, -1)] * 2, ["-1,-1"]),
        ([(-1, -1)], []),
        ([(-32768, -32768)], ["-32768,-32768"]),
        ([(-100, -100)] * 10, ["-100,-100"]),
        ([(-100, -100)] * 9, []),
        ([(5, 5)] * 20, []),
        # Gaze that rests just outside the corner.
        ([(-1 - n % 5, -1 - n // 5) for n in range(25)] * 10, []),
    ],
)
def test_a_sign_of_lost_tracking_is_one_value_on_both_axes(places, found):
    x, y = np.array([*places, (30.5, 60.5)]).T
    reasons = [f"rows at exactly {where}, where tracking was lost" for where in found]
    assert [why for why, lost in lost_places(x, y).items() if lost.sum() == len(places)] == reasons
    in_centre = [why for why in reasons if "-32768" in why]
    assert list(lost_places(x, y, centred=True)) == in_centre


EYES = "t_ms,L_X,L_Y,R_X,R_Y,L_V,R_V,video\n"
TWO = [(4 * n, 100, 50, 110, 60, "True", "True") for n in range(10)]


def test_a_row_that_both_eyes_lose_counts_once_whatever_says_so(read):
    lost = [(40 + 4 * n, 0, 0, -1, -1, "True", "True") for n in range(2)]
    lines = "".join(",".join(map(str, row)) + ",a\n" for row in [*TWO, *lost])
    (trial,) = read(EYES + lines, columns={"x": "L_X+R_X", "y": "L_Y+R_Y"})
    assert np.isnan(trial.samples.x).sum() == 2
    assert counts([trial]) == {LOST: 2}


def test_two_eyes_are_stated_as_two_columns(read):
    odd = [
        (40, "", "", 110, 60, "False", "True"),
        (44, 100, 50, 0, 0, "True", "True"),
        (48, 100, 50, 0, 0, "True", "True"),
        (52, 100, 50, 500, 500, "True", "False"),
        (56, 7, 7, 500, 500, "False", "False"),
        (60, "", "", "", "", "False", "False"),
    ]
    text = EYES + "".join(",".join(map(str, row)) + ",a\n" for row in TWO + odd)
    columns = {"x": "L_X+R_X", "y": "L_Y+R_Y", "valid": "l_v+R_V"}
    (trial,) = read(text, columns=columns)
    nan = np.nan
    np.testing.assert_array_equal(trial.samples.x, [*[105] * 10, 110, 100, 100, 100, nan, nan])
    np.testing.assert_array_equal(trial.samples.y, [*[55] * 10, 60, 50, 50, 50, nan, nan])
    assert counts([trial]) == {INVALID: 1}


@pytest.mark.parametrize(
    ("name", "cells", "lost"),
    [
        ("valid", ("1", "0"), 1),
        ("Validity", ("Valid", "Invalid"), 1),
        ("confidence", ("1.0", "0.0"), 1),
        ("validity", ("0", "4"), 0),
        ("validity", ("1", "0"), 0),
        ("confidence", ("0.9", "0.2"), 0),
    ],
)
def test_validity_is_used_if_it_is_beyond_doubt(read, name, cells, lost):
    good, bad = cells
    text = rows(11).replace("\n", f",{good}\n") + f"a,p1,44,5,5,{bad}\n"
    (trial,) = read(table(text, head=f"{HEAD},{name}"))
    assert np.isnan(trial.samples.x).sum() == lost
    assert ("was not used" in notes([trial])) == (not lost)


REFUSED = {
    "two columns that could be x": (
        table(rows().replace("\n", ",7\n"), head=HEAD + ",gaze_x"),
        "2 columns 'x' ('x', 'gaze_x'), expected one: name them with --columns t=NAME",
    ),
    "two that could name the observer": (
        table(rows().replace("\n", ",7\n"), head=HEAD + ",subject"),
        "'observer', 'subject' could all be 'observer': name one with --columns observer=",
    ),
    "no column for y": (table(rows(), head="video,observer,t,x,pupil"), "no column 'y'"),
    "no names": (rows(), "no column 't', expected t, x, y in the first line, found 'a', 'p1'"),
    "no rows": (table(), "no gaze in its 0 rows"),
    "nothing": ("", "empty, expected a table with t, x, y"),
    "no gaze": (table("a,p1,0,,\na,p1,4,0,0\na,p1,8,0,0\n"), "no gaze in its 3 rows (2 rows at"),
    "fixations": (
        table(rows().replace("\n", ",200\n"), head=HEAD + ",duration"),
        "its rows have durations",
    ),
    "a letter": (table(rows(), "a,p1,O,5,5\n"), "line 14: t is 'O', expected a number"),
    "no observer": (table(rows(), "a,,48,5,5\n"), "line 14: observer is empty"),
    "seconds": (
        table(rows(step=0.004)),
        "steps of 0.004, expected milliseconds: s? state --units s",
    ),
    "microseconds": (table(rows(step=1000)), "--units us (--units ms if they are right)"),
    "nanoseconds": (table(rows(step=4e6)), "--units ns"),
    "a webcam in seconds": (table(rows(step=0.2)), "--units s"),
    "epoch": (table(rows(start=1.7e12)), "times begin at 1700000000000 ms, expected ms from the"),
    "seconds in many short trials": (
        table(*(rows(4, step=0.004, observer=f"p{n}") for n in range(5))),
        "all.csv: samples follow each other in steps of 0.004",
    ),
    "one trial in seconds": (
        table(rows(), rows(step=0.004, observer="p2")),
        "lines 14 to 25: samples follow each other in steps of 0.004",
    ),
    "fractions": (
        table(*(f"a,p1,{4 * n},0.{n + 10},0.{90 - n}\n" for n in range(20))),
        "expected pixels: fractions? state --units fractions (--units pixels if",
    ),
    "one trial in fractions": (
        table(rows(90), *(f"a,p2,{4 * n},0.{n + 10},0.{90 - n}\n" for n in range(20))),
        "lines 92 to 111: x is 0.1 to 0.29 and y 0.71 to 0.9",
    ),
    "percent": (
        table(*(f"a,p1,{4 * n},{20.5 + n},{90.5 - n}\n" for n in range(60))),
        "percent? state --units percent",
    ),
    "an origin in the centre": (
        table(*(f"a,p1,{4 * n},{20 * n - 300},{200 - 15 * n}\n" for n in range(30))),
        "is it in the centre? state --origin centre",
    ),
    "rows in disorder": (
        table(*np.random.default_rng(1).permutation(rows(60).splitlines(keepends=True))),
        "expected rows in the order of time: sort them",
    ),
    "rows from last to first": (
        table("".join(f"a,p1,{4 * (30 - n)},{n + 300},{n}\n" for n in range(30))),
        "sort them",
    ),
    "two people under one name": (
        table("".join(f"a,p1,{4 * (n // 2)},{n + 300},{n}\n" for n in range(40))),
        "20 of 40 rows have the time of the row before, expected one row a sample",
    ),
    "times in whole seconds": (
        table("".join(f"a,p1,{n // 60},{n + 300},{n}\n" for n in range(200))),
        "have the time of the row before",
    ),
    "a workbook": (b"PK\3\4abc", "an Excel workbook, expected text"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_not_be_samples_is_refused_in_one_line(read, what):
    content, words = REFUSED[what]
    with pytest.raises(InputError) as refused:
        read(content)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (REFUSED["seconds"][0], {"times": "s"}),
        (REFUSED["microseconds"][0], {"times": "ms"}),
        (REFUSED["fractions"][0], {"units": "fractions"}),
        (REFUSED["percent"][0], {"units": "percent"}),
        (REFUSED["an origin in the centre"][0], {"origin": "centre"}),
        (REFUSED["an origin in the centre"][0], {"origin": "upper-left"}),
        (REFUSED["two columns that could be x"][0], {"columns": {"x": "gaze_x"}}),
        (REFUSED["fixations"][0], {"columns": {"t": "t_ms"}}),
    ],
)
def test_a_user_can_state_what_is_right(read, content, options):
    (trial,) = read(content, **options)
    assert trial.units == options.get("units", "pixels")
    if options.get("times") == "s":
        np.testing.assert_allclose(trial.samples.time, 4.0 * np.arange(12))
    if "x" in options.get("columns", {}):
        assert set(trial.samples.x) == {7}


def test_epoch_times_are_right_if_a_list_says_when_clips_began(read):
    (trial,) = read(
        table(rows(start=1.7e12)), listed="file,clip,onset_ms\nall.csv,a,1700000000008\n"
    )
    assert trial.samples.time[0] == -8


def test_a_copied_block_is_left_out(read):
    (trial,) = read(table(rows(40), *rows(40).splitlines(keepends=True)[10:25]))
    assert len(trial.samples.time) == 40
    assert counts([trial]) == {REPEATED: 15}


def test_a_few_samples_may_share_a_time(read):
    (trial,) = read(table(rows(40), "a,p1,156,9,9\na,p1,160,5,5\n"))
    assert counts([trial]) == {viewings.SAME_TIME: 1}
    assert (np.diff(trial.samples.time) > 0).all()


def test_time_that_starts_again_is_another_viewing(read):
    first, second = read(table(rows(40), rows(30, x=400)))
    assert (first.observer, second.observer, second.number) == ("p1", "p1", 2)
    assert len(first.samples.time), len(second.samples.time) == (40, 30)
    assert viewings.AGAIN in notes([first])


def test_without_observers_it_is_another_one(read):
    again = "t,x,y\n" + "".join(
        f"{4 * n},{300 + n + 50 * k},{n}\n" for k in range(2) for n in range(20)
    )
    first, second = read({"a.csv": again})
    assert (first.clip, first.observer, second.observer) == ("a", "a 1", "a 2")
    assert viewings.ANOTHER in notes([first])
    assert viewings.BY_FILE in notes([first])


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("walk.csv", ("walk", "")),
        ("walk.mp4.csv", ("walk", "")),
        ("walk/p1.csv", ("walk", "p1")),
        ("p1/walk.csv", ("walk", "p1")),
        ("p1_walk.csv", ("walk", "p1")),
        ("walk-p1.csv", ("walk", "p1")),
        ("p1_walk_2.csv", ("walk_2", "p1")),
        ("walk_2.csv", ("walk_2", "")),
        ("walk/p1_walk.csv", ("walk", "p1")),
        ("day 1/p1/walk.csv", ("walk", "day 1/p1")),
        ("p1.csv", ("", "")),
        ("sidewalk.csv", ("", "")),
    ],
)
def test_a_files_place_names_clip_and_observer(tmp_path, path, named):
    assert named_by(tmp_path / path, tmp_path, {"walk", "walk_2", "run"}) == named


@pytest.mark.parametrize("path", ["walk/run.csv", "run_walk.csv"])
def test_a_place_that_names_two_clips_is_refused(tmp_path, path):
    with pytest.raises(InputError, match="named after 2 clips"):
        named_by(tmp_path / path, tmp_path, {"walk", "run"})


def test_rows_that_name_no_clip_are_left_out(read):
    (trial,) = read(table(rows(), rows(5, start=60, video="")))
    assert counts([trial]) == {viewings.NO_CLIP: 5}


def test_only_predictions_of_a_web_camera_are_samples(read):
    places = "".join(f"1,prediction,{50 * n},{400 + n},{300 - n}\n" for n in range(12))
    text = f"participant_id,type,time_elapsed,x_pred,y_pred\n1,zone,0,0,0\n{places}1,zone,0,0,0\n"
    columns = {"t": "time_elapsed", "x": "x_pred", "y": "y_pred"}
    (trial,) = read({"a.csv": text}, columns=columns)
    assert (trial.observer, len(trial.samples.x)) == ("1", 12)
    assert counts([trial]) == {NO_PREDICTION: 2}


def test_a_workbook_among_tables_is_not_passed_over(read):
    with pytest.raises(InputError, match=r"b\.xlsx: a workbook, expected text: save its sheet"):
        read({"a.csv": table(rows()), "b.xlsx": b"PK"})


def test_columns_that_a_layout_has_not_are_refused(read, clips_root):
    with pytest.raises(InputError, match="--columns frame=: this layout has t, x, y, video"):
        read(table(rows()), columns={"frame": "t_ms"})
    with pytest.raises(InputError, match=r"no column 'x'.*: --columns states x=gaze"):
        read(table(rows()), columns={"x": "gaze"})
    with pytest.raises(InputError, match="expected one column of each role, or two of x and of y"):
        read(table(rows()), columns={"x": "x+y"})
    with pytest.raises(InputError, match="--columns: it is for the layouts samples, frames"):
        recordings_of("gaze", clips_root([]), GazeOptions(columns={"x": "x"}))


COORD = "# Gaze file\n#\ngaze 640 360\ngeometry distance 0.6 width 0.5 height 0.28\n" + "".join(
    f"{2000 * n} {300.5 + n} {100 + n} {int(n != 3)}\n" for n in range(20)
)
ARFF = (
    "@RELATION gaze_labels\n\n%@METADATA width_px 640.0\n%@METADATA height_px 360\n"
    "%@METADATA width_mm 500\n%@METADATA distance_mm 600\n\n@ATTRIBUTE time INTEGER\n"
    "@attribute x NUMERIC\n@ATTRIBUTE 'y' NUMERIC\n@ATTRIBUTE confidence NUMERIC\n"
    "@ATTRIBUTE handlabeller_final {0,1,2}\n\n@DATA\n"
    + "".join(f"{2000 * n},{300.5 + n},{100 + n},{int(n != 3)},1\n" for n in range(20))
)


@pytest.mark.parametrize(("name", "content"), [("p1_a.coord", COORD), ("a/p1_a.arff", ARFF)])
def test_files_with_a_head_of_their_own_state_size_and_distance(read, name, content):
    (trial,) = read({name: content})
    assert (trial.clip, trial.observer) == ("a", "p1")
    np.testing.assert_array_equal(trial.samples.time, 2.0 * np.arange(20))
    assert (trial.screen, trial.on_clip) == (Screen(640, 360, 50.0, 60.0), False)
    assert np.flatnonzero(np.isnan(trial.samples.x)).tolist() == [3]
    assert trial.samples.x[4] == 304.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ARFF.replace("@DATA", "@DATE"), "an ARFF file without @DATA"),
        (ARFF.replace("ATTRIBUTE time", "ATTRIBUTE when"), "no column 't'"),
        (COORD.replace("640", "wide"), "a size of 'wide' in its head, expected a number"),
        (COORD[: COORD.index("0 300")], "no gaze in its 0 rows"),
    ],
)
def test_a_damaged_head_is_refused(read, content, words):
    with pytest.raises(InputError, match=words):
        read({"a.txt": content})


FRAMES = [(1, 300.5, 200), (1, 300.5, 200), (2, 310, 210), (5, 320, 220)]


def frame_rows(between=" ", frames=FRAMES, shift=0, head=""):
    lines = (between.join(map(str, (n + shift, x, y))) for n, x, y in frames)
    return head + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("between", [" ", "\t", ",", ";", " , "])
@pytest.mark.parametrize("head", ["", "Frame{}x{}y\n"])
def test_samples_are_numbered_by_frame(read, between, head):
    text = frame_rows(between, head=head.format(between, between))
    first, second = read({"a.txt": text + frame_rows(between)}, layout="frames")
    for trial in (first, second):
        assert trial.samples.time is None
        assert trial.samples.frame.tolist() == [1, 1, 2, 5]
        assert trial.samples.x.tolist() == [300.5, 300.5, 310, 320]
    assert [first.observer, second.observer] == ["a 1", "a 2"]


def test_decimal_commas_between_blanks(read):
    (trial,) = read({"a.txt": frame_rows().replace(".", ",")}, layout="frames")
    assert trial.samples.x[0] == 300.5


def test_frames_from_zero_are_shifted_in_all_files(read):
    files = {"a.txt": frame_rows(shift=-1), "b.txt": frame_rows()}
    first, second = read(files, layout="frames")
    assert first.samples.frame.tolist() == [1, 1, 2, 5]
    assert second.samples.frame.tolist() == [2, 2, 3, 6]
    assert FROM_ZERO in first.notes


def test_a_table_of_frames_may_name_clips_and_observers(read):
    text = "clip,viewer,frame,x,y\n" + "".join(
        f"{clip},{viewer},{n},{300 + n},7\n"
        for n in range(1, 9)
        for clip in "ab"
        for viewer in "pq"
    )
    trials = read(text, layout="frames")
    assert {(t.clip, t.observer) for t in trials} == {(c, v) for c in "ab" for v in "pq"}
    assert all(t.samples.frame.tolist() == list(range(1, 9)) for t in trials)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (frame_rows(frames=[(1.5, 3, 4)] * 3), "frame is 1.5, expected a whole number"),
        ("1 2 3 4\n" * 5, "'1 2 3 4' in its first row, expected frame x y"),
        (frame_rows(frames=[(n, n / 40, 0.5) for n in range(1, 30)]), "--units fractions"),
        (frame_rows(frames=[(30 - n, 300 + n, 5) for n in range(30)]), "sort them"),
    ],
)
def test_what_can_not_be_frames_is_refused(read, text, words):
    with pytest.raises(InputError, match=words):
        read({"a.txt": text}, layout="frames")


def test_negative_frames_are_left_out(read):
    frames = [*FRAMES, (-1, 5, 5), (6, 320, 220)]
    (trial,) = read({"a.txt": frame_rows(frames=frames)}, layout="frames")
    assert counts([trial]) == {NO_FRAME: 1}


def test_many_rows_are_read_by_column(read):
    parts = [rows(2500, video=f"c{n}", observer=f"p{m}") for n in range(4) for m in range(2)]
    trials = read(table(*parts), clips={f"c{n}" for n in range(4)})
    assert [len(trial.samples.x) for trial in trials] == [2500] * 8
    assert all(trial.samples.x.dtype == np.float64 for trial in trials)


def mutated(rng):
    """A table, as bytes, and whether it can be read as it is; what it holds is always the same."""
    time, right = rng.choice([*["t_ms", "t_s", "time [us]"] * 3, "in s", "in us"]), True
    factor = {"t_ms": 1, "t_s": 1e-3, "time [us]": 1e3, "in s": 1e-3, "in us": 1e3}[time]
    if time.startswith("in "):
        time, right = "t", False
    names = [rng.choice(NAMES[role][:3]) for role in ("video", "observer", "x", "y")]
    names.insert(2, time)
    scale = rng.choice([*[1] * 8, 1 / 640])
    right &= scale == 1
    table = [
        [
            clip,
            who,
            f"{20 * n * factor:.9g}",
            f"{(50.5 + 4 * n) * scale:.9g}",
            f"{(80.25 - n) * scale:.9g}",
        ]
        for clip in "ab"
        for who in ("P\u00e41", "P\u00f61", "p2")
        for n in range(40)
    ]
    for row in rng.choice(len(table), 5, replace=False):
        table[row][3:] = rng.choice(["", "NaN", ".", "NA"], 2)
    if rng.random() < 0.3:  # a block twice
        start = rng.integers(100)
        table[start + 30 : start + 30] = table[start : start + 30]
    if rng.random() < 0.1:
        table, right = [table[n] for n in rng.permutation(len(table))], False
    if rng.random() < 0.1:
        names, table, right = [*names, "gaze_x"], [[*row, row[3]] for row in table], False
    order = rng.permutation(len(names))
    between = rng.choice([",", ";", "\t", "|"])
    lines = [between.join(row[n] for n in order) for row in [names, *table]]
    ends = rng.choice(["\n", "\r\n"])
    text = ends.join(lines) + ends
    if between == ";" and rng.random() < 0.5:
        text = re.sub(r"(?<=\d)\.(?=\d)", ",", text)
    return text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])), right


def test_a_mutated_table_is_read_right_or_refused(read, capsys):
    found = {"read": 0, "refused": 0}
    for seed in range(200):
        content, right = mutated(np.random.default_rng(seed))
        try:
            trials = read(content)
        except InputError as error:
            assert not right, (seed, error)
            found["refused"] += 1
            continue
        assert right, seed
        found["read"] += 1
        assert [(t.clip, t.observer) for t in trials] == [
            (clip, who) for clip in "ab" for who in ("P\u00e41", "P\u00f61", "p2")
        ]
        for trial in trials:
            there = ~np.isnan(trial.samples.x)
            n = trial.samples.time / 20
            np.testing.assert_allclose(n, np.rint(n), atol=1e-6)
            np.testing.assert_allclose(trial.samples.x[there], (50.5 + 4 * n)[there])
            np.testing.assert_allclose(trial.samples.y[there], (80.25 - n)[there])
        assert sum((~np.isnan(trial.samples.x)).sum() for trial in trials) == 235
    with capsys.disabled():
        print(f"\nmutated tables of samples: {found}")
    assert min(found.values()) > 40


# Real files.


def facts(recordings, name):
    return json.loads((recordings / "trackers" / "facts.json").read_text())[name]


def real(recordings, name):
    return (recordings / "trackers" / name).read_bytes()


@pytest.mark.parametrize("clip", ["BasketballPass", "NebutaFestival"])
def test_real_frames_of_two_viewers(read, recordings, clip):
    name = f"plain/ved100_{clip}_2viewers.txt"
    known = facts(recordings, name)
    trials = read({f"{clip}.txt": real(recordings, name)}, layout="frames", clips={clip})
    for trial, viewer in zip(trials, known["viewers"], strict=True):
        frame = trial.samples.frame
        assert len(frame) == viewer["rows"]
        assert (frame[0], frame[-1]) == (viewer["first_frame"], viewer["last_frame"])
        assert len(np.unique(frame)) == viewer["frames_with_samples"]
    for trial, first in zip(trials, ("first", "second_viewer_first"), strict=True):
        found = trial.samples.frame[0], trial.samples.x[0], trial.samples.y[0]
        assert found == tuple(map(float, known[first]))
    x, y = (np.concatenate([getattr(t.samples, axis) for t in trials]) for axis in "xy")
    assert ([x.min(), x.max()], [y.min(), y.max()]) == (known["x_range"], known["y_range"])
    assert not counts(trials)


def test_real_samples_with_a_head(read, recordings):
    name = "plain/coord_actioncliptest_1000hz.txt"
    known = facts(recordings, name)
    (trial,) = read({"s1_clip.txt": real(recordings, name)}, clips={"clip", "other"})
    assert len(trial.samples.x) == known["samples"]
    assert trial.samples.time[-1] == float(known["last"][0]) / 1000
    assert (np.diff(trial.samples.time) == known["step_us"] / 1000).all()
    for n, end in ((0, "first"), (-1, "last")):
        assert [trial.samples.x[n], trial.samples.y[n]] == [float(c) for c in known[end][1:3]]
    assert np.isnan(trial.samples.x).sum() == known["flag_not_1"] == 0
    assert trial.screen == Screen(576, 304, 47.5, 75.3)


def test_real_samples_of_two_eyes(read, recordings):
    name = "web/psychopy_tobii_tx300.csv"
    known = facts(recordings, name)
    columns = {"t": "time", "x": "L_X+R_X", "y": "L_Y+R_Y", "valid": "L_V+R_V"}
    onset = known["events"][1][0]
    listed = f"file,clip,onset_ms\nAdult1.csv,a,{onset}\n"
    (trial,) = read({"Adult1.csv": real(recordings, name)}, columns=columns, listed=listed)
    time, x = trial.samples.time, trial.samples.x
    assert len(x) == known["rows"]
    assert np.isnan(x).sum() == known["both_missing"]
    first = known["first"]
    assert time[0] == float(first["time"]) - float(onset)
    assert x[0] == (float(first["L_X"]) + float(first["R_X"])) / 2
    assert trial.samples.y[0] == (float(first["L_Y"]) + float(first["R_Y"])) / 2
    assert 1000 * (len(time) - 1) / (time[-1] - time[0]) == pytest.approx(known["rate"], abs=0.01)
    with pytest.raises(InputError, match="--columns"):
        read({"Adult1.csv": real(recordings, name)})


def test_real_predictions_of_a_web_camera(read, recordings):
    name = "web/gorilla_eyetracking_collection.converted.csv"
    known = facts(recordings, name)
    columns = {"t": "time_elapsed", "x": "x_pred_normalised", "y": "y_pred_normalised"}
    files = {"a.csv": real(recordings, name)}
    (trial,) = read(files, columns=columns, units="fractions", origin="lower-left")
    x, y = trial.samples.x, trial.samples.y
    assert len(x) == known["predictions"]
    assert counts([trial])[NO_PREDICTION] == known["rows"] - known["predictions"]
    assert x[0] == float(known["first"]["x_pred_normalised"])
    assert y[0] == float(known["first"]["y_pred_normalised"])
    assert trial.samples.time[-1] == float(known["last_elapsed"])
    outside = (x < 0) | (x > 1) | (y < 0) | (y > 1)
    assert outside.sum() == known["outside_normalised"]
    with pytest.raises(InputError, match="--units fractions"):
        read(files, columns=columns)


def test_a_workbook_of_a_web_camera_is_refused(read, recordings):
    content = real(recordings, "web/gorilla_eyetracking_collection.xlsx")
    with pytest.raises(InputError, match="save its sheet as CSV UTF-8"):
        read({"a.xlsx": content})
    with pytest.raises(InputError, match="save its sheet as CSV UTF-8"):
        read({"a.xlsx": b"", "a.csv": content})
