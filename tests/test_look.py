"""`uva-tf look`: recorded gaze in films, contact sheets and tables."""

import csv
import importlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import assert_refused, write_table
from trees import avs1k_clip, dhf1k_video, salicon_picture, ucf_clip

from uva_tf.config import DHF1K_SIGMA
from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data import readers
from uva_tf.data.fixations import Fixations, density_map, fixation_map
from uva_tf.data.layouts import LAYOUTS
from uva_tf.data.recordings import GazeFrame, Recording, unreadable
from uva_tf.evaluation import look
from uva_tf.evaluation.gaze_pictures import RED, colour_of, draw_gaze
from uva_tf.evaluation.look import look_at, report
from uva_tf.evaluation.metrics import nss
from uva_tf.gaze.fixation_table import FixationTable

GREY = 110
NOBODY = Fixations(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))


@pytest.fixture
def main(capfd):
    """A function that runs the command, and returns its exit code and what it printed."""
    command = importlib.import_module("uva_tf.commands.look").main

    def run(*args):
        capfd.readouterr()
        return command([str(arg) for arg in args]), *capfd.readouterr()

    return run


@pytest.fixture
def grey_root(tmp_path):
    """A function that writes the table of layout `gaze`, and grey clips of 400x200, 25 frames/s."""

    def write(rows, *, frames=10, width=400, height=200):
        root = tmp_path / "recordings"
        (root / "videos").mkdir(parents=True)
        for name in {row[0] for row in rows}:
            with VideoWriter(root / "videos" / f"{name}.mp4", 25, width, height) as video:
                for _ in range(frames):
                    video.write(np.full((height, width, 3), GREY, np.uint8))
        write_table(root / "fixations.csv", "video,observer,onset_ms,duration_ms,x,y", rows)
        return root

    return write


