"""Streams from URLs: live ones are cut, come back and end; files on a server are read whole."""

import csv
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from servers import RATE, Encoder, HttpServer, Pipe, RtspServer, number_in

from uva_tf.core.errors import InputError
from uva_tf.core.urls import masked
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime import live
from uva_tf.runtime.live import FarReader, Lateness, LiveReader, Timeline
from uva_tf.runtime.streams import open_stream

pytestmark = pytest.mark.usefixtures("signals_are_not_ignored")


@pytest.fixture
def server():
    """An HttpServer, which is closed in the end."""
    made = HttpServer()
    yield made
    made.close()


@pytest.fixture
def opened():
    """`open_stream` of URLs, which are closed in the end."""
    streams = []

    def open_one(url, **options):
        streams.append(open_stream(url, **options))
        return streams[-1]

    yield open_one
    for stream in streams:
        stream.close()


@pytest.fixture
def hurried(monkeypatch):
    """Shorter time-outs and pauses."""
    for name, seconds in (("CONNECTING", 1.0), ("OPENING", 2.0), ("SILENCE", 1.0)):
        monkeypatch.setattr(live, name, seconds)
    monkeypatch.setattr(live, "PAUSES", (0.1, 0.2))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def encoded(kind, frames=20, begin=0.0):
    """A short file, as bytes."""
    parts = []
    pipe = Pipe(lambda part: parts.append(bytes(part)) or len(part))
    encoder = Encoder(pipe, kind, begin=begin)
    for _ in range(frames):
        encoder.write()
    encoder.close()
    return b"".join(parts)


def first_times(stream, count):
    frames = itertools.islice(stream.watched(stream.timed()), count)
    return [frame.seconds for frame in frames]


