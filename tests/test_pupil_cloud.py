"""Exports of Pupil Cloud and Neon Player: on a surface, a picture or a scene; real and twins."""

import json
import shutil

import cv2
import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.exports.listing import read_trials
from uva_tf.gaze.exports.pupil import OFF_SURFACE, SAME_TIME
from uva_tf.gaze.exports.pupil_cloud import pupil_cloud
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS
from uva_tf.gaze.trials import Screen

T0 = 1_700_000_000_000_000_001  # ns; float64 is no nearer than 128 ns
ON_SCREEN = GazeOptions(placed="stretch")
IDS = "section id,recording id,"
SCENE = IDS + "timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id,azimuth [deg]\n"
SCENE_FIXATIONS = IDS + (
    "fixation id,start timestamp [ns],end timestamp [ns],duration [ms],fixation x [px],"
    "fixation y [px]\n"
)
SURFACE = IDS + (
    "timestamp [ns],gaze detected on surface,gaze position on surface x [normalized],"
    "gaze position on surface y [normalized],fixation id\n"
)
SECTIONS = IDS + (
    "recording name,wearer id,wearer name,section start time [ns],section end time [ns],"
    "start event name,end event name,id \n"
)
EVENTS = "recording id,timestamp [ns],name,type\n"


def ns(ms):
    return T0 + round(ms * 1e6)


def scene(*rows, recording="r1"):
    """Rows of time in ms, x, y, worn, fixation and blink."""
    return SCENE + "".join(
        f"s1,{recording},{ns(t)},{x},{y},{worn},{fixation},{blink},0.5\n"
        for t, x, y, worn, fixation, blink in rows
    )


def surface(*times, recording="r1", x=0.25, y=0.75, on="true"):
    return SURFACE + "".join(f"s1,{recording},{ns(t)},{on},{x},{y},\n" for t in times)


def sections(*rows):
    """Rows of recording, its name, wearer, begin and end in ms, and first event."""
    return SECTIONS + "".join(
        f"s{n},{one},{name},w,{wearer},{ns(begin)},{ns(end)},{event},x,5 \n"
        for n, (one, name, wearer, begin, end, event) in enumerate(rows)
    )


def events(*rows, recording="r1"):
    return EVENTS + "".join(f"{recording},{ns(t)},{name},cloud\n" for t, name in rows)


@pytest.fixture
def read(tmp_path):
    """A function that writes files of exports by name, and reads them."""

    def read(files, clips=("film",), options=ON_SCREEN):
        for name, content in files.items():
            path = tmp_path / "gaze" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return read_trials(pupil_cloud, tmp_path, set(clips), options)

    return read


def drawn(root, name, frames=20, size=(64, 36)):
    """A clip of 40 ms a frame in a dataset's folder."""
    (root / "videos").mkdir(parents=True, exist_ok=True)
    with VideoWriter(root / "videos" / f"{name}.mp4", 25, *size) as video:
        for _ in range(frames):
            video.write(np.full((size[1], size[0], 3), 90, np.uint8))


WORLD = IDS + f"timestamp [ns]\ns1,r1,{ns(0)}\ns1,r1,{ns(40)}\n"
SEEN = scene(
    (30, 100.5, 50.25, 1.0, 7, ""),
    (20, 1, 1, 0.0, "", ""),
    (10, 2, 2, 1.0, "", 4),
    (35, 110.5, 60.25, 1.0, 7, ""),
    (-5, 3, 3, "", "", ""),
)


FIXATED = SCENE_FIXATIONS + f"s1,r1,7,{ns(30)},{ns(35)},5,105,55\n"


def test_a_last_row_that_was_cut_off_is_left_out_and_counted(read):
    files = {
        "walk/gaze.csv": SEEN[:-9],
        "walk/world_timestamps.csv": WORLD,
        "walk/fixations.csv": FIXATED + "s1,r1,8,1700",
    }
    (trial,) = read(files, ("walk",), GazeOptions())
    assert (len(trial.samples.time), len(trial.fixations.x)) == (4, 1)
    assert trial.left_out[SHORT_ROWS] == 2


@pytest.mark.parametrize(("gaze", "words"), [("", "empty"), (SCENE, "no rows under the names")])
def test_gaze_without_rows_beside_fixations_is_refused(read, gaze, words):
    files = {"walk/gaze.csv": gaze, "walk/fixations.csv": FIXATED}
    with pytest.raises(InputError, match=rf"gaze\.csv: {words}"):
        read({**files, "walk/world_timestamps.csv": WORLD}, ("walk",), GazeOptions())


