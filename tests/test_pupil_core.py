"""Exports of Pupil Player: which clip, when it began, who looked where; real ones and twins."""

import json
import shutil

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.listing import read_trials
from uva_tf.gaze.exports.pupil import OFF_SURFACE, SAME_TIME
from uva_tf.gaze.exports.pupil_core import NO_ONSET, pupil_core
from uva_tf.gaze.lost import LOST_AT
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS

SCENE = "gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y,base_data\n"
SURFACE = "world_timestamp,world_index,gaze_timestamp,x_norm,y_norm,x_scaled,y_scaled,on_surf,"
SURFACE += "confidence\n"
FIXATIONS = (
    "world_timestamp,world_index,fixation_id,start_timestamp,duration,dispersion,norm_pos_x,"
    "norm_pos_y,x_scaled,y_scaled,on_surf\n"
)
ON_SCREEN = GazeOptions(placed="stretch")


def scene(*rows):
    """Rows of time, frame, confidence, x and y."""
    return SCENE + "".join(f"{t},{frame},{c},{x},{y},{t}-0\n" for t, frame, c, x, y in rows)


def surface(*rows):
    """Rows of time, x, y, whether on the surface, confidence."""
    return SURFACE + "".join(f"{t},7,{t},{x},{y},{x},{y},{on},{c}\n" for t, x, y, on, c in rows)


def samples(*times):
    return surface(*((t, 0.5, 0.25, True, 0.9) for t in times))


@pytest.fixture
def read(tmp_path):
    """A function that writes files of exports by name, and reads them."""

    def read(files, clips=("film",), options=ON_SCREEN):
        for name, content in files.items():
            path = tmp_path / "gaze" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return read_trials(pupil_core, tmp_path, set(clips), options)

    return read


def drawn(root, name, frames=20, size=(64, 36)):
    """A clip of 40 ms a frame in a dataset's folder."""
    (root / "videos").mkdir(parents=True, exist_ok=True)
    with VideoWriter(root / "videos" / f"{name}.mp4", 25, *size) as video:
        for _ in range(frames):
            video.write(np.full((size[1], size[0], 3), 90, np.uint8))


ANNOTATIONS = (
    "index,timestamp,label,duration,added_in_player\n"
    "1,11.0,a.mp4 start,0.0,\n2,11.5,cough,0.0,\n3,12.0,b,0.0,\n4,13.0,b end,0.0,\n"
    "5,14.0,ba,0.0,\n6,15.0,a,0.5,\n"
)


def test_clips_begin_at_the_annotations_that_name_them(read):
    times = np.arange(10, 16, 0.25)
    files = {
        "P1/surfaces/gaze_positions_on_surface_Screen.csv": samples(*times),
        "P1/annotations.csv": ANNOTATIONS,
    }
    trials = read(files, ("a", "b", "c"))
    assert [(t.clip, t.number, t.observer) for t in trials] == [
        ("a", 1, "P1"),
        ("b", 2, "P1"),
        ("a", 3, "P1"),
    ]
    assert [t.samples.time.tolist() for t in trials] == [[0, 250, 500, 750]] * 2 + [[0, 250]]
    (trial, *_) = trials
    assert (trial.units, trial.origin, trial.on_clip) == ("fractions", "lower-left", False)


def test_a_last_row_that_was_cut_off_is_left_out_and_counted(read):
    fixations = FIXATIONS + "10,1,1,10,200,1,0.5,0.5,1,1,True\n"
    files = {
        "P1/surfaces/gaze_positions_on_surface_Screen.csv": samples(10, 11, 12)[:-9],
        "P1/surfaces/fixations_on_surface_Screen.csv": fixations + "11,2,2",
    }
    (trial,) = read(files)
    assert (len(trial.samples.time), len(trial.fixations.x)) == (2, 1)
    assert trial.left_out[SHORT_ROWS] == 2


