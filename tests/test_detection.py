"""Fixations and pursuit in samples: against known gaze, closed forms, and EyeLink's own."""

import json
import time as clock
from collections import Counter
from pathlib import Path

import derived_samples
import eyelink_fixations
import made_gaze
import measured_detection
import numpy as np
import pytest
from made_gaze import DISTANCE_CM, HEIGHT, WIDTH, WIDTH_CM

from uva_tf.commands.command import _missing
from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data import readers
from uva_tf.data.writer import Job, write_dataset
from uva_tf.gaze import detection, movements
from uva_tf.gaze.detection import fixations_of
from uva_tf.gaze.fixation_table import (
    AT_EXACTLY,
    BESIDE,
    BESIDE_BLINKS,
    FAR_OFF,
    INVALID,
    LOST,
    SAMPLES_BESIDE,
    SHORT,
    UNTRACKED,
    FixationTable,
)
from uva_tf.gaze.options import NOTHING_STATED, GazeOptions
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

SCREEN = Screen(WIDTH, HEIGHT, WIDTH_CM, DISTANCE_CM)
SIZE = WIDTH, HEIGHT
IVT = GazeOptions(fixations="ivt")
# Pixels of a degree at the screen's centre, by the definition of the tangent.
DEGREE = WIDTH / WIDTH_CM * DISTANCE_CM * np.tan(np.radians(1))


def trial(time, x, y, *, screen=SCREEN, **more):
    x, y = (np.broadcast_to(np.asarray(one, float), np.shape(time)) for one in (x, y))
    samples = Samples(np.asarray(time, float), x, y)
    return Trial("clip", "ann", Path("ann.tsv"), samples=samples, screen=screen, **more)


def table_of(*trials, options=NOTHING_STATED, size=SIZE):
    names = dict.fromkeys(one.observer for one in trials)
    return fixations_of(trials, size, options, {name: n for n, name in enumerate(names)})


def jump(time, at=500.0, size=8.0):
    """x of gaze that rests left of the centre, and from `at` on `size` degrees further right."""
    found = [
        made_gaze.Movement("fixation", -1e4, at, np.array([-4.0, 0]), np.array([-4.0, 0])),
        made_gaze.Movement("saccade", at, at + 40, np.array([-4.0, 0]), np.array([size - 4.0, 0])),
        made_gaze.Movement("fixation", at + 40, 1e6, *[np.array([size - 4.0, 0])] * 2),
    ]
    return made_gaze.pixels(made_gaze.degrees_at(found, np.asarray(time, float)))[:, 0]


@pytest.mark.parametrize("rate", [60, 250, 1000])
def test_known_fixations_and_pursuit_are_found_in_noise(rate):
    found, false, covered, off, cc, in_one_place, without, _ = measured_detection.measure(
        rate, 0.3, seconds=8, observers=3
    )
    assert found > 0.9
    assert false < 0.03
    assert covered > 0.9
    assert off < 0.4
    assert cc > 0.85
    assert min(cc - in_one_place, cc - without) > 0.08


def test_dispersion_finds_fixations_and_loses_fast_pursuit():
    found, false, covered, *_ = measured_detection.measure(250, 0.1, "idt", seconds=8, observers=2)
    assert found > 0.9
    assert false < 0.03
    assert covered < 0.6
    (note, *_) = measured_detection.found_in(samples_of_still_gaze(), "idt").notes
    assert "pursuit faster than 10 deg/s is lost" in note


def samples_of_still_gaze():
    time = np.arange(0, 1000, 4.0)
    return Samples(time, np.full(250, 700.0), np.full(250, 400.0))


@pytest.mark.parametrize("method", ["ivt", "idt"])
def test_still_gaze_is_one_fixation_of_its_length_at_its_place(method):
    columns = measured_detection.found_in(samples_of_still_gaze(), method).columns
    assert [len(column) for column in columns.values()] == [1] * 5
    assert columns["onset_ms"] == -2  # half a sample before the first
    assert columns["duration_ms"] == pytest.approx(1000, abs=12)
    assert (columns["x"], columns["y"]) == (pytest.approx(700), pytest.approx(400))


