"""A file that can't be used is refused with the cause that is, not with one sentence for all."""

import ctypes
import errno
import os
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import assert_refused, noise

from uva_tf.core.errors import USERS_ERRNO, InputError
from uva_tf.core.file_kinds import kind_of
from uva_tf.core.files import listed
from uva_tf.core.outputs import new_file, new_folder, resumable_folder
from uva_tf.core.pictures import IMAGE_SUFFIXES, decode
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.dataset import open_dataset
from uva_tf.data.picture_files import read_fixation_map
from uva_tf.evaluation.map_sources import maps_source
from uva_tf.gaze.fixation_table import read_fixations
from uva_tf.runtime import worker
from uva_tf.runtime.manifest import manifest_path, read_manifest
from uva_tf.runtime.streams import open_stream
from uva_tf.training.run import Run


def said(function, *args):
    """The line with which something is refused."""
    with pytest.raises(InputError) as caught:
        function(*args)
    line = str(caught.value)
    assert "\n" not in line
    return line


def clip(path, frames=5):
    with VideoWriter(path, 25, 64, 36) as video:
        for number in range(frames):
            video.write(noise(36, 64, seed=number))


def without_index(path):
    """As of a recording that was not ended."""
    clip(path)
    content = path.read_bytes()
    head, index, frames = (content.index(name) - 4 for name in (b"ftyp", b"moov", b"mdat"))
    path.write_bytes(content[head:index] + content[frames:-100])


def other_codec(path):
    clip(path)
    content = path.read_bytes()
    assert b"avc1" in content
    path.write_bytes(content.replace(b"avc1", b"zzz7").replace(b"avcC", b"skip"))


def zeroed(path, container, codec="mjpeg"):
    """A clip whose frames are all zeros."""
    with av.open(str(path), "w", format=container) as file:
        options = {"threads": "1"} if codec == "libvpx" else {}  # on several it may wait for ever
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for _ in range(3):
            file.mux(
                stream.encode(av.VideoFrame.from_ndarray(noise(48, 64, seed=1), format="bgr24"))
            )
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux() if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in places:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)


def sound(path, container):
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream("flac" if container == "flac" else "pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame(format="s16", layout="mono", samples=512)
        frame.sample_rate, frame.pts = 8000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def web_page(path):
    path.write_text("<!DOCTYPE html>\n<title>404 Not Found</title>\n")


def web_picture(path):
    path.write_bytes(b"RIFF\x2a\0\0\0WEBPVP8X" + bytes(50))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "x.mp4: no such video file"),
        (lambda path: path.symlink_to("gone.mp4"), "x.mp4: a link to gone.mp4, which is not there"),
        (os.mkfifo, "x.mp4: expected a video file, found a pipe or a device"),
        (Path.touch, "x.mp4: no frame can be read: the file is empty"),
        (lambda path: path.write_text("to do\n"), "it is text, expected a video"),
        (lambda path: path.write_bytes(bytes(9999)), "it is nothing but zeros, expected a video"),
        (lambda path: path.write_bytes(b"\x7fELF\1\1"), "it is of an unknown format, expected"),
        (web_page, "it is a web page, expected a video"),
        (web_picture, "it is a WebP picture, expected a video"),
        (without_index, "that was cut short: its index (moov) is missing, found ftyp"),
        (other_codec, "its codec zzz7 is not built into this FFmpeg, convert it: ffmpeg -i"),
        (lambda path: zeroed(path, "avi"), "an AVI video (mjpeg) that is damaged or has no"),
        (lambda path: zeroed(path, "mov"), "QuickTime video (mjpeg) that is damaged or has"),
        (lambda path: zeroed(path, "ivf", "libvpx"), "a video (vp8) that is damaged or has"),
        (lambda path: zeroed(path, "asf"), "a Windows Media video (mjpeg) that is damaged"),
        (lambda path: zeroed(path, "flv", "flv"), "a Flash video that is damaged or has"),
        (lambda path: zeroed(path, "mpegts", "mpeg2video"), "an MPEG-TS video that is damag"),
        (lambda path: sound(path, "wav"), "x.mp4: no frame can be read: it has sound but no video"),
        (lambda path: sound(path, "matroska"), "it has sound but no video"),
        (lambda path: sound(path, "flac"), "it has sound but no video"),
    ],
)
def test_a_video_that_gives_no_frame(tmp_path, make, words):
    make(tmp_path / "x.mp4")
    assert words in said(VideoReader, tmp_path / "x.mp4")


def test_a_folder_as_a_video(tmp_path):
    assert "expected a video file, found a folder" in said(VideoReader, tmp_path)