def test_a_pattern_says_which_annotation_begins_a_clip(read):
    files = {
        "P1/surfaces/gaze_positions_on_surface_Screen.csv": samples(*np.arange(10, 16, 0.25)),
        "P1/annotations.csv": ANNOTATIONS,
    }
    options = GazeOptions(placed="stretch", onset="cough")
    (trial,) = read(files, ("a",), options)
    assert trial.clip == "a"
    assert trial.samples.time.tolist() == [0, 250, 500, 750, 1000, 1250]  # until `b end`
    found = read(files, ("a", "b"), GazeOptions(placed="stretch", onset="(?P<clip>[ab]).mp4 start"))
    assert [t.clip for t in found] == ["a"]
    with pytest.raises(InputError, match=r"matches --onset 'beep', found a, a\.mp4 start"):
        read(files, ("a",), GazeOptions(onset="beep", placed="stretch"))


def test_an_annotation_of_two_clips_is_refused(read):
    files = {
        "P1/surfaces/gaze_positions_on_surface_Screen.csv": samples(10, 11),
        "P1/annotations.csv": "timestamp,label\n10,a or b\n",
    }
    with pytest.raises(InputError, match="the event 'a or b' names 2 clips: a, b"):
        read(files, ("a", "b"))


def test_a_surface_named_like_a_clip_is_the_clip(read):
    files = {
        "P1/exports/000/surfaces/gaze_positions_on_surface_film.csv": samples(10.5, 11),
        "P1/exports/000/surfaces/gaze_positions_on_surface_Keyboard.csv": samples(10.5, 11),
        "P1/exports/000/surfaces/surface_events.csv": (
            "world_index,world_timestamp,surface_name,event_type\n"
            "1,9.0,Keyboard,enter\n3,10.25,film,enter\n4,10.3,film,exit\n5,10.4,film,enter\n"
        ),
        "P1/exports/000/gaze_positions.csv": scene((10, 1, 1, 0.5, 0.5)),
    }
    (trial,) = read(files, ("film", "other"), GazeOptions())
    assert (trial.clip, trial.observer, trial.on_clip) == ("film", "P1", True)
    assert trial.samples.time.tolist() == [250, 750]
    assert "first seen" in trial.notes[-1]


def test_surfaces_of_other_names_are_told_apart_by_the_user(read, tmp_path):
    names = [f"P1/surfaces/gaze_positions_on_surface_{name}.csv" for name in ("Left", "Right")]
    files = dict.fromkeys(names, samples(10, 11))
    with pytest.raises(InputError, match=r"2 surfaces \(Left, Right\), none of them named like"):
        read(files)
    (tmp_path / "trials.csv").write_text(f"file,clip,onset_ms\n{names[1]},film,400\n")
    (trial,) = read(files)
    assert trial.file.name.endswith("Right.csv")
    assert trial.samples.time.tolist() == [-400, 600]


def test_lost_gaze_and_gaze_off_the_surface_have_no_place(read):
    rows = [
        (12, 0.1, 0.2, "True", 0.9),
        (11, 0.3, 0.4, "False", 0.9),
        (10, 0.5, 0.6, "True", 0.59),
        (12, 7, 8, "True", 0.1),
        (13, 0.7, 0.8, "True", 0.6),
    ]
    (trial,) = read({"surfaces/gaze_positions_on_surface_A.csv": surface(*rows)})
    assert trial.samples.time.tolist() == [0, 1000, 2000, 3000]
    np.testing.assert_array_equal(trial.samples.x, [np.nan, np.nan, 0.1, 0.7])
    assert +trial.left_out == {SAME_TIME: 1}


def test_signs_of_lost_tracking_are_no_gaze(read):
    rows = [(10 + n, *((-1, -1) if n % 2 else (0.5, 0.6)), "True", 0.9) for n in range(6)]
    (trial,) = read({"surfaces/gaze_positions_on_surface_A.csv": surface(*rows)})
    np.testing.assert_array_equal(trial.samples.x, [0.5, np.nan] * 3)
    assert LOST_AT.format("-1,-1") in trial.notes


def test_a_fixation_on_a_surface_counts_once_where_it_is_on_it(read):
    rows = [(5, 10.0, 100, 0.2, 0.4, "True"), (5, 10.0, 100, 0.4, 0.6, "True")]
    rows += [(5, 10.0, 100, 9, 9, "False"), (6, 10.05, 80, 9, 9, "False")]
    rows += [(7, 9.98, 40, 0.1, 0.1, "True")]
    text = FIXATIONS + "".join(
        f"10,3,{i},{s},{d},1,{x},{y},1,1,{on}\n" for i, s, d, x, y, on in rows
    )
    (trial,) = read({"surfaces/fixations_on_surface_A.csv": text})
    found = trial.fixations
    np.testing.assert_allclose(found.onset, [0 - 20, 0], atol=1e-6)
    np.testing.assert_allclose(
        (found.duration, found.x, found.y), ([40, 100], [0.1, 0.3], [0.1, 0.5])
    )
    assert trial.left_out[OFF_SURFACE] == 1