def test_a_saccade_separates_two_fixations():
    time = np.arange(0, 1000, 1.0)
    columns = table_of(trial(time, jump(time), 400)).columns
    end = columns["onset_ms"] + columns["duration_ms"]
    assert columns["x"] == pytest.approx(jump([0, 999]), abs=2)
    assert end[0] == pytest.approx(500, abs=10)
    assert columns["onset_ms"][1] == pytest.approx(540, abs=10)
    assert list(columns["event"]) == [0, 1]


def test_pursuit_becomes_pieces_of_one_event_on_the_path():
    time = np.arange(0, 1000, 4.0)
    path = WIDTH / 2 + DEGREE * (time - 500) / 100  # 10 degrees/s
    table = table_of(trial(time, path, 540))
    columns = table.columns
    assert len(columns["x"]) == 25  # of 40 ms
    assert set(columns["event"]) == {0}
    middle = columns["onset_ms"] + columns["duration_ms"] / 2
    assert columns["x"] == pytest.approx(WIDTH / 2 + DEGREE * (middle - 500) / 100, abs=0.2)
    assert columns["duration_ms"].sum() == pytest.approx(1000)
    assert any("0 still, 1 moving (ivt, speed over 20 ms)" in note for note in table.notes)


@pytest.mark.parametrize(("speed", "rows"), [(25, True), (35, False)])
def test_the_threshold_is_30_degrees_a_second(speed, rows):
    time = np.arange(0, 500, 4.0)
    path = WIDTH / 2 + DEGREE * speed * (time - 250) / 1000
    assert bool(len(table_of(trial(time, path, 540)).observers)) == rows
    # Seen from further away the same path has half the speed.
    further = GazeOptions(distance_cm=2 * DISTANCE_CM)
    assert len(table_of(trial(time, path, 540), options=further).observers)


def test_short_gaps_are_filled_and_blinks_divide():
    time = np.arange(0, 1200, 4.0)
    x = np.full(300, 700.0)
    x[(time >= 200) & (time < 260)] = np.nan
    x[(time >= 600) & (time < 800)] = np.nan
    table = table_of(trial(time, x, 400))
    ends = table.columns["onset_ms"] + table.columns["duration_ms"]
    assert table.columns["onset_ms"] == pytest.approx([-2, 828], abs=4)
    assert ends == pytest.approx([568, 1198], abs=4)  # 30 ms are left out on either side
    assert table.left_out == {UNTRACKED: 65, BESIDE_BLINKS: 16}
    assert table.tracked == {0: pytest.approx(1 - 65 / 300)}
    assert len(table.samples["time"]) == 235


def test_samples_that_are_absent_are_gaps_too():
    time = np.delete(np.arange(0, 1200, 4.0), np.arange(150, 200))
    assert len(table_of(trial(time, 700, 400)).observers) == 2


def test_glances_shorter_than_60_ms_are_counted():
    time = np.arange(0, 1000, 4.0)
    x = jump(time) + jump(time, at=580, size=-8) - jump([0])
    table = table_of(trial(time, x, 400))
    assert len(table.observers) == 2
    assert table.left_out[SHORT] == 1


@pytest.mark.parametrize(
    "time",
    [
        np.repeat(np.arange(0, 1000, 1.0), 2),  # 2000 Hz, rounded to ms
        np.round(np.arange(0, 1000, 1000 / 60)),  # 16 and 17 ms
        np.cumsum(np.random.default_rng(3).uniform(15, 50, 30)),  # a web camera
        1e12 + np.arange(0, 1000, 4.0),
    ],
    ids=["2000 Hz", "60 Hz", "uneven", "far away"],
)
def test_repeated_rounded_and_uneven_times(time):
    middle = time[0] + 500
    columns = table_of(trial(time, jump(time, at=middle), 400)).columns
    assert columns["x"] == pytest.approx(jump([0, 999]), abs=15)
    assert columns["onset_ms"][0] == pytest.approx(time[0], abs=26)
    assert columns["onset_ms"][1] == pytest.approx(middle + 30, abs=50)