def png(path, size=(40, 60), share=1.0):
    content = cv2.imencode(".png", noise(*size, seed=1))[1].tobytes()
    path.write_bytes(content[: int(share * len(content))])


def jpeg(path, share):
    content = cv2.imencode(".jpg", noise(40, 60, seed=1))[1].tobytes()
    path.write_bytes(content[: int(share * len(content))])


def huge_png(path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    content = struct.pack(">I", len(header) - 4) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "x.png: no such picture"),
        (Path.mkdir, "x.png: expected a picture, found a folder"),
        (Path.touch, "x.png: the file is empty, expected a picture"),
        (huge_png, "x.png: 3600000000 pixels, expected at most 67108864"),
        (
            lambda path: png(path, share=0.5),
            "x.png: the file was cut short: it ends within the picture",
        ),
        (
            lambda path: png(path, share=0.99),
            "x.png: the file was cut short: it ends within the picture",
        ),
        (lambda path: jpeg(path, 0.1), "x.png: the file was cut short: it ends within the picture"),
        (lambda path: jpeg(path, 0.6), "x.png: the file was cut short: it ends within the picture"),
        (lambda path: path.write_text("to do\n"), "it is text, expected .avif, .bmp, .jpeg, .jpg"),
        (web_picture, "it is a WebP picture, but damaged"),
        (lambda path: path.write_bytes(b"\0\0\0\x1cftypheic" + bytes(99)), "it is a HEIC picture"),
        (lambda path: path.write_bytes(b"\0\0\0\x1cftypavif" + bytes(99)), "it is an AVIF picture"),
        (lambda path: path.write_bytes(b"II*\0" + bytes(99)), "it is a TIFF picture"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(99)), "it is a GIF picture"),
        (lambda path: path.write_bytes(b"\xff\0\1junk"), "it is of an unknown format"),
    ],
)
def test_a_picture_that_can_not_be_read(tmp_path, make, words):
    make(tmp_path / "x.png")
    assert words in said(decode, tmp_path / "x.png", cv2.IMREAD_COLOR)


def test_a_picture_under_another_name_is_read(tmp_path):
    jpeg(tmp_path / "x.png", 1)
    assert decode(tmp_path / "x.png", cv2.IMREAD_COLOR).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "x.mat: the file is empty, expected a MATLAB file"),
        (b"to do\n" * 50, "x.mat: SciPy can't read it as a MATLAB file (it is text)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "(it is a PNG picture)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "(it is an HDF5 file)"),
    ],
)
def test_a_mat_file_that_can_not_be_read(tmp_path, content, words):
    (tmp_path / "x.mat").write_bytes(content)
    assert words in said(read_fixation_map, tmp_path / "x.mat")


def test_a_folder_in_place_of_a_file_and_the_other_way_round(tmp_path):
    (tmp_path / "file").write_text("a")
    (tmp_path / "m.tflite").mkdir()
    numbers = ("x", "y")
    assert "expected a file, found a folder" in said(read_fixations, tmp_path, "image", numbers)
    assert "expected a model file, found a folder" in said(read_manifest, tmp_path / "m.tflite")
    for function in (open_dataset, Run.open, maps_source):
        assert said(function, tmp_path / "file").endswith("file: expected a folder, found a file")
        assert "no such folder" in said(function, tmp_path / "absent")


def test_a_folder_without_pictures_says_what_is_there(tmp_path):
    for name in ("1.tiff", "2.tiff", "notes.txt", "._1.jpg", ".DS_Store"):
        (tmp_path / name).touch()
    words = "no pictures, expected .avif, .bmp, .jpeg, .jpg, .png, .webp, found 2 .tiff, 1 .txt"
    assert said(open_stream, tmp_path).endswith(words)


def test_every_listing_leaves_out_what_systems_hide(tmp_path):
    """macOS writes `._1.png` beside `1.png` on other systems' disks: no picture."""
    for name in ("10.png", "2.PNG", "._2.png", ".hidden.jpg", "Thumbs.db", "1.txt"):
        png(tmp_path / name)
    (tmp_path / "3.png").mkdir()
    assert [path.name for path in listed(tmp_path, IMAGE_SUFFIXES)] == ["10.png", "2.PNG"]
    frames = open_stream(tmp_path)
    assert frames.length == len(list(frames.timed())) == 2
    assert [path.name for path in frames._files] == ["2.PNG", "10.png"]


