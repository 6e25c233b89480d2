"""EyeLink's text: what is read of it, and that it agrees with facts computed apart."""

import json

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.eyelink import CUT, SUBTRACTED, UNFINISHED, UNMATCHED, eyelink, read_blocks
from uva_tf.gaze.exports.listing import NAMELESS, read_trials
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen

HEAD = """** CONVERTED FROM one.edf using edfapi 4.2
** TYPE: EDF_FILE BINARY EVENT SAMPLE TAGGED
MSG\t90 GAZE_COORDS 0.00 0.00 1279.00 719.00
"""


def samples(first, last, step=2, x=600.0, y=300.0, more="..."):
    """Lines of one eye, that rests."""
    return "".join(
        f"{t}\t  {x:.1f}\t  {y:.1f}\t  900.0\t{more}\n" for t in range(first, last, step)
    )


def start(time, eyes="LEFT", rate=500, kind="GAZE", more=""):
    return (
        f"START\t{time} \t{eyes}\tSAMPLES\tEVENTS\nPRESCALER\t1\nPUPIL\tAREA\n"
        f"EVENTS\t{kind}\t{eyes}\tRATE\t {rate}.00\tTRACKING\tCR\tFILTER\t2\n"
        f"SAMPLES\t{kind}\t{eyes}{more}\tRATE\t {rate}.00\tTRACKING\tCR\tFILTER\t2\n"
    )


def end(time):
    return f"END\t{time} \tSAMPLES\tEVENTS\tRES\t  35.24\t  35.17\n"


@pytest.fixture
def read(tmp_path):
    """A function that writes a file and reads its trials."""

    def reads(text, clips=("forest", "street"), encoding="utf-8", **stated):
        (tmp_path / "anna.asc").write_bytes(text.encode(encoding))
        return eyelink(tmp_path, set(clips), GazeOptions(**stated))

    return reads


def test_a_trial_of_one_eye(read):
    text = (
        HEAD
        + "MSG\t95 TRIALID 1\n"
        + start(100)
        + samples(100, 120)
        + "MSG\t110 !V VFRAME 1 0 0 ../videos/forest.mp4\nSFIX L   100\n"
        + "EFIX L   100\t138\t40\t  601.0\t  302.0\t    900\n"
        + samples(120, 140)
        + end(141)
    )
    (trial,) = read(text)
    assert (trial.clip, trial.observer, trial.file.name, trial.number) == (
        "forest",
        "",
        "anna.asc",
        1,
    )
    assert trial.screen == Screen(1280, 720)
    assert trial.samples.time.tolist() == list(range(0, 30, 2))
    assert set(trial.samples.x) == {600.0}
    assert set(trial.samples.y) == {300.0}
    fixations = trial.fixations
    # It ran when the clip began; the last sample lasts 2 ms, too.
    assert (fixations.onset.tolist(), fixations.duration.tolist()) == ([-10], [40])
    assert (fixations.x.tolist(), fixations.y.tolist()) == ([601], [302])
    assert trial.notes == ("clips begin at the first message !V VFRAME",)
    assert not +trial.left_out


def test_both_eyes_are_averaged_and_one_has_the_fixations(read):
    text = HEAD + start(100, "LEFT\tRIGHT", 1000)
    rows = ["100 10 20 900 12 24 900 .....", "101 . . 0.0 14 26 900 .....", "102 . . 0.0 . . 0.0 ."]
    text += "\n".join("\t  ".join(row.split()) for row in rows) + "\n"
    text += (
        "EFIX L   100\t100\t1\t  10.0\t  20.0\t    9\nEFIX R   100\t101\t2\t  13.0\t  25.0\t    9\n"
    )
    (trial,) = read(text)
    assert trial.samples.x.tolist()[:2] == [11, 14]
    assert trial.samples.y.tolist()[:2] == [22, 26]
    assert np.isnan(trial.samples.x[2])
    assert trial.fixations.x.tolist() == [13]
    assert "fixations are those of the right eye, tracked more often" in trial.notes