def test_two_observers_of_a_clip_are_kept_apart():
    time = np.arange(0, 1000, 4.0)
    ann, bob = trial(time, 700, 400), trial(time, jump(time), 500)
    bob = Trial("clip", "bob", Path("bob.tsv"), samples=bob.samples, screen=SCREEN)
    table = table_of(ann, bob)
    assert list(table.observers) == [0, 1, 1]
    assert list(table.columns["event"]) == [0, 1, 2]
    assert (np.diff(table.samples["time"]) >= 0).all()
    assert set(table.samples["observer"]) == {0, 1}


def test_recorded_fixations_are_kept_and_those_that_move_follow_their_samples():
    time = np.arange(0, 1000, 4.0)
    path = np.where(time < 500, 400, 400 + DEGREE * (time - 500) / 100)
    given = RecordedFixations(*np.array([(0, 480, 401, 300), (500, 498, 510, 300)], float).T)
    table = table_of(trial(time, path, 300, fixations=given))
    columns = table.columns
    assert list(columns["event"]) == [0] + [1] * 12
    assert (columns["onset_ms"][0], columns["duration_ms"][0], columns["x"][0]) == (0, 480, 401)
    assert columns["onset_ms"][1] == 500
    assert (columns["onset_ms"] + columns["duration_ms"])[-1] == 998
    assert columns["x"][-1] - columns["x"][1] > 4 * DEGREE
    alone = Trial("clip", "ann", Path("ann.tsv"), fixations=given, screen=SCREEN)
    assert list(table_of(alone).columns["x"]) == [401, 510]


def test_samples_by_frame_count_once_for_an_observer_and_frame():
    samples = Samples(
        None,
        np.array([10.0, 20, 30, np.nan]),
        np.array([5.0, 5, 5, np.nan]),
        np.array([1, 1, 2, 3]),
    )
    one = Trial("clip", "ann", Path("a.txt"), samples=samples, on_clip=True)
    table = readers._ordered(table_of(one, size=(64, 36)))
    points = np.stack([table.columns["x"], table.columns["y"]], axis=1)
    seen = [
        readers._counted_once(points, table, readers._during(table.columns, index, 0, 0)).points
        for index in (1, 2, 3)
    ]
    assert [one.tolist() for one in seen] == [[[15, 5]], [[30, 5]], []]
    assert table.tracked == {0: 0.75}


@pytest.mark.parametrize("step", [1.0, 1000 / 30])
def test_samples_as_they_are_count_as_their_mean_in_each_frame(clips_root, step):
    root = clips_root([("red", 1, 0, 100, 5, 5)])
    time = np.arange(0, 400, step)
    mine = trial(time, 10 + time / 10, 20, on_clip=True, screen=None)
    options = GazeOptions(fixations="samples")
    recording = readers.watched("red", root / "videos/red.mp4", [mine], options, {"ann": 0}, [])
    frames = list(recording.read())
    assert [len(frame.fixations.points) for frame in frames] == [1] * 10
    x = np.array([frame.fixations.points[0, 0] * 64 for frame in frames])
    assert x == pytest.approx(10 + (20 + 40 * np.arange(10)) / 10, abs=0.06 + step / 10)
    assert not any(recording.left_out.values())


def test_rows_of_a_frame_are_those_that_overlap_it():
    rng = np.random.default_rng(5)
    onset, duration = rng.uniform(0, 1000, 200).round(-1), rng.choice([0, 10, 300], 200)
    table = FixationTable(np.zeros(200, np.int32), {"onset_ms": onset, "duration_ms": duration})
    columns = readers._ordered(table).columns
    for index, starts in enumerate(np.arange(0, 1000, 40.0)):
        found = readers._during(columns, index, starts, starts + 40)
        onset, end = columns["onset_ms"], columns["onset_ms"] + columns["duration_ms"]
        expected = (onset < starts + 40) & ((end > starts) | (onset >= starts))
        assert found.tolist() == np.flatnonzero(expected).tolist()


