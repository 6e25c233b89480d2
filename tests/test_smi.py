"""SMI's text: what is read of it, and that it agrees with facts computed apart."""

import json
from functools import partial

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.smi import SAME_TIME, UNMATCHED, smi
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen

PREAMBLE = """## [iView]
## Converted from:\tD:\\one.idf
## Sample Rate:\t250
## Subject:\tanna
## Calibration Area:\t1680\t1050
## Stimulus Dimension [mm]:\t474\t297
## Head Distance [mm]:\t700
## Format:\tLEFT, RIGHT, POR, MSG
##
"""
ONE_EYE = (
    "Time\tType\tTrial\tL Dia X [px]\tL Dia Y [px]\tL POR X [px]\tL POR Y [px]\tL Event Info\n"
)


def one_eye(rows, trial=1, start=1_000_000):
    """Lines of the left eye at 250 Hz: x, y, label and the size of the pupil."""
    return "".join(
        f"{start + 4000 * n}\tSMP\t{trial}\t{pupil}\t{pupil}\t{x:.2f}\t{y:.2f}\t{label}\n"
        for n, (x, y, label, pupil) in enumerate(rows)
    )


REST = [(100.0 + n, 200.0, "Fixation", 12.5) for n in range(5)]


@pytest.fixture
def read(tmp_path):
    """A function that writes a file and reads its trials."""

    def reads(text, clips=("forest", "street"), encoding="utf-8", name="anna.txt", **stated):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return smi(tmp_path, set(clips), GazeOptions(**stated))

    return reads


def message(time, text, trial=1):
    return f"{time}\tMSG\t{trial}\t# Message: {text}\n"


def test_samples_of_one_eye(read):
    rows = [(9, 9, "Saccade", 12.5), *REST, (0, 0, "Fixation", 12.5), (50, 60, "-", 0), *REST]
    text = PREAMBLE + ONE_EYE + one_eye(rows[:1]) + message(1_003_000, "street.avi")
    (trial,) = read(text + one_eye(rows[1:], start=1_004_000))
    assert (trial.clip, trial.observer) == ("street", "anna")
    assert trial.screen == Screen(1680, 1050, 47.4, 70.0)
    assert trial.samples.time.tolist() == [1 + 4 * n for n in range(12)]
    assert np.isnan(trial.samples.x).tolist() == [False] * 5 + [True] * 2 + [False] * 5
    fixations = trial.fixations
    assert fixations.onset.tolist() == [1, 29]
    assert fixations.duration.tolist() == [20, 20]
    assert (fixations.x.tolist(), fixations.y.tolist()) == ([102, 102], [200, 200])
    assert "clips begin at the first message that names them" in trial.notes


def test_without_a_preamble_and_without_messages(read):
    (trial,) = read(ONE_EYE + one_eye(REST))
    assert (trial.clip, trial.observer, trial.screen) == ("", "", None)
    assert trial.samples.time.tolist() == [0, 4, 8, 12, 16]
    # Tabs between cells are as they should be, and no guess.
    (note,) = trial.notes
    assert "the trial's first row was taken" in note


def test_signs_of_lost_tracking_are_no_part_of_fixations(read):
    rows = [(100, 200, "Fixation", 9), (-1, -1, "Fixation", 9)] * 5
    (trial,) = read(ONE_EYE + one_eye(rows))
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([100], [200])
    assert np.isnan(trial.samples.x).sum() == 5
    assert LOST_AT.format("-1,-1") in trial.notes


def test_gaze_labelled_as_a_blink_is_lost(read):
    (trial,) = read(ONE_EYE + one_eye([*REST, (5, 6, "Blink", 3.0)]))
    assert np.isnan(trial.samples.x).tolist() == [False] * 5 + [True]


def test_both_eyes_are_averaged_and_one_has_the_fixations(read):
    head = "Time\tType\tTrial\tL POR X [px]\tL POR Y [px]\tR POR X [px]\tR POR Y [px]"
    head += "\tL Event Info\tR Event Info\tStimulus\n"
    rows = [
        "1000\tSMP\t1\t10.0\t20.0\t12.0\t22.0\tFixation\tFixation\tforest.avi",
        "5000\tSMP\t1\t0.00\t0.00\t14.0\t26.0\tFixation\tFixation\tforest.avi",
        "9000\tSMP\t1\t0.00\t0.00\t0.00\t0.00\tBlink\tBlink\tforest.avi",
    ]
    (trial,) = read(head + "\n".join(rows))
    assert trial.clip == "forest"
    assert trial.samples.x.tolist()[:2] == [11, 14]
    assert np.isnan(trial.samples.x[2])
    assert (trial.fixations.x.tolist(), trial.fixations.duration.tolist()) == ([13], [8])
    assert "fixations are those of the right eye, tracked more often" in trial.notes