@pytest.mark.parametrize(
    ("announced", "columns"),
    [
        ("\tHTARGET", "...\t 4717.0\t 2908.0\t  611.2 ............."),
        ("\tVEL\tRES\tINPUT", "1.5\t-2.5\t 35.2\t 35.1\t  127.0\t..."),
        ("\tINPUT", "  127.0\t..."),
    ],
)
def test_further_columns_are_passed_over(read, announced, columns):
    (trial,) = read(HEAD + start(100, more=announced) + samples(100, 110, more=columns))
    assert trial.samples.x.tolist() == [600.0] * 5
    assert trial.samples.y.tolist() == [300.0] * 5


def test_gaze_in_a_blink_and_the_saccade_around_it_is_lost(read):
    blinked = (
        "SSACC L  110\nSBLINK L 112\nEBLINK L 112\t114\t4\n"
        "ESACC L  110\t118\t10\t 1\t 2\t 3\t 4\t 5\t 6\n"
        "ESACC L  122\t124\t4\t 1\t 2\t 3\t 4\t 5\t 6\n"
    )
    (trial,) = read(HEAD + start(100) + samples(100, 130) + blinked)
    lost = trial.samples.time[np.isnan(trial.samples.x)]
    assert lost.tolist() == [10, 12, 14, 16, 18]


def test_a_blink_that_the_file_does_not_end(read):
    text = (
        HEAD + start(100) + samples(100, 110) + "SSACC L  110\nSBLINK L 112\n" + samples(110, 120)
    )
    (trial,) = read(text)
    assert np.isnan(trial.samples.x).sum() == 5


@pytest.mark.parametrize(
    "lost", [".\t .", "NaN\t NaN", "0.0\t 0.0", "1e+08\t 1e+08", "-32768\t -32768"]
)
def test_lost_samples(read, lost):
    text = HEAD + start(100) + samples(100, 104) + f"104\t   {lost}\t    0.0\t...\n"
    (trial,) = read(text)
    assert np.isnan(trial.samples.x).tolist() == [False, False, True]


def test_an_eye_that_is_lost_is_no_part_of_the_mean_of_eyes(read):
    lines = "".join(
        f"{t}\t -1\t -1\t 0.0\t 600.0\t 300.0\t 900.0\t.....\n" for t in range(100, 140)
    )
    (trial,) = read(HEAD + start(100, "LEFT\tRIGHT") + lines)
    assert set(trial.samples.x) == {600} and set(trial.samples.y) == {300}
    assert LOST_AT.format("-1,-1") in trial.notes


def test_the_centre_is_a_place_where_places_count_from_it(read):
    coords = "MSG\t90 GAZE_COORDS -400 -300 399 299\n"
    (trial,) = read(HEAD + coords + start(100) + samples(100, 110, x=0.0, y=0.0))
    assert trial.samples.x.tolist() == [400] * 5


def test_href_samples_are_no_pixels_but_their_fixations_have_gaze_too(read):
    # A version of EDF2ASC wrote durations with 2^32 added.
    fixation = "EFIX L   100\t148\t4294967346\t -108.0\t -311.0\t  9\t  700.5\t  500.5\t  9\n"
    begin = HEAD + start(100, kind="HREF") + samples(100, 150, x=-100)
    (trial,) = read(begin + fixation)
    assert trial.samples is None
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([700.5], [500.5])
    assert trial.fixations.duration.tolist() == [50]
    assert trial.left_out["samples in HREF, not in pixels"] == 25
    with pytest.raises(InputError, match=r"its coordinates are HREF, expected GAZE.*edf2asc -sg"):
        read(begin)


