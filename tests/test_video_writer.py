"""Overlay videos: codecs, times, sound, odd sides, and what ends a recording early."""

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Colours, Frame
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import CODECS, CONTAINERS, VideoWriter, check_codec
from uva_tf.runtime.overlay import heat

TICK = Fraction(1, 12_800)


def grey(value, seconds=0.0, width=64, height=48):
    return Frame(np.full((height, width, 3), value, np.uint8), seconds)


def with_sound(path, sound="aac", video="libx264", seconds=2, start=0.0, rate=48_000):
    """A film of 25 frames a second, whose tone begins `start` seconds before its first frame."""
    with av.open(str(path), "w") as file:
        film = file.add_stream(video, rate=25)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        tone = file.add_stream(sound, rate=rate)
        tone.layout = "mono"
        file.start_encoding()
        wave = np.sin(np.arange(int((seconds + start) * rate)) / 20).astype(np.float32)
        resampler = av.AudioResampler(
            tone.format, tone.layout, tone.rate, tone.codec_context.frame_size or None
        )
        whole = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        whole.rate, whole.pts = rate, 0
        for piece in [*resampler.resample(whole), *resampler.resample(None)]:
            file.mux(tone.encode(piece))
        for number in range(25 * seconds):
            frame = grey(number % 250).video()
            frame.pts, frame.time_base = round((start + number / 25) * 12_800), TICK
            file.mux(film.encode(frame))
        file.mux(film.encode(None))
        file.mux(tone.encode(None))
    return path


def sound_packets(path):
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def times(path):
    with VideoReader(path) as video:
        return [frame.seconds for frame in video.timed()]


def copy(source, target, count=None, **options):
    """Write a video's frames into another; returns its writer."""
    with VideoReader(source) as video:
        writer = VideoWriter(
            target,
            video.rate,
            video.width,
            video.height,
            tick=video.tick,
            colours=video.colours,
            **options,
        )
        with writer:
            for number, frame in enumerate(video.timed()):
                if number == count:
                    break
                writer.write(frame)
    return writer


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", c) for c in CODECS if c != "vp9"] + [("a.webm", "vp9")]
)
def test_of_every_codec_comes_back(tmp_path, name, codec):
    shown = [0.0, 0.04, 0.12, 0.2]
    with VideoWriter(tmp_path / name, 25, 64, 48, tick=Fraction(1, 1000), codec=codec) as writer:
        for value, seconds in zip((40, 80, 160, 220), shown, strict=True):
            writer.write(grey(value, seconds))
    with VideoReader(tmp_path / name) as video:
        frames = list(video.timed())
        stream = video._stream
    assert stream.codec_context.name == {"h265": "hevc", "av1": "libdav1d"}.get(codec, codec)
    assert stream.codec_context.pix_fmt == "yuv420p"
    means = [frame.pixels.mean() for frame in frames]
    assert means == pytest.approx([40, 80, 160, 220], abs=5)
    assert [frame.seconds for frame in frames] == pytest.approx(shown, abs=0.001)


@pytest.mark.parametrize("count", [1, 2])
def test_a_film_of_a_frame_or_two_is_written(tmp_path, count):
    for turn in range(6):  # by chance it was not
        path = tmp_path / f"{turn}.mp4"
        with VideoWriter(path, 25, 64, 48, codec="h265", preset="superfast") as writer:
            for number in range(count):
                writer.write(grey(50, number / 25))
        assert times(path) == pytest.approx([0, 0.04][:count])


def test_frames_within_a_tick_delay_no_others(tmp_path):
    shown = [0.0, 0.02, 0.03, 0.04, 0.08, 0.12]
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48, tick=Fraction(1, 25)) as writer:
        for seconds in shown:
            writer.write(grey(50, seconds))
    assert times(tmp_path / "a.mp4") == pytest.approx(shown)