def test_several_trials_in_a_file(read):
    text = PREAMBLE + ONE_EYE
    text += one_eye(REST, 1) + message(1_030_000, "street.avi", 2) + one_eye(REST, 2, 1_032_000)
    text = text.replace(ONE_EYE, ONE_EYE + message(999_000, "forest.avi"))
    one, two = read(text)
    assert [(one.number, one.clip), (two.number, two.clip)] == [(1, "forest"), (2, "street")]
    assert (one.samples.time[0], two.samples.time[0]) == (1, 2)
    (two,) = read(text, onset="street")
    assert (two.clip, two.left_out[UNMATCHED]) == ("street", 1)
    with pytest.raises(InputError, match="no message matches --onset 'halt'"):
        read(text, onset="halt")


def test_several_clips_in_a_trial(read):
    text = ONE_EYE + message(999_000, "forest.avi") + one_eye(REST)
    text += message(1_020_000, "street.avi") + one_eye(REST, 1, 1_020_000)
    assert [(trial.clip, len(trial.samples.x)) for trial in read(text)] == [
        ("forest", 5),
        ("street", 5),
    ]


def test_the_end_of_a_stimulus_is_not_its_begin(read):
    head = ONE_EYE.replace("Trial", "Trial\tStimulus")
    rows = one_eye(REST).replace("SMP\t1", "SMP\t1\tstreet.avi")
    end = "1010000\tMSG\t1\tstreet.avi\t# Message: street.avi finished\n"
    (trial,) = read(head + rows + end)
    assert (trial.clip, trial.samples.time.tolist()) == ("street", [0, 4, 8, 12, 16])
    end = message(1_010_000, "street.avi finished")
    with pytest.raises(InputError, match=r"anna.txt: 'street.avi finished' at 1010 ms ends a"):
        read(ONE_EYE + one_eye(REST) + end)


def test_repeated_times_are_left_out_and_time_that_goes_back_is_refused(read):
    (trial,) = read(ONE_EYE + one_eye(REST) + one_eye(REST[:1], start=1_016_000))
    assert trial.left_out[SAME_TIME] == 1
    with pytest.raises(InputError, match="line 7: time goes back from 1016 to 1000 ms"):
        read(ONE_EYE + one_eye(REST) + one_eye(REST))


RAW = [
    "RecordingTime [ms]",
    "Time of Day [h:m:s:ms]",
    "Trial",
    "Stimulus",
    "Participant",
    "Tracking Ratio [%]",
    "Category Right",
    "Category Left",
    "Index Right",
    "Index Left",
    "Point of Regard Right X [px]",
    "Point of Regard Right Y [px]",
    "Point of Regard Left X [px]",
    "Point of Regard Left Y [px]",
    "Annotation Name",
]


def raw(cells, separator=";"):
    return "\n".join(separator.join(map(str, row)) for row in [RAW, *cells]) + "\n"


def looked(time, x, category="Fixation", index=1, who="anna", what="forest.avi", trial="Trial001"):
    place = [x, "200,5", x, "200,5"] if x else ["-"] * 4
    kinds = [category, category, index, index]
    return [time, "1:2:3:4", trial, what, who, "98,7", *kinds, *place, ""]