def test_gaze_on_the_screen_beside_the_clip_is_left_out_and_counted():
    time = np.arange(0, 1000, 4.0)
    options = GazeOptions(placed=(960, 270, 960, 540))
    clip = (480, 270)
    table = table_of(trial(time, jump(time), 400), options=options, size=clip)
    assert table.left_out[BESIDE] == 1
    assert table.columns["x"] == pytest.approx((jump([999]) - 960) / 2, abs=1)
    as_they_are = GazeOptions(placed=(960, 270, 960, 540), fixations="samples")
    table = table_of(trial(time, jump(time), 400), options=as_they_are, size=clip)
    assert table.left_out[SAMPLES_BESIDE] == pytest.approx(130, abs=2)
    given = RecordedFixations(*np.array([(0, 300, 100, 400), (300, 300, 1440, 540)], float).T)
    recorded = Trial("clip", "ann", Path("ann.tsv"), fixations=given, screen=SCREEN)
    table = table_of(recorded, options=options, size=clip)
    assert table.left_out == {BESIDE: 1}
    assert (list(table.columns["x"]), list(table.columns["y"])) == ([240], [135])


@pytest.mark.parametrize("method", ["ivt", "samples"])
def test_a_clip_that_was_elsewhere_on_the_screen_is_refused(method):
    time = np.arange(0, 1000, 4.0)
    options = GazeOptions(placed=(1700, 900, 200, 112), fixations=method)
    still = trial(time, np.full(250, 700.0), np.full(250, 400.0))
    with pytest.raises(InputError, match="lie beside the clip of 480x270 pixels: see whether --pl"):
        table_of(still, options=options, size=(480, 270))


def test_samples_far_outside_the_screen_and_at_its_corner_are_lost():
    time = np.arange(0, 1000, 4.0)
    x, y = np.full(250, 700.0), np.full(250, 400.0)
    x[20:25] = -5000
    x[100:103] = y[100:103] = 0
    table = table_of(trial(time, x, y))
    assert table.left_out == {FAR_OFF: 5, LOST: 3}
    assert table.tracked == {0: 242 / 250}
    assert table.columns["x"] == pytest.approx([700])


def test_samples_far_outside_the_screen_are_no_part_of_fixations_that_are_means():
    time = np.arange(0, 1000, 4.0)
    x = np.full(250, 700.0)
    x[20:25] = -5000
    mean = x[:100].mean()
    onset, duration, place = np.array([0.0, 500]), np.array([400.0, 400]), np.array([mean, 700])
    for means, expected in ((np.ones(2, bool), [700, 700]), (None, [mean, 700])):
        found = RecordedFixations(onset, duration, place, np.full(2, 400.0), means)
        table = table_of(trial(time, x, 400, fixations=found))
        assert table.left_out == {FAR_OFF: 5}
        assert table.columns["x"] == pytest.approx(expected)
        assert table.columns["y"] == pytest.approx([400, 400])


@pytest.mark.parametrize(("at", "left"), [(0, 2), (-1, 2), (-32768, 2), (-3, 0)])
def test_recorded_fixations_where_tracking_was_lost_are_left_out_and_counted(at, left):
    found = [(0, 200, at, at), (300, 200, 700, 400), (600, 200, at, at)]
    found = RecordedFixations(*np.array(found, float).T)
    one = Trial("clip", "ann", Path("ann.tsv"), fixations=found, screen=SCREEN)
    table = table_of(one)
    reason = f"{AT_EXACTLY}{at},{at}, where tracking was lost"
    assert table.left_out == ({reason: left} if left else {})
    assert len(table.columns["x"]) == 3 - left
    if at in (0, -1):
        assert len(table_of(one, options=GazeOptions(origin="centre")).columns["x"]) == 3