def recording(frames, name="made", **options):
    """A photograph's recording, or a clip's, of fixations as `(observer, x, y)` for each frame."""

    def read():
        for index, rows in enumerate(frames, start=1):
            points = np.array([row[1:] for row in rows], np.float32).reshape(-1, 2)
            fixations = Fixations(points, np.array([row[0] for row in rows], np.int32))
            frame = Frame(np.full((180, 320, 3), GREY, np.uint8), index / 25)
            yield GazeFrame(index, frame, fixations)

    return Recording(name, False, read, (Path("none"),), **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class TestFilm:
    def test_is_as_long_and_large_as_the_clip_and_shows_gaze_where_it_is(
        self, main, grey_root, tmp_path
    ):
        root = grey_root([("a", "p", 80, 80, 100, 50), ("a", "q", 0, 400, 300, 150)])
        assert main("--layout", "gaze", "--root", root, "--out", tmp_path / "out")[0] == 0
        with (
            VideoReader(tmp_path / "out" / "a.mp4") as film,
            VideoReader(root / "videos/a.mp4") as v,
        ):
            assert (film.width, film.height) == (v.width, v.height)
            frames, times = zip(
                *((f.pixels.astype(int), f.seconds) for f in film.timed()), strict=True
            )
            assert list(times) == [frame.seconds for frame in v.timed()]
        changed = [
            [np.ptp(frame[y - 8 : y + 8, x - 8 : x + 8]) > 60 for x, y in ((100, 50), (300, 150))]
            for frame in frames
        ]
        assert changed == [[n in (2, 3), True] for n in range(10)]
        assert all(np.abs(frame[100:170, 10:90] - GREY).max() < 12 for frame in frames)  # no gaze

    def test_of_a_small_clip_is_enlarged_by_a_whole_number(self, main, grey_root, tmp_path):
        root = grey_root([("a", "p", 0, 400, 30, 20)], width=90, height=46)
        assert main("--layout", "gaze", "--root", root, "--out", tmp_path / "out")[0] == 0
        with VideoReader(tmp_path / "out" / "a.mp4") as film:
            assert (film.width, film.height) == (360, 184)

    def test_of_pictures_has_a_rate_and_says_so(self, tmp_path):
        ucf_clip(tmp_path / "root", "Diving-Side-001", "train", range(1, 6))
        seen = look_at(LAYOUTS["ucf-sports"](tmp_path / "root"), tmp_path / "out")
        with VideoReader(tmp_path / "out" / "Diving-Side-001.mp4") as film:
            assert [round(frame.seconds, 3) for frame in film.timed()] == [
                0,
                0.04,
                0.08,
                0.12,
                0.16,
            ]
        assert "note: film: the frames are pictures: shown at 25 frames/s" in report(seen)

    def test_no_films_writes_the_sheet_and_the_tables(self, main, grey_root, tmp_path):
        root, out = grey_root([("a", "p", 0, 400, 30, 20)]), tmp_path / "out"
        assert main("--layout", "gaze", "--root", root, "--out", out, "--no-films")[0] == 0
        assert sorted(p.name for p in out.iterdir()) == ["clips.csv", "observers.csv", "sheet.png"]


class TestDrawing:
    def test_marks_are_in_the_observers_colour_outlined_and_in_their_place(self):
        fixations = Fixations(np.array([[0.25, 0.5]], np.float32), np.array([4], np.int32))
        frame = Frame(np.full((200, 400, 3), GREY, np.uint8))
        drawn = draw_gaze(frame, np.zeros((8, 8), np.uint8), fixations, size=4).pixels.astype(int)
        changed = np.argwhere(np.abs(drawn - GREY).max(axis=2) > 40)
        np.testing.assert_allclose(changed.mean(axis=0), [100, 100], atol=1)
        # 20 px to the right of the place is the middle of the ring
        np.testing.assert_allclose(drawn[100, 120], colour_of(4), atol=12)

    @pytest.mark.parametrize(("x", "y"), [(-3, 0.5), (0.5, 7), (1.2, 0.2)])
    def test_gaze_outside_is_red_on_the_border(self, x, y):
        fixations = Fixations(np.array([[x, y]], np.float32), np.array([4], np.int32))
        frame = Frame(np.full((200, 400, 3), GREY, np.uint8))
        drawn = draw_gaze(frame, np.zeros((8, 8), np.uint8), fixations).pixels
        place = round(min(max(y, 0), 1) * 199), round(min(max(x, 0), 1) * 399)
        np.testing.assert_allclose(drawn[place].astype(int), RED, atol=12)

    def test_samples_are_dots_in_their_observers_colours_and_none_is_drawn_outside(self):
        points = np.array([[0.25, 0.5], [0.75, 0.5], [1.5, -1]], np.float32)
        samples = Fixations(points, np.array([4, 5, 5], np.int32))
        frame = Frame(np.full((200, 400, 3), GREY, np.uint8))
        drawn = draw_gaze(frame, np.zeros((8, 8), np.uint8), NOBODY, samples).pixels.astype(int)
        for observer, x in ((4, 100), (5, 300)):
            np.testing.assert_allclose(drawn[100, x], colour_of(observer), atol=12)
        assert np.abs(drawn[:, 101 + 5 : 295] - GREY).max() < 12

    def test_observers_have_different_colours(self):
        colours = np.array([colour_of(observer) for observer in range(16)], float)
        apart = np.abs(colours[:, None] - colours).sum(axis=2)
        assert apart[~np.eye(16, dtype=bool)].min() > 40

    def test_a_sheet_shows_frames_across_the_length(self, monkeypatch, tmp_path):
        strips = []
        monkeypatch.setattr(look, "write_sheet", lambda path, title, found: strips.extend(found))
        look_at([recording([[(0, 0.5, 0.5)]] * 200)], tmp_path / "out", films=False)
        words = [panel.caption for panel in strips[0].panels]
        numbers = [int(caption.split()[1].rstrip(",")) for caption in words[:-1]]
        assert len(numbers) == 7
        assert numbers[0] == 1
        assert numbers[-1] > 180
        assert np.ptp(np.diff(numbers)) <= 8
        assert words[-1] == "mean of all frames"


class TestMeasures:
    ROWS = (
        [("a", "p", 0, 120, 100, 50), ("a", "q", 0, 120, 140, 60), ("a", "p", 120, 80, 300, 100)],
        [("b", "q", 0, 400, 200, 120), ("b", "r", 40, 200, 210, 110)],
    )

    @pytest.fixture
    def seen(self, grey_root, tmp_path):
        return look_at(
            LAYOUTS["gaze"](grey_root([*self.ROWS[0], *self.ROWS[1]])),
            tmp_path / "out",
            films=False,
        )

    def test_counts_are_those_of_the_table(self, seen, tmp_path):
        a, b = rows_of(tmp_path / "out" / "clips.csv")
        assert (a["recording"], a["size"], a["frames"]) == ("a", "400x200", "10")
        assert (a["observers"], a["fixations"], a["without gaze"]) == ("2", "3", "50 %")
        assert (b["observers"], b["fixations"], b["without gaze"]) == ("2", "2", "0 %")
        p, q, r = rows_of(tmp_path / "out" / "observers.csv")
        assert [p["fixations"], q["fixations"], r["fixations"]] == ["2", "2", "1"]
        assert [p["frames"], q["frames"], r["frames"]] == ["5", "13", "5"]
        assert [p["median ms"], q["median ms"], r["median ms"]] == ["100", "260", "200"]

    def test_the_centre_is_the_mean_place_over_frames(self, seen):
        a, _ = seen.looks
        expected = np.average([[100, 50], [140, 60], [300, 100]], axis=0, weights=[3, 3, 2])
        np.testing.assert_allclose(a.centre, expected / (400, 200), atol=1e-6)
        x, y = expected
        assert a.off_centre() == pytest.approx(np.hypot(x - 200, y - 100) / 400)

    def test_the_prior_is_the_mean_density_of_the_other_clips(self, seen):
        frames = {
            "a": 3 * [[(100, 50), (140, 60)]] + 2 * [[(300, 100)]],
            "b": [[(200, 120)]] + 5 * [[(200, 120), (210, 110)]] + 4 * [[(200, 120)]],
        }
        points = {
            name: [np.array(one) / (400, 200) for one in each] for name, each in frames.items()
        }
        means = {
            name: np.sum([density_map(p, 64, 64, DHF1K_SIGMA, 0.5) for p in each], axis=0)
            for name, each in points.items()
        }
        for name, other in (("a", "b"), ("b", "a")):
            scores = [nss(means[other], fixation_map(p, 64, 64)) for p in points[name]]
            assert seen.priors()[name] == pytest.approx(np.mean(scores), rel=1e-4)

    def test_a_single_clip_is_compared_with_a_gaussian_in_the_middle(self, tmp_path):
        frames = [[(0, 0.5, 0.5)]] * 3
        middle = look_at([recording(frames)], tmp_path / "middle", films=False).priors()["made"]
        corner = look_at(
            [recording([[(0, 0.01, 0.01)]] * 3)], tmp_path / "corner", films=False
        ).priors()["made"]
        assert middle > 2
        assert corner < -0.5

    def test_distances_are_from_the_median_place_in_widths(self, tmp_path):
        frames = [[(0, 0.5, 0.5), (1, 0.5, 0.5), (2, 0.7, 0.1)]] * 3
        seen = look_at(
            [recording(frames, observers=("p", "q", "r"))], tmp_path / "out", films=False
        )
        people = seen.people()
        assert people["p"].distance == people["q"].distance == 0
        assert people["r"].distance == pytest.approx(np.hypot(0.2, 0.4 * 180 / 320), rel=1e-5)

    def test_rows_of_one_event_are_one_fixation(self, grey_root):
        path = grey_root([("a", "p", 0, 400, 30, 20)]) / "videos" / "a.mp4"
        columns = {
            "onset_ms": np.array([0.0, 200, 80, 40]),
            "duration_ms": np.array([40.0, 100, 120, 40]),
            "x": np.array([10.0, 12, 11, 10]),
            "y": np.array([10.0, 10, 10, 10]),
            "event": np.array([3, 7, 3, 3]),
        }
        table = FixationTable(np.array([1, 0, 1, 1], np.int32), columns, names=("p", "q"))
        made = readers.clip("a", path, table, path)
        assert len(list(made.read())) == 10
        assert {n: list(each) for n, each in made.durations.items()} == {0: [100.0], 1: [200.0]}

    def test_fixations_without_durations_count_once_while_they_stay(self, tmp_path):
        stays, moves = (0, 0.5, 0.5), (1, 0.2, 0.2)
        frames = [[stays, moves], [stays], [], [stays, moves], [stays, (1, 0.3, 0.2)]]
        seen = look_at([recording(frames, observers=("p", "q"))], tmp_path / "out", films=False)
        assert {name: one.fixations for name, one in seen.people().items()} == {"p": 2, "q": 3}

    def test_samples_and_tracking_are_those_of_the_recording(self, tmp_path):
        points = Fixations(np.full((6, 2), 0.5, np.float32), np.array([0, 0, 0, 0, 1, 1], np.int32))
        of_each = {"tracked": {0: 0.9, 1: 0.5}, "taken": {0: 10, 1: 30}}
        made = recording([[(0, 0.5, 0.5)]] * 2, observers=("p", "q"), **of_each)

        def read():
            for gaze in made.read():
                yield GazeFrame(gaze.index, gaze.frame, gaze.fixations, samples=points)

        look_at([Recording(**vars(made) | {"read": read})], tmp_path / "out", films=False)
        (clip,) = rows_of(tmp_path / "out" / "clips.csv")
        assert clip["tracked"] == "60 %"  # of all 40
        people = rows_of(tmp_path / "out" / "observers.csv")
        assert [(p["samples"], p["tracked"], p["frames"]) for p in people] == [
            ("8", "90 %", "2"),
            ("4", "50 %", "0"),
        ]

    def test_someone_far_from_all_others_is_noted_and_nobody_else(self, tmp_path):
        rng = np.random.default_rng(1)
        others = [[(n, *rng.normal(0.4, 0.05, 2)) for n in range(9)] for _ in range(20)]
        names = tuple(f"p{n}" for n in range(10))
        seen = look_at([recording(others, observers=names)], tmp_path / "fine", films=False)
        assert "note" not in report(seen)
        frames = [[*each, (9, 0.9, 0.9)] for each in others]
        seen = look_at([recording(frames, observers=names)], tmp_path / "far", films=False)
        (note,) = [line for line in report(seen).splitlines() if line.startswith("note")]
        assert note.startswith("note: the gaze of observer p9 is 0.5")

    def test_all_gaze_in_one_place_of_all_clips_is_noted(self, tmp_path):
        frames = [[(n, 0.001 * n, 0.002) for n in range(3)]] * 4
        made = [recording(frames, name) for name in ("a", "b")]
        seen = look_at(made, tmp_path / "out", films=False)
        assert all(score > 20 for score in seen.priors().values())
        assert report(seen).count("the gaze of all recordings is in one place") == 2

    def test_a_table_is_printed_up_to_40_rows(self, tmp_path):
        frames = [[(n, 0.5, 0.5) for n in range(45)]]
        names = tuple(f"observer {n}" for n in range(45))
        seen = look_at([recording(frames, observers=names)], tmp_path / "out", films=False)
        assert "observer 39" in report(seen)
        assert "observer 40" not in report(seen)
        assert "... and 5 more in observers.csv" in report(seen)
        assert len(rows_of(tmp_path / "out" / "observers.csv")) == 45


class TestRefused:
    GOOD = tuple(("good", who, 40 * n, 40, 100 + n, 80) for who in "pq" for n in range(10))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda x, y: (x / 400, y / 200), "multiply x by 400 and y by 200"),
            (lambda x, y: (x * 5, y * 5), "lie outside the 400x200 frame"),
        ],
    )
    def test_places_that_cannot_be_are_drawn_and_others_are_read(
        self, main, grey_root, tmp_path, change, words
    ):
        odd = [("odd", *row[1:4], *change(*row[4:])) for row in self.GOOD]
        root, out = grey_root([*self.GOOD, *odd]), tmp_path / "out"
        code, printed, err = main("--layout", "gaze", "--root", root, "--out", out)
        assert (code, err) == (0, "")
        (line,) = [one for one in printed.splitlines() if one.startswith("refused: ")]
        assert words in line
        assert line.endswith(" (odd)")
        good, refused = rows_of(out / "clips.csv")
        assert (good["fixations"], good["left out"], good["problem"]) == ("20", "0", "")
        assert (refused["fixations"], refused["left out"]) == ("20", "refused")
        assert words in refused["problem"]
        assert [p["fixations"] for p in rows_of(out / "observers.csv")] == ["10", "10"]
        with VideoReader(out / "odd.mp4") as film:
            frames = [frame.pixels.astype(int) for frame in film.timed()]
        assert len(frames) == 10
        fractions = "multiply" in words
        corner = frames[5][0:14, 0:14] if fractions else frames[5][190:, 390:]
        assert np.ptp(corner) > 60
        red = (np.abs(frames[5] - RED) < 60).all(axis=2).any()
        assert red != fractions

    @pytest.mark.parametrize("factor", [0.001, 1000.0])
    def test_if_nothing_can_be_read_all_is_drawn_and_the_code_is_2(
        self, main, grey_root, tmp_path, factor
    ):
        rows = [
            ("a", who, n * 40 * factor, (20 + 5 * n) * factor, 100, 80)
            for who in "pq"
            for n in range(10)
        ]
        root, out = grey_root(rows), tmp_path / "out"
        code, printed, err = main("--layout", "gaze", "--root", root, "--out", out)
        assert code == 2
        assert err.count("\n") == 1
        assert err.startswith("error: ")
        assert ("seconds?" in err, "microseconds?" in err) == (True, factor > 1)
        assert err.endswith(f"; see {out}\n")
        assert f"wrote {out}" in printed
        with VideoReader(out / "a.mp4") as film:
            assert len(list(film.timed())) == 10

    def test_a_stated_unit_draws_it_as_stated(self, main, grey_root, tmp_path):
        rows = [(*row[:4], row[4] / 400, row[5] / 200) for row in self.GOOD]
        root, out = grey_root(rows), tmp_path / "out"
        code, *_ = main(
            *("--layout", "gaze", "--root", root, "--out", out, "--units", "fractions"),
            "--no-films",
        )
        (clip,) = rows_of(out / "clips.csv")
        assert code == 0
        assert (clip["centre x"], clip["centre y"], clip["problem"]) == ("0.26", "0.40", "")

    def test_photographs_are_drawn_as_found_too(self, main, images_root, tmp_path):
        rows = [
            (name, 7, x / 60, y / 60) for name in "abc" for x, y in ((10, 10), (20, 25), (28, 9))
        ]
        code, _, err = main(
            *("--layout", "images", "--root", images_root(rows=rows), "--out", tmp_path / "out")
        )
        assert code == 2
        assert "expected pixels of the" in err
        assert (tmp_path / "out" / "c.jpg").exists()

    def test_a_recording_without_a_frame_is_a_line_and_if_all_are_nothing_is_written(
        self, main, grey_root, tmp_path
    ):
        root = grey_root([*self.GOOD, *(("b", *row[1:]) for row in self.GOOD)])
        (root / "videos" / "b.mp4").write_bytes(b"no video")
        arguments = ("--layout", "gaze", "--root", root, "--no-films", "--out")
        code, printed, _ = main(*arguments, tmp_path / "one")
        assert code == 0
        assert "b.mp4" in next(x for x in printed.splitlines() if x.startswith("refused: "))
        (root / "videos" / "good.mp4").write_bytes(b"no video")
        assert_refused(main(*arguments, tmp_path / "none"), "b.mp4")
        assert not (tmp_path / "none").exists()

    def test_a_video_cut_short_is_drawn_as_far_as_it_goes(self, tmp_path):
        made = recording([[(0, 0.5, 0.5)]] * 3)

        def read():
            yield from made.read()
            raise InputError("made.mp4: stops 4 frames before the 7 that it announces")

        seen = look_at(
            [recording([[(0, 0.5, 0.5)]], "good"), Recording(**vars(made) | {"read": read})],
            tmp_path / "out",
        )
        assert seen.looks[1].frames == 3
        assert "refused: made.mp4: stops 4 frames" in report(seen)
        with VideoReader(tmp_path / "out" / "made.mp4") as film:
            assert len(list(film.timed())) == 3

    def test_an_unknown_clip_and_an_output_that_exists_are_refused(self, main, grey_root, tmp_path):
        root = grey_root(self.GOOD)
        arguments = ("--layout", "gaze", "--root", root, "--out", tmp_path / "out")
        assert_refused(main(*arguments, "--clip", "good", "bad"), "--clip bad: no such recording")
        assert not (tmp_path / "out").exists()
        (tmp_path / "out").mkdir()
        assert_refused(main(*arguments), "exists already")

    def test_unreadable_names_and_causes_do_not_stop_it(self, tmp_path):
        bad = unreadable("n\udcff.$x", "n\udcff: no file")
        seen = look_at([recording([[(0, 0.5, 0.5)]]), bad], tmp_path / "out", films=False)
        report(seen).encode()