def test_raw_data_of_begaze(read):
    rows = [looked(f"{1000 + 4 * n},25", f"{100 + n},5") for n in range(4)]
    rows += [looked(1016, ""), looked(1020, 300, index=2), looked(1024, 302, index=2)]
    rows += [looked(1028, 400, index=3)]
    rows += [looked(2000, 50, what="street.avi"), looked(2004, 54, what="street.avi")]
    rows += [looked(500, 60, who="ben")]
    rows.insert(
        2, [1005, "", "Trial001", "forest.avi", "anna", "", *["User Event"] * 2, 1, 1, *"----"]
    )
    rows[2].append("UE-Message hello")
    rows.insert(
        0, [999, "", "Trial001", "forest.avi", "anna", "", *["Separator"] * 2, "", "", *"----", ""]
    )
    one, two, three = read(raw(rows), name="all.csv")
    assert [(trial.clip, trial.observer) for trial in (one, two, three)] == [
        ("forest", "anna"),
        ("street", "anna"),
        ("forest", "ben"),
    ]
    assert one.samples.time.tolist() == [0, 4, 8, 12, 15.75, 19.75, 23.75, 27.75]
    assert np.isnan(one.samples.x).sum() == 1
    # Fixations that follow each other have numbers.
    assert one.fixations.x.tolist() == [102, 301, 400]
    assert one.samples.y[0] == 200.5
    assert two.samples.time.tolist() == [0, 4]


def test_messages_in_raw_data(read):
    rows = [looked(1000 + 4 * n, 100 + n, what="screen recording.avi") for n in range(6)]
    told = [1009, "", "Trial001", "screen recording.avi", "anna", "", *["User Event"] * 2, 1, 1]
    rows.insert(3, [*told, *"----", "# Message: street.avi"])
    (trial,) = read(raw(rows, "\t"))
    assert (trial.clip, trial.samples.time.tolist()) == ("street", [3, 7, 11])


EVENTS = """[BeGaze]
Converted from:\tD:\\one.idf
Subject:\tanna
Stimulus:\tforest.avi

Table Header for Fixations:
Event Type,Trial,Number,Start,End,Duration,Location X,Location Y,Dispersion X,Dispersion Y

Table Header for User Events:
Event Type,Trial,Number,Start,Description

UserEvent,1,1,1000000,# Message: Forest.avi
Fixation L,1,1,990000,1090000,100000,500.50,400.25,7,8
Fixation R,1,1,990000,1190000,200000,510.50,410.25,7,8
Saccade L,1,1,1090000,1120000,30000,500.50,400.25,600.00,300.00,3.7
Blink L,1,1,1120000,1200000,80000
Fixation R,1,2,1200000,1300000,100000,-,-,7,8
Fixation R,1,3,1300000,1400000,100000,520.50,420.25,7,8
"""


def test_a_name_counts_as_a_message_has_it(read):
    text = EVENTS.replace("Message: Forest.avi", "Message: Ann-Hills.avi")
    (trial,) = read(text.replace("Stimulus:\tforest.avi", "Stimulus:\tann-hills.avi"))
    assert trial.clip == "Ann-Hills.avi"
    (trial,) = read(text.replace("Stimulus:\tforest.avi", "Stimulus:\thills.avi"))
    assert trial.clip == "hills.avi"


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_list_of_events(read, separator):
    (trial,) = read(EVENTS.replace(",", separator))
    assert (trial.clip, trial.observer, trial.samples) == ("forest", "anna", None)
    fixations = trial.fixations
    assert fixations.onset.tolist() == [-10, 300]
    assert fixations.duration.tolist() == [200, 100]
    assert (fixations.x.tolist(), fixations.y.tolist()) == ([510.5, 520.5], [410.25, 420.25])
    assert "fixations are those of the right eye, which fixated longer in total" in trial.notes
    assert +trial.left_out == {"fixations without a place": 1}


def test_decimal_commas_in_a_list_of_events(read):
    (trial,) = read(EVENTS.replace(",", "\t").replace("0.5", "0,5"), encoding="utf-16")
    assert trial.fixations.x.tolist() == [510.5, 520.5]


STATISTICS = """Trial\tStimulus\tParticipant\tCategory\tEye L/R\tEvent Start Trial Time [ms]\t\
Event End Trial Time [ms]\tEvent Duration [ms]\tFixation Position X [px]\tFixation Position Y [px]
Trial001\tforest.avi\tanna\tFixation\tRight\t12,5\t112,5\t100\t500,5\t400,5
Trial001\tforest.avi\tanna\tSaccade\tRight\t112,5\t150\t37,5\t-\t-
Trial001\tforest.avi\tanna\tFixation\tRight\t150\t350\t200\t600\t300
Trial002\tstreet.avi\tanna\tFixation\tRight\t0\t90\t90\t10\t20
Trial002\tstreet.avi\tanna\tFixation\tRight\t90\t99\t9\t-\t-
Trial001\tforest.avi\tben\tFixation\tRight\t5\t95\t90\t30\t40
"""