@pytest.mark.parametrize("reason", [INVALID, LOST, f"{AT_EXACTLY}-1,-1, where tracking was lost"])
def test_samples_that_a_table_says_are_lost_count_once(reason):
    time = np.arange(0, 1000, 4.0)
    x = np.full(250, 700.0)
    x[100:104] = np.nan
    table = table_of(trial(time, x, 400, left_out=Counter({reason: 3})))
    assert table.left_out == {reason: 3, UNTRACKED: 1}


LONG = np.arange(0, 1000, 4.0)
BY_FRAME = Samples(None, np.ones(9) * 500, np.ones(9) * 500, np.arange(1, 10))
NO_ANGLES = Screen(WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("one", "options", "words"),
    [
        (trial(LONG, 700, 400, screen=NO_ANGLES), {}, "screen as --screen-cm and the eye's"),
        (trial(LONG, 700, 400, screen=None, on_clip=True), {}, "clip as it was shown as --screen"),
        (trial(LONG, 700, 400), {"fixations": "recorded"}, "only samples: --fixations ivt"),
        (
            Trial("c", "ann", Path("a"), fixations=RecordedFixations(*np.ones((4, 1)) * 9)),
            {"fixations": "ivt"},
            "only fixations: --fixations recorded",
        ),
        (Trial("c", "ann", Path("a"), samples=BY_FRAME), {"fixations": "idt"}, "by frame"),
        (trial(np.arange(0, 9000, 100.0), 700, 400), {}, "a sample every 100 ms"),
        (trial([0, 1, 2, 3, *range(70, 7000, 70)], 700, 400), {}, "a sample every"),
        (trial([*range(2000), *range(2000, 90000, 70)], 700, 400), {}, "far less often"),
        (trial([0, 2, 1], 700, 400), {}, "times that fall"),
        (trial(LONG, 2000 - LONG, 400), {"screen": (1280, 720)}, "lie outside the 1280x720"),
        (trial(LONG, 0.4, 0.6), {}, "expected pixels"),
    ],
)
def test_what_a_method_needs_or_doubts_is_said_in_a_line(one, options, words):
    with pytest.raises(InputError, match=words) as raised:
        table_of(one, options=GazeOptions(**options, placed="" if one.on_clip else "stretch"))
    assert "\n" not in str(raised.value)


def test_angles_of_a_clip_take_the_width_at_which_it_was_shown():
    options = GazeOptions(screen_cm=30, distance_cm=60)
    assert len(table_of(trial(LONG, 700, 400, screen=None, on_clip=True), options=options).samples)


def test_trials_by_time_and_by_frame_do_not_mix():
    by_frame = Trial("clip", "bob", Path("b"), samples=BY_FRAME, screen=SCREEN)
    with pytest.raises(InputError, match="numbered by frame, others have times"):
        table_of(trial(LONG, 700, 400), by_frame)


def test_no_gaze_at_all_gives_no_rows():
    for time in (LONG, LONG[:1], LONG[:0]):
        table = table_of(trial(time, np.nan, np.nan), options=IVT)
        assert not len(table.observers)
    table = table_of(trial(LONG, np.nan, np.nan), options=GazeOptions(fixations="idt"))
    assert not len(table.observers)


def test_a_missing_package_names_the_extra():
    line = _missing(ModuleNotFoundError("No module named 'pymovements'", name="pymovements"))
    assert line.startswith("pymovements is not installed, try ")
    assert '".[gaze]"' in line


def test_an_index_says_by_which_method_fixations_were_found(clips_root, tmp_path):
    video = clips_root([("red", 1, 0, 100, 5, 5)]) / "videos" / "red.mp4"
    mine = trial(np.arange(0, 400, 4.0), 30, 20, on_clip=True, screen=None)
    stated = {"screen_cm": 30.0, "distance_cm": 60.0}
    indices = []
    for method in ("", "idt"):
        options = GazeOptions(**stated, fixations=method)
        recording = readers.watched("red", video, [mine], options, {"ann": 0}, [])
        out = tmp_path / f"shards{method}"
        write_dataset([recording], {"red": "train"}, out, Job("gaze", DataConfig(64)), jobs=1)
        indices.append(json.loads((out / "index.json").read_text()))
    ivt, idt = (index["shards"][0]["notes"]["red"] for index in indices)
    assert detection.DONE["ivt"] in ivt
    assert detection.DONE["idt"] in idt
    assert f"slower than {movements.VELOCITY:g} deg/s" in ivt[0]


