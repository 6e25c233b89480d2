"""Folders to gaze frames: which fixation belongs to which frame, and what is left out."""

import contextlib

import av
import numpy as np
import pytest

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data import synthetic
from uva_tf.data.layouts import LAYOUTS, gaze, images, recordings_of
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_records
from uva_tf.data.splits import read_split
from uva_tf.gaze.exports.listing import COPIES
from uva_tf.gaze.fixation_table import NOWHERE, OUTSIDE
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.plausible import ONE_OBSERVER


def frames_with_fixations(recording):
    return [gaze_frame.index for gaze_frame in recording.read() if len(gaze_frame.fixations.points)]


# The clip has 10 frames of 40 ms.
@pytest.mark.parametrize(
    ("onset", "duration", "frames"),
    [
        (40, 40, [2]),
        (39, 1, [1]),
        (39, 2, [1, 2]),
        (40, 41, [2, 3]),
        (79.5, 0.6, [2, 3]),
        (50, 10, [2]),
        (0, 400, list(range(1, 11))),
        (390, 500, [10]),
        (-30, 50, [1]),
    ],
)
def test_a_fixation_covers_the_frames_whose_interval_it_overlaps(
    clips_root, onset, duration, frames
):
    (recording,) = gaze(clips_root([("clip", 1, onset, duration, 10, 10)]))
    assert frames_with_fixations(recording) == frames
    assert not any(recording.left_out.values())


def test_a_fixation_that_no_frame_shows_is_counted(clips_root):
    rows = [("clip", 1, 0, 100, 10, 10), ("clip", 1, 399, 9, 10, 10)]
    late = [("clip", 1, 400, 100, 10, 10), ("clip", 2, 9000, 100, 10, 10)]
    (recording,) = gaze(clips_root(rows + late))
    assert frames_with_fixations(recording) == [1, 2, 3, 10]
    assert recording.left_out[NOWHERE] == 2


@pytest.mark.parametrize(("onset", "duration"), [(40, 0), (-100, 50), (60, -40)])
def test_no_fixation_gets_lost_without_a_word(clips_root, onset, duration):
    root = clips_root([("clip", 1, 0, 400, 10, 10), ("clip", 2, onset, duration, 10, 10)])
    try:
        (recording,) = gaze(root)
        gaze_frames = list(recording.read())
    except InputError:
        return  # refused, with a word
    shown = any(1 in gaze_frame.fixations.observers for gaze_frame in gaze_frames)
    assert shown or recording.left_out.total() == 1


def test_points_are_fractions_of_the_frame(clips_root):
    (recording,) = gaze(clips_root([("clip", "p3", 0, 40, 16, 27), ("clip", "p1", 0, 40, 0, 0)]))
    first = next(recording.read())
    np.testing.assert_array_equal(first.fixations.points, [[0.25, 0.75], [0, 0]])
    assert first.fixations.points.dtype == np.float32
    assert first.fixations.observers.tolist() == [0, 1]  # numbered as they come


# The clip is 64 pixels wide and 36 high.
@pytest.mark.parametrize(("x", "y"), [(64, 10), (10, 36), (-0.1, 10), (10, -5)])
def test_few_points_outside_the_frame_are_left_out_and_counted(clips_root, x, y):
    rows = [("clip", n, 0, 40, 63.9, 35.9) for n in range(9)] + [("clip", 1, 0, 40, x, y)]
    (recording,) = gaze(clips_root(rows))
    first = next(iter(list(recording.read())))
    assert len(first.fixations.points) == 9
    assert first.fixations.points.max() < 1
    assert recording.left_out[OUTSIDE] == 1


def test_many_points_outside_the_frame_are_refused(clips_root):
    rows = [("clip", n, 0, 40, 10 if n < 17 else 640, 10) for n in range(19)]
    (recording,) = gaze(clips_root(rows))
    with pytest.raises(InputError, match=r"2 of 19 fixations lie outside the 64x36 frame"):
        list(recording.read())


def test_reading_twice_counts_once(clips_root):
    (recording,) = gaze(clips_root([("clip", 1, 0, 40, 10, 10), ("clip", 1, 500, 40, 10, 10)]))
    assert frames_with_fixations(recording) == frames_with_fixations(recording) == [1]
    assert recording.left_out[NOWHERE] == 1


def test_frames_of_a_clip_are_rgb_and_complete(clips_root):
    (recording,) = gaze(clips_root([("clip", 1, 0, 40, 10, 10)]))
    gaze_frames = list(recording.read())
    assert [gaze_frame.index for gaze_frame in gaze_frames] == list(range(1, 11))
    # Written as (230, 0, 0); MPEG-4 keeps a flat colour within a few of 255 steps.
    red = np.array([gaze_frame.frame.pixels[..., ::-1] for gaze_frame in gaze_frames])
    assert red.shape == (10, 36, 64, 3)
    assert red[..., 0].min() > 220
    assert red[..., 1:].max() < 10
    assert not recording.still


