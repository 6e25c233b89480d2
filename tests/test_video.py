"""Where frames come from and go to: videos, folders of pictures, cameras, overlay videos."""

import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from uva_tf.core import video_writer
from uva_tf.core.errors import InputError
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime.streams import PictureReader, open_stream

RED, GREEN, BLUE, GREY = (0, 0, 255), (0, 255, 0), (255, 0, 0), (128, 128, 128)
# Chroma is stored coarsely by every codec.
CODEC = 12


def plain(colour, width=64, height=48):
    return np.full((height, width, 3), colour, np.uint8)


def write(path, frames, rate=24, codec="mp4v"):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def turn_by_metadata(path):
    """Write into an MP4 file's track header that it is shown turned clockwise."""
    content = bytearray(path.read_bytes())
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    header = content.index(b"tkhd")
    place = content.index(upright, header)
    content[place : place + len(turned)] = turned
    path.write_bytes(content)


def delay_by_metadata(path, frames):
    """Write into an MP4 file's time table that its last frame comes half a frame late."""
    content = path.read_bytes()
    place = content.index(b"stts")
    version, entries, count, ticks = struct.unpack(">4I", content[place + 4 : place + 20])
    assert (entries, count) == (1, frames)
    uneven = ((frames - 2, ticks), (1, ticks * 3 // 2), (1, ticks // 2))
    table = struct.pack(">2I", version, len(uneven))
    table += b"".join(struct.pack(">2I", *entry) for entry in uneven)
    content = content[: place + 4] + table + content[place + 20 :]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):  # all around it grow
        at = content.index(box) - 4
        size = struct.unpack(">I", content[at : at + 4])[0] + len(table) - 16
        content = content[:at] + struct.pack(">I", size) + content[at + 4 :]
    path.write_bytes(content)


class TestVideoReader:
    def test_frames_rate_and_length_survive(self, tmp_path):
        colours = [RED, GREEN, BLUE, GREY]
        path = write(tmp_path / "clip.mp4", [plain(colour) for colour in colours])
        with VideoReader(path) as video:
            assert (video.width, video.height, video.rate, video.length) == (64, 48, 24, 4)
            means = [frame.mean(axis=(0, 1)) for frame in video]
        np.testing.assert_allclose(means, colours, atol=CODEC)

    @pytest.mark.parametrize(
        ("name", "codec"),
        [("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.mov", "mp4v"), ("a.webm", "VP80")],
    )
    def test_of_every_container(self, tmp_path, name, codec):
        path = write(tmp_path / name, [plain(RED), plain(GREEN), plain(BLUE)], 25, codec)
        with VideoReader(path) as video:
            frames = list(video.timed())
        np.testing.assert_allclose(
            [frame.pixels.mean(axis=(0, 1)) for frame in frames], [RED, GREEN, BLUE], atol=CODEC
        )
        # WebM and Matroska keep milliseconds.
        assert [frame.seconds for frame in frames] == pytest.approx([0, 0.04, 0.08], abs=0.001)

    def test_of_one_frame(self, tmp_path):
        with VideoReader(write(tmp_path / "one.mp4", [plain(RED)])) as video:
            assert len(list(video)) == 1

    def test_turned_by_metadata_comes_upright(self, tmp_path):
        frame = np.vstack([plain(RED, height=24), plain(BLUE, height=24)])
        path = write(tmp_path / "turned.mp4", [frame] * 3)
        turn_by_metadata(path)
        with VideoReader(path) as video:
            assert (video.width, video.height) == (48, 64)
            first = next(iter(video))
        # Clockwise: what was on top is on the right.
        np.testing.assert_allclose(first[:, 28:].mean(axis=(0, 1)), RED, atol=CODEC)
        np.testing.assert_allclose(first[:, :20].mean(axis=(0, 1)), BLUE, atol=CODEC)

    def test_of_uneven_rate_tells_each_frames_time(self, tmp_path):
        path = write(tmp_path / "uneven.mp4", [plain(c) for c in (RED, GREEN, BLUE, GREY)], 25)
        delay_by_metadata(path, 4)
        with VideoReader(path) as video:
            assert video.rate == pytest.approx(25)  # the mean
            times = [frame.seconds for frame in video.timed()]
        assert times == pytest.approx([0, 0.04, 0.08, 0.14])

    def test_a_name_with_a_colon_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with VideoWriter(Path("12:30.mp4"), 25, 64, 48) as writer:
            writer.write(plain(GREY))
        with VideoReader(Path("12:30.mp4")) as video:
            assert len(list(video)) == 1


class TestCamera:
    def test_unplugged_says_so_after_its_frames(self, camera):
        source = open_stream(0)
        assert (source.live, source.rate, source.width) == (True, 30, 64)
        times = []
        with pytest.raises(OSError, match="camera 0 gives no more frames, was it unplugged"):
            for frame in source.timed():
                times.append(frame.seconds)
        assert len(times) == 3
        assert times == sorted(times)

    def test_that_is_not_there_is_refused(self, camera, monkeypatch):
        monkeypatch.setattr(camera, "isOpened", lambda self: False)
        with pytest.raises(InputError, match="camera 7: no frame can be read"):
            open_stream(7)


class TestPictureReader:
    def test_reads_in_the_order_of_numbers(self, tmp_path):
        for number, colour in ((10, BLUE), (2, GREEN), (1, RED)):
            cv2.imwrite(str(tmp_path / f"frame{number}.png"), plain(colour))
        (tmp_path / "notes.txt").write_text("not a frame")
        source = open_stream(tmp_path)
        assert (source.width, source.height, source.length, source.live) == (64, 48, 3, False)
        frames = list(source.timed())
        np.testing.assert_array_equal([f.pixels[0, 0] for f in frames], [RED, GREEN, BLUE])
        assert [f.seconds for f in frames] == pytest.approx([0, 0.04, 0.08])

    def test_refuses_none_and_names_a_broken_one(self, tmp_path):
        with pytest.raises(InputError, match="no pictures"):
            PictureReader(tmp_path)
        cv2.imwrite(str(tmp_path / "1.png"), plain(RED))
        (tmp_path / "2.png").write_bytes(b"no picture")
        with pytest.raises(InputError, match=r"2\.png: OpenCV can't read it as a picture"):
            list(PictureReader(tmp_path).timed())


class TestVideoWriter:
    def test_refuses_a_frame_of_another_size(self, tmp_path):
        with VideoWriter(tmp_path / "clip.mp4", 25, 64, 48) as writer:
            writer.write(plain(GREY))
            with pytest.raises(InputError, match="frame 2 is 99x48, the first was 64x48"):
                writer.write(plain(GREY, width=99))

    def test_a_video_that_lost_frames_is_reported(self, tmp_path):
        writer = VideoWriter(tmp_path / "clip.mp4", 25, 64, 48)
        with pytest.raises(OSError, match="not all frames"), writer:
            writer.write(plain(GREY))
            writer._count += 1  # as when the file can't grow

    def test_stops_before_the_disk_is_full(self, tmp_path, monkeypatch):
        path = tmp_path / "clip.mp4"
        usage = shutil.disk_usage(tmp_path)
        with VideoWriter(path, 25, 64, 48) as writer:
            writer.write(plain(RED))
            monkeypatch.setattr(
                video_writer.shutil, "disk_usage", lambda _: usage._replace(free=2**20)
            )
            with pytest.raises(OSError, match="No space left"):
                writer.write(plain(BLUE))
        with VideoReader(path) as video:
            assert len(list(video)) == 1

    def test_that_cannot_open_says_so(self, tmp_path):
        with pytest.raises(InputError, match=r"expected a name that ends in \.mp4"):
            VideoWriter(tmp_path / "clip.txt", 25, 64, 48)


def test_deinterlacing_keeps_times(tmp_path):
    path = write(tmp_path / "a.mp4", [plain(RED), plain(GREEN), plain(BLUE)], 25)
    with VideoReader(path, deinterlace=True) as video:
        times = [frame.seconds for frame in video.timed()]
    assert times == pytest.approx([0, 0.04, 0.08])


def test_deinterlacing_goes_on_after_a_change_of_size(tmp_path):
    with av.open(str(tmp_path / "a.webm"), "w") as file:
        stream, rate = file.add_stream("libvpx", rate=25), Fraction(25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        file.start_encoding()
        for number, pixels in enumerate([plain(RED, 160, 120)] * 12 + [plain(BLUE, 96, 128)] * 3):
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.height, encoder.width = pixels.shape[:2]
            encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", rate, 1 / rate
            picture = av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number, 1 / rate
            for packet in [*encoder.encode(picture), *encoder.encode(None)]:
                packet.stream = stream
                file.mux(packet)
    with VideoReader(tmp_path / "a.webm", deinterlace=True) as video:
        frames = list(video.timed())
    assert [frame.seconds for frame in frames] == pytest.approx([0.04 * n for n in range(15)])
    assert {(frame.width, frame.height) for frame in frames} == {(160, 120)}
    np.testing.assert_allclose(frames[12].pixels[60, 80], BLUE, atol=CODEC)
    assert video.notes == ["3 frames scaled to the size of the first"]


# The first four numbers of a display matrix: where the right and the lower edge are shown.
SHOWN = {
    (1, 0, 0, 1): lambda picture: picture,
    (-1, 0, 0, 1): lambda picture: picture[:, ::-1],
    (1, 0, 0, -1): lambda picture: picture[::-1],
    (-1, 0, 0, -1): lambda picture: picture[::-1, ::-1],
    (0, 1, -1, 0): lambda picture: np.rot90(picture, -1),
    (0, -1, 1, 0): lambda picture: np.rot90(picture),
    (0, 1, 1, 0): lambda picture: picture.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda picture: np.rot90(picture, 2).transpose(1, 0, 2),
    (0, 0, 0, 0): lambda picture: picture,
}


@pytest.mark.parametrize("matrix", SHOWN)
def test_every_orientation_comes_upright(tmp_path, matrix):
    top = np.hstack([plain(RED, 32, 24), plain(GREEN, 32, 24)])
    frame = np.vstack([top, np.hstack([plain(BLUE, 32, 24), plain(GREY, 32, 24)])])
    path = write(tmp_path / "a.mp4", [frame] * 3)
    content = bytearray(path.read_bytes())
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    place = content.index(upright, content.index(b"tkhd"))
    a, b, c, d = (0x10000 * one for one in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    with VideoReader(path) as video:
        first = next(video.timed())
    expected = SHOWN[matrix](frame)
    assert (first.height, first.width) == (video.height, video.width) == expected.shape[:2]
    middle = np.ix_([h * first.height // 4 for h in (1, 3)], [w * first.width // 4 for w in (1, 3)])
    np.testing.assert_allclose(first.pixels[middle], expected[middle], atol=2 * CODEC)


@pytest.mark.parametrize("orientation", range(9))
def test_pictures_of_a_camera_with_exif_come_upright(tmp_path, orientation):
    top = np.hstack([plain(RED, 32, 24), plain(GREEN, 32, 24)])
    frame = np.vstack([top, np.hstack([plain(BLUE, 32, 24), plain(GREY, 32, 24)])])
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + jpeg[2:]
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        file.start_encoding()
        for number in range(3):
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base = stream, stream.time_base
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            file.mux(packet)
    with VideoReader(tmp_path / "a.avi") as video:
        frames = list(video)
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)  # upright by EXIF
    assert len(frames) == 3
    assert (video.height, video.width) == expected.shape[:2]
    middle = np.ix_(*([side // 4, 3 * side // 4] for side in expected.shape[:2]))
    np.testing.assert_allclose(frames[0][middle], expected[middle], atol=2 * CODEC)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_larger_still_is_not_taken_for_the_film(tmp_path, name):
    with av.open(str(tmp_path / name), "w") as file:
        sizes = (("mjpeg", "yuvj420p", 96, 1), ("mpeg4", "yuv420p", 64, 5))
        streams = [file.add_stream(codec, rate=25) for codec, *_ in sizes]
        for stream, (_, form, width, _) in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 48, form
        streams[0].disposition = av.stream.Disposition.default
        for stream, (_, _, width, count) in zip(streams, sizes, strict=True):
            for _ in range(count):
                picture = av.VideoFrame.from_ndarray(plain(RED, width), format="bgr24")
                file.mux(stream.encode(picture))
            file.mux(stream.encode(None))
    with VideoReader(tmp_path / name) as video:
        assert len(list(video)) == 5
    line = "stream 1 of several (0: 96x48 mjpeg, 1: 64x48 mpeg4): --stream N reads another"
    assert video.notes == [line]
    with VideoReader(tmp_path / name, stream=0) as video:
        assert len(list(video)) == 1


def test_a_film_that_ends_before_its_container_says_is_noted(tmp_path):
    with VideoWriter(tmp_path / "a.mkv", 25, 64, 48) as writer:
        for number in range(50):
            writer.write(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8))
    content = (tmp_path / "a.mkv").read_bytes()
    for name, share in (("cut.mkv", 0.33), ("tenth.mkv", 0.9)):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
    for name, cut in (("a.mkv", False), ("cut.mkv", True), ("tenth.mkv", True)):
        with VideoReader(tmp_path / name) as video:
            list(video.timed())
        assert video.incomplete == cut
        assert any("cut short: the last frame is at" in note for note in video.notes) == cut


@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv"])
@pytest.mark.parametrize("start", [0, 100, 2**33 / 90000 - 2])
def test_a_film_whose_times_begin_anywhere_is_not_cut_short(tmp_path, name, start):
    """Those of MPEG-TS begin again after 26.5 hours."""
    kind, options = ("mpegts", {"output_ts_offset": str(start)}) if name == "a.ts" else (None, {})
    with av.open(str(tmp_path / name), "w", format=kind, options=options) as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(75):
            picture = av.VideoFrame.from_ndarray(plain(RED), format="bgr24")
            picture.pts = number + (0 if kind else round(25 * start))
            picture.time_base = Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    with VideoReader(tmp_path / name) as video:
        assert len(list(video)) == 75
    assert not video.incomplete
    assert video.notes == []


def test_a_clock_that_jumps_between_two_recordings_is_noted(tmp_path):
    parts = b""
    for start in (0, 500):
        options = {"output_ts_offset": str(start)}
        with av.open(str(tmp_path / "part.ts"), "w", format="mpegts", options=options) as file:
            stream = file.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(12):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(plain(RED), format="bgr24")))
            file.mux(stream.encode(None))
        parts += (tmp_path / "part.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(parts)
    with VideoReader(tmp_path / "a.ts") as video:
        assert len(list(video)) == 24
    (note,) = video.notes
    assert note.startswith("its clock jumps 1 time, first at 0.44 s by 499.5")
