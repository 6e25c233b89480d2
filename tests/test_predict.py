"""What predict.py leaves of streams that end well, and of those that do not."""

import csv
import errno
import itertools

import cv2
import numpy as np
import pytest

from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime import sinks
from uva_tf.runtime.predictor import Predictor

WIDTH, HEIGHT, FRAMES = 64, 36, 6


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, WIDTH, HEIGHT) as writer:
        for value in range(FRAMES):
            frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            writer.write(cv2.circle(frame, (8 + 9 * value, 18), 5, (40, 40, 230), -1))
    return path


@pytest.fixture
def predict(script, step_model, tmp_path, capfd):
    """A function that predicts into `overlay.mp4`, `maps` and `places.csv`: code, out, err."""
    outputs = ("--overlay", "overlay.mp4", "--maps", "maps", "--csv", "places.csv")
    named = [str(tmp_path / arg) if "--" not in arg else arg for arg in outputs]

    def run(*source):
        arguments = ["--model", step_model, *source, *named]
        code = script("tflite/predict.py").main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


def frames_in(path):
    with VideoReader(path) as video:
        return len(list(video))


def rows_in(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def fail_at(monkeypatch):
    """A function that lets the drawing of overlay frame `number` raise an error."""

    def arrange(number, error):
        frames, original = itertools.count(1), sinks.write_overlay

        def write_overlay(write, style):
            sink = original(write, style)

            def take(picture):
                if next(frames) == number:
                    raise error
                sink.take(picture)

            return sinks.Sink(sink.make, take)

        monkeypatch.setattr(sinks, "write_overlay", write_overlay)

    return arrange


def test_all_outputs_have_every_frame(predict, clip, tmp_path, step_model):
    assert predict(clip)[0] == 0
    assert frames_in(tmp_path / "overlay.mp4") == FRAMES
    rows = rows_in(tmp_path / "places.csv")
    assert [row["frame"] for row in rows] == [str(n + 1) for n in range(FRAMES)]
    with VideoReader(clip) as video:
        maps = list(Predictor(step_model, channels="bgr").run(video))
    for row, drawn in zip(rows, maps, strict=True):
        x, y = float(row["peak_x"]) * 32 / WIDTH, float(row["peak_y"]) * 32 / HEIGHT
        # Two ways to the same pixels, which may round a level apart; other frames' are not so near.
        assert drawn[int(y), int(x)] >= 254


@pytest.mark.parametrize(("style", "width"), [("contours", WIDTH), ("beside", 2 * WIDTH)])
def test_other_styles(script, step_model, clip, tmp_path, style, width):
    out = tmp_path / f"{style}.mp4"
    arguments = ["--model", step_model, clip, "--overlay", out, "--style", style]
    assert script("tflite/predict.py").main([str(argument) for argument in arguments]) == 0
    with VideoReader(out) as video:
        assert (video.width, video.height) == (width, HEIGHT)


def test_a_folder_of_its_own_maps_is_a_source(predict, clip, tmp_path):
    assert predict(clip)[0] == 0
    maps = (tmp_path / "maps").rename(tmp_path / "pictures")
    for name in ("overlay.mp4", "places.csv"):
        (tmp_path / name).unlink()
    code, out, _ = predict(maps)
    assert code == 0
    assert f"{FRAMES} frames" in out


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "Input/output error")])
def test_a_picture_that_cant_be_read_is_no_failure_of_writing(
    predict, tmp_path, monkeypatch, error
):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(1, 10):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((20, 30, 3), number, np.uint8))
    bad = pictures / "8.png"
    if error is None:
        bad.write_text("not a picture")
    else:
        read = type(bad).read_bytes

        def failing(path):
            if path == bad:
                raise error
            return read(path)

        monkeypatch.setattr(type(bad), "read_bytes", failing)
    code, out, err = predict(pictures)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {bad}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "interrupted; 3 finished frames are in "),
        (OSError(errno.ENOSPC, "No space left on device"), "failed: [Errno 28] No space left"),
    ],
)
def test_what_is_finished_stays(predict, clip, tmp_path, fail_at, error, words):
    fail_at(4, error)
    code, out, err = predict(clip)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err
    assert "overlay.mp4" in err
    assert frames_in(tmp_path / "overlay.mp4") == 3
    # Maps and rows of a frame are written before its overlay.
    assert len(list((tmp_path / "maps").iterdir())) == len(rows_in(tmp_path / "places.csv")) == 4


def test_a_failure_at_the_first_frame_leaves_nothing(predict, clip, tmp_path, fail_at):
    fail_at(1, KeyboardInterrupt())
    assert predict(clip)[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_camera_unplugged_leaves_its_frames(predict, tmp_path, camera):
    code, out, err = predict("--camera", "0")
    assert (code, out) == (1, "")
    assert "camera 0 gives no more frames, was it unplugged?; 3 finished frames are in" in err
    assert frames_in(tmp_path / "overlay.mp4") == 3


def test_ctrl_c_ends_a_cameras_recording_well(predict, tmp_path, camera, fail_at):
    fail_at(3, KeyboardInterrupt())
    code, out, _ = predict("--camera", "0")
    assert code == 0
    assert out.startswith("2 frames")
    assert frames_in(tmp_path / "overlay.mp4") == 2