def film(path, *, lasts=40, pixel_aspect=1):
    """Write a Matroska or WebM film of 30 frames of 40 ms, the last of which is shown longer."""
    rng = np.random.default_rng(0)
    with av.open(path, "w") as file:
        codec = "libvpx" if path.suffix == ".webm" else "mpeg4"
        stream = file.add_stream(codec, rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        pictures = [
            av.VideoFrame.from_ndarray(p) for p in rng.integers(0, 256, (30, 36, 64, 3), "u1")
        ]
        packets = [packet for picture in [*pictures, None] for packet in stream.encode(picture)]
        packets[-1].duration = round(lasts / 1000 / packets[-1].time_base)
        file.mux(packets)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_clip_that_was_cut_short_is_refused_with_that_cause(clips_root, suffix):
    """Not as one whose times are wrong, as most of the gaze is on what is missing."""
    root = clips_root([("clip", n, 100 * n, 90, 10, 10) for n in range(12)])
    path = (root / "videos" / "clip.mp4").rename(root / "videos" / f"clip{suffix}")
    film(path)
    assert frames_with_fixations(gaze(root)[0]) == list(range(1, 31))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(InputError, match=r"cut short: the last frame is at 0\.\d+ s, of 1\.20 s"):
        list(gaze(root)[0].read())


def test_a_clip_whose_last_frame_stands_is_whole(clips_root):
    root = clips_root([("clip", 1, 0, 90, 10, 10)])
    film((root / "videos" / "clip.mp4").rename(root / "videos" / "clip.mkv"), lasts=3000)
    (recording,) = gaze(root)
    assert frames_with_fixations(recording) == [1, 2, 3]
    assert recording.notes == []


def test_pixels_that_are_not_square_make_a_picture_of_another_shape(clips_root, tmp_path):
    root = clips_root([("clip", 1, 0, 90, 16, 9)])
    film((root / "videos" / "clip.mp4").rename(root / "videos" / "clip.mkv"), pixel_aspect=2)
    dataset = prepare("gaze", root, tmp_path / "out", DataConfig(32))
    (note,) = dataset.shards[0].notes["clip"]
    assert "its pixels are not square (2): maps are of the shape as displayed" in note
    first = next(read_records(dataset, dataset.shards[0]))
    assert first.aspect == pytest.approx(36 / 128)
    assert first.fixations.points.tolist() == [[0.25, 0.25]]


def test_a_photograph_keeps_its_pixels_and_its_points(images_root):
    picture = np.random.default_rng(0).integers(0, 256, (48, 32, 3), dtype=np.uint8)
    rows = [("photo", "p7", 8, 12), ("photo", "p9", 31.5, 47.5), ("photo", "p7", 0, 0)]
    (recording,) = images(images_root({"photo.png": picture}, rows))
    (gaze_frame,) = recording.read()
    np.testing.assert_array_equal(gaze_frame.frame.pixels[..., ::-1], picture)
    expected = np.array([[8 / 32, 12 / 48], [31.5 / 32, 47.5 / 48], [0, 0]], np.float32)
    np.testing.assert_array_equal(gaze_frame.fixations.points, expected)
    assert gaze_frame.fixations.observers.tolist() == [0, 1, 0]
    assert (recording.still, gaze_frame.index) == (True, 1)


def test_each_photograph_has_its_own_fixations(images_root):
    points = {
        recording.name: next(recording.read()).fixations.points.tolist()
        for recording in images(images_root())
    }
    assert points["b"] == [[0, 0], [0.5, 0.25]]
    assert points["c"] == [[0.5, np.float32(0.1)]]


def test_recordings_are_sorted_by_name(images_root, clips_root):
    assert [recording.name for recording in images(images_root())] == ["a", "b", "c"]
    clips = gaze(clips_root([(name, 1, 0, 40, 10, 10) for name in ("z", "m", "a")], frames=1))
    assert [recording.name for recording in clips] == ["a", "m", "z"]


def test_two_files_of_one_name_are_refused(images_root):
    root = images_root()
    (root / "images" / "a.jpg").write_bytes((root / "images" / "a.png").read_bytes())
    with pytest.raises(InputError, match="two files have the same name"):
        images(root)


def test_a_file_that_is_no_picture_is_refused_by_name(images_root):
    root = images_root()
    (root / "images" / "b.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"b\.png"):
        [list(recording.read()) for recording in images(root)]


def samples_of(root, rows):
    (root / "gaze").mkdir()
    lines = [",".join(map(str, row)) for row in rows]
    text = "\n".join(["video,observer,t_ms,x,y", *lines]) + "\n"
    (root / "gaze" / "all.csv").write_text(text)
    return recordings_of("samples", root, GazeOptions(fixations="samples", units="pixels"))


def test_the_same_gaze_twice_is_said(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    rows = [("clip", who, 20 * n, 9 + n, 9) for who in ("ann", "ann copy") for n in range(15)]
    (recording,) = samples_of(root, rows)
    list(recording.read())
    assert COPIES in recording.notes
    assert ONE_OBSERVER not in recording.notes


STEADY = [("clip", "ann", 20 * n, 9 + n, 9) for n in range(15)]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("file,clip\n", "no trials in it"),
        ("file,clip\nother.csv,clip\n", "no other.csv in .*gaze: no such file"),
        ("file,trial,clip\nall.csv,3,clip\n", "no trial 3 of all.csv in .*: it has trials 1 to 2"),
        ("file,trial,clip\nall.csv,1,clip\nall.csv,1,clip\n", "trial 1 of all.csv is listed twice"),
    ],
)
def test_a_list_of_trials_that_does_not_fit_is_refused(clips_root, listed, words):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "trials.csv").write_text(listed)
    bob = [("clip", "bob", 20 * n, 19 + n, 9) for n in range(15)]
    with pytest.raises(InputError, match=words):
        samples_of(root, [*STEADY, *bob])


