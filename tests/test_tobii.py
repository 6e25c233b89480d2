"""Tobii's exports: what Pro Lab, Studio and the SDK write becomes trials, or is refused."""

import json
import shutil

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.listing import read_trials
from uva_tf.gaze.exports.row_order import AGAIN, SORTED
from uva_tf.gaze.exports.stimuli import FIRST_ROW
from uva_tf.gaze.exports.tobii import (
    MEANS,
    NO_SNAPSHOT,
    NO_STIMULUS,
    NO_UNIT,
    ON_SCREEN,
    tobii,
)
from uva_tf.gaze.fixation_table import BESIDE, FAR_OFF, OUTSIDE, REPEATED, SAMPLES_BESIDE
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS
from uva_tf.gaze.trials import Screen


def table(columns, rows, separator="\t"):
    """Rows of cells as text; a missing cell is empty."""
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    return "".join(separator.join(str(cell) for cell in line) + "\n" for line in lines)


@pytest.fixture
def read(tmp_path):
    """A function that reads one file, or several by name, as exports of Tobii."""

    def read(files, clips=("a", "b"), **stated):
        for name, content in ({"p.tsv": files} if isinstance(files, str) else files).items():
            (tmp_path / name).write_text(content, "utf-8", newline="")
        return tobii(tmp_path, set(clips), GazeOptions(**stated))

    return read


def at(trial):
    """Times and places of a trial's samples, lost ones as None."""
    samples = trial.samples
    return [
        (round(t), None if np.isnan(x) else (round(x, 4), round(y, 4)))
        for t, x, y in zip(samples.time, samples.x, samples.y, strict=True)
    ]


def fixated(trial):
    found = trial.fixations
    return np.stack([found.onset, found.duration, found.x, found.y], axis=1).round(3).tolist()


PRO_LAB = [
    "Recording timestamp [ms]",
    "Sensor",
    "Participant name",
    "Recording name",
    "Recording resolution height [px]",
    "Recording resolution width [px]",
    "Event",
    "Event value",
    "Gaze point X [DACS px]",
    "Gaze point Y [DACS px]",
    "Validity left",
    "Validity right",
    "Gaze point X [MCS norm]",
    "Gaze point Y [MCS norm]",
    "Presented Stimulus name",
    "Presented Media name",
    "Presented Media width [px]",
    "Presented Media height [px]",
    "Presented Media position X [DACS px]",
    "Presented Media position Y [DACS px]",
    "Eye movement type",
    "Gaze event duration [ms]",
    "Eye movement type index",
    "Fixation point X [DACS px]",
    "Fixation point Y [DACS px]",
    "Fixation point X [MCS norm]",
    "Fixation point Y [MCS norm]",
]


def pro_lab(time, x=None, y=None, media="", person="P1", kind="Fixation", index=1, **cells):
    """A row of the eye tracker: a media of 800x400 at 560,340 on a screen of 1920x1080."""
    row = {
        "Recording timestamp [ms]": time,
        "Sensor": "Eye Tracker",
        "Participant name": person,
        "Recording name": "Recording1",
        "Recording resolution height [px]": 1080,
        "Recording resolution width [px]": 1920,
        "Presented Media name": media and f"{media}.mp4",
        "Presented Stimulus name": media,
        "Eye movement type": kind if x is not None else "EyesNotFound",
        "Eye movement type index": index,
    }
    if x is not None:
        row |= {"Gaze point X [DACS px]": x, "Gaze point Y [DACS px]": y}
        row |= {"Validity left": "Valid", "Validity right": "Valid"}
    else:
        row |= {"Validity left": "Invalid", "Validity right": "Invalid"}
    if media:
        row |= {
            "Presented Media width [px]": 800,
            "Presented Media height [px]": 400,
            "Presented Media position X [DACS px]": 560,
            "Presented Media position Y [DACS px]": 340,
        }
    return row | cells


def event(time, what, value="", person="P1"):
    return {
        "Recording timestamp [ms]": time,
        "Participant name": person,
        "Recording name": "Recording1",
        "Event": what,
        "Event value": value,
    }


SHOWN = [
    event(0, "RecordingStart"),
    pro_lab(10, 100, 100),
    event(15, "VideoStimulusStart", "a"),
    pro_lab(20, 960, 540, "a"),
    pro_lab(30, None, None, "a"),
    {"Recording timestamp [ms]": 35, "Sensor": "Mouse", "Participant name": "P1"}
    | {"Recording name": "Recording1"},
    pro_lab(40, 560, 340, "a"),
    event(45, "VideoStimulusEnd", "a"),
    pro_lab(50, 5, 5),
]


def test_pro_lab_counts_from_the_clip_and_places_on_it(read):
    (trial,) = read(table(PRO_LAB, SHOWN))
    assert (trial.clip, trial.observer, trial.number) == ("a.mp4", "P1", 1)
    assert (trial.units, trial.on_clip, trial.screen) == ("fractions", True, Screen(1920, 1080))
    assert trial.shown == (560, 340, 800, 400)
    assert at(trial) == [(5, (0.5, 0.5)), (15, None), (25, (0.0, 0.0))]
    assert trial.notes == (MEANS,)