def test_a_pause_of_minutes_is_kept_whatever_the_input_counts_in(tmp_path):
    shown = [0.0, 0.04, 300.0, 300.04]
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48, tick=Fraction(1, 10**7)) as writer:
        for seconds in shown:
            writer.write(grey(50, seconds))
    assert times(tmp_path / "a.mp4") == pytest.approx(shown)


def lasts(path):
    """Until when a file's frames are shown, in seconds."""
    with av.open(str(path)) as file:
        return max((p.pts + p.duration) * p.time_base for p in file.demux(video=0) if p.size)


def shown_for(lengths, stated):
    """Frames of uneven lengths, in seconds, as a decoder states them."""
    begin, tick = 0.0, Fraction(1, 1000)
    for length, said in zip(lengths, stated, strict=True):
        video = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="bgr24")
        video.duration, video.time_base = round(said / tick), tick
        yield Frame(decoded=video, seconds=begin)
        begin += length


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize(
    ("lengths", "stated", "whole"),
    [
        ([0.1, 0.1, 3.0, 0.04], None, 3.24),
        ([0.1, 0.1, 0.1, 3.0], None, 3.3),
        ([9.0, 0.1, 0.1], [0, 0, 0], 9.2),  # the mean is 3.1 s, but the one before lasted 0.1
        ([0.1, 9.0, 0.1], [0.1, 0.1, 8.0], 9.2),  # as an MP4 with B-frames states them
    ],
)
def test_the_last_frame_is_shown_as_long_as_in_the_input(tmp_path, codec, lengths, stated, whole):
    rate = len(lengths) / sum(lengths)
    with VideoWriter(tmp_path / "a.mp4", rate, 64, 48, codec=codec) as writer:
        for frame in shown_for(lengths, stated or lengths):
            writer.write(heat(frame, np.zeros((8, 8), np.uint8)))
    assert lasts(tmp_path / "a.mp4") == pytest.approx(whole)


@pytest.mark.parametrize("options", [{"codec": "h265"}, {"preset": "medium"}])
def test_frames_in_another_order_of_decoding_last_as_long(tmp_path, options):
    lengths = [0.1, 0.3, 0.05, 0.2] * 6 + [3.0]
    with VideoWriter(tmp_path / "a.mp4", 3.6, 64, 48, **options) as writer:
        for frame in shown_for(lengths, lengths):
            writer.write(heat(frame, np.zeros((8, 8), np.uint8)))
    with av.open(str(tmp_path / "a.mp4")) as file:
        (stream,) = file.streams.video
        whole = file.duration / av.time_base, float(stream.duration * stream.time_base)
    assert whole == pytest.approx((sum(lengths),) * 2, abs=0.3)


def test_the_index_of_an_mp4_comes_first(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48) as writer:
        writer.write(grey(9))
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("source", "sound", "video", "target"),
    [
        ("in.mp4", "aac", "libx264", "out.mp4"),
        ("in.webm", "libopus", "libvpx-vp9", "out.webm"),
        ("in.webm", "libopus", "libvpx-vp9", "out.mp4"),
        ("in.mkv", "pcm_s16le", "libx264", "out.mkv"),
        ("in.mp4", "aac", "libx264", "out.mov"),
    ],
)
def test_sound_is_copied_bit_for_bit(tmp_path, source, sound, video, target):
    made = with_sound(tmp_path / source, sound, video)
    writer = copy(made, tmp_path / target, sound_of=made)
    assert (writer.copied, writer.notes) == (True, [])
    assert sound_packets(tmp_path / target) == sound_packets(made)
    assert times(tmp_path / target) == pytest.approx(times(made), abs=0.001)