def test_signs_of_lost_tracking_are_no_part_of_fixations_on_a_surface(read):
    rows = "".join(
        f"{10 + n},7,5,10.0,100,1,{'0,0' if n % 2 else '0.2,0.4'},1,1,True\n" for n in range(4)
    )
    (trial,) = read({"surfaces/fixations_on_surface_A.csv": FIXATIONS + rows})
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([0.2], [0.4])


def test_older_versions_name_and_measure_otherwise(read):
    gaze = SURFACE.replace("world_index", "world_frame_idx").replace("on_surf", "on_srf")
    gaze = gaze.replace(",confidence", "")
    fixations = "id,start_timestamp,duration,start_frame,end_frame,norm_pos_x,norm_pos_y,on_srf\n"
    files = {
        "metrics/gaze_positions_on_surface_A_1487345.csv": gaze + "10,1,10,0.5,0.5,1,1,True\n",
        "metrics/gaze_positions_on_surface_A_1487345123.25.csv": gaze + "9,1,9,0.5,0.5,1,1,True\n",
        "metrics/fixations_on_surface_A_1487345123.25.csv": (
            fixations + "0,9.5,0.2,1,5,0.4,0.6,True\n1,9.9,0.3,9,15,0.4,0.6,True\n"
        ),
    }
    (trial,) = read(files, ("A",))
    assert trial.fixations.duration.tolist() == [200, 300]
    assert any("are in seconds" in note for note in trial.notes)


WORLD = "# timestamps [seconds],pts\n5.000,0\n5.040,3000\n"
SEEN = scene((5.05, 1, 0.9, 0.25, 0.75), (5.02, 0, 0.2, 0.5, 0.5), (4.99, 0, 1.0, 0.5, 0.5))


def test_a_folder_named_like_a_clip_holds_gaze_on_its_scene(read):
    files = {
        "walk/000/gaze_positions.csv": SEEN,
        "walk/000/world_timestamps.csv": WORLD,
        "walk/000/export_info.csv": "key,value\r\r\nFrame Index Range:,417 - 500\r\r\n",
        "walk/000/fixations.csv": (
            "id,start_timestamp,duration,norm_pos_x,norm_pos_y,confidence\n3,5.1,216.5,0.5,0.25,1\n"
        ),
    }
    (trial,) = read(files, ("walk", "other"), GazeOptions())
    assert (trial.clip, trial.on_clip, trial.origin) == ("walk", True, "lower-left")
    np.testing.assert_allclose(trial.samples.time, [-10, 20, 50], atol=1e-6)
    np.testing.assert_array_equal(trial.samples.y, [0.5, np.nan, 0.75])
    np.testing.assert_allclose(trial.fixations.onset, [100], atol=1e-6)
    assert trial.fixations.duration.tolist() == [216.5]
    assert "the clip must be the world.mp4 that was exported with it" in trial.notes[0]


def test_without_times_of_frames_gaze_is_numbered_by_frame_or_counted_from_the_start(read):
    (trial,) = read({"walk/gaze_positions.csv": SEEN}, ("walk",), GazeOptions())
    assert trial.samples.time is None
    assert trial.samples.frame.tolist() == [1, 1, 2]
    assert trial.left_out[NO_ONSET] == 0
    info = {"recording_name": "Ann", "start_time_synced_s": 4.9}
    (trial,) = read({"walk/info.player.json": json.dumps(info)}, ("walk",), GazeOptions())
    assert trial.observer == "Ann"
    np.testing.assert_allclose(trial.samples.time, [90, 120, 150], atol=1e-6)


def test_gaze_on_a_scene_of_no_clip_is_refused(read):
    with pytest.raises(InputError, match="nothing says that a clip is that video: name its"):
        read({"P1/gaze_positions.csv": SEEN})