def test_a_folder_named_like_a_clip_holds_gaze_on_its_scene(read):
    files = {
        "walk/ann-r1/gaze.csv": SEEN,
        "walk/ann-r1/world_timestamps.csv": WORLD,
        "walk/ann-r1/info.json": json.dumps({"wearer_name": "Ann"}),
        "walk/ann-r1/fixations.csv": SCENE_FIXATIONS + f"s1,r1,7,{ns(30)},{ns(35)},5,105,55\n",
        "walk/ann-r1/3d_eye_states.csv": IDS + "timestamp [ns],pupil diameter [mm]\n",
    }
    (trial,) = read(files, ("walk", "other"), GazeOptions())
    assert (trial.clip, trial.observer, trial.on_clip) == ("walk", "Ann", True)
    assert (trial.units, trial.origin) == ("pixels", "upper-left")
    assert trial.samples.time.tolist() == [-5, 10, 20, 30, 35]
    np.testing.assert_array_equal(trial.samples.x, [3, np.nan, np.nan, 100.5, 110.5])
    found = trial.fixations
    assert [v.tolist() for v in (found.onset, found.duration, found.x)] == [[30], [5], [105]]


def test_a_clip_named_as_the_cloud_names_the_video_of_a_section_is_the_scene(read):
    files = {"P1/gaze.csv": SEEN.replace("s1,", "6eba7490-7df9,"), "P1/world_timestamps.csv": WORLD}
    (trial,) = read(files, ("6eba7490_0.0-35.764", "01234567_0-9"), GazeOptions())
    assert trial.clip == "6eba7490_0.0-35.764"
    with pytest.raises(InputError, match="nothing says that a clip is that video: name its"):
        read(files, ("film",), GazeOptions())


def test_fixations_without_places_lie_at_the_mean_of_their_gaze(read):
    fixations = SCENE_FIXATIONS.replace(",fixation x [px],fixation y [px]", "")
    files = {
        "walk/gaze.csv": SEEN,
        "walk/world_timestamps.csv": WORLD,
        "walk/fixations.csv": fixations
        + f"s1,r1,7,{ns(30)},{ns(35)},5\ns1,r1,8,{ns(36)},{ns(39)},3\n",
    }
    (trial,) = read(files, ("walk",))
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([105.5], [55.25])
    assert trial.left_out[OFF_SURFACE] == 1


def test_gaze_at_the_corner_is_lost_and_no_part_of_fixations(read):
    fixations = SCENE_FIXATIONS.replace(",fixation x [px],fixation y [px]", "")
    rows = [(n, *((0, 0) if n == 2 else (100, 50)), 1.0, 7, "") for n in range(4)]
    files = {
        "walk/gaze.csv": scene(*rows),
        "walk/world_timestamps.csv": WORLD,
        "walk/fixations.csv": fixations + f"s1,r1,7,{ns(0)},{ns(4)},4\n",
    }
    (trial,) = read(files, ("walk",))
    assert (trial.fixations.x.tolist(), trial.fixations.y.tolist()) == ([100], [50])


def test_blinks_in_a_file_of_their_own_are_lost_gaze(read):
    gaze = SEEN.replace(",blink id", "").replace(",,0.5", ",0.5").replace(",4,0.5", ",0.5")
    blinks = IDS + "blink id,start timestamp [ns],end timestamp [ns],duration [ms]\n"
    blinks += f"s1,r1,2,{ns(33)},{ns(36)},3\ns1,r1,1,{ns(5)},{ns(12)},7\n"
    files = {"walk/gaze.csv": gaze, "walk/world_timestamps.csv": WORLD, "walk/blinks.csv": blinks}
    (trial,) = read(files, ("walk",))
    np.testing.assert_array_equal(trial.samples.x, [3, np.nan, np.nan, 100.5, np.nan])


def test_without_times_of_frames_a_scene_counts_from_when_its_recording_began(read):
    (trial,) = read(
        {"walk/gaze.csv": SEEN, "walk/events.csv": events((-50, "recording.begin"))}, ("walk",)
    )
    assert trial.samples.time[0] == 45
    assert "counts as shown when the recording began" in trial.notes[0]


def test_a_scene_without_any_first_frame_is_refused(read):
    with pytest.raises(InputError, match="export the timeseries data whole"):
        read({"walk/gaze.csv": SEEN}, ("walk",))


