"""Gazepoint's exports: samples and fixations of a user, medium by medium."""

import json

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.gazepoint import FIRST_FIXATION, FIRST_ROW, NO_MEDIA, NOT_VALID, gazepoint
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS

HEAD = (
    "MEDIA_ID,MEDIA_NAME,CNT,TIME(2026/01/02 10:00:00.000),TIMETICK(f=10000000),"
    "FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,BPOGX,BPOGY,BPOGV,USER,\n"
)


def row(media, time, x, y, valid=1, fixation=(0.0, 0.0, 1, 0), user=""):
    """A row with gaze at x, y; the fixation's start, duration, number and validity."""
    begun, lasted, number, good = fixation
    return (
        f"{ord(media[-1])},{media},0,{time},99,{x},{y},{begun},{lasted},{number},{good},"
        f"{x},{y},{valid},{user},\n"
    )


GAZE = (
    row("a", 0.0, 0.5, 0.5)
    + row("a", 0.016, 0.25, 0.75, fixation=(0.0, 0.016, 1, 1))
    + row("a", 0.032, 0.9, 0.9, valid=0, fixation=(0.0, 0.032, 1, 1))
    + row("b", 0.0, 0.1, 0.2)
    + row("b", 0.016, 0.1, 0.2, fixation=(0.008, 0.016, 1, 1))
)


@pytest.fixture
def read(tmp_path):
    """A function that reads files, by name, as exports of Gazepoint."""

    def read(clips=("a", "b"), head=HEAD, stated=None, **files):
        for name, rows in files.items():
            (tmp_path / f"{name.replace('__', ' ')}.csv").write_text(head + rows)
        return gazepoint(tmp_path, set(clips), GazeOptions(**(stated or {})))

    return read


def at(trial):
    samples = trial.samples
    return [
        (round(t, 3), None if np.isnan(x) else (x, y))
        for t, x, y in zip(samples.time, samples.x, samples.y, strict=True)
    ]


def fixated(trial):
    found = trial.fixations
    return np.stack([found.onset, found.duration, found.x, found.y], axis=1).round(3).tolist()


def test_each_medium_is_a_trial_in_fractions_of_the_screen(read):
    one, other = read(User__1_all_gaze=GAZE)
    assert [(t.clip, t.observer, t.number) for t in (one, other)] == [
        ("a", "User 1", 1),
        ("b", "User 1", 2),
    ]
    assert (one.units, one.on_clip, one.screen) == ("fractions", False, None)
    assert at(one) == [(0, (0.5, 0.5)), (16, (0.25, 0.75)), (32, None)]
    assert fixated(one) == [[0, 32, 0.9, 0.9]]
    assert fixated(other) == [[8, 16, 0.1, 0.2]]


def test_an_eye_that_is_lost_is_no_part_of_the_mean_of_eyes(read):
    head = "MEDIA_NAME,TIME,FPOGX,FPOGY,LPOGX,LPOGY,RPOGX,RPOGY\n"
    lost = {1: (-1, -1), 2: (-1, -1), 3: (0, 0), 4: (0, 0)}
    places = [(0.016 * n, *lost.get(n, (0.5, 0.5))) for n in range(6)]
    rows = "".join(f"a,{t:.3f},0.5,0.5,{x},{y},0.5,0.5\n" for t, x, y in places)
    (trial,) = read(head=head, User__1_all_gaze=rows)
    assert trial.samples.x.tolist() == trial.samples.y.tolist() == [0.5] * 6
    assert trial.notes == (LOST_AT.format("-1,-1"),)


def test_both_files_of_a_user_are_one_trial(read):
    fixations = row("a", 0.2, 0.3, 0.4, fixation=(0.05, 0.15, 7, 1))
    fixations += row("a", 0.4, 0.3, 0.4, fixation=(0.25, 0.15, 8, 0))
    one, other = read(User__1_all_gaze=GAZE, User__1_fixations=fixations)
    assert len(one.samples.time) == 3
    assert fixated(one) == [[50, 150, 0.3, 0.4]]
    assert one.left_out == {NOT_VALID: 1}
    assert other.fixations is None
    assert one.file.name == "User 1_all_gaze.csv"


def test_a_file_of_fixations_is_enough(read):
    (trial,) = read(P1_fixations=row("a", 0.2, 0.3, 0.4, fixation=(0.05, 0.15, 7, 1)))
    assert (trial.observer, trial.samples, fixated(trial)) == ("P1", None, [[50, 150, 0.3, 0.4]])