@pytest.mark.parametrize(
    ("message", "begins", "subtracted"),
    [
        ("110 !V VFRAME 1 0 0 forest.mp4", 110, False),
        ("110 -6 !V VFRAME 1 0 0 forest.mp4", 116, True),  # sent 6 ms before the frame was shown
        ("118 8 movie_onset forest", 110, True),  # sent 8 ms after
        ("110 20", 100, False),  # a number alone is the text of a message
    ],
)
def test_an_integer_before_a_message_is_subtracted_from_its_time(read, message, begins, subtracted):
    (trial,) = read(HEAD + start(100) + f"MSG\t{message}\n" + samples(100, 200))
    assert trial.samples.time[-1] == 198 - begins
    assert (SUBTRACTED in trial.notes) == subtracted


BLOCK = start(100) + samples(100, 160)


@pytest.mark.parametrize(
    ("messages", "clip", "begins"),
    [
        ("MSG\t120 VIDEO_START\nMSG\t118 TRIAL 3 street.avi\n", "street", 120),
        ("MSG\t110 SYNCTIME\nMSG\t120 !V VFRAME 1 5 5 C:\\clips\\street.avi\n", "street", 120),
        ("MSG\t110 playing STREET.AVI now\n", "street", 110),
        ("MSG\t110 DISPLAY ON\nMSG\t130 !V TRIAL_VAR video street\n", "street", 110),
        ("MSG\t110 !V TRIAL_VAR video street.mp4\n", "street", 100),
        ("MSG\t110 downstreet streets\n", "", 100),
        ("MSG\t110 !V IAREA FILE street.ias\n", "", 100),
        ("MSG\t110 movie_onset hills.mp4\n", "hills.mp4", 110),
        ("MSG\t110 !V TRIAL_VAR one forest\nMSG\t110 !V TRIAL_VAR two street\n", "", 100),
    ],
)
def test_which_clip_was_shown_and_when_it_began(read, messages, clip, begins):
    (trial,) = read(HEAD + BLOCK + messages + end(160))
    assert (trial.clip, 158 - trial.samples.time[-1]) == (clip, begins)


def test_a_name_of_digits_needs_its_extension(read):
    text = HEAD + "MSG\t92 TRIALID 1\n" + BLOCK
    assert [trial.clip for trial in read(text, ("1", "2"))] == [""]
    assert [trial.clip for trial in read(text + "MSG\t150 show 2.mp4\n", ("1", "2"))] == ["2"]


def test_what_is_sent_after_the_recording_belongs_to_it(read):
    text = HEAD
    for n, clip in enumerate(("forest", "street")):
        t = 1000 * n
        text += f"MSG\t{t + 95} TRIALID {n}\n" + start(t + 100) + samples(t + 100, t + 160)
        text += end(t + 160) + f"MSG\t{t + 170} !V TRIAL_VAR movie {clip}.mp4\n"
        text += f"MSG\t{t + 171} TRIAL_RESULT 0\n"
    assert [(trial.number, trial.clip) for trial in read(text)] == [(1, "forest"), (2, "street")]


PYGAZE = ("start_trial", "stop_trial", "var video")
DATA_VIEWER = ("TRIALID", "TRIAL_RESULT", "!V TRIAL_VAR video")


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (PYGAZE, "begin START END variable result"),
        (PYGAZE, "begin START END result variable"),
        (PYGAZE, "begin START result END variable"),
        (PYGAZE, "START begin result END variable"),
        (PYGAZE, "START begin END variable"),
        (PYGAZE, "variable begin START result END"),
        (PYGAZE, "variable begin START END result"),
        (PYGAZE, "variable START begin result END"),
        (PYGAZE, "begin variable START END result"),
        (DATA_VIEWER, "begin START END variable result"),
        (DATA_VIEWER, "begin START END result variable"),
        (DATA_VIEWER, "begin START result END variable"),
        (DATA_VIEWER, "begin variable START END result"),
    ],
)
def test_variables_belong_to_a_trial(read, words, order):
    begin, result, variable = words
    text = HEAD + "MSG\t92 var eye_used left\n"
    for n, clip in enumerate(("forest", "street", "forest")):
        t = 1000 * n + 100
        lines = {
            "begin": f"MSG\t{t} {begin} {n}\n",
            "START": start(t) + samples(t, t + 60),
            "END": end(t + 60),
            "variable": f"MSG\t{t + 61} {variable} {clip}.mp4\n",
            "result": f"MSG\t{t + 60} {result} 0\n",
        }
        text += "".join(lines[one] for one in order.split())
    assert [one.clip for one in read(text)] == ["forest", "street", "forest"]