def test_gaze_on_a_scene_can_be_listed_or_be_of_the_only_video_named_world(read, tmp_path):
    files = {"P1/gaze_positions.csv": SEEN, "P1/world_timestamps.csv": WORLD}
    (trial,) = read(files, ("world",), GazeOptions())
    assert (trial.clip, trial.on_clip) == ("world", True)
    (tmp_path / "trials.csv").write_text("file,clip\nP1/gaze_positions.csv,walk\n")
    (trial,) = read(files, ("walk", "other"), GazeOptions())
    assert (trial.clip, trial.on_clip) == ("walk", True)


def test_a_screen_decides_between_surface_and_scene(read):
    files = {
        "walk/gaze_positions.csv": SEEN,
        "walk/world_timestamps.csv": WORLD,
        "walk/surfaces/gaze_positions_on_surface_Screen.csv": samples(5, 6),
    }
    (trial,) = read(files, ("walk",), GazeOptions())
    assert trial.file.name == "gaze_positions.csv"
    assert "gaze on surfaces was not read" in trial.notes[0]
    (trial,) = read(files, ("walk",), ON_SCREEN)
    assert trial.file.name.endswith("Screen.csv")


def test_numbers_that_the_software_gives_are_no_names_of_clips(read):
    files = {"P1/000/exports/001/gaze_positions.csv": SEEN}
    with pytest.raises(InputError, match="nothing says that a clip is that video"):
        read(files, ("000", "001"), GazeOptions())


def test_observers_are_named_after_recordings_unless_these_share_a_name(read):
    def files(names):
        for folder, name in names.items():
            yield f"{folder}/info.player.json", json.dumps({"recording_name": name})
            yield f"{folder}/exports/000/surfaces/gaze_positions_on_surface_A.csv", samples(1, 2)

    found = read(dict(files({"x": "Ann", "y": "Bob"})))
    assert [trial.observer for trial in found] == ["Ann", "Bob"]
    found = read(dict(files({"x": "2020_05_15", "y": "2020_05_15"})))
    assert [trial.observer for trial in found] == ["x", "y"]
    assert any("several recordings have the same name" in note for note in found[0].notes)


def test_two_exports_of_a_recording_are_not_two_observers(read):
    name = "P1/exports/{}/surfaces/gaze_positions_on_surface_A.csv"
    with pytest.raises(InputError, match="another export of the recording: keep one of them"):
        read({name.format("000"): samples(1, 2), name.format("001"): samples(1, 2)})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("walk/gaze_positions.csv", SCENE.replace("norm_pos_y", "y"), "no column 'norm_pos_y'"),
        ("walk/gaze_positions.csv", SEEN.replace("0.75", "high"), "line 2: norm_pos_y is 'high'"),
        ("walk/info.player.json", "[" * 100_000, "info.player.json: not JSON"),
        ("walk/world_timestamps.csv", "# timestamps [seconds],pts\n", "no times of frames in it"),
    ],
)
def test_damage_is_refused_with_the_cause(read, name, content, words):
    files = {"walk/gaze_positions.csv": SEEN, name: content}
    with pytest.raises(InputError, match=words) as caught:
        read(files, ("walk",), GazeOptions())
    assert "\n" not in str(caught.value)


def test_a_place_on_a_surface_ends_up_in_the_clip_from_the_lower_left(tmp_path):
    drawn(tmp_path, "film")
    folder = tmp_path / "gaze" / "P1" / "surfaces"
    folder.mkdir(parents=True)
    rows = "".join(f"1,1,{n},{1 + 0.2 * n},200,0,0.25,0.75,1,1,True\n" for n in range(4))
    (folder / "fixations_on_surface_film.csv").write_text(FIXATIONS + rows)
    (recording,) = recordings_of("pupil-core", tmp_path, GazeOptions(fixations="recorded"))
    points = [frame.fixations.points for frame in recording.read()]
    assert len(points) == 20
    np.testing.assert_allclose(np.concatenate(points), [[0.25, 0.25]] * 20, atol=1e-6)


# The real exports.


@pytest.fixture
def exports(recordings):
    return recordings / "trackers" / "pupil_core"


@pytest.fixture
def facts(recordings):
    facts = json.loads((recordings / "trackers" / "facts.json").read_text())
    return lambda name: facts[f"pupil_core/{name}"]