def test_samples_derived_from_fixations_give_them_back():
    rng = np.random.default_rng(6)
    given = np.array([(0, 300, 300, 300), (330, 400, 900, 500), (900, 300, 950, 300)], float)
    time, path = derived_samples.stream(given, DEGREE, rng)
    lost = np.isnan(path[:, 0])
    assert time[lost].min() == pytest.approx(732, abs=4)
    assert time[lost].max() == pytest.approx(896, abs=4)
    columns = table_of(trial(time, *path.T, on_clip=True)).columns
    assert columns["onset_ms"] == pytest.approx(given[:, 0], abs=35)
    assert np.hypot(columns["x"] - given[:, 2], columns["y"] - given[:, 3]).max() < 0.2 * DEGREE


def test_fixations_agree_with_those_that_an_eyelink_would_write(tmp_path):
    rng = np.random.default_rng(7)
    truth = made_gaze.movements(rng, 10, pursuit=0)
    samples, _ = made_gaze.sampled(rng, truth, 10, 500, 0.05, lost=False)
    lines = ["MSG 0 GAZE_COORDS 0.00 0.00 1920.00 1080.00", "START 0 LEFT SAMPLES EVENTS"]
    lines.append("SAMPLES GAZE LEFT RATE 500.00 TRACKING CR FILTER 2")
    lines += [
        f"{t:.0f} {x:.1f} {y:.1f} 900.0 ..."
        for t, x, y in zip(samples.time, samples.x, samples.y, strict=True)
    ]
    for one in truth:
        x, y = made_gaze.pixels(one.start)
        if one.kind == "fixation" and one.end < 10_000:
            lines.append(f"EFIX L {one.onset:.0f} {one.end - 2:.0f} 0 {x:.1f} {y:.1f} 900")
    lines.append(f"END 10000 SAMPLES EVENTS RES {DEGREE:.2f} {DEGREE:.2f}")
    path = tmp_path / "ann.asc"
    path.write_text("\n".join(lines))
    ((eye, degree, written, found, agree, of, *_),) = eyelink_fixations.compare(path)
    assert (eye, degree) == ("L", pytest.approx(DEGREE, abs=0.01))
    assert found == pytest.approx(written, abs=1)
    assert (agree, of) == (written, written)


def test_fixations_agree_with_those_of_real_eyelinks(recordings):
    folder = recordings / "trackers" / "eyelink"
    agree = of = 0
    for path in sorted(folder.glob("*.asc")):
        if "mono1000_input" in path.name:  # its gaze lies below the screen
            with pytest.raises(InputError, match="281 of 348 samples lie outside the 1919x1079"):
                list(eyelink_fixations.compare(path))
            continue
        for *_, its_agree, its_of in eyelink_fixations.compare(path):
            agree, of = agree + its_agree, of + its_of
    assert of == 27
    assert agree >= 24


@pytest.mark.slow
def test_a_minute_of_thirty_observers_takes_seconds():
    rng = np.random.default_rng(8)
    samples = [
        made_gaze.sampled(rng, made_gaze.movements(rng, 60), 60, 1000, 0.2)[0] for _ in range(3)
    ]
    trials = [
        Trial("clip", str(n), Path("a"), samples=samples[n % 3], screen=SCREEN) for n in range(30)
    ]
    for method, seconds in (("ivt", 15), ("idt", 15), ("samples", 5)):
        start = clock.monotonic()
        table_of(*trials, options=GazeOptions(fixations=method))
        assert clock.monotonic() - start < seconds