def test_coordinates_of_the_media_count_first_and_the_screen_fills_gaps(read):
    norm = {"Gaze point X [MCS norm]": "0.25", "Gaze point Y [MCS norm]": "0.75"}
    rows = [pro_lab(10, 760, 640, "a", **norm), pro_lab(20, 2000, 640, "a")]
    assert at(*read(table(PRO_LAB, rows))) == [(0, (0.25, 0.75)), (10, (1.8, 0.75))]


def test_media_elsewhere_than_stated_is_not_filled_from_the_screen(read):
    norm = {"Gaze point X [MCS norm]": "0.9", "Gaze point Y [MCS norm]": "0.1"}
    rows = [pro_lab(10, 760, 640, "a", **norm), pro_lab(20, 2000, 640, "a")]
    assert at(*read(table(PRO_LAB, rows))) == [(0, (0.9, 0.1)), (10, None)]


NOWHERE = [name for name in PRO_LAB if not name.startswith("Presented Media") or "name" in name]


def test_a_user_who_states_the_screen_gets_its_pixels(read):
    (trial,) = read(table(NOWHERE, SHOWN), placed="stretch")
    assert (trial.units, trial.on_clip, trial.screen) == ("pixels", False, Screen(1920, 1080))
    assert at(trial)[0] == (5, (960, 540))
    # The media showed the clip, but has another name.
    (trial,) = read(table(PRO_LAB, SHOWN), clips=["other"], placed="stretch")
    assert (trial.on_clip, trial.shown) == (False, None)


def test_where_the_media_was_follows_from_places_that_are_on_both(read):
    rows = [
        pro_lab(t, x, y, "a", **{"Gaze point X [MCS norm]": on, "Gaze point Y [MCS norm]": down})
        for t, x, y, on, down in ((10, 760, 640, 0.25, 0.75), (20, 960, 440, 0.5, 0.25))
    ]
    (trial,) = read(table(NOWHERE, rows), screen=(1920, 1080), placed=(560, 340, 800, 400))
    assert trial.on_clip
    assert trial.shown == pytest.approx((560, 340, 800, 400))
    (trial,) = read(table(NOWHERE, rows[:1]))
    assert trial.shown is None
    only = [name for name in NOWHERE if "DACS" not in name]
    with pytest.raises(InputError, match="places are of the media, not of a screen: leave --scree"):
        read(table(only, rows), screen=(1920, 1080), placed="fit")


def test_participants_stimuli_and_repetitions_are_trials_of_their_own(read):
    rows = []
    for person in ("P1", "P2"):
        for start, media in ((0, "a"), (100, "b"), (200, "a"), (300, "a")):
            rows.append(event(start + 5, "VideoStimulusStart", media, person))
            rows += [pro_lab(start + t, 960, 540, media, person) for t in (10, 20)]
    trials = read(table(PRO_LAB, rows))
    assert [(t.observer, t.clip, t.number) for t in trials] == [
        (person, f"{media}.mp4", number + add)
        for person, add in (("P1", 0), ("P2", 4))
        for number, media in enumerate("abaa", start=1)
    ]
    assert all([time for time, _ in at(trial)] == [5, 15] for trial in trials)


def test_rows_of_two_recordings_may_be_mixed(read):
    rows = [pro_lab(t, 960, 540, "a", person) for t in (10, 20) for person in ("P1", "P2")]
    assert [(t.observer, len(t.samples.time)) for t in read(table(PRO_LAB, rows))] == [
        ("P1", 2),
        ("P2", 2),
    ]


def test_without_events_a_clip_begins_at_its_first_row(read):
    (trial,) = read(table(PRO_LAB, [pro_lab(t, 960, 540, "a") for t in (1010, 1020)]))
    assert [time for time, _ in at(trial)] == [0, 10]
    assert FIRST_ROW in trial.notes


def test_events_do_without_a_column_of_stimuli(read):
    columns = [name for name in PRO_LAB if "Presented" not in name]
    trial, other = read(table(columns, [*SHOWN, event(55, "ImageStimulusStart", "b")]))[:1] * 2
    assert (trial.clip, at(trial)) == (
        "a",
        [(5, (960, 540)), (15, None), (25, (560, 340))],
    )
    assert (other.units, other.screen) == ("pixels", Screen(1920, 1080))


def test_the_user_says_which_message_is_the_onset(read):
    rows = [event(12, "TTL in", "255"), event(18, "sync", "clip=b"), *SHOWN]
    (trial,) = read(table(PRO_LAB, rows), onset=r"sync clip=(?P<clip>\w+)")
    assert (trial.clip, at(trial)[0][0]) == ("b", 2)
    with pytest.raises(InputError, match=r"no message matches --onset 'x', found 'TTL in 255'"):
        read(table(PRO_LAB, rows), onset="x")