def test_a_medium_that_is_shown_again_is_another_trial(read):
    rows = row("a", 0.0, 0.5, 0.5) + row("a", 0.9, 0.5, 0.5)
    assert [t.clip for t in read(P1_all_gaze=rows + rows)] == ["a", "a"]


def test_where_time_runs_on_a_medium_begins_at_its_first_row(read):
    rows = row("a", 3.0, 0.5, 0.5) + row("a", 3.016, 0.5, 0.5)
    rows += row("b", 4.0, 0.5, 0.5, fixation=(3.9, 0.1, 4, 1)) + row("b", 4.016, 0.5, 0.5)
    one, other = read(P1_all_gaze=rows)
    assert [time for time, _ in at(one)] == [time for time, _ in at(other)] == [0, 16]
    assert fixated(other) == [[-100, 100, 0.5, 0.5]]
    assert one.notes == (FIRST_ROW,)


def test_where_time_runs_on_and_only_fixations_are_there_a_medium_begins_with_its_first(
    read, tmp_path
):
    # TIME is when a fixation ended.
    rows = row("a", 3.3, 0.5, 0.5, fixation=(3.0, 0.3, 1, 1))
    rows += row("b", 4.2, 0.5, 0.5, fixation=(4.0, 0.2, 2, 1))
    rows += row("b", 4.5, 0.1, 0.2, fixation=(4.25, 0.25, 3, 1))
    one, other = read(P1_fixations=rows)
    assert fixated(one) == [[0, 300, 0.5, 0.5]]
    assert fixated(other) == [[0, 200, 0.5, 0.5], [250, 250, 0.1, 0.2]]
    assert one.notes == (FIRST_FIXATION,)
    samples = row("a", 2.9, 0.5, 0.5) + row("b", 3.95, 0.5, 0.5)
    one, other = read(P1_fixations=rows, P1_all_gaze=samples)
    assert (fixated(other)[0][0], other.notes) == (50, (FIRST_ROW,))
    (tmp_path / "P1_all_gaze.csv").unlink()
    head, rows = "TIME,FPOGX,FPOGY,FPOGS,FPOGD\n", "3.3,0.5,0.5,3.0,0.3\n4.2,0.5,0.5,4.0,0.2\n"
    (nameless,) = read(head=head, P1_fixations=rows)
    assert nameless.fixations.onset.tolist() == [0, 1000]


def test_messages_of_the_user_say_when_a_clip_begins(read):
    rows = "".join(
        row("screen", 3 + n / 100, 0.5, 0.5, user={2: "PLAY b", 5: "PLAY a"}.get(n, ""))
        for n in range(8)
    )
    fixations = row("screen", 3.06, 0.3, 0.4, fixation=(3.03, 0.02, 7, 1))
    stated = {"onset": r"PLAY (?P<clip>\w+)"}
    one, other = read(P1_all_gaze=rows, P1_fixations=fixations, stated=stated)
    assert [(t.clip, len(t.samples.time)) for t in (one, other)] == [("b", 3), ("a", 3)]
    assert (fixated(one), fixated(other)) == ([[10, 20, 0.3, 0.4]], [])


def test_exports_without_media_count_from_their_first_row(read):
    head = "CNT,TIME,FPOGX,FPOGY,LPOGX,LPOGY,LPOGV,RPOGX,RPOGY,RPOGV\n"
    rows = "0,7.0,9,9,0.2,0.4,1,0.4,0.6,1\n1,7.01,9,9,0.2,0.4,1,0,0,0\n2,7.02,9,9,0,0,0,0,0,0\n"
    (trial,) = read(head=head, P1=rows)
    assert at(trial) == [(0, (pytest.approx(0.3), 0.5)), (10, (0.2, 0.4)), (20, None)]
    assert (trial.clip, trial.observer, trial.fixations) == ("", "P1", None)
    assert trial.notes == (NO_MEDIA,)


def test_summaries_are_no_gaze(read, tmp_path):
    (tmp_path / "Data_Summary_export_x.csv").write_text("Gazepoint Analysis,v6\n\nAOI Summary\n")
    assert len(read(P1_all_gaze=GAZE)) == 2


def test_users_of_the_same_name_in_two_folders_are_two(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "User 1_all_gaze.csv").write_text(HEAD + row("a", 0.0, 0.5, 0.5))
    found = gazepoint(tmp_path, {"a"}, GazeOptions())
    assert [trial.observer for trial in found] == ["one/User 1", "two/User 1"]


