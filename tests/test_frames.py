"""A decoder's frame as a model sees it, as a whole, and as planes."""

import av
import cv2
import numpy as np
import pytest

from uva_tf.core.frames import Frame, to_yuv
from uva_tf.core.resize import shrink
from uva_tf.core.video import VideoReader

BT601, BT709, UNSAID = 5, 1, 2


def decoded(pixels, layout="yuv420p"):
    """A frame as of a decoder, from `[H, W, 3]` RGB."""
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=layout)


def smooth(height=90, width=160, seed=0):
    """Colours that change slowly, and are never so pure that a conversion would clip them."""
    noise = np.random.default_rng(seed).integers(80, 176, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("space", "full", "red", "white"),
    [
        # ITU-R BT.601 and BT.709, the levels of pure red and of white.
        (BT601, False, (81, 90, 240), (235, 128, 128)),
        (BT709, False, (63, 102, 240), (235, 128, 128)),
        (BT601, True, (76, 85, 255), (255, 128, 128)),
    ],
)
def test_the_matrix_is_that_of_the_standard(space, full, red, white):
    matrix = to_yuv(space, full)
    np.testing.assert_allclose(matrix @ [255, 0, 0, 1], red, atol=0.6)
    np.testing.assert_allclose(matrix @ [255, 255, 255, 1], white, atol=1e-9)
    np.testing.assert_array_equal(to_yuv(UNSAID, full), to_yuv(BT601, full))


@pytest.mark.parametrize("size", [32, 64, 128, 200])
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le"])
def test_small_is_the_whole_frame_made_small(size, layout):
    frame = Frame(decoded=decoded(smooth(), layout))
    small = frame.small(size)
    assert (small.shape, small.dtype) == ((size, size, 3), np.uint8)
    whole = shrink(np.ascontiguousarray(frame.pixels[..., ::-1]), size)
    # FFmpeg rounds down only where it converts by its quick way.
    assert np.abs(small.astype(int) - whole).mean() < (1 if layout == "yuv420p" else 2)


def test_small_follows_the_colours_that_the_file_states():
    video = decoded(smooth())
    one = Frame(decoded=video).small(64)
    video.colorspace = BT709
    other = Frame(decoded=video).small(64)
    assert np.abs(one.astype(int) - other).mean() > 1


def test_small_of_a_stored_frame_equals_small_in_one_go():
    frame = Frame(decoded=decoded(smooth(371, 501)))
    for stored in (64, 128):
        for size in (32, 64):
            np.testing.assert_array_equal(shrink(frame.small(stored), size), frame.small(size))


@pytest.mark.parametrize("name", ["mufvet/videos/012.mp4", "hevc/videos/BasketballPass.avi"])
def test_arrays_of_a_real_clip_are_within_a_level_in_the_mean(recordings, name):
    opencv = cv2.VideoCapture(str(recordings / name))
    with VideoReader(recordings / name) as video:
        for frame, _ in zip(video.timed(), range(40), strict=False):
            whole = opencv.read()[1][..., ::-1]
            off = np.abs(frame.small(64).astype(int) - shrink(whole, 64))
            assert off.mean() < 1


@pytest.mark.parametrize("turns", range(4))
def test_a_turned_frame_comes_upright_everywhere(turns):
    pixels = smooth(48, 80)
    lying = np.ascontiguousarray(np.rot90(pixels, -turns))
    frame = Frame(decoded=decoded(lying), turns=turns)
    assert (frame.height, frame.width) == (48, 80)
    assert np.abs(frame.pixels[..., ::-1].astype(int) - pixels).mean() < 3
    assert frame.planes().y.shape == (48, 80)
    assert frame.planes().u.shape == (24, 40)
    assert (frame.video().width, frame.video().height) == (80, 48)
    upright = Frame(decoded=decoded(pixels)).small(64)
    assert np.abs(frame.small(64).astype(int) - upright).mean() < 2


def test_pixels_of_a_camera_are_shrunk_as_they_are():
    pixels = smooth()
    np.testing.assert_array_equal(Frame(pixels).small(64), shrink(pixels, 64)[..., ::-1])


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (2, 3)])
def test_odd_frames_are_padded_for_an_encoder(height, width):
    frame = Frame(smooth(height, width))
    video = frame.video((width + width % 2, height + height % 2))
    assert (video.width, video.height) == (width + width % 2, height + height % 2)
    luma = Frame(decoded=video).planes().y
    np.testing.assert_array_equal(luma[:height, :width], frame.planes().y)
    np.testing.assert_array_equal(luma[-1, -1], frame.planes().y[-1, -1])