def test_several_trials_in_one_recording(read):
    text = HEAD + "MSG\t95 TRIALID 0\n" + start(100)
    text += "MSG\t110 video_start forest\n" + samples(100, 160) + "MSG\t150 video_end\n"
    text += "MSG\t160 TRIALID 1\nMSG\t170 video_start street\n" + samples(160, 200) + end(200)
    one, two = read(text)
    assert (one.clip, one.samples.time[0], one.samples.time[-1]) == ("forest", 0, 38)
    assert (two.clip, two.samples.time[0], two.samples.time[-1]) == ("street", 0, 28)


def test_several_clips_in_one_trial(read):
    text = HEAD + start(100) + samples(100, 200)
    text += "".join(f"MSG\t{110 + n} !V VFRAME {n} 0 0 forest.mp4\n" for n in range(9))
    text += "".join(f"MSG\t{150 + n} !V VFRAME {n} 0 0 street.mp4\n" for n in range(9))
    one, two = read(text)
    assert (one.clip, len(one.samples.x)) == ("forest", 20)
    assert (two.clip, len(two.samples.x)) == ("street", 25)


def test_clips_that_are_named_when_they_end(read):
    text = HEAD + start(100) + samples(100, 200)
    text += "MSG\t110 VIDEO_START\nMSG\t140 VIDEO_END forest.mp4\n"
    text += "MSG\t150 VIDEO_START\nMSG\t180 VIDEO_END street.mp4\n"
    one, two = read(text + end(200))
    assert (one.clip, one.samples.time[0], one.samples.time[-1]) == ("forest", 0, 28)
    assert (two.clip, two.samples.time[0], two.samples.time[-1]) == ("street", 0, 28)
    with pytest.raises(InputError, match=r"anna.asc: 'forest.mp4 finished' at 140 ms ends a clip"):
        read(HEAD + start(100) + samples(100, 200) + "MSG\t140 forest.mp4 finished\n")


def test_another_clip_named_during_a_trial(read):
    text = HEAD
    for n, (clip, other) in enumerate((("forest", "street"), ("street", "forest"))):
        t = 1000 * n
        text += f"MSG\t{t + 95} TRIALID {n}\n" + start(t + 100) + samples(t + 100, t + 160)
        text += f"MSG\t{t + 110} VIDEO_START {clip}.mp4\nMSG\t{t + 120} preloading {other}.mp4\n"
        text += f"MSG\t{t + 150} VIDEO_END {clip}.mp4\n" + end(t + 160)
    found = [(one.clip, one.samples.time[0], one.samples.time[-1]) for one in read(text)]
    assert found == [("forest", 0, 38), ("street", 0, 38)]


def test_a_stated_onset(read):
    text = HEAD + "MSG\t95 TRIALID 0\n" + start(100)
    text += "MSG\t110 go forest.mp4 now\n" + samples(100, 160) + "MSG\t140 -2 go street now\n"
    pattern = r"^go (?P<clip>\S+)"
    one, two = read(text + end(160) + "MSG\t170 go forest\n", onset=pattern)
    assert (one.clip, one.samples.time[-1]) == ("forest", 30)
    assert (two.clip, two.samples.time[-1]) == ("street", 16)
    with pytest.raises(InputError, match="no message matches --onset 'halt', its messages are"):
        read(text, onset="halt")
    (trial,) = read(text + end(160) + start(300) + samples(300, 320), onset="forest")
    assert trial.left_out[UNMATCHED] == 1


