"""The runtime's parts: frames, resizing, outputs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import new_file, new_folder
from uva_tf.core.resize import EXACT_SIZES, resize, shrink
from uva_tf.runtime.predictor import to_bytes


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

    # Sides below, on and between those on the way down, square and not.
    SHAPES = [(side, side) for side in (1, 2, 3, 16, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127)]
    SHAPES += [(side, side) for side in (128, 129, 160, 200, 224, 255, 256, 257, 300, 512, 720)]
    SHAPES += [(360, 640), (144, 256), (640, 360), (48, 64), (256, 255), (1, 300), (64, 128)]

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_at_once_and_by_way_of_a_stored_frame_gives_the_same_pixels(self, shape):
        frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        ways = [(stored, size) for stored in EXACT_SIZES for size in (64, 32)]
        for stored, size in [*ways, (32, 32)]:
            by_way = shrink(shrink(frame, stored), size)
            np.testing.assert_array_equal(by_way, shrink(frame, size), f"{stored} to {size}")

    @pytest.mark.parametrize("size", [32, 96, 160, 512])
    def test_a_stored_frame_keeps_its_size_untouched(self, size):
        frame = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        np.testing.assert_array_equal(shrink(frame, size), frame)

    def test_samples_256_pixels_and_halves_them_as_when_the_shipped_models_were_trained(self):
        for shape in ((360, 640, 3), (90, 160, 3), (640, 360, 3), (300, 300, 3)):
            frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            expected = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_LINEAR)
            for size in (128, 64, 32):
                expected = cv2.resize(expected, (size, size), interpolation=cv2.INTER_AREA)
                np.testing.assert_array_equal(shrink(frame, size), expected)

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


class TestNames:
    def test_are_as_short_as_tells_apart(self):
        paths = [Path("a/run"), Path("b/run"), Path("b/other"), Path("c/uniform"), Path("x/b/run")]
        expected = ["a/run", None, "other", "c/uniform", "x/b/run"]
        names = distinct_names(paths, taken=["uniform"])
        expected[1] = f"{Path.cwd().name}/b/run"
        assert names == expected

    def test_of_one_place_given_twice_are_refused(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path)
        for again in (tmp_path, tmp_path / "link", tmp_path / "x" / ".."):
            with pytest.raises(InputError, match="is given twice: give it once"):
                distinct_names([tmp_path, again])


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


def test_bytes_of_a_map_round_and_stay():
    np.testing.assert_array_equal(to_bytes(np.float32([0, 0.5, 1, 1.1])), [0, 128, 255, 255])
    given = np.uint8([3, 200])
    assert to_bytes(given) is given