def test_a_last_row_that_was_cut_off_is_left_out_and_counted(read):
    fixations = row("a", 0.2, 0.3, 0.4, fixation=(0.05, 0.15, 7, 1))
    one, other = read(P1_all_gaze=GAZE[:-20], P1_fixations=fixations + fixations[:20])
    assert [len(t.samples.time) for t in (one, other)] == [3, 1]
    assert len(one.fixations.x) == 1
    assert (one.left_out[SHORT_ROWS], other.left_out[SHORT_ROWS]) == (2, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "no column 'TIME', expected TIME, FPOGX, FPOGY"),
        (HEAD, "no rows under the names"),
        (HEAD + row("a", "x", 0.5, 0.5), "line 2: TIME is 'x', expected a number"),
        (HEAD + row("a", "", 0.5, 0.5), "line 2: TIME is empty, expected seconds"),
    ],
)
def test_refused_by_name(read, content, words):
    with pytest.raises(InputError) as refused:
        read(head="", P1_all_gaze=content)
    assert words in str(refused.value)
    assert "P1_all_gaze.csv" in str(refused.value)


def test_from_export_to_frames(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "gaze").mkdir()
    with VideoWriter(tmp_path / "videos" / "a.mp4", 25, 64, 32) as video:
        for _ in range(3):
            video.write(np.zeros((32, 64, 3), np.uint8))
    rows = row("a", 0.1, 0.25, 0.5, fixation=(0.04, 0.06, 1, 1)) + row("c", 0.0, 0.5, 0.5)
    (tmp_path / "gaze" / "User 1_fixations.csv").write_text(HEAD + rows)
    options = GazeOptions(placed="stretch", fixations="recorded")
    (recording,) = recordings_of("gazepoint", tmp_path, options)
    found = [frame.fixations.points.tolist() for frame in recording.read()]
    assert found == [[], [[0.25, 0.5]], [[0.25, 0.5]]]
    assert "left out what is no clip in videos: 'c'" in recording.notes


@pytest.fixture
def excerpts(recordings):
    facts = json.loads((recordings / "trackers" / "facts.json").read_text())
    folder = recordings / "trackers" / "gazepoint"
    trials = gazepoint(folder, {"page1"}, GazeOptions())
    return trials, {k.split("/")[1]: v for k, v in facts.items() if k.startswith("gazepoint/")}


def test_excerpts_have_the_samples_that_were_counted(excerpts):
    trials, facts = excerpts
    for user in ("P01", "P02_multimedia"):
        about = facts[f"{user}_all_gaze.csv"]
        mine = [trial for trial in trials if trial.observer == user]
        assert [t.clip for t in mine] == [name.split(" ", 1)[1] for name in about["media"]]
        for trial, (rows, first, last) in zip(mine, about["media"].values(), strict=True):
            assert len(trial.samples.time) == rows
            assert trial.samples.time[[0, -1]] == pytest.approx([1e3 * first, 1e3 * last])
        assert sum(np.isnan(trial.samples.x).sum() for trial in mine) == about["BPOGV0"]
        first = about["first_row"]
        assert at(mine[0])[0] == (0, (float(first["BPOGX"]), float(first["BPOGY"])))


def test_excerpts_have_the_fixations_of_their_own_file(excerpts):
    trials, facts = excerpts
    for user in ("P01", "P02_multimedia"):
        about = facts[f"{user}_fixations.csv"]
        mine = [trial for trial in trials if trial.observer == user]
        assert [len(t.fixations.onset) for t in mine] == list(about["per_media"].values())
        assert sum(len(t.fixations.onset) for t in mine) == about["fixations"]
        first = [float(about["first"][f"FPOG{name}"]) for name in "SDXY"]
        assert fixated(mine[0])[0] == pytest.approx(
            [1e3 * first[0], 1e3 * first[1], *first[2:]], abs=1e-3
        )


def test_excerpts_of_samples_have_valid_fixations_too(excerpts, recordings, tmp_path):
    _, facts = excerpts
    for user in ("P01", "P02_multimedia"):
        name = f"{user}_all_gaze.csv"
        content = (recordings / "trackers" / "gazepoint" / name).read_bytes()
        (tmp_path / name).write_bytes(content)
    found = gazepoint(tmp_path, {"page1"}, GazeOptions())
    for user in ("P01", "P02_multimedia"):
        count = sum(len(t.fixations.onset) for t in found if t.observer == user)
        assert count == facts[f"{user}_all_gaze.csv"]["fixation_ids_valid"]