def test_trials_without_a_clip_are_left_out_if_others_have_one(tmp_path):
    text = (
        HEAD + BLOCK + end(160) + start(300) + samples(300, 320) + "MSG\t310 video_start forest\n"
    )
    (tmp_path / "gaze").mkdir()
    (tmp_path / "gaze" / "anna.asc").write_text(text)
    (trial,) = read_trials(eyelink, tmp_path, {"forest", "street"}, GazeOptions())
    assert (trial.clip, trial.observer, trial.number) == ("forest", "anna", 2)
    assert trial.left_out[NAMELESS] == 1


def test_no_end_and_an_end_before_the_last_samples(read):
    (trial,) = read(HEAD + start(100) + samples(100, 140))
    assert len(trial.samples.x) == 20
    (trial,) = read(HEAD + start(100) + samples(100, 140) + end(120))
    assert len(trial.samples.x) == 20


def test_what_a_cut_file_does_not_end(read):
    text = (
        HEAD + start(100) + samples(100, 140) + "SFIX L   102\n" + samples(140, 150) + "150\t  60"
    )
    (trial,) = read(text)
    assert len(trial.samples.x) == 25
    assert +trial.left_out == {UNFINISHED: 1, CUT: 1}
    assert trial.fixations is None


def test_events_alone(read):
    text = HEAD + "START\t100 \tRIGHT\tEVENTS\nEVENTS\tGAZE\tRIGHT\tRATE\t1000.00\n"
    (trial,) = read(text + "EFIX R   120\t149\t30\t  700.0\t  500.0\t 9\n" + end(200))
    assert trial.samples is None
    assert (trial.fixations.onset.tolist(), trial.fixations.duration.tolist()) == ([20], [30])


def test_two_samples_in_a_millisecond(read):
    text = HEAD + start(100, rate=2000)
    text += "".join(f"{t}\t  600.0\t  300.0\t  900.0\t...\n" for t in (100, 100, 101, 101))
    (trial,) = read(text)
    assert trial.samples.time.tolist() == [0, 0.5, 1, 1.5]


def test_a_clock_that_starts_anew_between_recordings(read):
    text = HEAD + "MSG\t3976681 hello\n" + BLOCK + end(160) + start(20) + samples(20, 60)
    assert [len(trial.samples.x) for trial in read(text)] == [30, 20]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_names_with_accents(read, encoding):
    (trial,) = read(HEAD + BLOCK + "MSG\t110 wälder.mp4\n", ("wälder", "x"), encoding)
    assert trial.clip == "wälder"


@pytest.mark.parametrize(
    ("coords", "screen", "x", "y"),
    [
        ("GAZE_COORDS 0.00 0.00 1920.00 1080.00", Screen(1920, 1080), 600, 300),
        ("DISPLAY_COORDS 0 0 1919 1079", Screen(1920, 1080), 600, 300),
        ("GAZE_COORDS 0 0 1365 767", Screen(1366, 768), 600, 300),
        ("GAZE_COORDS -640 -360 639 359", Screen(1280, 720), 1240, 660),
        ("GAZE_COORDS 0 719 1279 0", Screen(1280, 720), 600, 419),
    ],
)
def test_the_size_of_the_screen(read, coords, screen, x, y):
    (trial,) = read(f"MSG\t90 {coords}\n" + BLOCK)
    assert trial.screen == screen
    assert (trial.samples.x[0], trial.samples.y[0]) == (x, y)