def test_sound_that_the_container_does_not_take_is_encoded_again_and_said(tmp_path):
    made = with_sound(tmp_path / "in.mkv", "pcm_s16le")
    writer = copy(made, tmp_path / "out.webm", sound_of=made)
    assert not writer.copied
    assert writer.notes == ["sound encoded again, as opus: .webm takes no pcm_s16le"]
    with av.open(str(tmp_path / "out.webm")) as file:
        heard = np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)])
    assert len(heard) / 48_000 == pytest.approx(2, abs=0.1)
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_a_film_that_starts_after_its_sound_stays_in_step(tmp_path):
    made = with_sound(tmp_path / "in.mp4", start=1.0)
    assert times(made)[0] == pytest.approx(1)
    copy(made, tmp_path / "out.mp4", sound_of=made)
    assert times(tmp_path / "out.mp4") == pytest.approx(times(made))
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(made)


def test_sound_ends_with_the_frames(tmp_path):
    made = with_sound(tmp_path / "in.mp4")
    copy(made, tmp_path / "out.mp4", count=25, sound_of=made)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.duration / av.time_base == pytest.approx(1, abs=0.05)


def test_odd_sides_are_padded_and_said_or_kept(tmp_path):
    for name, size, notes in (
        ("a.mp4", (854, 480), ["853x479 padded to 854x480: libx264 needs even sides"]),
        ("a.webm", (853, 479), []),
    ):
        with VideoWriter(tmp_path / name, 25, 853, 479) as writer:
            writer.write(grey(50, width=853, height=479))
        assert writer.notes == notes
        with VideoReader(tmp_path / name) as video:
            assert (video.width, video.height) == size


def test_pixels_keep_their_aspect(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48, pixel_aspect=Fraction(16, 11)) as writer:
        writer.write(grey(50))
    with VideoReader(tmp_path / "a.mp4") as video:
        assert video.pixel_aspect == Fraction(16, 11)


