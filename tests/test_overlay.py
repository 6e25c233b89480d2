"""Attention drawn over frames, and where it lies."""

import cv2
import numpy as np
import pytest

from uva_tf.runtime.overlay import CONTOUR, OPACITY, STYLES, beside, contours, enlarge, heat
from uva_tf.runtime.places import centroid, peak

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def blob(row=8, column=20, side=32):
    """A map with one smooth peak."""
    spot = np.zeros((side, side), np.float32)
    spot[row, column] = 1
    return cv2.normalize(
        cv2.GaussianBlur(spot, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U
    )


class TestHeat:
    def test_is_clear_where_nobody_looks(self):
        attention = np.zeros((16, 16), np.uint8)
        attention[:, 8:] = 255
        drawn = heat(FRAME, attention)
        np.testing.assert_array_equal(drawn[:, :24], FRAME[:, :24])
        assert np.abs(drawn[:, 40:].astype(int) - FRAME[:, 40:]).mean() > 20

    def test_mixes_in_the_colour_of_the_level(self):
        attention = np.full((16, 16), 255, np.uint8)
        colour = cv2.applyColorMap(attention[:1, :1], cv2.COLORMAP_TURBO)[0, 0]
        expected = (1 - OPACITY) * FRAME + OPACITY * colour
        # Colour, weight and product are rounded, by half a level each.
        np.testing.assert_allclose(heat(FRAME, attention), expected, atol=1.5)

    def test_of_a_smooth_map_equals_mixing_every_pixel(self):
        levels = cv2.resize(blob(), (64, 48))
        colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO).astype(float)
        weight = levels[..., None] * (OPACITY / 255)
        every = (1 - weight) * FRAME + weight * colours
        # Between two cells colours are mixed here, and looked up there.
        assert np.abs(heat(FRAME, blob()) - every).mean() < 1


class TestContours:
    def test_enclose_the_peak_and_leave_the_rest(self):
        drawn = contours(FRAME, blob())
        line = (drawn == CONTOUR).all(axis=2)
        rows, columns = np.nonzero(line)
        assert line.any()
        assert (rows.min(), columns.min()) < (8.5 * 1.5, 20.5 * 2) < (rows.max(), columns.max())
        np.testing.assert_array_equal(drawn[30:], FRAME[30:])

    def test_of_an_empty_map_are_none(self):
        np.testing.assert_array_equal(contours(FRAME, np.zeros((8, 8), np.uint8)), FRAME)


def test_beside_keeps_the_frame_and_doubles_the_width():
    drawn = beside(FRAME, blob())
    np.testing.assert_array_equal(drawn[:, :64], FRAME)
    hottest = cv2.applyColorMap(np.uint8([[255]]), cv2.COLORMAP_TURBO)[0, 0]
    distance = np.abs(drawn[:, 64:].astype(int) - hottest).sum(axis=2)
    row, column = np.unravel_index(distance.argmin(), distance.shape)
    assert (row, column) == pytest.approx((8.5 * 1.5, 20.5 * 2), abs=2)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("shape", [(1, 1, 3), (90, 7, 3), (33, 801, 3)])
def test_styles_draw_on_frames_of_any_size(style, shape):
    drawn = style(np.zeros(shape, np.uint8), blob())
    assert (drawn.shape[0], drawn.dtype) == (shape[0], np.uint8)


def test_enlarge_keeps_the_peak_in_its_place():
    attention = np.zeros((32, 32), np.uint8)
    attention[8, 20] = 255
    large = enlarge(attention, 640, 360)
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert (row / 360, column / 640) == pytest.approx((8.5 / 32, 20.5 / 32), abs=0.01)


class TestPlaces:
    def test_of_one_cell_are_its_middle(self):
        attention = np.zeros((32, 32), np.uint8)
        attention[8, 20] = 200
        expected = (20.5 * 640 / 32, 8.5 * 360 / 32)
        assert peak(attention, 640, 360) == expected
        assert centroid(attention, 640, 360) == pytest.approx(expected)

    def test_centroid_is_the_mean_weighted_by_attention(self):
        attention = np.uint8([[0, 0, 0, 0], [30, 0, 0, 90]])
        assert centroid(attention, 400, 200) == pytest.approx((0.25 * 50 + 0.75 * 350, 150))

    def test_of_equal_cells_the_peak_is_in_the_larger_spot(self):
        attention = np.zeros((16, 16), np.uint8)
        attention[2, 2] = attention[9:12, 9:12] = 255
        assert peak(attention, 16, 16) == (10.5, 10.5)

    def test_of_an_even_map_are_inside(self):
        assert centroid(np.zeros((4, 4), np.uint8), 40, 20) == (20, 10)
        x, y = peak(np.zeros((4, 4), np.uint8), 40, 20)
        assert 0 < x < 40
        assert 0 < y < 20


FLOAT = blob().astype(np.float32) / 255


@pytest.mark.parametrize("draw", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize(
    ("frame", "attention", "words"),
    [
        (FRAME[..., 0], blob(), r"received \[48, 64\] uint8: repeat the grey channel"),
        (None, blob(), "received None"),
        (FRAME, FLOAT, r"received \[32, 32\] float32: multiply by 255 and cast"),
        (FRAME, blob()[..., None], r"expected a map \[h, w\] uint8, received \[32, 32, 1\]"),
        (FRAME, blob().tolist(), "received a list"),
        (FRAME, blob().astype(int), "cast it, array.clip"),
    ],
)
def test_what_is_no_frame_or_no_map_is_not_drawn(draw, frame, attention, words):
    with pytest.raises(ValueError, match=words):
        draw(frame, attention)


@pytest.mark.parametrize("draw", STYLES.values(), ids=STYLES)
def test_strides_do_not_matter(draw):
    flipped = np.ascontiguousarray(FRAME[::-1, ::-1])
    expected = draw(flipped, np.ascontiguousarray(blob().T))
    np.testing.assert_array_equal(draw(FRAME[::-1, ::-1], blob().T), expected)


@pytest.mark.parametrize("place", [peak, centroid, enlarge])
@pytest.mark.parametrize(
    ("attention", "size", "words"),
    [
        (blob()[None], (64, 48), r"expected a map .* received \[1, 32, 32\] uint8"),
        (np.zeros((0, 4), np.uint8), (64, 48), r"received \[0, 4\]"),
        (FLOAT - 1, (64, 48), "received"),
        (np.full((4, 4), np.nan), (64, 48), "received"),
        (None, (64, 48), "received None"),
        (blob(), (0, 48), "whole pixels, received 0 and 48"),
        (blob(), (64, 48.5), "whole pixels, received 64 and 48.5"),
        (blob(), (FRAME.shape, 1), "whole pixels, received"),
    ],
)
def test_what_is_no_map_lies_nowhere(place, attention, size, words):
    with pytest.raises(ValueError, match=words):
        place(attention, *size)


def test_places_of_a_float_map_are_those_of_its_bytes_but_it_is_not_enlarged():
    assert peak(FLOAT, 64, 48) == peak(blob(), 64, 48)
    assert centroid(FLOAT, 64, 48) == pytest.approx(centroid(blob(), 64, 48))
    with pytest.raises(ValueError, match="multiply by 255 and cast"):
        enlarge(FLOAT, 64, 48)