def test_a_row_without_a_number_is_of_all_trials_of_its_file(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "trials.csv").write_text("file,trial,clip,onset_ms\nall.csv,,clip,\n")
    bob = [("clip", "bob", 20 * n, 19 + n, 9) for n in range(15)]
    (recording,) = samples_of(root, [*STEADY, *bob])
    first = next(recording.read())
    assert recording.observers == ("ann", "bob")
    assert first.fixations.observers.tolist() == [0, 1]


def test_trials_that_are_not_listed_are_said(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "trials.csv").write_text("file,trial,clip\nall.csv,2,clip\n")
    bob = [("clip", "bob", 20 * n, 19 + n, 9) for n in range(15)]
    (recording,) = samples_of(root, [*STEADY, *bob])
    list(recording.read())
    assert recording.observers == ("bob",)
    assert "1 trials that trials.csv does not list were left out" in recording.notes


def test_an_onset_of_samples_numbered_by_frame_is_refused(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "gaze").mkdir()
    (root / "gaze" / "clip.txt").write_text("1 9 9\n2 9 10\n")
    (root / "trials.csv").write_text("file,clip,onset_ms\nclip.txt,clip,40\n")
    with pytest.raises(
        InputError, match=r"onset_ms, but samples of clip\.txt are numbered by frame"
    ):
        recordings_of("frames", root, GazeOptions())