def test_recorded_fixations(read):
    first = {"Gaze event duration [ms]": 30, "Fixation point X [DACS px]": 760}
    first |= {"Fixation point Y [DACS px]": 440}
    rows = [
        pro_lab(0, 760, 440, index=7, **first),
        event(5, "VideoStimulusStart", "a"),
        pro_lab(10, 760, 440, "a", index=7, **first),
        pro_lab(20, 760, 440, "a", index=7, **first),
        pro_lab(30, 900, 500, "a", kind="Saccade", index=3),
        pro_lab(40, 960, 540, "a", index=8, **{"Gaze event duration [ms]": 20}),
        pro_lab(50, 980, 560, "a", index=8, **{"Gaze event duration [ms]": 20}),
    ]
    (trial,) = read(table(PRO_LAB, rows))
    # The first ran over the onset; the second has no point of its own.
    assert fixated(trial) == [[-5, 30, 0.25, 0.25], [35, 20, 0.512, 0.525]]
    assert trial.notes == (MEANS,)


def test_a_fixation_whose_first_rows_were_cut_off_began_before_them(read):
    lasts = {"Gaze event duration [ms]": 200}
    rows = [pro_lab(t, 960, 540, "a", index=1, **lasts) for t in (1000, 1010, 1020)]
    rows += [pro_lab(1030, 700, 400, "a", kind="Saccade", index=2)]
    assert fixated(*read(table(PRO_LAB, rows))) == [[-170, 200, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("unit", "step", "found"),
    [("[μs]", 8333, 8.333), ("[µs]", 8333, 8.333), ("[us]", 8333, 8.333), ("[ms]", 8333, 8333)],
)
def test_the_unit_in_the_name_of_the_timestamps_counts(read, unit, step, found):
    columns = [f"Recording timestamp {unit}", "Gaze point X [DACS px]", "Gaze point Y [DACS px]"]
    rows = [dict(zip(columns, (n * step, 5, 6), strict=True)) for n in range(4)]
    (trial,) = read(table(columns, rows))
    np.testing.assert_allclose(np.diff(trial.samples.time), found)
    (trial,) = read(table(columns, rows), times="s")
    np.testing.assert_allclose(np.diff(trial.samples.time), 1000 * step)


@pytest.mark.parametrize(
    ("step", "scale", "said"),
    [(33, 1, "milliseconds"), (1, 1, "milliseconds"), (20000, 1e-3, "microseconds")],
)
def test_timestamps_without_a_unit_are_told_by_their_step(read, step, scale, said):
    columns = ["Recording timestamp", "Gaze point X", "Gaze point Y"]
    content = table(columns, [dict(zip(columns, (n * step, 5, 6), strict=True)) for n in range(9)])
    (trial,) = read(content)
    np.testing.assert_allclose(np.diff(trial.samples.time), step * scale)
    assert NO_UNIT.format(said) in trial.notes


def test_timestamps_that_may_be_either_are_refused(read):
    columns = ["Recording timestamp", "Gaze point X", "Gaze point Y"]
    rows = [dict(zip(columns, (n * 250, 5, 6), strict=True)) for n in range(9)]
    with pytest.raises(InputError, match=r"p.tsv: .* no unit, and step by 250: state --units ms"):
        read(table(columns, rows))


@pytest.mark.parametrize("scale", [1, 1000])
def test_a_row_for_each_fixation_has_its_duration_to_tell_the_unit(read, scale):
    columns = ["Recording timestamp", "Eye movement type", "Eye movement type index"]
    columns += ["Gaze event duration", "Fixation point X", "Fixation point Y"]
    cells = [(scale * t, "Fixation", n, 600, 5, 6) for n, t in enumerate((0, 700, 1400, 2200))]
    (trial,) = read(table(columns, [dict(zip(columns, row, strict=True)) for row in cells]))
    assert trial.fixations.onset.tolist() == [0, 700, 1400, 2200]
    assert trial.samples is None


def test_names_of_older_versions(read):
    columns = ["Recording timestamp", "Participant name", "Gaze point X", "Gaze point Y"]
    columns += ["Gaze point X (MCSnorm)", "Gaze point Y (MCSnorm)", "Presented Media name"]
    columns += ["Presented Media position X (DACSpx)", "Recording resolution width"]
    rows = [(n * 17, "P1", 5, 6, "0,25", "0,5", "b.avi", 0, 1920) for n in range(3)]
    content = "\ufeff" + table(columns, [dict(zip(columns, r, strict=True)) for r in rows])
    (trial,) = read(content)
    assert (trial.clip, at(trial)[0]) == ("b.avi", (0, (0.25, 0.5)))
    assert "commas in the table's numbers are decimal" in trial.notes


def test_both_eyes_are_averaged_where_there_is_no_mean(read):
    columns = ["Recording timestamp [ms]", "Validity left", "Validity right"]
    columns += [f"Gaze point {eye} {a} [DACS px]" for eye in ("left", "right") for a in "XY"]
    cells = [
        (0, "Valid", "Valid", 10, 20, 30, 40),
        (8, "Valid", "Invalid", 10, 20, 99, 99),
        (16, "Invalid", "Valid", "", "", 30, 40),
        (24, "Invalid", "Invalid", 1, 1, 1, 1),
        (32, "4.0", "0.0", 99, 99, 30, 40),
    ]
    (trial,) = read(table(columns, [dict(zip(columns, row, strict=True)) for row in cells]))
    assert at(trial) == [(0, (20, 30)), (8, (10, 20)), (16, (30, 40)), (24, None), (32, (30, 40))]


@pytest.mark.parametrize("eyes", [("",), ("left ", "right ")])
def test_signs_of_lost_tracking_are_no_part_of_fixations_nor_of_the_mean_of_eyes(read, eyes):
    columns = ["Recording timestamp [ms]", "Eye movement type"]
    columns += [f"Gaze point {eye}{a} [DACS px]" for eye in eyes for a in "XY"]
    cells = [
        (10 * n, "Fixation", *((-1, -1) if n % 4 == 1 else (10, 20)), *([10, 20] * len(eyes))[2:])
        for n in range(12)
    ]
    (trial,) = read(table(columns, [dict(zip(columns, row, strict=True)) for row in cells]))
    assert fixated(trial) == [[0, 120, 10, 20]]
    assert np.isnan(trial.samples.x).sum() == (3 if len(eyes) == 1 else 0)
    assert LOST_AT.format("-1,-1") in trial.notes


@pytest.mark.parametrize("lost", [0, -1, -9999])
def test_a_fixation_whose_point_says_that_tracking_was_lost_lies_at_the_mean_of_its_samples(
    read, lost
):
    columns = ["Recording timestamp [ms]", "Eye movement type"]
    columns += [f"{what} point {a} [DACS px]" for what in ("Gaze", "Fixation") for a in "XY"]
    cells = [(10 * n, "Fixation", 10, 20, lost, lost) for n in range(4)]
    (trial,) = read(table(columns, [dict(zip(columns, row, strict=True)) for row in cells]))
    assert fixated(trial) == [[0, 40, 10, 20]]


STUDIO_3 = [
    "ParticipantName",
    "RecordingName",
    "RecordingResolution",
    "MediaName",
    "MediaPosX (ADCSpx)",
    "MediaPosY (ADCSpx)",
    "MediaWidth",
    "MediaHeight",
    "RecordingTimestamp",
    "StudioEvent",
    "StudioEventData",
    "FixationIndex",
    "GazeEventType",
    "GazeEventDuration",
    "FixationPointX (MCSpx)",
    "FixationPointY (MCSpx)",
    "GazePointIndex",
    "GazePointX (ADCSpx)",
    "GazePointY (ADCSpx)",
    "GazePointX (MCSpx)",
    "GazePointY (MCSpx)",
    "ValidityLeft",
    "ValidityRight",
]


def test_studio_3(read):
    media = {"MediaName": "a.avi", "MediaWidth": 640, "MediaHeight": 480}
    media |= {"MediaPosX (ADCSpx)": 640, "MediaPosY (ADCSpx)": 300}
    start = {"RecordingTimestamp": 90, "StudioEvent": "MovieStart", "StudioEventData": "a.avi"}
    rows = [
        start,
        media
        | {"RecordingTimestamp": 100, "GazePointIndex": 1, "GazePointX (ADCSpx)": 960}
        | {"GazePointY (ADCSpx)": 540, "GazePointX (MCSpx)": 320, "GazePointY (MCSpx)": 240}
        | {"ValidityLeft": 0, "ValidityRight": 4, "FixationIndex": 1, "GazeEventType": "Fixation"}
        | {"GazeEventDuration": 16, "FixationPointX (MCSpx)": 160, "FixationPointY (MCSpx)": 120},
        media
        | {"RecordingTimestamp": 108, "GazePointIndex": 2, "ValidityLeft": 4}
        # 0 where it is lost
        | {"ValidityRight": 4, "GazePointX (ADCSpx)": 0, "GazePointY (ADCSpx)": 0},
    ]
    (trial,) = read(table(STUDIO_3, [{"ParticipantName": "P1", **row} for row in rows]))
    assert (trial.clip, trial.observer, trial.units, trial.on_clip) == (
        "a.avi",
        "P1",
        "fractions",
        True,
    )
    assert at(trial) == [(10, (0.5, 0.5)), (18, None)]
    assert fixated(trial) == [[10, 16, 0.25, 0.25]]


PREAMBLE = "Data properties:\n\nScreen resolution: 1280 x 1024\nSubject: P7\n\n"


def test_studio_2_fixation_data(read):
    columns = ["FixationIndex", "Timestamp", "FixationDuration", "MappedFixationPointX"]
    columns += ["MappedFixationPointY", ""]
    rows = [(1, 26, 633, 513, 518), (2, 700, 80, -1, 527)]
    content = table(columns, [dict(zip(columns, row, strict=False)) for row in rows])
    (trial,) = read(PREAMBLE + content)
    assert (trial.clip, trial.observer, trial.screen) == ("", "P7", Screen(1280, 1024))
    assert (trial.units, trial.on_clip, trial.samples) == ("pixels", False, None)
    assert fixated(trial) == [[26, 633, 513, 518], [700, 80, -1, 527]]
    assert trial.notes == (NO_STIMULUS, ON_SCREEN)


def test_samples_of_the_sdk(read):
    columns = ["left_gaze_point_on_display_area", "left_gaze_point_validity"]
    columns += ["right_gaze_point_on_display_area", "right_gaze_point_validity"]
    columns += ["system_time_stamp", "device_time_stamp"]
    cells = [
        ("(0.2, 0.5)", 1, "(0.4, 0.7)", 1, "1.5e+15", 491999899),
        ("(nan, nan)", 0, "(0.4, 0.7)", 1, "1.5e+15", 492011899),
        ("(0.0, 0.0)", 0, "(nan, nan)", 0, "1.5e+15", 492023899),
    ]
    content = table(columns, [dict(zip(columns, row, strict=True)) for row in cells], ";")
    (trial,) = read({"p.csv": content.replace("\n", "\r\r\n")})
    assert (trial.units, trial.on_clip, trial.screen) == ("fractions", False, None)
    assert at(trial) == [(0, (0.3, 0.6)), (12, (0.4, 0.7)), (24, None)]
    with pytest.raises(InputError, match=r"is '\(0.2; 0.5\)', expected such as"):
        read({"p.csv": content.replace("(0.2, 0.5)", '"(0.2; 0.5)"')})


def test_samples_of_the_sdk_in_columns_of_their_own(read):
    columns = [f"{eye}_gaze_point_on_display_area_{a}" for eye in ("left", "right") for a in "xy"]
    columns += ["device_time_stamp"]
    cells = [(0.2, 0.5, 0.4, 0.7, 1000), ("nan", "nan", 0.4, 0.7, 9000)]
    (trial,) = read(table(columns, [dict(zip(columns, r, strict=True)) for r in cells], ","))
    assert at(trial) == [(0, (0.3, 0.6)), (8, (0.4, 0.7))]


GLASSES = ["Recording timestamp [μs]", "Sensor", "Participant name", "Event"]
GLASSES += ["Mapped eye movement type [Shop]", "Mapped eye movement type index [Shop]"]
GLASSES += ["Mapped fixation X [Shop]", "Mapped fixation Y [Shop]"]
GLASSES += ["Gaze point X [MCS px]", "Gaze point Y [MCS px]", "Eye movement type"]
WORN = [
    (1_000_000, "Gyroscope", "P1", "", "Fixation", 1, 50, 60, "", "", "Fixation"),
    (1_010_000, "", "P1", "Shop IntervalStart"),
    (1_020_000, "Eye Tracker", "P1", "", "Fixation", 1, 50, 60, 400, 300, "Fixation"),
    (1_040_000, "Eye Tracker", "P1", "", "Fixation", 1, 50, 60, 410, 310, "Fixation"),
]


def test_glasses_give_the_snapshot_that_is_a_clip_or_else_the_scene(read):
    content = table(GLASSES, [dict(zip(GLASSES, row, strict=False)) for row in WORN])
    (trial,) = read(content, clips=["Shop"])
    assert (trial.clip, trial.on_clip, trial.units, trial.samples) == ("Shop", True, "pixels", None)
    assert fixated(trial) == [[10, 40, 50, 60]]
    (trial,) = read(content, clips=["scene"])
    assert (trial.clip, trial.on_clip, trial.units) == ("", True, "pixels")
    assert at(trial) == [(1020, (400, 300)), (1040, (410, 310))]
    assert NO_SNAPSHOT in trial.notes


def test_fast_trackers_whose_clock_counts_milliseconds_have_rising_times(read):
    rows = [pro_lab(n // 2, 960, 540, "a") for n in range(6)]
    (trial,) = read(table(PRO_LAB, rows))
    assert trial.samples.time.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]


def looking(person="P1", recording="Recording1", start=0, seed=0):
    """Rows of a recording at 120 Hz with clip a: fixations of 100 ms, and saccades between."""
    rng = np.random.default_rng(seed)
    rows = [event(start, "VideoStimulusStart", "a", person)]
    places = 100 + 200 * rng.integers(8, size=(8, 2))
    for n in range(120):
        fixated, (x, y) = n % 15 < 12, places[n // 15]
        kind = {"kind": "Fixation" if fixated else "Saccade", "index": n // 15 + 1}
        lasts = {"Gaze event duration [ms]": 100 if fixated else 25}
        place = (x + rng.integers(9), y + rng.integers(9))
        rows.append(pro_lab(round(start + 1 + n / 0.12), *place, "a", person, **kind, **lasts))
    return [row | {"Recording name": recording} for row in rows]


def gaze_of(trials):
    return [(t.observer, at(t), fixated(t)) for t in trials]


ORDERS = {
    "any": lambda rows: np.random.default_rng(1).permutation(len(rows)),
    "type": lambda rows: np.argsort([r.get("Eye movement type", "z") for r in rows], kind="stable"),
    "x": lambda rows: np.argsort([r.get("Gaze point X [DACS px]", 0) for r in rows]),
    "falling": lambda rows: np.argsort([-r["Recording timestamp [ms]"] for r in rows]),
}


@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize("left_out", [(), ("Eye movement type index",)])
def test_rows_of_named_recordings_may_be_sorted_by_anything(read, by, left_out):
    columns = [name for name in PRO_LAB if name not in left_out]
    rows = [*looking("P1"), *looking("P2", seed=1)]
    expected = gaze_of(read(table(columns, rows)))
    trials = read(table(columns, [rows[n] for n in ORDERS[by](rows)]))
    assert gaze_of(sorted(trials, key=lambda t: t.observer)) == expected
    assert [len(one[2]) for one in expected] == [8, 8]
    assert all(SORTED in trial.notes for trial in trials)


@pytest.mark.parametrize("by", ORDERS)
def test_rows_of_recordings_without_names_must_be_in_the_order_of_time(read, by):
    columns = [name for name in PRO_LAB if name not in ("Participant name", "Recording name")]
    rows = looking()
    with pytest.raises(
        InputError, match=r"p.tsv line \d+: time goes back from \d+ to \d+, expected"
    ):
        read(table(columns, [rows[n] for n in ORDERS[by](rows)]))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("start", [0, 3])
def test_two_recordings_after_each_other_are_two_whatever_they_are_called(read, named, start):
    columns = [n for n in PRO_LAB if named or n not in ("Participant name", "Recording name")]
    trials = read(table(columns, [*looking(), *looking(start=start, seed=1)]))
    assert [len(trial.samples.time) for trial in trials] == [120, 120]
    assert all(AGAIN in trial.notes for trial in trials)


@pytest.mark.parametrize(
    "pasted",
    [
        lambda rows: rows + rows,
        lambda rows: rows + rows[50:],
        lambda rows: [row for row in rows for _ in range(2)],
        lambda rows: [(rows + rows)[n] for n in ORDERS["any"](rows + rows)],
    ],
)
def test_rows_that_were_pasted_twice_count_once(read, pasted):
    rows = looking()
    (expected,) = read(table(PRO_LAB, rows))
    (trial,) = read(table(PRO_LAB, pasted(rows)))
    assert gaze_of([trial]) == gaze_of([expected])
    assert trial.left_out[REPEATED] == len(pasted(rows)) - len(rows)


def test_a_recording_in_two_files_is_refused(read, tmp_path):
    ann, bob = looking("Ann"), looking("Bob", seed=1)
    only_fixations = [name for name in PRO_LAB if "Gaze point" not in name]
    both = {"all.tsv": table(PRO_LAB, ann + bob), "z.tsv": table(only_fixations, ann)}
    with pytest.raises(InputError, match=r"z.tsv: recording 'Recording1' of 'Ann' .*all.tsv: keep"):
        read(both)
    (tmp_path / "z.tsv").unlink()
    later = looking("Ann", start=5000)
    assert len(read({"all.tsv": table(PRO_LAB, ann), "y.tsv": table(PRO_LAB, later)})) == 2


def test_time_that_falls_begins_another_recording(read):
    columns = ["Recording timestamp [ms]", "Gaze point X", "Gaze point Y"]
    cells = [(n, 5, 6) for n in (0, 10, 5000, 0, 10)]
    trials = read(table(columns, [dict(zip(columns, row, strict=True)) for row in cells]))
    assert [len(trial.samples.time) for trial in trials] == [3, 2]


REFUSED = {
    "another table": ("a\tb\n1\t2\n", "no column 'Recording timestamp', expected"),
    "no rows": ("Recording timestamp [ms]\tGaze point X\n", "no rows under the names"),
    "only times": ("Recording timestamp [ms]\tEvent\n0\tx\n", "no columns of gaze or fixations"),
    "letters": (
        "Recording timestamp [ms]\tGaze point X\tGaze point Y\n0\tx\t1\n",
        "line 2: gazepointx is 'x', expected a number",
    ),
    "twice": (
        "Recording timestamp [ms]\tGaze point X\tGaze point X\n0\t1\t1\n",
        "2 columns 'gazepointx', expected one",
    ),
    "cut rows": ("Recording timestamp [ms]\tGaze point X\n0\n", "no rows under the names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(read, case):
    content, words = REFUSED[case]
    with pytest.raises(InputError) as refused:
        read(content)
    assert words in str(refused.value)
    assert "p.tsv" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_workbook_is_refused_with_the_remedy(read, tmp_path):
    (tmp_path / "Data.xlsx").write_bytes(b"PK\3\4rest")
    with pytest.raises(InputError, match="Excel workbook, expected text"):
        read({})


def write_clip(root, name, size, frames):
    (root / "videos").mkdir(parents=True, exist_ok=True)
    with VideoWriter(root / "videos" / f"{name}.mp4", 25, *size) as video:
        for _ in range(frames):
            video.write(np.full((size[1], size[0], 3), (0, 0, 230), np.uint8))


def test_from_export_to_frames(tmp_path):
    write_clip(tmp_path, "a", (64, 32), 4)
    (tmp_path / "gaze").mkdir()
    lasts = {"Gaze event duration [ms]": 80}
    rows = [event(0, "VideoStimulusStart", "a")]
    rows += [pro_lab(t, 760, 440, "a", **lasts) for t in range(40, 120, 10)]
    rows += [pro_lab(t, 5, 5, "Instruction", index=2) for t in (900, 910)]
    (tmp_path / "gaze" / "p.tsv").write_text(table(PRO_LAB, rows), "utf-8")
    options = GazeOptions(fixations="recorded")
    (recording,) = recordings_of("tobii", tmp_path, options)
    frames = list(recording.read())
    assert [frame.fixations.points.tolist() for frame in frames] == [
        [],
        [[0.25, 0.25]],
        [[0.25, 0.25]],
        [],
    ]
    assert recording.left_out[OUTSIDE] == 0
    assert "left out what is no clip in videos: 'Instruction.mp4'" in recording.notes


@pytest.fixture
def beside(tmp_path):
    """A function that reads a recording with gaze at places on a screen, in x."""

    def beside(places, **stated):
        write_clip(tmp_path, "a", (64, 32), 20)
        (tmp_path / "gaze").mkdir(exist_ok=True)
        rows = [event(0, "VideoStimulusStart", "a")]
        for n, x in enumerate(places):
            times, lasts = range(100 * n, 100 * n + 90, 10), {"Gaze event duration [ms]": 90}
            rows += [pro_lab(t, x, 440, "a", index=n + 1, **lasts) for t in times]
        (tmp_path / "gaze" / "p.tsv").write_text(table(PRO_LAB, rows), "utf-8")
        (recording,) = recordings_of("tobii", tmp_path, GazeOptions(**stated))
        found = [p for f in recording.read() for p in f.fixations.points.round(2).tolist()]
        return {tuple(place) for place in found}, recording.left_out

    return beside


@pytest.mark.parametrize("method", ["recorded", "ivt", "samples"])
def test_gaze_beside_a_media_whose_place_is_in_the_file_is_left_out(beside, method):
    # Two media's widths to the left, beside it, on it, and where no screen is.
    stated = {"fixations": method, "screen_cm": 10.0, "distance_cm": 60.0}
    found, left_out = beside((5, 500, 5, 760, 9000), **stated)
    assert found == {(0.25, 0.25)}
    count = {"recorded": 4, "ivt": 3, "samples": 27}[method]
    assert left_out[SAMPLES_BESIDE if method == "samples" else BESIDE] == count
    assert left_out[FAR_OFF] == 9
    with pytest.raises(InputError, match="no gaze on it"):
        beside((5, 500), **stated)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (
            {"screen": (1920, 1080), "placed": "fit"},
            "clip was at 560,340,800,400 on a screen of 1920x1080, but by --screen and --placed it "
            "was at 0,60,1920,960 on a screen of 1920x1080: leave --screen and --placed out",
        ),
        ({"placed": "stretch"}, "by --placed it was at 0,0,1920,1080: leave --placed out"),
        ({"screen": (1280, 720)}, "by --screen it was on a screen of 1280x720: leave --screen out"),
    ],
)
def test_another_place_of_the_clip_than_that_of_the_file_is_refused(beside, stated, words):
    with pytest.raises(InputError) as refused:
        beside((760,), **stated)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_place_of_the_file_may_be_stated_too(beside):
    for stated in ({"screen": (1920, 1080)}, {"placed": (556, 340, 804, 402)}):
        assert beside((760,), **stated)[0] == {(0.25, 0.25)}


def test_stimuli_that_are_no_clips_are_kept_if_none_is(tmp_path):
    (tmp_path / "gaze").mkdir()
    (tmp_path / "gaze" / "p.tsv").write_text(table(PRO_LAB, SHOWN), "utf-8")
    (trial,) = read_trials(tobii, tmp_path, {"other", "another"}, GazeOptions())
    assert trial.clip == "a.mp4"


@pytest.fixture
def excerpt(recordings, tmp_path):
    """A function that reads a real excerpt, and returns its trials and facts about it."""
    facts = json.loads((recordings / "trackers" / "facts.json").read_text())

    def read(name, clips=("clip",), **stated):
        shutil.copy(recordings / "trackers" / "tobii" / name, tmp_path)
        return tobii(tmp_path, set(clips), GazeOptions(**stated)), facts[f"tobii/{name}"]

    return read


def lost(trial):
    return int(np.isnan(trial.samples.x).sum())


def test_excerpt_of_pro_lab_with_commas(excerpt):
    (trial,), facts = excerpt("prolab_commas_onestimulus.tsv")
    first, second = facts["first_fixation"], facts["second_fixation"]
    start = int(facts["first_t"])
    assert (trial.clip, trial.on_clip, trial.units) == ("four blocks", False, "pixels")
    assert (len(trial.samples.time), lost(trial)) == (facts["rows"], facts["missing"])
    assert trial.samples.time[-1] == int(facts["last_t"]) - start
    assert len(trial.fixations.onset) == facts["fixation_indices"]
    found = fixated(trial)
    # It ran already at the first row, and ends before the second begins.
    assert found[0][1:] == [float(first[name]) for name in ("dur", "x", "y")]
    assert found[0][0] < 0
    assert found[0][0] + found[0][1] <= found[1][0]
    assert found[1] == [
        int(second["t"]) - start,
        *(float(second[name]) for name in ("dur", "x", "y")),
    ]


def test_excerpt_of_pro_lab_with_units(excerpt):
    (trial,), facts = excerpt("prolab_units_120hz_reassembled.tsv")
    assert (trial.clip, trial.observer, trial.screen) == ("", "P01", Screen(1920, 1080))
    assert (len(trial.samples.time), lost(trial)) == (facts["eye_tracker_rows"], facts["missing"])
    found = fixated(trial)
    assert len(found) == facts["fixation_indices"]
    first, second = facts["first_fixation"], facts["second_fixation"]
    assert found[0] == [float(first[name]) for name in ("t", "dur", "x", "y")]
    assert found[1][1:] == [float(second[name]) for name in ("dur", "x", "y")]
    assert found[1][0] < int(second["t"]) < sum(found[1][:2])


def test_excerpt_of_glasses(excerpt):
    (trial,), facts = excerpt("prolab_glasses_mapped.tsv")
    first, ((_, time),) = facts["first_fixation"], [row[1::-1] for row in facts["events"]]
    found = fixated(trial)
    assert len(found) == facts["fixation_indices"]
    assert found[0] == [
        round(int(first["t"]) / 1000, 3),
        *(float(first[name]) for name in ("dur", "x", "y")),
    ]
    assert trial.left_out[SHORT_ROWS] == 2
    (trial,), facts = excerpt("prolab_glasses_mapped.tsv", ["geostul_snap"])
    ((_, x, y),) = facts["mapped_fixations"]
    ((onset, duration, *place),) = fixated(trial)
    assert place == [float(x), float(y)]
    assert 0 <= onset < 20
    assert int(time) / 1000 + onset + duration == pytest.approx(int(facts["last_t"]) / 1000, abs=20)


def test_excerpt_of_studio_3(excerpt):
    (trial,), facts = excerpt("studio345_nomedia.tsv")
    assert (trial.clip, trial.observer, trial.screen) == ("", "P01", Screen(1920, 1080))
    assert (len(trial.samples.time), lost(trial)) == (facts["gaze_rows"], facts["missing"])
    found = fixated(trial)
    assert len(found) == facts["fixations"]
    for one, fact in zip(found, facts["first"], strict=False):
        assert one[:2] == [float(fact["t"]), float(fact["dur"])]
        assert one[2:] == pytest.approx([float(fact["gx"]), float(fact["gy"])], abs=20)
    assert MEANS in trial.notes


def test_excerpt_of_studio_2_with_a_picture(excerpt):
    (trial,), facts = excerpt("studio2_image_commas.tsv")
    width, height = (float(side) for side in facts["media"][:2])
    onset = next(int(time) for time, what, _ in facts["events"] if what == "ImageStart")
    assert (trial.clip, trial.units, trial.on_clip) == ("SMI Label.bmp", "fractions", True)
    assert len(trial.samples.time) == facts["gaze_rows_during_image"]
    found = fixated(trial)
    assert len(found) == facts["fixations_seen_during_image"]
    for one, fact in zip(found, facts["first_on_image"], strict=False):
        assert one[:2] == [int(fact["t"]) - onset, int(fact["dur"])]
        place = [float(fact["mx"]) / width, float(fact["my"]) / height]
        assert one[2:] == pytest.approx(place, abs=1e-3)
    (whole,), _ = excerpt("studio2_image_commas.tsv", onset="InstructionStart")
    assert lost(whole) == facts["both_invalid"]


def test_excerpt_of_studio_2_without_gaze(excerpt):
    (trial,), facts = excerpt("studio2_alldata_with_preamble.tsv")
    assert (trial.observer, trial.screen) == ("P01", Screen(1280, 1024))
    assert (len(trial.samples.time), lost(trial)) == (facts["gaze_rows"],) * 2
    assert trial.fixations is None


def test_excerpt_of_studio_2_fixation_data(excerpt):
    (trial,), facts = excerpt("studio2_fixationdata.tsv")
    found = fixated(trial)
    names = ("Timestamp", "FixationDuration", "MappedFixationPointX", "MappedFixationPointY")
    assert len(found) == facts["fixations"]
    assert found[0] == [float(facts["first"][name]) for name in names]
    assert found[-1] == [float(facts["last"][name]) for name in names]
    assert sum(one[2] == -1 for one in found) == facts["x_is_minus1"]
    assert sum(one[1] for one in found) == facts["total_ms"]


def test_excerpt_of_the_sdk(excerpt):
    (trial,), facts = excerpt("prosdk_semicolon_tuples.csv")
    eyes = [json.loads(f"[{facts[f'first_{eye}'].strip('()')}]") for eye in ("left", "right")]
    assert (len(trial.samples.time), lost(trial)) == (facts["rows"], facts["both_invalid"])
    assert [trial.samples.x[0], trial.samples.y[0]] == pytest.approx(np.mean(eyes, axis=0))
    span = (facts["device_last"] - facts["device_first"]) / 1000
    assert trial.samples.time[[0, -1]] == pytest.approx([0, span])
