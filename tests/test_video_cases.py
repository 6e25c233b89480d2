"""Video files after public bug reports, by the real commands: UVA_TF_CASES names their folder.

Its README says of each what is right: frames, times, and what is said. Twins that always run are
in test_clock.py, test_video.py and test_video_writer.py.
"""

import csv

import pytest
from conftest import assert_refused

from uva_tf.core.video import VideoReader

# Frames, the first and the last time, and what is said.
READ = {
    "onepacket.mp4": (99, 0.0, 3.96, ["1 damaged packet left out"]),
    "hole.mp4": (
        84,
        0.0,
        3.96,
        [
            "8 damaged packets left out",
            "8 frames missing: damaged, or built on damaged ones",
            "1 damaged frame shown",
            "1 frame out of order: shown between the neighbours",
        ],
    ),
    "vfr.mp4": (50, 0.0, 5.8, []),
    "browser.webm": (28, 0.007, 2.84, []),
    "cover0.mp4": (
        50,
        0.0,
        1.96,
        ["stream 1 of several (0: 64x48 mjpeg, 1: 160x120 h264): --stream N reads another"],
    ),
    "bf.avi": (100, 0.04, 4.0, []),
    "raw.h264": (50, 0.0, 1.96, ["the file has no times: frame number / 25 is used"]),
    "trim_editlist.mp4": (52, 0.0, 2.16, []),
    "odd853x479.mp4": (25, 0.0, 0.96, ["853x479 padded to 854x480: libx264 needs even sides"]),
    "av1.mp4": (25, 0.0, 0.96, []),
    "cam1000.mp4": (50, 0.0, 0.049, []),
}


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_is_read_and_said(cases, tmp_path, call, name):
    frames, first, last, said = READ[name]
    table, overlay = tmp_path / "places.csv", tmp_path / "overlay.mp4"
    model = ("--model", "uva_tf/weights/uva-32-int8-step.tflite")
    args = (cases / name, *model, "--csv", table, "--overlay", overlay)
    code, printed, err = call("tflite/predict.py", *args)
    assert (code, err) == (0, "")
    assert [line[6:] for line in printed.splitlines() if line.startswith("note: ")] == said
    with table.open() as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert (len(seconds), seconds[0], seconds[-1]) == (frames, first, last)
    assert sorted(set(seconds)) == seconds
    with VideoReader(overlay) as video:
        shown = [frame.seconds for frame in video.timed()]
    assert shown == pytest.approx(seconds, abs=0.001)


def test_prepare_sees_the_same_frames_at_the_same_times(cases, tmp_path, call):
    root = tmp_path / "root"
    (root / "videos").mkdir(parents=True)
    # One look of 10 ms in each second of each clip, from its first frame.
    rows = ["video,observer,onset_ms,duration_ms,x,y"]
    for name in READ:
        if name not in ("raw.h264", "cam1000.mp4"):  # a suffix of no video; too short
            (root / "videos" / name).symlink_to(cases / name)
            rows += [f"{name},p{n % 2},{1000 * n},10,40,40" for n in range(int(READ[name][2]) + 1)]
    (root / "fixations.csv").write_text("\n".join(rows) + "\n")
    args = ("--layout", "gaze", "--root", root, "--out", tmp_path / "out", "--jobs", "1")
    code, printed, err = call("pipelines/prepare.py", *args)
    assert (code, err) == (0, "")
    total = sum(READ[path.name][0] for path in (root / "videos").iterdir())
    assert f"{total} frames" in printed
    assert "note: 8 damaged packets left out (hole)" in printed
    assert "note: 1 damaged packet left out (onepacket)" in printed


def test_an_animated_picture_is_refused_by_its_name(cases, tmp_path, call):
    result = call("tflite/predict.py", cases / "delays.webp", "--csv", tmp_path / "places.csv")
    assert_refused(result, "delays.webp: an animated WebP picture, expected a still one")
    assert not list(tmp_path.iterdir())


def test_strict_refuses_what_is_damaged(cases, tmp_path, call):
    table = tmp_path / "places.csv"
    result = call("tflite/predict.py", cases / "onepacket.mp4", "--csv", table, "--strict")
    assert_refused(
        result, "onepacket.mp4: 1 damaged packet left out (leave out --strict to take the rest)"
    )
    assert not list(tmp_path.iterdir())


def test_a_stream_can_be_chosen(cases, tmp_path, call):
    table = tmp_path / "places.csv"
    args = (cases / "cover0.mp4", "--csv", table, "--stream")
    assert call("tflite/predict.py", *args, "0")[0] == 0
    assert len(table.read_text().splitlines()) == 2
    assert_refused(
        call("tflite/predict.py", *args, "7"),
        "cover0.mp4: no video stream 7, expected one of 0: 64x48 mjpeg, 1: 160x120 h264",
    )