def test_no_size_of_a_screen(read):
    assert read(BLOCK)[0].screen is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no line START in it, expected the text that edf2asc writes"),
        ("", "anna.asc: empty, expected the text that edf2asc writes$"),
        ("\n \n", "anna.asc: empty"),
        ("SR_RESEARCH_COMB_FILE\n", "not an EDF file"),
        (HEAD + start(100) + end(110), "neither samples nor fixations"),
        (HEAD + BLOCK + samples(90, 96), "time goes from 158 to 90 ms within a recording"),
        (HEAD + BLOCK + "162\tx\t300\t9\t...\n" + samples(164, 166), "line 39: '162"),
        (HEAD + BLOCK + "162\t60\n" + samples(164, 166), "line 39: '162"),
        (HEAD + BLOCK + "162\t60\n" + start(200), "line 39: '162"),
        (HEAD + BLOCK + "EFIX L 100\n" + samples(164, 166), "line 39: 'EFIX L 100'"),
        (HEAD + "MSG\t95 " + "x" * 20_000 + "\n" + BLOCK, "line 4: 10000 bytes or more"),
    ],
)
def test_refused(read, text, words):
    with pytest.raises(InputError, match=words) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_lines_in_utf_16(read):
    text = "MSG\t90 GAZE_COORDS 0 0 1279 719\r\n" + BLOCK + "MSG\t110 wälder.mp4\r\n"
    (trial,) = read(text, ("wälder", "x"), "utf-16")
    assert (trial.clip, trial.screen, len(trial.samples.x)) == ("wälder", Screen(1280, 720), 25)
    with pytest.raises(InputError, match="line 4: 10000 bytes or more"):
        read(HEAD + "MSG\t95 " + "x" * 20_000 + "\n" + BLOCK, encoding="utf-16")


def test_refused_folders_and_options(tmp_path, read):
    with pytest.raises(InputError, match=r"expected files \*.asc, as edf2asc writes them$"):
        eyelink(tmp_path, {"forest"}, GazeOptions())
    (tmp_path / "anna.edf").write_bytes(b"SR_RESEARCH_COMB_FILE")
    with pytest.raises(InputError, match=r"found anna.edf: convert it with edf2asc$"):
        eyelink(tmp_path, {"forest"}, GazeOptions())
    with pytest.raises(InputError, match="--units s: the times of an EyeLink are milliseconds"):
        read(HEAD + BLOCK, times="s")


# Of the real excerpts.

EXCERPTS = {
    "bino1000_duo_reading": (1920, 1080),
    "bino1000_href_stepramp": (1600, 1200),
    "bino500_saccade": (1024, 768),
    "mono1000_input_reading": (1920, 1080),
    "mono1000_opensesame_truncated": (1024, 768),
    "mono500_1000plus_utf8msg": (1920, 1080),
    "mono500_saccade": (1024, 768),
    "mono_remote250_cut": (1024, 768),
}


@pytest.fixture
def excerpt(recordings, tmp_path, request):
    """One excerpt beside a drawn clip of its screen's size: root, path and facts."""
    name = request.param
    folder = recordings / "trackers"
    facts = json.loads((folder / "facts.json").read_text())[f"eyelink/{name}.asc"]
    root = tmp_path / "root"
    (root / "videos").mkdir(parents=True)
    (root / "gaze").mkdir()
    path = root / "gaze" / f"{name}.asc"
    path.symlink_to(folder / "eyelink" / path.name)
    with VideoWriter(root / "videos" / "clip.mp4", 5, 64, 48) as video:
        for _ in range(45):
            video.write(np.full((48, 64, 3), 90, np.uint8))
    return root, path, facts