class TestLayouts:
    def test_maps_of_fixated_pixels_have_no_observers(self, tmp_path):
        dhf1k_video(tmp_path / "root", "001", "train", [1, 2, 3])
        seen = look_at(LAYOUTS["dhf1k"](tmp_path / "root"), tmp_path / "out")
        assert not seen.people()
        (one,) = seen.looks
        assert (one.frames, one.empty, one.people) == (3, 0, {})
        assert one.fixations > 0
        assert "observer " not in report(seen)
        with VideoReader(tmp_path / "out" / "001.mp4") as film:
            assert len(list(film.timed())) == 3

    def test_published_density_maps_are_shown_without_fixations(self, tmp_path):
        avs1k_clip(tmp_path / "root", "clip", "train", [9, 10, 63], black=(10,))
        (one,) = look_at(LAYOUTS["avs1k"](tmp_path / "root"), tmp_path / "out").looks
        assert (one.frames, one.empty, one.fixations) == (3, 1, 0)
        cells = np.array([[9 % 8, 9 // 8], [7, 7]]) + 0.5  # bright, of 8 x 8
        np.testing.assert_allclose(one.centre, cells.mean(axis=0) / 8, atol=1e-6)
        (row,) = rows_of(tmp_path / "out" / "clips.csv")
        assert (row["fixations"], row["prior NSS"], row["without gaze"]) == ("-", "-", "33 %")

    def test_photographs_are_pictures_side_by_side(self, main, images_root, tmp_path):
        root, out = images_root(), tmp_path / "out"
        code, printed, _ = main("--layout", "images", "--root", root, "--out", out)
        assert code == 0
        assert {p.name for p in out.iterdir()} >= {"a.jpg", "b.jpg", "c.jpg", "sheet.png"}
        assert [row["fixations"] for row in rows_of(out / "clips.csv")] == ["2", "2", "1"]
        assert Counter(row["observer"] for row in rows_of(out / "observers.csv")) == {
            "7": 1,
            "9": 1,
        }
        assert "without gaze" in printed

    def test_salicons_unnamed_observers_are_not_counted_as_the_same(self, tmp_path):
        name = "COCO_train2014_000000000009"
        salicon_picture(tmp_path / "root", name, "train", 5)
        (one,) = look_at(LAYOUTS["salicon"](tmp_path / "root"), tmp_path / "out").looks
        assert (one.people, one.fixations) == ({}, 7)

    def test_many_recordings_have_several_sheets(self, tmp_path, monkeypatch):
        made = [recording([[(0, 0.5, 0.5)]], f"clip{n:02d}") for n in range(21)]
        monkeypatch.setattr("uva_tf.evaluation.gaze_pictures.PANEL", 64)
        look_at(made, tmp_path / "out", films=False)
        sheets = sorted(p.name for p in (tmp_path / "out").glob("sheet*"))
        assert sheets == ["sheet-01.png", "sheet-02.png"]
        first, second = (cv2.imread(str(tmp_path / "out" / name)) for name in sheets)
        assert first.shape[0] > 10 * second.shape[0] / 2

    def test_the_layout_synthetic_draws_its_clips_first(self, main, tmp_path, monkeypatch):
        drawn = []
        monkeypatch.setattr("uva_tf.data.synthetic.write_recordings", drawn.append)
        main("--layout", "synthetic", "--root", tmp_path / "root", "--out", tmp_path / "out")
        assert drawn == [tmp_path / "root"]

    def test_real_clips_have_gaze_near_the_middle(self, main, recordings, tmp_path):
        root, out = recordings / "hevc", tmp_path / "out"
        arguments = ("--layout", "gaze", "--root", root, "--out", out, "--no-films")
        assert main(*arguments, "--clip", "BasketballPass", "BlowingBubbles")[0] == 0
        for row in rows_of(out / "clips.csv"):
            assert (row["size"], row["frames"], row["observers"]) == ("416x240", "500", "32")
            assert row["without gaze"] == "0 %"
            assert abs(float(row["centre x"]) - 0.5) < 0.2
            assert abs(float(row["prior NSS"])) < 4
        assert len(rows_of(out / "observers.csv")) == 32