def test_a_real_export_on_its_scene(exports, facts, tmp_path):
    shutil.copytree(exports / "player_export_000", tmp_path / "gaze" / "walk")
    shutil.copy(exports / "info.player.json", tmp_path / "gaze" / "walk")
    (trial,) = read_trials(pupil_core, tmp_path, {"walk"}, GazeOptions())
    gaze = facts("player_export_000/gaze_positions.csv")
    found = facts("player_export_000/fixations.csv")
    start = float(facts("player_export_000/world_timestamps.csv")["t0"])
    time = trial.samples.time
    assert trial.observer == "2020_05_15"
    assert len(time) == gaze["rows"]
    assert np.isnan(trial.samples.x).sum() == gaze["conf_below_06"]
    assert time[0] == pytest.approx(1000 * (float(gaze["first"]["t"]) - start), abs=1e-3)
    assert time[-1] == pytest.approx(1000 * (float(gaze["last_t"]) - start), abs=1e-3)
    rate = (len(time) - 1) / (time[-1] - time[0]) * 1000
    assert rate == pytest.approx(gaze["mean_rate"], abs=0.05)
    first, fixations = found["first"], trial.fixations
    assert len(fixations.x) == found["fixations"]
    onset = 1000 * (float(first["start_timestamp"]) - start)
    assert fixations.onset[0] == pytest.approx(onset, abs=1e-3)
    assert fixations.duration[0] == pytest.approx(float(first["duration"]))
    assert fixations.x[0] == pytest.approx(float(first["norm_pos_x"]))
    assert fixations.y[0] == pytest.approx(float(first["norm_pos_y"]))


def test_a_real_export_on_its_surface(exports, facts, tmp_path):
    shutil.copytree(exports / "player_export_000", tmp_path / "gaze" / "000")
    (trial,) = read_trials(pupil_core, tmp_path, {"Surface 1"}, GazeOptions())
    gaze = facts("player_export_000/surfaces/gaze_positions_on_surface_Surface 1.csv")
    found = facts("player_export_000/surfaces/fixations_on_surface_Surface 1.csv")
    entered = facts("player_export_000/surfaces/surface_events.csv")["first"]
    start = float(entered["world_timestamp"])
    assert trial.on_clip
    assert len(trial.samples.x) == gaze["rows"]
    # Five samples on the surface are too uncertain.
    assert (~np.isnan(trial.samples.x)).sum() == gaze["on_surf_true"] - 5
    first = float(gaze["first"]["gaze_timestamp"])
    assert trial.samples.time[0] == pytest.approx(1000 * (first - start), abs=1e-3)
    assert len(trial.fixations.x) == found["distinct_fixations"]
    first = found["first"]
    assert trial.fixations.x[0] == pytest.approx(float(first["norm_pos_x"]), abs=1e-3)
    assert trial.fixations.duration[0] == pytest.approx(float(first["duration"]))
    onset = 1000 * (float(first["start_timestamp"]) - start)
    assert trial.fixations.onset[0] == pytest.approx(onset, abs=1e-3)


def test_a_real_export_without_times_of_frames(exports, facts, tmp_path):
    shutil.copytree(exports / "tutorial10", tmp_path / "gaze" / "walk")
    (trial,) = read_trials(pupil_core, tmp_path, {"walk"}, GazeOptions())
    gaze = facts("tutorial10/gaze_positions.csv")
    assert len(trial.samples.x) == gaze["rows"]
    assert np.isnan(trial.samples.x).sum() == gaze["conf_below_06"]
    assert trial.samples.frame[0] == int(gaze["first"]["world_index"]) + 1
    assert trial.samples.frame[-1] == int(gaze["last_world"]) + 1
    assert trial.samples.x[0] == pytest.approx(float(gaze["first"]["x"]))
    assert trial.left_out[NO_ONSET] == facts("tutorial10/fixations.csv")["fixations"]


def test_a_real_export_becomes_frames_with_fixations(exports, tmp_path):
    drawn(tmp_path, "walk", frames=100)
    shutil.copytree(exports / "player_export_000", tmp_path / "gaze" / "walk")
    (recording,) = recordings_of("pupil-core", tmp_path, GazeOptions(fixations="recorded"))
    looked = [frame.index for frame in recording.read() if len(frame.fixations.points)]
    assert looked[0] == 15  # 566.734 ms after the first frame, of 40 ms each
