"""Damaged videos: what can be read of them, on any number of threads, and what is said."""

import av
import numpy as np
import pytest

from uva_tf.core.video import VideoReader

COUNT, GROUP = 24, 8  # frames, of which every eighth is a key frame
HEVC = {"x265-params": f"log-level=-1:keyint={GROUP}:min-keyint={GROUP}"}
TS = 188  # bytes of a packet of MPEG-TS


def film(path, codec="libx264", options=None, count=COUNT):
    """A film of noise, whose packets are large."""
    with av.open(str(path), "w", format="mpegts" if path.suffix == ".ts" else None) as file:
        options = {"sc_threshold": "0"} | (options or {})  # else noise is all key frames
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        stream.codec_context.gop_size = GROUP
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        file.mux(stream.encode(None))
    return path


def damage(path, *numbers):
    """Overwrite packets, but for their first bytes, with zeros."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in numbers:
        place, size = packets[number].pos, packets[number].size
        content[place + 4 : place + size] = bytes(size - 4)
    path.write_bytes(content)


def hide(path, *numbers):
    """Have packets of VP8 decoded, and not shown."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    for number in numbers:
        content[content.index(packets[number])] &= ~0x10  # the bit in a frame's tag
    path.write_bytes(content)


def seen(path, threads=1):
    """Times, damage, and what is said."""
    with VideoReader(path, threads=threads) as video:
        times = [round(frame.seconds, 3) for frame in video.timed()]
        return times, video.damaged, video.notes


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "2"}),
        ("a.mkv", "libx264", {"bf": "0"}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime"}),
        ("a.mov", "prores_ks", {}),
    ],
)
def test_several_threads_lose_no_more_than_one(tmp_path, name, codec, options):
    path = film(tmp_path / name, codec, options)
    whole = path.read_bytes()
    assert seen(path, 4) == seen(path) == ([round(0.04 * n, 3) for n in range(COUNT)], 0, [])
    for number in (1, 9, COUNT - 3, COUNT - 2, COUNT - 1):
        path.write_bytes(whole)
        damage(path, number)
        alone = seen(path)
        assert alone[1] > 0
        assert seen(path, 4) == alone


def test_frames_before_damage_at_the_end_of_a_long_film_come_once(tmp_path):
    path = film(tmp_path / "a.mp4", options={"bf": "2"}, count=200)
    damage(path, 199)
    times, damaged, notes = seen(path, 4)
    assert (len(times), damaged, notes) == (199, 1, ["1 damaged packet left out"])
    assert times == sorted(set(times))


@pytest.mark.parametrize("before", range(8))
def test_what_was_thrown_away_costs_no_more_than_threads_do(tmp_path, monkeypatch, before):
    """Where what is kept grows too large shortly before damage, no frame that waits is lost."""
    path = film(tmp_path / "a.webm", "libvpx-vp9", {"deadline": "realtime"}, count=100)
    with av.open(str(path)) as file:
        sizes = [packet.size for packet in file.demux(video=0) if packet.size]
    damage(path, 40)
    monkeypatch.setattr("uva_tf.core.decoder.MOST_KEPT", sum(sizes[: 40 - before]) - 1)
    times, damaged, _ = seen(path, 4)
    assert {round(0.04 * number, 3) for number in range(40)} <= set(times)
    assert damaged == seen(path)[1]


def test_a_film_of_which_nothing_is_kept_is_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr("uva_tf.core.decoder.MOST_KEPT", 0)
    path = film(tmp_path / "a.mp4", options={"bf": "0"})
    damage(path, 5)
    times, damaged, _ = seen(path, 4)
    assert len(times) > GROUP
    assert damaged > 0


@pytest.mark.parametrize(
    ("name", "codec", "options", "number", "lost"),
    [
        ("a.mp4", "libx265", HEVC, 0, GROUP),  # all up to the next key frame build on it
        ("a.mp4", "libx265", HEVC, 12, 12),  # a key frame, and what was to be shown before it
        ("a.mp4", "libx265", HEVC, COUNT - 1, 1),
        ("a.avi", "mpeg4", {"bf": "2"}, COUNT - 1, 1),
    ],
)
def test_what_a_decoder_leaves_out_without_a_word_is_counted(
    tmp_path, name, codec, options, number, lost
):
    path = film(tmp_path / name, codec, options)
    damage(path, number)
    times, damaged, notes = seen(path)
    assert (len(times), damaged) == (COUNT - lost, lost)
    frames = "1 frame" if lost == 1 else f"{lost} frames"
    assert f"{frames} missing: damaged, or built on damaged ones" in notes


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx265", HEVC),
        ("a.ts", "libx265", HEVC),
        ("a.ts", "libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
        ("a.ts", "libx264", {"x264-params": "intra-refresh=1"}),
        ("a.mkv", "libx264", {"x264-params": "open-gop=1:bframes=3"}),
        ("a.avi", "libx264", {"bf": "2"}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.ts", "mpeg2video", {"bf": "2"}),
        ("a.webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "12"}),
    ],
)
def test_nothing_is_said_of_a_sound_film(tmp_path, name, codec, options):
    path = film(tmp_path / name, codec, options)
    for threads in (1, 4):
        times, damaged, notes = seen(path, threads)
        assert (len(times), damaged) == (COUNT, 0)
        assert not [note for note in notes if "interlaced" not in note]


@pytest.mark.parametrize("threads", [1, 4])
def test_packets_that_show_no_frame_are_not_damaged(tmp_path, threads):
    # On several threads the encoder may wait for ever.
    path = film(tmp_path / "a.webm", "libvpx", {"deadline": "realtime", "threads": "1"})
    hide(path, 3, 12)
    times, damaged, notes = seen(path, threads)
    assert (len(times), damaged, notes) == (COUNT - 2, 0, [])


def test_a_recording_that_begins_between_key_frames_is_not_damaged(tmp_path):
    """As of a broadcast: what comes before its first key frame can't be shown."""
    film(tmp_path / "a.ts", options={"bf": "0"})
    with av.open(str(tmp_path / "a.ts")) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    start = packets[3].pos // TS * TS
    (tmp_path / "late.ts").write_bytes((tmp_path / "a.ts").read_bytes()[start:])
    times, damaged, notes = seen(tmp_path / "late.ts")
    assert (len(times), damaged) == (COUNT - GROUP, 0)
    assert notes == [f"{GROUP - 3} packets before the first key frame left out"]


def test_a_frame_of_which_a_part_is_lost_counts_as_damaged(tmp_path):
    path = film(tmp_path / "a.ts", options={"bf": "0"})
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    content, lost = path.read_bytes(), packets[10].pos // TS * TS + 3 * TS
    path.write_bytes(content[:lost] + content[lost + TS :])
    _, damaged, notes = seen(path)
    assert damaged > 0
    assert any("shown" in note for note in notes)


def test_two_recordings_in_one_are_not_damaged(tmp_path):
    whole = film(tmp_path / "a.ts", options={"bf": "0"}).read_bytes()
    (tmp_path / "b.ts").write_bytes(whole + whole)
    times, damaged, _ = seen(tmp_path / "b.ts")
    assert (len(times), damaged) == (2 * COUNT, 0)
