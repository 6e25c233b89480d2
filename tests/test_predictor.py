"""What a predictor takes, and what it says of anything else."""

import cv2
import numpy as np
import pytest

from uva_tf.runtime.predictor import Predictor

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor():
    return Predictor()


class Tensor:
    """Stands for those of TensorFlow and PyTorch."""

    def numpy(self):
        return FRAME


def image():
    pil = pytest.importorskip("PIL.Image")
    return pil.fromarray(FRAME)


WRONG = {
    "none": (None, "received None: nothing was read"),
    "list": (FRAME.tolist(), "received a list: pass np.asarray"),
    "path": ("frame.png", "received a str: pass a NumPy array"),
    "tensor": (Tensor(), r"Tensor: pass frame\.numpy\(\)"),
    "umat": (cv2.UMat(FRAME), r"a UMat: pass frame\.get\(\)"),
    "grey": (FRAME[..., 0], r"\[48, 64\] uint8: repeat the grey channel"),
    "grey of one channel": (FRAME[..., :1], r"\[48, 64, 1\] uint8: repeat the grey channel"),
    "alpha": (np.dstack([FRAME, FRAME[..., 0]]), r"\[48, 64, 4\] uint8: drop alpha, frame"),
    "batch": (FRAME[None], r"\[1, 48, 64, 3\] uint8: pass the frames of a batch one by one"),
    "channels first": (FRAME.transpose(2, 0, 1), r"\[3, 48, 64\] uint8: put the channels last"),
    "two channels": (FRAME[..., :2], r"received \[48, 64, 2\] uint8$"),
    "empty": (FRAME[:0], r"\[0, 64, 3\] uint8: it is empty"),
    "scalar": (np.uint8(3), "received a numpy.uint8"),
    "float 0..1": (FRAME / np.float32(255), r"float32: multiply by 255 and cast"),
    "float 0..255": (FRAME.astype(float), r"float64: cast it, array\.clip"),
    "float, empty": (FRAME[:0].astype(float), r"\[0, 64, 3\] float64: it is empty"),
    "16 bits": (FRAME.astype(np.uint16) << 8, r"uint16: cast it, \(array >> 8\)"),
    "int": (FRAME.astype(int), r"int64: cast it, array\.clip"),
    "mask": (FRAME > 9, r"bool: cast it, 255"),
    "float with alpha": (np.ones((9, 9, 4)), "drop alpha, .*; multiply by 255 and cast"),
}


@pytest.mark.parametrize(("frame", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_frame_is_refused_with_a_remedy(predictor, frame, words):
    with pytest.raises(ValueError, match=words) as error:
        predictor.step(frame)
    assert str(error.value).startswith("expected a frame [H, W, 3] uint8, received ")
    assert "\n" not in str(error.value)


def test_a_picture_of_pil_is_refused_with_a_remedy_that_works(predictor):
    with pytest.raises(ValueError, match=r"a PIL Image: pass np\.asarray\(image\.convert") as error:
        predictor.step(image())
    remedy = str(error.value).partition("pass ")[2]
    predictor.reset()
    expected = predictor.step(FRAME)
    predictor.reset()
    drawn = predictor.step(eval(remedy, {"np": np, "image": image()}))
    np.testing.assert_array_equal(drawn, expected)


def test_a_stream_goes_on_after_a_frame_that_was_refused(predictor):
    expected = list(predictor.run([FRAME, FRAME[::-1]]))
    predictor.reset()
    one = predictor.step(FRAME)
    with pytest.raises(ValueError, match="received None"):
        predictor.step(None)
    np.testing.assert_array_equal([one, predictor.step(FRAME[::-1])], expected)


SIDE = 64
STRIDES = {
    "mirrored": lambda frame: frame[:, ::-1],
    "upside down": lambda frame: frame[::-1],
    "other channels": lambda frame: frame[..., ::-1],
    "turned": lambda frame: frame.transpose(1, 0, 2),
    "cut out": lambda frame: frame[3:40, 5:50],
    "every other": lambda frame: frame[::2, ::2],
    "without alpha": lambda frame: np.dstack([frame, frame[..., 0]])[..., :3],
    "planes": lambda frame: np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0),
    "one pixel, repeated": lambda frame: np.broadcast_to(frame[:1, :1], frame.shape),
    "Fortran": np.asfortranarray,
}


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (48, 64), (2 * SIDE, 2 * SIDE)], ids=str)
@pytest.mark.parametrize("view", STRIDES.values(), ids=STRIDES)
def test_strides_do_not_matter(predictor, view, shape):
    frame = view(np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8))
    frame.flags.writeable = False
    predictor.reset()
    drawn = predictor.step(frame)
    predictor.reset()
    np.testing.assert_array_equal(drawn, predictor.step(np.array(frame, order="C")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channels": "BGR"}, "channels 'BGR': expected 'rgb' or 'bgr'"),
        ({"channels": None}, "channels None: expected"),
        ({"threads": 0}, "threads 0: expected a whole number from 1"),
        ({"threads": -1}, "threads -1: expected"),
        ({"threads": "2"}, "threads '2': expected"),
        ({"threads": True}, "threads True: expected"),
        ({"threads": 1.5}, "threads 1.5: expected"),
        ({"model": 3}, "model: expected the path of a .tflite file, received 3"),
        ({"model": "absent.tflite"}, "absent.tflite: no such model file"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Predictor(**arguments)


def test_bgr_is_rgb_the_other_way_round(predictor):
    predictor.reset()
    expected = predictor.step(FRAME)
    np.testing.assert_array_equal(Predictor(channels="bgr").step(FRAME[..., ::-1]), expected)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (FRAME, r"received \[48, 64, 3\] uint8: pass a list of frames, or one frame to step"),
        ("clip.mp4", "received a str"),
        (None, "received a NoneType"),
        ({"frame": FRAME}, "received a dict"),
    ],
)
def test_run_refuses_what_is_no_iterable_of_frames(predictor, frames, words):
    with pytest.raises(ValueError, match=words):
        predictor.run(frames)  # before any map is asked for


def test_run_takes_lists_arrays_and_generators(predictor):
    expected = list(predictor.run([FRAME, FRAME]))
    for frames in (np.stack([FRAME, FRAME]), iter([FRAME, FRAME]), (FRAME for _ in range(2))):
        np.testing.assert_array_equal(list(predictor.run(frames)), expected)
    assert not list(predictor.run([]))