@pytest.fixture
def unprivileged():
    """No power over others' files, which root has: Linux keeps it for each thread."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("the superuser may read everything")
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    held = (ctypes.c_uint32 * 6)()
    assert libc.capget(head, held) == 0
    less = (ctypes.c_uint32 * 6)(*held)
    less[0] &= ~0b110  # effective: neither DAC_OVERRIDE nor DAC_READ_SEARCH
    if libc.capset(head, less):
        pytest.skip("the superuser's power can't be put aside here")
    yield
    assert libc.capset(head, held) == 0


REFUSED = "no permission to read it: change that, or copy it elsewhere"


def test_no_permission_is_said_for_every_kind_of_file(tmp_path, unprivileged, step_model):
    clip(tmp_path / "x.mp4")
    png(tmp_path / "x.png")
    for name in ("x.csv", "x.mat", "m/config.json", "m/index.json", "m.tflite", "m.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a,b")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.chmod(0)
    attempts = [
        (VideoReader, "x.mp4"),
        (lambda path: decode(path, cv2.IMREAD_COLOR), "x.png"),
        (read_fixation_map, "x.mat"),
        (lambda path: read_fixations(path, "image", ("x", "y")), "x.csv"),
        (read_manifest, "m.tflite"),
    ]
    for function, name in attempts:
        assert said(function, tmp_path / name).endswith(f"{name}: {REFUSED}")
    assert said(Run.open, tmp_path / "m").endswith(f"config.json: {REFUSED}")
    assert said(open_dataset, tmp_path / "m").endswith(f"index.json: {REFUSED}")
    (tmp_path / "m").chmod(0)
    for function in (Run.open, open_dataset, open_stream):
        assert said(function, tmp_path / "m").endswith(f"m: {REFUSED}")
    (tmp_path / "m").chmod(0o700)
    model = tmp_path / "n.tflite"
    model.write_bytes(step_model.read_bytes())
    manifest_path(model).write_text("{}")
    manifest_path(model).chmod(0)
    assert said(read_manifest, model).endswith(f"n.json: {REFUSED}")


def test_no_permission_is_one_line_of_a_command(tmp_path, unprivileged, call):
    clip(tmp_path / "x.mp4")
    (tmp_path / "x.mp4").chmod(0)
    out = tmp_path / "out.csv"
    assert_refused(call("tflite/predict.py", tmp_path / "x.mp4", "--csv", out), f"x.mp4: {REFUSED}")
    assert not out.exists()


def test_kinds_are_known_by_their_first_bytes(tmp_path):
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff"):
        content = cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        assert kind_of(content).endswith("picture"), suffix
    clip(tmp_path / "x.mp4")
    assert kind_of((tmp_path / "x.mp4").read_bytes()) == "an MP4 or QuickTime video"
    assert kind_of("video,observer\nJ\xe4n".encode()) == "text"
    assert kind_of(b"") == kind_of(b"\1\2\3") == ""


def test_a_place_that_cant_be_written_is_named_itself():
    with (
        pytest.raises(InputError, match=r"^/proc/maps: can't be written in /proc \("),
        new_file(Path("/proc/maps")),
    ):
        pass


def enter(block, *args):
    with block(*args):
        pass


@pytest.mark.parametrize("number", sorted(USERS_ERRNO))
@pytest.mark.parametrize("new", [new_file, new_folder, resumable_folder])
def test_an_output_that_cant_be_made_is_named_itself(tmp_path, monkeypatch, new, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), ".x.csv.0123abcd")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    line = said(enter, new, tmp_path / "x.csv")
    expected = f"x.csv: can't be written in {tmp_path} ({os.strerror(number)}), choose another path"
    assert line.endswith(expected)


def test_a_disk_without_room_for_an_output_is_no_mistake(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), ".x.csv.0123abcd")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(OSError, match=r"/x\.csv'$") as caught, new_file(tmp_path / "x.csv"):
        pass
    assert caught.value.errno == errno.EDQUOT


def test_a_name_that_is_too_long_is_refused_before_any_work(tmp_path):
    assert "File name too long" in said(enter, new_file, tmp_path / (300 * "x"))
    assert not list(tmp_path.iterdir())


def test_an_output_is_no_link_to_nothing(tmp_path):
    link = tmp_path / "x.csv"
    link.symlink_to("gone.csv")
    for new in (new_file, new_folder, resumable_folder):
        assert said(enter, new, link).startswith(f"{link} exists already")
        assert said(enter, new, link / "y").startswith(f"{link} is not a folder")
    assert [path.is_symlink() for path in tmp_path.iterdir()] == [True]


def test_where_a_task_was_done_does_not_tell_a_mistake_from_a_failure():
    def answer(task):
        raise OSError(task["errno"], os.strerror(task["errno"]), "x")

    for number, mistake in ((errno.EACCES, True), (errno.EROFS, True), (errno.EIO, False)):
        assert worker._guarded(answer)({"errno": number})["mistake"] == mistake