def predicting(*arguments, env=None):
    """A process that predicts with the shipped model."""
    return subprocess.Popen(
        [sys.executable, "-m", "uva_tf", "predict", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )


def rows_below(folder):
    """The rows of the CSV that is being written in a folder or was."""
    for path in folder.rglob("*.csv"):
        with path.open(newline="") as stream:
            return list(csv.DictReader(stream))
    return []


def until_rows(folder, count, process):
    deadline = time.monotonic() + 60
    while len(rows_below(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


# A live stream's times


def test_times_of_the_stream_are_kept():
    times = Timeline(10)
    shown = [times(90_000 + n / 25, 5 + 0.1 * n, n == 0) for n in range(5)]
    assert shown == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_a_gap_in_the_stream_is_a_gap_in_time():
    times = Timeline(10)
    assert [times(50.0, 0, True), times(50.04, 0.04, False)] == pytest.approx([0, 0.04])
    assert times(52.5, 2.6, True) == pytest.approx(2.5)  # the stream's clock went on
    assert times(0.0, 5.6, True) == pytest.approx(5.5)  # it begins again: the reader's clock
    assert times(0.04, 5.64, False) == pytest.approx(5.54)
    assert times(9999.0, 7.64, True) == pytest.approx(7.54)  # it is another clock
    assert times(9999.5, 7.7, False) == pytest.approx(8.04)


def test_a_clock_that_jumps_within_a_connection_is_not_followed():
    times = Timeline(10)
    times(10.0, 0, True)
    assert times(3000.0, 0.1, False) == pytest.approx(0.1)
    assert times(3000.1, 0.2, False) == pytest.approx(0.2)
    assert times(5.0, 0.3, False) == pytest.approx(0.3)
    assert times(5.04, 0.4, False) == pytest.approx(0.34)


def test_a_late_frame_is_shown_after_the_one_before():
    times = Timeline(10)
    shown = [times(t, now, now == 0) for now, t in enumerate([1.0, 1.12, 1.04, 1.16])]
    assert shown == pytest.approx([0, 0.12, 0.121, 0.16])


def test_frames_without_times_have_the_readers_clock():
    times = Timeline(10)
    assert [times(None, 7 + n, n == 0) for n in range(3)] == [0, 1, 2]
    assert (times.count, times.missing) == (3, 3)


# Reading live streams


def test_packets_that_stay_late_are_skipped_up_to_a_key_frame():
    lateness, skipped = Lateness(), []
    for number in range(1500):  # decoded at 20 of 25 frames/s; the sender's buffer is large
        now = number / 20 - sum(skipped) / 20.1  # skipping takes hardly any time
        now = max(now, number / 25)
        skipped.append(lateness.skips(100 + number / 25, now, number % 50 == 0))
    late = np.array(skipped)
    begins = np.flatnonzero(late[1:] > late[:-1])
    ends = np.flatnonzero(late[1:] < late[:-1]) + 1
    assert len(begins) > 3
    assert set(ends % 50) == {0}
    assert 0.1 < late.mean() < 0.5


def test_a_burst_after_a_break_is_not_skipped():
    lateness = Lateness()
    arrivals = [max(n / 25, 7 + n / 1000 if 4 < n / 25 < 7 else 0) for n in range(500)]
    assert not any(lateness.skips(n / 25, now, n % 50 == 0) for n, now in enumerate(arrivals))


def test_clocks_that_drift_or_jump_are_not_late():
    lateness = Lateness()
    times = [n / 25 * 1.0003 + 50 * (n > 20_000) - 70 * (n > 30_000) for n in range(100_000)]
    assert not any(lateness.skips(t, n / 25, False) for n, t in enumerate(times))
    lateness = Lateness()
    times = [n / 25 * 0.9997 for n in range(100_000)]
    assert not any(lateness.skips(t, n / 25, False) for n, t in enumerate(times))


@pytest.mark.parametrize("name", ["live.ts", "live.mp4", "live.webm"])
def test_a_live_stream_gives_its_frames_in_time(server, opened, name):
    stream = opened(server.url(name))
    assert isinstance(stream, LiveReader)
    assert (stream.width, stream.height, stream.rate) == (64, 48, RATE)
    times = np.array(first_times(stream, 35))
    assert times[0] == 0
    assert np.diff(times).min() > 0
    # Those after the burst of the start are the sender's, 1 / 25 s apart or multiples of it.
    steps = np.diff(times)[-10:] * RATE
    np.testing.assert_allclose(steps, np.rint(steps), atol=0.06)


def test_a_frame_comes_soon_after_it_was_sent(server, opened):
    stream, delays = opened(server.url("live.ts")), []
    for frame in itertools.islice(stream.timed(), 40):
        now, sent = time.monotonic(), server.encoder.sent
        newest = len(sent) - 1
        delays.append(now - sent[newest - (newest - number_in(frame.pixels)) % 24])
    assert np.median(delays[-10:]) < 0.2  # two frames of it are the container's


def test_a_closed_stream_leaves_no_thread_behind(server, opened):
    """Python may crash where one decodes while it ends."""
    before = set(threading.enumerate())
    stream = opened(server.url("live.ts"))
    next(stream.timed())
    stream.close()
    left = [one for one in set(threading.enumerate()) - before if "_run" in one.name]
    assert not left


def test_a_decoder_that_is_too_slow_does_not_fall_behind(server, opened, monkeypatch):
    monkeypatch.setattr(live, "LATE", 0.4)
    monkeypatch.setattr(live, "WHILE", 0.3)
    monkeypatch.setattr(live._Connection, "_look_at", lambda *_: time.sleep(0.08))
    stream, lags, begun = opened(server.url("live.ts")), [], time.monotonic()
    for frame in stream.timed():
        lags.append(time.monotonic() - begun - frame.seconds)
        if frame.seconds > 6:
            break
    assert max(lags) < 2  # without skipping it would be 3 and more
    assert stream.dropped > 20


def test_a_slow_reader_gets_new_frames_and_the_others_are_counted(server, opened):
    stream = opened(server.url("live.ts"))
    begun, frames = time.monotonic(), []
    for frame in stream.watched(stream.timed()):
        frames.append((frame.seconds, time.monotonic()))
        if len(frames) == 8:
            break
        time.sleep(0.25)
    lags = np.array([now - begun - seconds for seconds, now in frames])
    assert np.ptp(lags[1:]) < 0.3  # it does not fall behind
    sent = round(frames[-1][0] * RATE) + 1
    assert stream.dropped == pytest.approx(sent - 8, abs=8)  # some may wait
    assert stream.dropped > 20
    median, worst = stream.latency
    assert 240 <= median <= worst < 700


def test_frames_of_a_stream_that_is_cut_and_comes_back_rise_in_time(opened, hurried):
    server = HttpServer()
    stream = opened(server.url("live.ts"), reconnect=20)
    times, back = [], None
    for frame in stream.timed():
        times.append(frame.seconds)
        if len(times) == 15:
            server.close()
            time.sleep(1.2)
            server = HttpServer(server.port)  # its clock begins again
            server.size = 96, 48
        if back is None and stream.reconnections:
            back = len(times)
        if back and len(times) > back + 5:
            break
        assert (frame.width, frame.height) == frame.planes().y.shape[::-1] == (64, 48)
    server.close()
    steps = np.diff(times)
    assert steps.min() > 0
    assert steps.max() == pytest.approx(stream.blank, abs=0.2)
    assert 1.2 < stream.blank < 4
    assert "frames of 96x48 are resized to the first one's 64x48" in stream.notes
    assert "reconnections: 1, " in stream.notes[0]


def test_a_silent_connection_is_made_again(server, opened, hurried):
    server.stall = 30
    stream = opened(server.url("live.ts"), reconnect=10)
    for _ in stream.timed():
        if stream.reconnections:
            break
    assert server.connections == 2


def test_a_stream_that_stays_away_is_given_up(server, opened, hurried):
    stream = opened(server.url("live.ts"), reconnect=1)
    server.close()
    begun = time.monotonic()
    with pytest.raises(OSError, match=r"lost, and not back within 1 s: .*nothing listens"):
        list(stream.timed())
    assert time.monotonic() - begun < 4


def test_an_mpeg_stream_over_udp(opened):
    port, ended = free_port(), threading.Event()

    def send():
        encoder = Encoder(f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts")
        while not ended.wait(1 / RATE):
            encoder.write()
        encoder.close()

    threading.Thread(target=send, daemon=True).start()
    times = first_times(opened(f"udp://127.0.0.1:{port}"), 30)
    ended.set()
    assert np.diff(times).min() > 0
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE, abs=0.002)


def test_an_rtsp_stream_is_read_over_tcp(opened):
    server = RtspServer(password="me:secret")
    stream = opened(server.url(user="me:secret@"))
    times = first_times(stream, 30)
    server.close()
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE, abs=0.002)
    assert server.requests[-1] == "PLAY"
    assert stream.name == f"rtsp://***@127.0.0.1:{server.port}/live"


def test_a_live_playlist_is_read_piece_by_piece_and_nothing_is_dropped(server, opened):
    pieces = [encoded("mpegts", RATE, begin=10 + second) for second in range(8)]

    def publish():
        for newest in range(3, len(pieces)):
            server.files[f"{newest}.ts"] = pieces[newest]
            listed = "".join(f"#EXTINF:1,\n{one}.ts\n" for one in range(newest - 2, newest + 1))
            head = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{newest - 2}\n"
            end = "#EXT-X-ENDLIST\n" if newest == len(pieces) - 1 else ""
            server.files["live.m3u8"] = f"{head}{listed}{end}".encode()
            published.set()
            time.sleep(1)

    server.files |= {f"{one}.ts": pieces[one] for one in range(3)}
    published = threading.Event()
    threading.Thread(target=publish, daemon=True).start()
    published.wait()
    stream = opened(server.url("live.m3u8"))
    assert isinstance(stream, LiveReader)
    times = [frame.seconds for frame in stream.timed()]
    assert times[-1] > 4
    np.testing.assert_allclose(np.diff(times), 1 / RATE, atol=0.001)
    assert stream.dropped == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_a_certificate_that_is_not_trusted_is_refused(opened, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server, camera = HttpServer(context=context), RtspServer(context=context)
    server.files["clip.ts"] = encoded("mpegts")
    file, stream = server.url("clip.ts").replace("http", "https"), camera.url().replace("p", "ps")
    for url in (file, stream):
        with pytest.raises(InputError, match="SSL_CERT_FILE"):
            opened(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert len(list(opened(file).timed())) == 20
    assert opened(stream).width == 64
    server.close()
    camera.close()


# Files on a server


@pytest.mark.parametrize("kind", ["mp4", "webm", "mpegts"])
def test_a_file_on_a_server_is_read_whole(server, opened, tmp_path, kind):
    server.files["clip"] = encoded(kind)
    (tmp_path / "clip").write_bytes(server.files["clip"])
    stream = opened(server.url("clip"))
    assert isinstance(stream, FarReader)
    frames = [(frame.seconds, frame.pixels) for frame in stream.timed()]
    with VideoReader(tmp_path / "clip") as video:
        here = [(frame.seconds, frame.pixels) for frame in video.timed()]
    assert len(frames) == 20
    for (far, there), (near, pixels) in zip(frames, here, strict=True):
        assert far == near
        np.testing.assert_array_equal(there, pixels)


KINDS = ["mp4", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("webm", "mpegts"))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_on_a_server_goes_on_after_a_cut(server, opened, kind):
    server.files["clip"] = encoded(kind, 2000)
    server.cut = len(server.files["clip"]) * 2 // 3
    assert len(list(opened(server.url("clip")).timed())) == 2000
    assert server.connections > 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_on_a_server_that_is_gone_is_no_whole_file(server, opened, hurried, kind):
    server.files["clip"] = encoded(kind, 2000)
    server.most = len(server.files["clip"]) // 2
    stream = opened(server.url("clip"), reconnect=1)
    with pytest.raises(OSError, match=r"(nothing came in time|the connection was lost)"):
        list(stream.timed())


# What can't be read


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}/none", "the server does not know it (404)"),
        ("http://127.0.0.1:{port}/text", "no video that FFmpeg knows came"),
        ("http://127.0.0.1:{port}/list.m3u8", "no frame can be read"),
        ("http://127.0.0.1:{free}/x", "nothing listens there"),
        ("rtsp://me:secret@127.0.0.1:{free}/x", "rtsp://***@127.0.0.1"),
        ("rtmp://127.0.0.1:{free}/x/y", "nothing listens there"),
        ("rtmp://127.0.0.1:{port}/x/y", "the connection was closed"),
        ("rtsp://127.0.0.1:{port}/x", "no video"),
        ("file:///etc/passwd", "before ://, give a file by its path"),
        ("ftp://127.0.0.1/x", "expected http, https, rtmp,"),
    ],
)
def test_what_cant_be_read_is_refused_in_one_line(server, call, url, words):
    server.files["text"] = b"<html>not a video</html>" * 20
    server.files["list.m3u8"] = (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    )
    url = url.format(port=server.port, free=free_port())
    result = call("tflite/predict.py", url)
    assert_refused(result, words)
    assert "secret" not in result[2]


def test_silence_on_opening_is_refused_in_time(opened, hurried):
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url in (
            f"http://127.0.0.1:{silent.getsockname()[1]}/x",
            f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x",
            f"udp://127.0.0.1:{free_port()}",
        ):
            with pytest.raises(
                InputError, match=f"^{url}: .*(nothing|no video that FFmpeg knows) came"
            ):
                opened(url)
    assert time.monotonic() - begun < 6


def test_a_playlist_opens_no_file(server, opened, tmp_path, hurried):
    clip = tmp_path / "clip.ts"
    clip.write_bytes(encoded("mpegts"))
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\n"
    server.files["far.m3u8"] = f"{head}{server.url('clip.ts')}\n#EXT-X-ENDLIST\n".encode()
    server.files["near.m3u8"] = f"{head}file://{clip}\n#EXT-X-ENDLIST\n".encode()
    server.files["clip.ts"] = clip.read_bytes()
    assert len(list(opened(server.url("far.m3u8")).timed())) == 20
    with pytest.raises(InputError):
        opened(server.url("near.m3u8"))


def test_a_redirection_opens_no_file(server, opened, tmp_path):
    server.files["clip.ts"] = encoded("mpegts")
    (tmp_path / "clip.ts").write_bytes(server.files["clip.ts"])
    server.redirects["far"] = server.url("clip.ts")
    server.redirects["near"] = f"file://{tmp_path}/clip.ts"
    assert len(list(opened(server.url("far")).timed())) == 20
    with pytest.raises(InputError):
        opened(server.url("near"))


@pytest.mark.parametrize("option", [("--reconnect", "5"), ("--rtsp-transport", "udp")])
def test_options_for_urls_are_refused_for_files(call, option):
    assert_refused(call("tflite/predict.py", "clip.mp4", *option), "are for a URL")


def test_passwords_and_keys_are_masked():
    assert masked("rtsp://me:p@ss@host/a?b=1") == "rtsp://***@host/a?b=1"
    assert (
        masked("http://host/a?user=me&password=x&b=1") == "http://host/a?user=***&password=***&b=1"
    )
    assert masked("http://host:80/a@b") == "http://host:80/a@b"


# Recordings


def test_ctrl_c_ends_a_live_recording_well(server, tmp_path):
    server.sound = True
    outputs = ["--overlay", tmp_path / "o.mp4", "--csv", tmp_path / "o.csv"]
    process = predicting(server.url("live.ts"), *outputs)
    until_rows(tmp_path, 30, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    rows = rows_below(tmp_path)
    with VideoReader(tmp_path / "o.mp4") as video:
        times = [frame.seconds for frame in video.timed()]
    # The frame that was written when the signal came may lack its picture.
    assert len(rows) - len(times) in (0, 1)
    np.testing.assert_allclose(
        times, [float(row["seconds"]) for row in rows][: len(times)], atol=0.001
    )
    assert "note: live: frames dropped: " in out
    assert ", from decoded to finished: median " in out
    assert "note: no sound: it is read only from files" in out


@pytest.mark.parametrize("path", ["live.ts", "clip"])
def test_ctrl_c_ends_a_wait_for_a_silent_sender(server, tmp_path, path):
    """Of a file on a server too, which is cut short here: 0 is a live recording's alone."""
    server.stall = 60
    server.files["clip"] = encoded("mpegts", 2000)
    server.most = len(server.files["clip"]) // 2
    process = predicting(server.url(path), "--csv", tmp_path / "o.csv")
    until_rows(tmp_path, 20, process)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - begun < 2
    assert process.returncode == (0 if path == "live.ts" else 1), err
    assert len(rows_below(tmp_path)) >= 20


def test_ctrl_c_while_connecting_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        process = predicting(url, "--csv", tmp_path / "o.csv")
        with silent.accept()[0]:
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            _, err = process.communicate(timeout=10)
    assert time.monotonic() - begun < 2
    assert (process.returncode, err) == (1, "interrupted\n")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_reconnecting_completes_the_recording(server, tmp_path):
    process = predicting(server.url("live.ts"), "--csv", tmp_path / "o.csv")
    until_rows(tmp_path, 10, process)
    server.close()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - begun < 2
    assert process.returncode == 0, err


def test_a_stream_that_is_given_up_leaves_its_frames(server, tmp_path):
    outputs = ["--overlay", tmp_path / "o.mp4", "--csv", tmp_path / "o.csv"]
    process = predicting(server.url("live.ts"), *outputs, "--reconnect", "1")
    until_rows(tmp_path, 10, process)
    server.close()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith(f"failed: {server.url('live.ts')}: lost, and not back within 1 s: ")
    assert "finished frames are in" in err
    with VideoReader(tmp_path / "o.mp4") as video:
        assert len(list(video)) == len(rows_below(tmp_path)) >= 10


@pytest.mark.parametrize("suffix", ["mp4", "webm", "mkv"])
def test_a_killed_live_recording_can_be_played(server, tmp_path, suffix):
    outputs = ["--overlay", tmp_path / f"o.{suffix}", "--csv", tmp_path / "o.csv"]
    process = predicting(server.url("live.ts"), *outputs)
    until_rows(tmp_path, 75, process)
    process.kill()
    process.communicate()
    (left,) = tmp_path.glob(f".o.{suffix}.*/o.{suffix}")  # beside the place that it was meant for
    with VideoReader(left) as video:
        times = [frame.seconds for frame in video.timed()]
    assert times[-1] > float(rows_below(tmp_path)[-1]["seconds"]) - 2


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *[("o.mp4", codec) for codec in ("h264", "h265", "av1")],
        *[("o.mkv", "h264"), ("o.webm", "vp9")],
    ],
)
def test_a_live_file_grows_every_second(tmp_path, name, codec):
    path, lags = tmp_path / name, []
    with VideoWriter(path, 25, 64, 48, codec=codec, live=True) as writer:
        for number in range(200):
            # An uneven rate, from which an encoder that reorders frames would shift the first.
            writer.write(np.full((48, 64, 3), number, np.uint8), number / 25 + 0.5 * (number > 0))
            if number >= 100 and number % 10 == 0:
                with VideoReader(path) as video:
                    times = [frame.seconds for frame in video.timed()]
                assert times[0] == 0
                lags.append(number / 25 + 0.5 - times[-1])
    assert max(lags) < 3, lags  # AV1 is coded in groups of a second