def test_clips_begin_at_the_events_that_name_them(read):
    files = {
        "timeseries/ann-r1/gaze.csv": SEEN,
        "timeseries/ann-r1/events.csv": events(
            (0, "recording.begin"), (100, "a.begin"), (140, "note"), (160, "a.end"), (200, "b.mp4")
        ),
        "MARKER_MAPPER/gaze.csv": surface(*range(0, 300, 20)),
        "MARKER_MAPPER/sections.csv": sections(("r1", "rec", "Ann", 0, 300, "recording.begin")),
    }
    trials = read(files, ("a", "b"))
    assert [(t.clip, t.number, t.observer) for t in trials] == [("a", 1, "Ann"), ("b", 2, "Ann")]
    assert [t.samples.time.tolist() for t in trials] == [[0, 20, 40], [0, 20, 40, 60, 80]]
    assert {(t.units, t.origin, t.on_clip) for t in trials} == {("fractions", "upper-left", False)}


def test_sections_are_trials_where_their_events_name_clips_or_none_does(read):
    files = {
        "mapped/gaze.csv": surface(-4, 0, 20, 100, 120)
        + surface(50, recording="r2").split("\n", 1)[1],
        "mapped/sections.csv": sections(
            ("r1", "one", "P01", 0, 50, "a.begin"),
            ("r1", "one", "P01", 100, 200, "b.begin"),
            ("r2", "two", "P01", 40, 90, "a.begin"),
        ),
    }
    trials = read(files, ("a", "b"))
    assert [(t.clip, t.number, t.observer) for t in trials] == [
        ("a", 1, "one"),
        ("b", 2, "one"),
        ("a", 3, "two"),
    ]
    assert trials[0].samples.time.tolist() == [0, 20]
    trials = read(files, ("film",))
    assert [(t.clip, t.observer) for t in trials] == [("film", "one")] * 2 + [("film", "two")]
    assert trials[0].samples.time.tolist() == [-4, 0, 20]
    assert any("each section" in note for note in trials[0].notes)


def test_a_pattern_says_which_section_begins_a_clip(read):
    files = {
        "mapped/gaze.csv": surface(0, 20, 100, 120),
        "mapped/sections.csv": sections(
            ("r1", "one", "Ann", 0, 50, "rest"), ("r1", "one", "Ann", 100, 200, "show")
        ),
    }
    (trial,) = read(files, ("film",), GazeOptions(placed="stretch", onset="^show$"))
    assert trial.samples.time.tolist() == [0, 20]


def test_lost_gaze_and_gaze_off_the_surface_have_no_place(read):
    rows = surface(0, 10) + surface(20, on="false").split("\n", 1)[1]
    rows += surface(20, 30, x="", y="").split("\n", 1)[1] + surface(10).split("\n", 1)[1]
    fixations = (
        "recording id,fixation id,start timestamp [ns],end timestamp [ns],duration [ms],"
        "fixation detected on surface,fixation x [normalized],fixation y [normalized]\n"
        f"r1,1,{ns(0)},{ns(9)},9,true,0.5,0.25\nr1,2,{ns(10)},{ns(20)},10,false,0.5,0.75\n"
        f"r1,3,{ns(20)},{ns(30)},10,true,0.5,1.25\n"
    )
    (trial,) = read({"m/gaze.csv": rows, "m/fixations.csv": fixations})
    np.testing.assert_array_equal(trial.samples.x, [0.25, 0.25, np.nan, np.nan])
    assert trial.fixations.y.tolist() == [0.25]
    assert +trial.left_out == {SAME_TIME: 2, OFF_SURFACE: 2}


def test_an_enrichment_named_like_a_clip_is_gaze_on_the_clip(read):
    (trial,) = read({"film/gaze.csv": surface(0, 10)}, ("film", "other"), GazeOptions())
    assert (trial.clip, trial.on_clip) == ("film", True)


def test_a_desktop_player_names_surfaces_in_its_files(read):
    gaze = surface(0, 20, 100).replace(IDS, "").replace("s1,r1,", "")
    files = {
        "Ann/gaze_positions_on_surface_film.csv": gaze,
        "Ann/fixations_on_surface_film.csv": (
            "fixation id,start timestamp [ns],end timestamp [ns],fixation detected on surface,"
            f"fixation x [normalized],fixation y [normalized]\n1,{ns(20)},{ns(70)},0.75,0.5,0.5\n"
        ),
        "Ann/annotations.csv": f"index,timestamp [ns],label,duration [ms]\n1,{ns(20)},film,90\n",
    }
    (trial,) = read(files, ("film", "other"), GazeOptions())
    assert (trial.clip, trial.observer, trial.on_clip) == ("film", "Ann", True)
    assert trial.samples.time.tolist() == [0, 80]
    assert trial.fixations.duration.tolist() == [50]