@pytest.mark.parametrize("excerpt", EXCERPTS, indirect=True)
def test_excerpts_agree_with_facts_computed_apart(excerpt):
    _, path, facts = excerpt
    blocks, _ = read_blocks(path)
    assert [block.start for block in blocks] == [start for start, _ in facts["blocks"]]
    for block, (_, stated) in zip(blocks, facts["blocks"], strict=True):
        assert block.end >= max(stated or 0, block.samples[-1, 0])
    joined = [block.samples for block in blocks]
    assert sum(map(len, joined)) == facts["samples"]
    assert (joined[0][0, 0], joined[-1][-1, 0]) == (facts["first_t"], facts["last_t"])
    lost = np.concatenate([np.isnan(part[:, 1::3]) for part in joined])  # (n, eyes)
    assert lost.all(axis=1).sum() == facts["both_eyes_or_the_eye_missing"]
    if "missing_left" in facts:
        assert lost.sum(axis=0).tolist() == [facts["missing_left"], facts["missing_right"]]
    fixations = [one for block in blocks for one in block.fixations]
    assert len(fixations) == facts["EFIX"]
    for eye in "LR":
        assert sum(one[0] == eye for one in fixations) == facts.get(
            f"EFIX_{eye}", sum(one[0] == eye for one in fixations)
        )
    _, eye, first, last, *places = facts["first_EFIX"][:7]
    if "HREF" in facts["SAMPLES_line"]:
        places = [None, *facts["first_EFIX"][8:10]]
    assert fixations[0] == (eye, float(first), float(last), *map(float, places[1:]))
    ended = [one for block in blocks for one in block.blinks if np.isfinite(one[2])]
    assert len(ended) == facts["EBLINK"]
    if facts["first_EBLINK"]:
        _, eye, first, last, _ = facts["first_EBLINK"]
        assert ended[0] == (eye, float(first), float(last))
    saccades = [one for block in blocks for one in block.saccades if np.isfinite(one[2])]
    assert len(saccades) == facts["ESACC"]


@pytest.mark.parametrize("excerpt", EXCERPTS, indirect=True)
def test_durations_of_fixations_are_those_that_the_tracker_wrote(excerpt):
    _, path, facts = excerpt
    blocks, _ = read_blocks(path)
    _, first, last, *_ = blocks[0].fixations[0]
    stated = int(facts["first_EFIX"][4]) % 2**32
    if "HREF" in facts["SAMPLES_line"]:
        stated = 812  # 4294968108 - 2^32
    assert last - first + blocks[0].step == stated


@pytest.mark.parametrize("excerpt", EXCERPTS, indirect=True)
def test_excerpts_become_gaze_frames(excerpt):
    root, path, facts = excerpt
    name = path.stem
    (trial, *more) = eyelink(root / "gaze", {"clip"}, GazeOptions())
    assert trial.screen == Screen(*EXCERPTS[name])
    assert len(more) == len(facts["blocks"]) - 1
    options = GazeOptions(placed="stretch", fixations="recorded", units="pixels")
    (recording,) = recordings_of("eyelink", root, options)
    assert recording.problem == ""
    if name == "mono1000_input_reading":  # its only fixation is below the screen
        with pytest.raises(InputError, match="lie outside"):
            list(recording.read())
        return
    frames = list(recording.read())
    assert len(frames) == 45
    assert sum(len(frame.fixations.points) for frame in frames) > 0


def test_messages_with_an_offset_agree_with_the_screen(recordings):
    """From one picture to the next there are whole frames of the screen, if it is subtracted."""
    blocks, _ = read_blocks(recordings / "trackers" / "eyelink" / "mono500_saccade.asc")
    for block in blocks:
        shown = [one.time for one in block.within if one.text.endswith("_display")]
        frames = (shown[1] - shown[0]) / 16.645  # RETRACE_INTERVAL
        assert abs(frames - round(frames)) < 0.1


def test_an_excerpt_begins_where_its_message_says(recordings, tmp_path):
    source = recordings / "trackers" / "eyelink" / "mono_remote250_cut.asc"
    (tmp_path / source.name).symlink_to(source)
    one, two = eyelink(tmp_path, {"clip"}, GazeOptions(onset="SYNCTIME"))
    # MSG 12976265 -6 SYNCTIME, EFIX from 12976176 on
    assert one.fixations.onset.tolist() == [12976176 - 12976271]
    assert one.fixations.duration.tolist() == [5116]
    assert one.samples.time[0] == 12976272 - 12976271
    assert len(two.fixations.x) == 0