def resident(process):
    """MB of memory that a process holds."""
    with Path(f"/proc/{process.pid}/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_long_recording_does_not_grow(server, tmp_path):
    """UVA_TF_LIVE_SECONDS asks for more than two minutes."""
    server.size = 640, 360
    outputs = ["--overlay", tmp_path / "o.mp4", "--csv", tmp_path / "o.csv"]
    process = predicting(server.url("live.ts"), *outputs)
    until_rows(tmp_path, 500, process)
    held = [resident(process)]
    for _ in range(int(os.environ.get("UVA_TF_LIVE_SECONDS", "120")) // 10):
        time.sleep(10)
        held.append(resident(process))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    print(out, [round(one, 1) for one in held])
    assert process.returncode == 0, err
    assert held[-1] - held[0] < 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_minute_of_a_stream_that_is_cut_and_ended_by_ctrl_c(tmp_path, kind):
    make = {"http": HttpServer, "rtsp": RtspServer}[kind]
    server = make()
    outputs = ["--overlay", tmp_path / "o.mp4", "--csv", tmp_path / "o.csv"]
    process = predicting(server.url("live.ts"), *outputs)
    until_rows(tmp_path, 30 * RATE, process)
    server.close()
    cut = len(rows_below(tmp_path))
    time.sleep(3)
    server = make(server.port)
    until_rows(tmp_path, 60 * RATE, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    server.close()
    print(out)
    assert process.returncode == 0, err
    times = np.array([float(row["seconds"]) for row in rows_below(tmp_path)])
    steps = np.diff(times)
    assert steps.min() > 0
    assert 3 < steps.max() < 8
    assert abs(steps.argmax() - cut) < 10
    assert "reconnections: 1, " in out
    median, _ = map(int, re.search(r"median (\d+) ms, worst (\d+) ms", out).groups())
    assert median < 200
    with VideoReader(tmp_path / "o.mp4") as video:
        shown = [frame.seconds for frame in video.timed()]
    np.testing.assert_allclose(shown, times[: len(shown)], atol=0.001)
    assert len(times) - len(shown) in (0, 1)