def test_copies_of_no_gaze_are_no_copies(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    lost = [("clip", who, 20 * n, "", "") for who in ("bob", "cat") for n in range(15)]
    (recording,) = samples_of(root, [*STEADY, *lost])
    list(recording.read())
    assert COPIES not in recording.notes


@pytest.mark.parametrize("layout", ["gaze", "dhf1k", "videos", "tobii"])
def test_a_missing_folder_is_named_not_what_should_be_in_it(tmp_path, layout):
    with pytest.raises(InputError, match=r"nope: no such folder$"):
        recordings_of(layout, tmp_path / "nope", GazeOptions())
    (tmp_path / "table.csv").touch()
    with pytest.raises(InputError, match=r"table\.csv: not a folder$"):
        recordings_of(layout, tmp_path / "table.csv", GazeOptions())


@pytest.mark.parametrize(
    ("layout", "options", "words"),
    [
        ("gaze", {"fixations": "ivt"}, "--fixations: the layout gaze has no use for it"),
        ("samples", {"onset": "x"}, "--onset: the layout samples has no use for it"),
        ("frames", {"times": "s"}, "--units: the layout frames has no use for it"),
        ("dhf1k", {"screen": (9, 9)}, "--screen: the layout dhf1k states it itself"),
    ],
)
def test_an_option_that_a_layout_does_not_use_is_refused(tmp_path, layout, options, words):
    with pytest.raises(InputError, match=words):
        recordings_of(layout, tmp_path, GazeOptions(**options))


def test_a_place_on_the_screen_needs_the_screen(clips_root):
    (recording,) = gaze(clips_root([("clip", 1, 0, 40, 9, 9)]), GazeOptions(placed="fit"))
    with pytest.raises(InputError, match="state --screen WxH too if they are of a screen"):
        next(recording.read())


def test_frame_numbers_of_another_rate_are_refused(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "gaze").mkdir()
    (root / "gaze" / "clip.txt").write_text("".join(f"{n} 9 {9 + n % 9}\n" for n in range(1, 31)))
    (recording,) = recordings_of("frames", root, GazeOptions())
    with pytest.raises(InputError, match="20 of 30 frame numbers are beyond its 10 frames"):
        list(recording.read())


def test_units_that_places_can_not_have_are_refused(clips_root):
    rows = [("clip", n, 40 * n, 40, 10 + n, 10) for n in range(9)]
    (recording,) = gaze(clips_root(rows), GazeOptions(units="fractions"))
    with pytest.raises(InputError, match="expected fractions as stated: leave --units fractions"):
        next(recording.read())


@pytest.mark.parametrize(("duration", "said"), [(1e9, True), (59_000, False)])
def test_a_fixation_without_an_end_is_said(clips_root, duration, said):
    rows = [("clip", n % 3, 30 * n, 40, 10 + n, 10) for n in range(11)]
    (recording,) = gaze(clips_root([*rows, ("clip", 9, 0, duration, 9, 9)]), GazeOptions())
    list(recording.read())
    found = [
        note for note in recording.notes if note.startswith("1 fixation of more than a minute")
    ]
    assert bool(found) == said


def test_one_observer_is_said(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (recording,) = samples_of(root, [("clip", "ann", 20 * n, 9 + n, 9) for n in range(15)])
    list(recording.read())
    assert ONE_OBSERVER in recording.notes


def test_a_clip_that_its_trials_miss_is_refused(clips_root):
    root = clips_root([("clip", 1, 0, 40, 9, 9)])
    (root / "trials.csv").write_text("file,clip,onset_ms\nall.csv,clip,-5000\n")
    (recording,) = samples_of(root, [("clip", "ann", 20 * n, 9 + n, 9) for n in range(15)])
    with pytest.raises(InputError, match="state when the clip began, with --onset or by onset_ms"):
        list(recording.read())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_writes_nothing(gaze_root, tmp_path, layout):
    before = {path: path.stat().st_mtime_ns for path in gaze_root.rglob("*")}
    for root in (gaze_root, tmp_path / "absent"):
        with contextlib.suppress(InputError):
            LAYOUTS[layout](root)
    assert {path: path.stat().st_mtime_ns for path in gaze_root.rglob("*")} == before
    assert not (tmp_path / "absent").exists()


def test_preparing_synthetic_recordings_draws_them_once(tmp_path, monkeypatch):
    write = synthetic.write_recordings
    monkeypatch.setattr(
        synthetic, "write_recordings", lambda root: write(root, train=2, val=1, length=4)
    )
    root = tmp_path / "root"
    one = prepare("synthetic", root, tmp_path / "one", DataConfig(64))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    two = prepare("synthetic", root, tmp_path / "two", DataConfig(64))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert one.shards == two.shards
    assert [shard.split for shard in one.shards] == ["train", "train", "val"]
    with pytest.raises(InputError, match="exists already"):
        prepare("synthetic", tmp_path / "other", tmp_path / "one")
    assert not (tmp_path / "other").exists()


def test_a_split_file_is_read(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("name,split\na,train\nb,test\nc,val\n")
    assert read_split(path, ["a", "b", "c"]) == {"a": "train", "b": "test", "c": "val"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,split\na,train\nb,training\n", "line 3: split 'training', expected train, val"),
        ("name,split\na,train\n", "no row for b of the dataset"),
        ("name,split\na,train\nb,val\nc,val\n", "c not in the dataset"),
        ("name,split\na,train\nb,val\na,val\n", "line 4: 'a' is in two splits"),
        ("name,part\na,train\nb,val\n", "no column 'split'"),
        ("name,split\na,train\nb\n", "line 3: fewer cells"),
        ("", "empty, expected a table with name, split"),
        (None, "no such file"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path, text, words):
    path = tmp_path / "split.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_split(path, ["a", "b"])


def test_real_recordings_are_read(recordings):
    folders = {path.parent for path in recordings.glob("*/fixations.csv")}
    assert folders
    for folder in folders:
        found = (gaze if (folder / "videos").is_dir() else images)(folder)
        split = read_split(folder / "split.csv", [recording.name for recording in found])
        assert set(split.values()) >= {"train", "val"}
        first = next(found[0].read())
        assert first.frame.pixels.ndim == 3
        assert len(first.fixations.points) > 0
        # People look at the middle of a picture more than at its border.
        assert np.abs(first.fixations.points - 0.5).mean() < 0.25  # 0.25 if evenly spread