def test_less_quality_makes_a_smaller_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    sizes = []
    for quality in (10, 45):
        path = tmp_path / f"{quality}.mp4"
        with VideoWriter(path, 25, 64, 48, quality=quality) as writer:
            writer.write(noise)
        sizes.append(path.stat().st_size)
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.gif", {}, "a.gif: expected a name that ends in .mp4, .m4v, .mov, .mkv, .webm"),
        ("a.webm", {"codec": "h264"}, ".webm does not take h264, expected vp9 or av1"),
        ("a.mov", {"codec": "av1"}, ".mov does not take av1, expected h264 or h265"),
        ("a.mp4", {"quality": 52}, "quality 52: expected 0 to 51 for h264, less is better"),
        ("none/a.mp4", {}, "can't be written as 64x48"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, options, words):
    with pytest.raises(InputError) as caught:
        VideoWriter(tmp_path / name, 25, 64, 48, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_container_takes_the_sound_that_replaces_others():
    for suffix, (codecs, sounds) in CONTAINERS.items():
        assert set(codecs) <= set(CODECS), suffix
        assert sounds[0] in ("aac", "opus")
        assert check_codec(Path(f"a{suffix}")) == codecs[0]


ENCODERS = {"mp3": "libmp3lame", "opus": "libopus", "dts": None, "vorbis": None}


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_takes_the_sound_that_it_lists(tmp_path, suffix):
    for sound in CONTAINERS[suffix][1]:
        if encoder := ENCODERS.get(sound, sound):
            made = with_sound(tmp_path / f"{sound}.mkv", encoder, seconds=1)
            writer = copy(made, tmp_path / f"{sound}{suffix}", sound_of=made)
            assert (writer.copied, writer.notes) == (True, []), sound


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_takes_the_codecs_that_it_lists(tmp_path, suffix):
    for codec in CONTAINERS[suffix][0]:
        with VideoWriter(tmp_path / f"{codec}{suffix}", 25, 64, 48, codec=codec) as writer:
            for number in range(5):
                writer.write(grey(50, number / 25))
        assert len(times(tmp_path / f"{codec}{suffix}")) == 5


@pytest.mark.parametrize(
    ("sound", "rate", "suffix", "name"),
    [
        ("libopus", 48_000, ".mov", "opus"),
        ("flac", 48_000, ".mov", "flac"),
        ("libmp3lame", 8_000, ".mp4", "mp3 of 8000 Hz"),
        ("libmp3lame", 8_000, ".m4v", "mp3 of 8000 Hz"),
    ],
)
def test_sound_that_ffmpeg_does_not_write_there_is_encoded_again(
    tmp_path, sound, rate, suffix, name
):
    made = with_sound(tmp_path / "in.mkv", sound, rate=rate, seconds=1)
    writer = copy(made, tmp_path / f"out{suffix}", sound_of=made)
    assert writer.notes == [f"sound encoded again, as aac: {suffix} takes no {name}"]
    assert sound_packets(tmp_path / f"out{suffix}")


LIVE = """
import sys, time
import numpy as np
from pathlib import Path
from uva_tf.core.video_writer import VideoWriter
noise = np.random.default_rng(0)
with VideoWriter(Path(sys.argv[1]), 25, 64, 48, live=True) as writer:
    for number in range(10**6):
        writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        print(number, flush=True)
"""


def test_a_live_file_plays_after_a_kill(tmp_path):
    path = tmp_path / "live.mp4"
    child = subprocess.Popen([sys.executable, "-c", LIVE, path], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) == 600:
            os.kill(child.pid, signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()
    assert len(times(path)) > 200


@pytest.mark.parametrize(
    "colours", [Colours(1, 1, 1, 1), Colours(5, 2, 5, 6), Colours(9, 1, 9, 16), Colours(2, 1)]
)
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p"])
def test_colours_stay_as_the_input_states_them(tmp_path, colours, layout):
    source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as file:
        film = file.add_stream("libx264", rate=25, options={"crf": "1"})
        film.width, film.height, film.pix_fmt = 64, 48, layout
        context = film.codec_context
        context.colorspace, context.color_range = colours.space, colours.range
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        video = av.VideoFrame(64, 48, layout)
        for plane, level in zip(video.planes, (200, 90, 150), strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        video.pts, video.time_base = 0, TICK
        file.mux(film.encode(video))
        file.mux(film.encode(None))
    copy(source, target)
    with VideoReader(target) as video:
        assert video.colours == colours
        planes = next(video.timed()).planes()
    assert [round(float(plane.mean())) for plane in planes[:3]] == pytest.approx(
        [200, 90, 150], abs=1
    )


@pytest.mark.parametrize(("codec", "rate"), [("pcm_s16le", 37_800), ("mp2", 44_100)])
def test_sound_of_any_rate_is_encoded_again_in_even_packets(tmp_path, codec, rate):
    made = with_sound(tmp_path / "in.avi", codec, "mpeg4", rate=rate)
    writer = copy(made, tmp_path / "out.mp4", sound_of=made)
    assert not writer.copied
    with av.open(str(tmp_path / "out.mp4")) as file:
        packets = [p for p in file.demux(audio=0) if p.size]
        assert len({p.duration for p in packets[1:-1]}) == 1
        assert sum(p.duration * p.time_base for p in packets) == pytest.approx(2, abs=0.1)


def test_mp3_is_copied(tmp_path):
    made = with_sound(tmp_path / "in.avi", "libmp3lame", "mpeg4", rate=44_100)
    assert copy(made, tmp_path / "out.mp4", sound_of=made).copied
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(made)


def test_sound_whose_times_step_back_costs_the_pictures_nothing(tmp_path):
    made = with_sound(tmp_path / "in.ts")
    twice = tmp_path / "twice.ts"
    twice.write_bytes(2 * made.read_bytes())
    with (
        VideoReader(twice) as video,
        VideoWriter(
            tmp_path / "out.mp4", video.rate, 64, 48, tick=video.tick, sound_of=twice
        ) as writer,
    ):
        frames = list(video.timed())
        for frame in frames:
            writer.write(frame)
    count = len(frames)
    assert count > 60
    assert len(times(tmp_path / "out.mp4")) == count
    assert any("times step back" in note for note in writer.notes)