def test_places_on_a_picture_are_its_pixels(read, tmp_path):
    gaze = SURFACE.replace("on surface x [normalized]", "in reference image x [px]")
    gaze = gaze.replace("on surface y [normalized]", "in reference image y [px]")
    gaze = gaze.replace("detected on surface", "detected in reference image")
    (tmp_path / "gaze" / "rim").mkdir(parents=True)
    picture = np.zeros((300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "gaze" / "rim" / "reference_image.jpeg"), picture)
    (trial,) = read({"rim/gaze.csv": f"{gaze}s1,r1,{ns(0)},True,120.5,90.25,\n"})
    assert (trial.units, trial.on_clip, trial.screen) == ("pixels", False, Screen(400, 300))
    assert (trial.samples.x.tolist(), trial.samples.y.tolist()) == ([120.5], [90.25])


def test_two_surfaces_of_a_recording_are_told_apart_by_the_user(read, tmp_path):
    files = {"Screen/gaze.csv": surface(0, 10), "Table/gaze.csv": surface(0, 10)}
    with pytest.raises(InputError, match=r"gaze of the same recording as in .*Screen"):
        read(files)
    (tmp_path / "trials.csv").write_text("file,clip\nScreen/gaze.csv,film\n")
    (trial,) = read(files)
    assert trial.file.parent.name == "Screen"


def test_observers_are_named_after_wearers_unless_these_are_shared(read):
    gaze = surface(0, 10) + surface(0, 10, recording="r2").split("\n", 1)[1]

    def named(*wearers):
        rows = [
            (f"r{n}", f"rec{n}", wearer, 0, 50, "film") for n, wearer in enumerate(wearers, start=1)
        ]
        return [t.observer for t in read({"m/gaze.csv": gaze, "m/sections.csv": sections(*rows)})]

    assert named("Ann", "Bob") == ["Ann", "Bob"]
    assert named("Lab", "Lab") == ["rec1", "rec2"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1.70E+18", "is '1.70E[+]18': a spreadsheet rounded the times when it saved the table"),
        ("1,7E+18", "a spreadsheet rounded"),
        ("", "timestamp .ns. is '', expected nanoseconds"),
        ("17000000000000000010", "expected nanoseconds"),
        ("-5", "is '-5', expected nanoseconds"),
        ("12.5", "expected nanoseconds"),
    ],
)
def test_damaged_times_are_refused_with_the_cause(read, cell, words):
    gaze = surface(0, 10).replace(f",{ns(10)},", f',"{cell}",')
    with pytest.raises(InputError, match=words) as caught:
        read({"m/gaze.csv": gaze})
    assert "gaze.csv line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_of_no_recording_is_refused(read):
    with pytest.raises(
        InputError, match=r"gaze\.csv line 2: recording id is empty, expected an id"
    ):
        read({"m/gaze.csv": surface(0, recording="")})


def test_nanoseconds_are_not_rounded(read):
    files = {
        "walk/gaze.csv": scene((0.000001, 1, 1, 1, "", "")),
        "walk/world_timestamps.csv": WORLD,
    }
    (trial,) = read(files, ("walk",))
    assert trial.samples.time.tolist() == [1e-6]


def test_a_place_on_a_surface_ends_up_in_the_clip(tmp_path):
    drawn(tmp_path, "film")
    folder = tmp_path / "gaze" / "film"
    folder.mkdir(parents=True)
    rows = "".join(f"r1,{n},{ns(200 * n)},200,true,0.25,0.75\n" for n in range(4))
    (folder / "fixations.csv").write_text(
        "recording id,fixation id,start timestamp [ns],duration [ms],fixation detected on surface,"
        f"fixation x [normalized],fixation y [normalized]\n{rows}"
    )
    (recording,) = recordings_of("pupil-cloud", tmp_path, GazeOptions(fixations="recorded"))
    points = [frame.fixations.points for frame in recording.read()]
    assert len(points) == 20
    np.testing.assert_allclose(np.concatenate(points), [[0.25, 0.75]] * 20, atol=1e-6)


# The real exports.


@pytest.fixture
def exports(recordings):
    return recordings / "trackers" / "pupil_cloud"


@pytest.fixture
def facts(recordings):
    facts = json.loads((recordings / "trackers" / "facts.json").read_text())
    return lambda name: facts[f"pupil_cloud/{name}"]