def test_statistics_of_events(read):
    trials = read(STATISTICS)
    assert [(trial.clip, trial.observer, len(trial.fixations.x)) for trial in trials] == [
        ("forest", "anna", 2),
        ("street", "anna", 1),
        ("forest", "ben", 1),
    ]
    assert trials[0].fixations.onset.tolist() == [12.5, 150]
    assert trials[0].fixations.x.tolist() == [500.5, 600]


def test_samples_and_fixations_of_the_same_trial_count_once(tmp_path):
    rows = [looked(1000 + 4 * n, 100 + n) for n in range(4)]
    rows += [looked(9000 + 4 * n, 100 + n, trial="Trial003") for n in range(4)]
    (tmp_path / "statistics.txt").write_text(STATISTICS)
    (tmp_path / "raw.txt").write_text(raw(rows, "\t"))
    read = partial(smi, tmp_path, {"forest", "street"})
    found = [
        ("forest", "anna", "raw.txt"),
        ("forest", "anna", "raw.txt"),
        ("street", "anna", "statistics.txt"),
        ("forest", "ben", "statistics.txt"),
    ]
    trials = read(GazeOptions())
    assert [(one.clip, one.observer, one.file.name) for one in trials] == found
    note = "fixations of trials that another file has, too, were left out"
    assert [note in one.notes for one in trials] == [True, False, False, False]
    # A count of the whole file goes with the first of its trials that is kept.
    assert trials[2].left_out["fixations without a place"] == 1

    # Without labels, the fixations are in the statistics alone.
    (tmp_path / "raw.txt").write_text(raw(rows, "\t").replace("Category", "Kind"))
    first, *_ = read(GazeOptions(fixations="ivt"))
    assert (first.file.name, note in first.notes) == ("raw.txt", True)
    third, forest, *_ = read(GazeOptions())
    assert (third.samples.time.tolist(), len(forest.fixations.x)) == ([0, 4, 8, 12], 2)
    assert "samples of trials that another file has, too, were left out" in forest.notes


def test_samples_and_a_list_of_events_of_the_same_trial_count_once(tmp_path):
    (tmp_path / "anna Events.txt").write_text(EVENTS)
    (tmp_path / "anna Samples.txt").write_text(PREAMBLE + ONE_EYE + one_eye(REST))
    (trial,) = smi(tmp_path, {"forest"}, GazeOptions())
    assert trial.file.name == "anna Samples.txt"
    # Of which clip the samples are is not known here.
    assert len(smi(tmp_path, {"forest", "street"}, GazeOptions())) == 2


@pytest.mark.parametrize(
    ("name", "clips", "clip"),
    [
        ("P01_Trail002.txt", ("002", "003"), "002"),
        ("P01_Trail002.txt", ("2", "02", "002"), "002"),
        ("P01_Trail012.txt", ("2", "12"), ""),
        ("anna-street.txt", ("street", "forest"), "street"),
        ("annastreet.txt", ("street", "forest"), ""),
        ("anna.txt", ("street", "forest"), ""),
    ],
)
def test_a_file_named_after_its_clip(read, name, clips, clip):
    (trial,) = read(ONE_EYE + one_eye(REST), clips, name=name)
    assert trial.clip == clip
    assert any("name a file's own ends" in note for note in trial.notes) == bool(clip)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "anna.txt: empty, expected samples or events from BeGaze$"),
        ("\r\n\t", "anna.txt: empty"),
        ("a,b\n1,2\n", "no column 'Time', expected Time, Type, Trial"),
        ("Time\tType\tTrial\tL Raw X [px]\n1\tSMP\t1\t2\n", r"no column L POR X \[px\]"),
        (ONE_EYE, "no samples in it"),
        (ONE_EYE + "1\tSMP\t1\t1\t1\tx\t3\t-\n", "line 2: .*'x', expected a number"),
        (EVENTS.replace("990000,1190000", "here,there"), "line 14: 'Fixation R,1,1,here"),
        (EVENTS.replace("Fixation", "Saccade"), "no fixations in it"),
        (
            "Trial\tEvent Start Trial Time [ms]\tEvent End Trial Time [ms]\n",
            "no column 'Fixation P",
        ),
    ],
)
def test_refused(read, text, words):
    with pytest.raises(InputError, match=words) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_refused_folders_and_options(tmp_path, read):
    with pytest.raises(InputError, match=r"expected files \*.txt, \*.csv or \*.tsv"):
        smi(tmp_path, {"forest"}, GazeOptions())
    with pytest.raises(InputError, match="--units s: SMI's times are microseconds"):
        read(EVENTS, times="s")


