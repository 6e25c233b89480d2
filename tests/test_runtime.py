"""The runtime's parts: frames, outputs, video, overlay."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from uva_tf.runtime.annotate import Stopped, annotate, write_maps
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.frames import shrink
from uva_tf.runtime.outputs import new_file, new_folder
from uva_tf.runtime.predictor import to_bytes
from uva_tf.runtime.resize import resize
from uva_tf.runtime.video import VideoReader, VideoWriter, enlarge, overlay


class TestShrink:
    def test_averages_areas(self):
        frame = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
        expected = frame.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        # Half a level of rounding.
        np.testing.assert_allclose(shrink(frame, 64), expected, atol=0.5)

    def test_of_a_large_frame_stays_near_the_area_average(self):
        # A smooth picture, as cameras give: a blurred random one of 720p.
        noise = np.random.default_rng(0).random((720, 1280, 3), np.float32)
        blurred = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), None, 0, 255, cv2.NORM_MINMAX)
        frame = blurred.astype(np.uint8)
        exact = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA)
        # The samples taken first miss some pixels of each area: a level or two.
        assert np.abs(shrink(frame, 64).astype(int) - exact).max() <= 2

    @pytest.mark.parametrize("shape", [(360, 640, 3), (144, 256, 3), (640, 360, 3), (48, 64, 3)])
    def test_at_once_and_by_way_of_a_stored_frame_gives_the_same_pixels(self, shape):
        frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for stored, size in ((128, 64), (128, 32), (64, 32)):
            by_way = shrink(shrink(frame, stored), size)
            np.testing.assert_array_equal(by_way, shrink(frame, size))

    def test_portrait_and_tiny_frames_become_square(self):
        for shape in ((300, 20, 3), (1, 1, 3)):
            assert shrink(np.zeros(shape, np.uint8), 32).shape == (32, 32, 3)


class TestResize:
    def test_keeps_constants_and_sizes(self):
        resized = resize(np.full((5, 7), 42), 9, 16)
        assert resized.shape == (9, 16)
        assert (resized == 42).all()

    def test_to_the_same_size_changes_nothing(self):
        picture = np.random.default_rng(0).random((6, 5))
        np.testing.assert_allclose(resize(picture, 6, 5), picture, atol=1e-12)

    def test_equals_tensorflows_antialiased_bicubic_inside(self):
        tf = pytest.importorskip("tensorflow")
        picture = np.random.default_rng(0).random((24, 32)).astype(np.float32)
        for size in ((48, 80), (12, 10)):
            expected = tf.image.resize(picture[..., None], size, "bicubic", antialias=True)
            ours = resize(picture, *size)
            # Borders differ by design (theirs renormalises, ours reflects), so compare the
            # middle; 1e-4 is float32 over a sum of at most 64 terms with tabulated weights.
            middle = tuple(slice(n // 4, -(n // 4)) for n in size)
            np.testing.assert_allclose(ours[middle], expected[..., 0][middle], atol=1e-4)


class TestOutputs:
    def test_a_file_appears_only_when_complete(self, tmp_path):
        path = tmp_path / "new" / "a.txt"
        with new_file(path) as partial:
            partial.write_text("done")
            assert not path.exists()
            assert partial.suffix == ".txt"
        assert path.read_text() == "done"
        assert list(path.parent.iterdir()) == [path]

    def test_a_failure_leaves_nothing(self, tmp_path):
        for new in (new_file, new_folder):
            with pytest.raises(KeyError), new(tmp_path / "out") as partial:
                (partial.write_text if new is new_file else (partial / "x").write_text)("half")
                raise KeyError
            assert not list(tmp_path.iterdir())

    def test_files_with_names_like_the_temporary_ones_are_kept(self, tmp_path):
        (tmp_path / "a.partial").mkdir()
        (tmp_path / "a.partial" / "mine.txt").write_text("mine")
        with new_folder(tmp_path / "a") as folder:
            (folder / "x").write_text("x")
        assert (tmp_path / "a.partial" / "mine.txt").read_text() == "mine"
        assert (tmp_path / "a" / "x").read_text() == "x"
        assert len(list(tmp_path.iterdir())) == 2

    def test_what_appears_meanwhile_is_kept(self, tmp_path):
        with pytest.raises(InputError, match="exists already"), new_file(tmp_path / "a") as partial:
            partial.write_text("ours")
            (tmp_path / "a").write_text("mine")
        assert (tmp_path / "a").read_text() == "mine"

    def test_what_exists_is_kept(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("mine")
        for new in (new_file, new_folder):
            with pytest.raises(InputError, match="exists already"), new(path):
                pass
        assert path.read_text() == "mine"


class TestVideo:
    def test_frames_rate_and_length_survive(self, tmp_path):
        path = tmp_path / "clip.mp4"
        colours = [(0, 0, 255), (0, 255, 0), (255, 0, 0), (128, 128, 128)]
        with VideoWriter(path, 24, 64, 48) as writer:
            for colour in colours:
                writer.write(np.full((48, 64, 3), colour, np.uint8))
        with VideoReader(path) as video:
            assert (video.width, video.height, video.rate, video.length) == (64, 48, 24, 4)
            means = [frame.mean(axis=(0, 1)) for frame in video]
        # MPEG-4 stores colours in coarse chroma steps.
        np.testing.assert_allclose(means, colours, atol=12)

    def test_a_name_with_a_colon_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with VideoWriter(Path("12:30.mp4"), 25, 64, 48) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
        with VideoReader(Path("12:30.mp4")) as video:
            assert len(list(video)) == 1

    def test_a_video_that_lost_frames_is_reported(self, tmp_path):
        writer = VideoWriter(tmp_path / "clip.mp4", 25, 64, 48)
        with pytest.raises(OSError, match="not all frames"), writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
            writer.write(np.zeros((99, 99, 3), np.uint8))  # dropped by OpenCV without a word

    def test_a_writer_that_cannot_open_says_so(self, tmp_path):
        with pytest.raises(InputError, match="can't be written"):
            VideoWriter(tmp_path / "clip.txt", 25, 64, 48)


class TestOverlay:
    def test_is_clear_where_nobody_looks(self):
        frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        attention = np.zeros((16, 16), np.uint8)
        # Truncation of a float product.
        np.testing.assert_allclose(overlay(frame, attention).astype(int), frame, atol=1)
        attention[:, 8:] = 255
        drawn = overlay(frame, attention)
        np.testing.assert_allclose(drawn[:, :24].astype(int), frame[:, :24], atol=1)
        assert np.abs(drawn[:, 44:].astype(int) - frame[:, 44:]).mean() > 20

    def test_enlarge_keeps_the_peak_in_its_place(self):
        attention = np.zeros((32, 32), np.uint8)
        attention[8, 20] = 255
        large = enlarge(attention, 640, 360)
        row, column = np.unravel_index(large.argmax(), large.shape)
        assert (row / 360, column / 640) == pytest.approx((8.5 / 32, 20.5 / 32), abs=0.01)


def test_bytes_of_a_map_round_and_stay():
    np.testing.assert_array_equal(to_bytes(np.float32([0, 0.5, 1, 1.1])), [0, 128, 255, 255])
    given = np.uint8([3, 200])
    assert to_bytes(given) is given


class Echo:
    """A predictor whose map is the frame's mean."""

    def run(self, frames):
        for frame in frames:
            yield np.full((4, 4), int(frame.mean()), np.uint8)


class TestAnnotate:
    frames = [np.full((12, 20, 3), value, np.uint8) for value in (10, 20, 30)]

    def test_hands_each_frame_with_its_own_map(self):
        seen = []
        sink = lambda frame, attention: seen.append((frame[0, 0, 0], attention[0, 0]))  # noqa: E731
        assert annotate(iter(self.frames), Echo(), [sink]) == 3
        assert seen == [(10, 10), (20, 20), (30, 30)]

    def test_maps_are_numbered_grey_and_of_the_frames_size(self, tmp_path):
        annotate(iter(self.frames), Echo(), [write_maps(tmp_path)])
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"00000{n}.png" for n in (1, 2, 3)]
        picture = cv2.imread(str(tmp_path / "000002.png"), cv2.IMREAD_UNCHANGED)
        assert (picture.shape, picture.dtype, picture.max()) == ((12, 20), np.uint8, 20)

    def test_a_sink_can_stop_the_stream(self):
        def sink(frame, attention):
            if frame[0, 0, 0] == 20:
                raise Stopped

        assert annotate(iter(self.frames), Echo(), [sink]) == 1