def test_a_real_scene(exports, facts, tmp_path):
    shutil.copytree(exports / "timeseries_P01", tmp_path / "gaze" / "walk")
    (trial,) = read_trials(pupil_cloud, tmp_path, {"walk"}, GazeOptions())
    gaze, found = facts("timeseries_P01/gaze.csv"), facts("timeseries_P01/fixations.csv")
    start = facts("timeseries_P01/world_timestamps.csv")["t0"]
    time = trial.samples.time
    assert trial.observer == "P01"
    assert len(time) == gaze["rows"]
    assert np.isnan(trial.samples.x).sum() == gaze["worn_not_1"] + gaze["in_blink"]
    assert time[0] == (int(gaze["first"]["timestamp [ns]"]) - start) / 1e6
    assert time[-1] == pytest.approx((int(gaze["last_t"]) - start) / 1e6, abs=1e-6)
    assert (len(time) - 1) / (time[-1] - time[0]) * 1000 == pytest.approx(gaze["rate"], abs=0.005)
    assert trial.samples.x[0] == float(gaze["first"]["gaze x [px]"])
    assert len(trial.fixations.x) == found["fixations"]
    assert trial.fixations.duration[0] == float(found["first"]["duration [ms]"])
    assert trial.fixations.y[0] == float(found["first"]["fixation y [px]"])


def test_a_real_scene_from_an_event_on(exports, facts, tmp_path):
    shutil.copytree(exports / "timeseries_P01", tmp_path / "gaze" / "walk")
    options = GazeOptions(onset="^task.begin$")
    (trial,) = read_trials(pupil_cloud, tmp_path, {"walk"}, options)
    assert len(trial.samples.x) == facts("timeseries_P01/gaze.csv")["rows_after_task_begin"]
    begins = facts("timeseries_P01/events.csv")["events"]["task.begin"]
    first = facts("timeseries_P01/fixations.csv")["first_after_task_begin"]
    onset = (int(first["start timestamp [ns]"]) - begins) / 1e6
    row = int((trial.fixations.onset >= 0).argmax())
    assert trial.fixations.onset[row] == pytest.approx(onset, abs=1e-6)
    assert trial.fixations.x[row] == float(first["fixation x [px]"])


def test_a_real_surface_in_three_recordings(exports, facts, tmp_path):
    shutil.copytree(exports / "marker_mapper", tmp_path / "gaze" / "mapped")
    trials = read_trials(pupil_cloud, tmp_path, {"film"}, ON_SCREEN)
    gaze, found = facts("marker_mapper/gaze.csv"), facts("marker_mapper/fixations.csv")
    assert len({trial.observer for trial in trials}) == gaze["recordings"]
    assert sum(len(trial.samples.x) for trial in trials) == gaze["rows"]
    placed = sum(int((~np.isnan(trial.samples.x)).sum()) for trial in trials)
    assert placed == gaze["on_surface"]
    sections = facts("marker_mapper/sections.csv")
    first = int(gaze["first"]["timestamp [ns]"]) - int(sections["first_start"])
    assert trials[0].samples.time[0] == first / 1e6
    fixed = [len(trial.fixations.x) for trial in trials]
    # Three that the file says are on the surface lie beyond it.
    assert sum(fixed) == found["on_surface"] - 3
    off = [trial.left_out[OFF_SURFACE] for trial in trials]
    assert [on + out for on, out in zip(fixed, off, strict=True)] == found["per_recording"]
    assert trials[0].fixations.duration[0] == float(found["first"]["duration [ms]"])


def test_real_sections_that_a_spreadsheet_damaged(exports, tmp_path):
    shutil.copytree(exports / "marker_mapper", tmp_path / "gaze" / "mapped")
    (tmp_path / "gaze" / "mapped" / "sections.csv").unlink()
    damaged = exports / "sections_spreadsheet_damaged.csv"
    shutil.copy(damaged, tmp_path / "gaze" / "mapped" / "sections.csv")
    with pytest.raises(InputError, match="a spreadsheet rounded the times"):
        read_trials(pupil_cloud, tmp_path, {"film"}, ON_SCREEN)


def test_a_real_scene_becomes_frames_with_fixations(exports, tmp_path):
    drawn(tmp_path, "walk", frames=100, size=(1088, 1080))
    shutil.copytree(exports / "timeseries_P01", tmp_path / "gaze" / "walk")
    (recording,) = recordings_of("pupil-cloud", tmp_path, GazeOptions(fixations="recorded"))
    frames = iter(recording.read())
    looked = next(frame for frame in frames if len(frame.fixations.points))
    assert looked.index == 42  # 1651.869 ms after the first frame, of 40 ms each
    np.testing.assert_allclose(looked.fixations.points[0], [654.581 / 1088, 846.614 / 1080], 1e-5)