# Of the real excerpts.

SAMPLES = "samples_left250_dhf1k.txt"
LIST = "events_begaze35_bino120_screenrec.txt"


@pytest.fixture
def excerpt(recordings, tmp_path):
    """A function that reads an excerpt; it returns the trial and the facts."""

    def reads(name, clips=("clip",)):
        facts = json.loads((recordings / "trackers" / "facts.json").read_text())
        (tmp_path / "gaze").mkdir()
        (tmp_path / "gaze" / name).symlink_to(recordings / "trackers" / "smi" / name)
        (trial,) = smi(tmp_path / "gaze", set(clips), GazeOptions())
        return trial, facts[f"smi/{name}"]

    return reads


def test_samples_agree_with_facts_computed_apart(excerpt, recordings):
    trial, facts = excerpt(SAMPLES)
    samples, fixations = trial.samples, trial.fixations
    assert len(samples.x) == facts["rows"]
    assert samples.time[0] == 0
    assert samples.time[-1] == pytest.approx((facts["last_t"] - int(facts["first"]["Time"])) / 1000)
    assert (len(samples.x) - 1) / samples.time[-1] * 1000 == pytest.approx(
        facts["mean_rate"], abs=0.01
    )
    assert samples.x[0] == float(facts["first"]["L POR X [px]"])
    # Lost are places at 0,0 (75 of them in blinks), all other samples of blinks, and three more
    # with a pupil of size 0.
    lost = facts["zero_zero"] + facts["labels"]["Blink"] - 75 + 3
    assert np.isnan(samples.x).sum() == lost
    assert len(fixations.x) == facts["fixation_runs"]
    run = facts["first_run"]
    assert fixations.onset[0] == pytest.approx(
        (int(run["t0"]) - int(facts["first"]["Time"])) / 1000
    )
    lasted = (int(run["t1"]) - int(run["t0"])) / 1000
    assert fixations.duration[0] == pytest.approx(lasted + 4, abs=0.1)  # and the last sample
    assert fixations.x[0] == pytest.approx(run["mean_x"], abs=0.005)
    assert fixations.y[0] == pytest.approx(run["mean_y"], abs=0.005)


def test_a_list_of_events_agrees_with_facts_computed_apart(excerpt):
    trial, facts = excerpt(LIST)
    fixations = trial.fixations
    assert len(fixations.x) == facts["counts"]["Fixation L"] == facts["counts"]["Fixation R"]
    cells = facts["first_fix_L"].split(",")
    began = int(facts["user_event"].split(",")[3])
    assert fixations.onset[0] == pytest.approx((int(cells[3]) - began) / 1000)
    assert fixations.duration[0] == pytest.approx(int(cells[5]) / 1000)
    assert (fixations.x[0], fixations.y[0]) == (float(cells[6]), float(cells[7]))
    assert (trial.observer, trial.clip) == ("P01", "P01-scrrec.avi")


@pytest.mark.parametrize(
    ("name", "clip", "screen"),
    [(SAMPLES, "clip", (1680, 1050)), (LIST, "P01-scrrec", (1920, 1200))],
)
def test_excerpts_become_gaze_frames(excerpt, tmp_path, name, clip, screen):
    excerpt(name, (clip,))
    (tmp_path / "videos").mkdir()
    with VideoWriter(tmp_path / "videos" / f"{clip}.mp4", 5, 64, 40) as video:
        for _ in range(45 if name == SAMPLES else 205):
            video.write(np.full((40, 64, 3), 90, np.uint8))
    options = GazeOptions(screen=screen, placed="stretch", fixations="recorded", units="pixels")
    (recording,) = recordings_of("smi", tmp_path, options)
    assert recording.problem == ""
    assert sum(len(frame.fixations.points) for frame in recording.read()) > 0
