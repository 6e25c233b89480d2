"""Regions of interest: where they lie, how they are kept, and that an encoder heeds them."""

import csv

import av
import cv2
import numpy as np
import pytest
from conftest import assert_refused

from uva_tf.bench.regions import Point, saved
from uva_tf.core.errors import InputError
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.fixations import density_map
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.regions import BLOCK, MOST, QUANTISERS, Attach, Region, read_regions, regions

SIZES = [(1280, 720), (416, 240), (853, 479), (17, 1000), (7680, 4320), (5, 3), (16, 16)]

HEAD = "frame,seconds,x,y,width,height,qoffset"


def blob(x, y, sigma=0.05):
    return density_map(np.array([[x, y]]), 64, 64, sigma)


def covered(found, width, height):
    """How often each pixel is covered, `[height, width]`."""
    count = np.zeros((height, width), int)
    for one in found:
        count[one.y : one.y + one.height, one.x : one.x + one.width] += 1
    return count


def at(found, x, y):
    """The offset in quantiser steps at a pixel."""
    (one,) = [
        one for one in found if one.x <= x < one.x + one.width and one.y <= y < one.y + one.height
    ]
    return round(one.qoffset * QUANTISERS)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_uniform_map_asks_for_nothing(value):
    uniform = np.full((64, 64), value, np.uint8)
    assert regions(uniform, 1280, 720) == [Region(0, 0, 1280, 720, 0)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("kind", ["blob", "noise"])
def test_regions_tile_the_frame_in_whole_blocks(width, height, kind):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    found = regions(blob(0.3, 0.6) if kind == "blob" else noise, width, height)
    assert 1 <= len(found) <= MOST
    small = width * height < 10**7
    assert not small or (covered(found, width, height) == 1).all()
    assert sum(one.width * one.height for one in found) == width * height
    for one in found:
        assert one.x % BLOCK == one.y % BLOCK == 0
        assert one.width % BLOCK == 0 or one.x + one.width == width
        assert one.height % BLOCK == 0 or one.y + one.height == height
    assert found == sorted(found, key=lambda one: (one.y, one.x))


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.1, 0.9), (0.85, 0.3)])
def test_where_people_look_is_finer_and_elsewhere_coarser(x, y):
    found = regions(blob(x, y), 1280, 720)
    assert at(found, x * 1280, y * 720) < 0
    assert at(found, (1 - x if x != 0.5 else 0.01) * 1280, (0.99 if y < 0.5 else 0.01) * 720) > 0


def test_offsets_are_three_steps_for_each_halving_of_the_weight():
    halves = np.zeros((64, 64), np.uint8)
    halves[:, :32] = 255
    # Weights 1 + 1/3 and 1/3: a fourth, so 6 steps; the half that is looked at stays as it is.
    assert regions(halves, 640, 320, floor=1 / 3) == [
        Region(0, 0, 320, 320, 0),
        Region(320, 0, 320, 320, round(6 / QUANTISERS, 4)),
    ]


def test_the_mean_offset_over_what_is_looked_at_is_0():
    attention = blob(0.4, 0.4, 0.1)
    found = regions(attention, 1280, 720)
    large = cv2.resize(attention, (1280, 720))
    offsets = np.zeros_like(large)
    for one in found:
        offsets[one.y : one.y + one.height, one.x : one.x + one.width] = one.qoffset * QUANTISERS
    assert abs((offsets * large).sum() / large.sum()) < 0.3  # they are rounded to whole steps


def test_scale_and_type_of_the_map_do_not_matter():
    attention = np.rint(255 * blob(0.2, 0.2) / blob(0.2, 0.2).max()).astype(np.uint8)
    assert regions(attention, 640, 360) == regions(attention / 17, 640, 360)


@pytest.mark.parametrize(
    ("attention", "size", "floor"),
    [
        (np.zeros((4, 4, 3), np.uint8), (64, 36), 0.1),
        (np.full((4, 4), -1.0), (64, 36), 0.1),
        (np.full((4, 4), np.nan), (64, 36), 0.1),
        (np.ones((4, 4)), (64, 0), 0.1),
        (np.ones((4, 4)), (64, 36), 0),
        (np.ones((4, 4)), (64, 36), float("nan")),
    ],
)
def test_other_arguments_are_refused(attention, size, floor):
    with pytest.raises(ValueError, match="expected"):
        regions(attention, *size, floor)


@pytest.fixture
def table(tmp_path):
    """A function that writes a table of rows, under its head, and gives its path."""

    def write(*rows, head=HEAD):
        path = tmp_path / "regions.csv"
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    return write


def test_a_table_is_read_as_it_was_written(table):
    path = table("1,0.000,0,0,64,36,0", "2,0.040,0,0,32,36,-0.5", "2,0.040,32,0,32,36,0.0196")
    assert list(read_regions(path, 64, 36)) == [
        [Region(0, 0, 64, 36, 0)],
        [Region(0, 0, 32, 36, -0.5), Region(32, 0, 32, 36, 0.0196)],
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,0,0,0,64,36", "line 2: 6 cells, expected 7"),
        ("1,0,0,0,64,36,0,0", "line 2: 8 cells, expected 7"),
        ("2,0,0,0,64,36,0", "line 2: frame 2 after frame 0"),
        ("0,0,0,0,64,36,0", "line 2: frame 0 after frame 0"),
        ("1,0,0,0,64,36,1.5", "qoffset is 1.5, expected -1 to 1"),
        ("1,0,0,0,64,36,nan", "qoffset is 'nan', expected a decimal number"),
        ("1,0,0,0,64,36,1e-1", "qoffset is '1e-1'"),
        ("1,0,-16,0,64,36,0", "x is '-16', expected a whole number"),
        ("1,0,0,0,0,36,0", "0x36 pixels at 0,0 are not inside the 64x36 frame"),
        ("1,0,16,0,64,36,0", "64x36 pixels at 16,0 are not inside the 64x36 frame"),
        ("1,0,0,0,999999999,36,0", "are not inside"),
        ("1,0,0,0,9999999999,36,0", "width is '9999999999'"),
        ("1,0,0,0,٦٤,36,0", "expected a whole number"),
        ("1,0,0,0,64:x=3,36,0", "expected a whole number"),
        ("1," + "0" * 5000, "line 2: 2 cells, expected 7"),
        ("", "line 2: 1 cells, expected 7"),
    ],
)
def test_broken_rows_are_refused(table, row, words):
    with pytest.raises(InputError, match=r"regions\.csv line ") as caught:
        list(read_regions(table(row), 64, 36))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_gaps_and_too_many_regions_are_refused(table):
    row = "1,0,0,0,16,16,0.1"
    with pytest.raises(InputError, match="line 3: frame 3 after frame 1"):
        list(read_regions(table(row, "3,0,0,0,16,16,0.1"), 64, 36))
    with pytest.raises(InputError, match="line 258: more than 256 regions in frame 1"):
        list(read_regions(table(*[row] * 257), 64, 36))
    with pytest.raises(InputError, match="no regions in it"):
        list(read_regions(table(), 64, 36))
    with pytest.raises(InputError, match="expected frame,seconds,x,y,"):
        list(read_regions(table(row, head="a,b"), 64, 36))


def test_a_frame_carries_its_regions_and_only_its_own():
    attach = Attach()
    frame = av.VideoFrame.from_ndarray(np.full((36, 64, 3), 90, np.uint8), "bgr24")
    frame.pts = 7
    some = [Region(0, 0, 32, 36, -0.2), Region(32, 0, 32, 16, 0.5), Region(32, 16, 32, 20, 0)]
    for found, count in ((some, 2), (some[:1], 1), ([], 0), (some, 2)):
        made = attach(frame, found)
        carried = [bytes(one) for one in made.side_data]
        ints = [np.frombuffer(one, np.int32).reshape(-1, 7) for one in carried]
        assert sum(map(len, ints)) == count
        assert made.pts == 7
        for row, one in zip(np.concatenate([*ints, np.zeros((0, 7), int)]), found, strict=False):
            size, top, bottom, left, right, num, den = row  # AVRegionOfInterest
            assert (size, top, bottom) == (28, one.y, one.y + one.height)
            assert (left, right) == (one.x, one.x + one.width)
            assert num / den == pytest.approx(one.qoffset)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A clip of smooth noise, 160x96, 8 frames."""
    path = tmp_path_factory.mktemp("noisy") / "noisy.mp4"
    rng = np.random.default_rng(1)
    with VideoWriter(path, 25, 160, 96) as writer:
        for _ in range(8):
            small = rng.integers(0, 256, (48, 80, 3), np.uint8)
            writer.write(cv2.resize(small, (160, 96)))
    return path


@pytest.fixture
def encode(script_of, capfd):
    def run(*arguments):
        return script_of("encode")([str(one) for one in arguments]), *capfd.readouterr()

    return run


@pytest.fixture
def script_of():
    import importlib

    return lambda name: importlib.import_module(f"uva_tf.commands.{name}").main


def errors(one, other):
    """The squared error of two videos, `[96, 160]`."""
    with VideoReader(one) as a, VideoReader(other) as b:
        pairs = list(zip(a, b, strict=True))
    return np.mean([(x.astype(float) - y) ** 2 for x, y in pairs], axis=(0, 3))


def test_the_encoder_spends_its_bits_where_the_regions_say(noisy, table, tmp_path, encode):
    rows = [
        f"{n},0,{x},0,80,96,{qoffset}" for n in range(1, 9) for x, qoffset in ((0, -0.1), (80, 0.2))
    ]
    regions_file = table(*rows)
    plain, with_regions = tmp_path / "plain.mp4", tmp_path / "regions.mp4"
    assert encode(noisy, "--out", plain, "--quality", 30)[0] == 0
    code, out, _ = encode(noisy, "--regions", regions_file, "--out", with_regions, "--quality", 30)
    assert (code, out.splitlines()[-1]) == (0, f"wrote {with_regions}")
    before, after = errors(noisy, plain), errors(noisy, with_regions)
    assert after[:, :80].mean() < 0.7 * before[:, :80].mean()
    assert after[:, 80:].mean() > 1.5 * before[:, 80:].mean()
    assert with_regions.stat().st_size < plain.stat().st_size


def packets(path, kind):
    """A stream's codec and its packets' bytes."""
    with av.open(str(path)) as file:
        (stream,) = getattr(file.streams, kind)
        return stream.codec_context.name, [bytes(one) for one in file.demux(stream) if one.size]


@pytest.fixture(params=[(161, 95), (160, 96)], ids=["odd", "even"])
def with_sound(request, tmp_path):
    """A clip from a camera that stores full-range Motion JPEG, with AAC sound, and its size."""
    path, size = tmp_path / "camera.mov", request.param
    with av.open(str(path), "w") as file:
        video = file.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuvj420p"
        sound = file.add_stream("aac", rate=48000, layout="mono")
        rng = np.random.default_rng(2)
        for _ in range(6):
            picture = cv2.resize(rng.integers(0, 256, (48, 81, 3), np.uint8), size)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        noise = rng.normal(0, 0.1, (1, 12000)).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
        samples.sample_rate = 48000
        file.mux(sound.encode(samples))
        file.mux([*video.encode(None), *sound.encode(None)])
    return path, size


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_sound_goes_along_and_any_kind_of_frame_carries_its_regions(
    with_sound, table, tmp_path, encode, codec
):
    (video, (width, height)), sizes = with_sound, []
    for number, qoffset in enumerate((0, 0.3)):
        regions_file = table(*(f"{n},0,0,0,{width},{height},{qoffset}" for n in range(1, 7)))
        out = tmp_path / f"{number}.mp4"
        code, said, _ = encode(video, "--regions", regions_file, "--out", out, "--codec", codec)
        assert code == 0
        assert ("161x95 padded to 162x96" in said) == (width == 161)
        sound = packets(out, "audio")[1]
        assert len(sound) > 8
        assert sound == packets(video, "audio")[1][: len(sound)]
        sizes.append(sum(map(len, packets(out, "video")[1])))
    assert sizes[1] < 0.7 * sizes[0]


def test_presets_and_codecs_that_ignore_regions_are_refused(noisy, tmp_path, encode):
    out = tmp_path / "out.mp4"
    assert_refused(encode(noisy, "--out", out, "--preset", "ultrafast"), "invalid choice")
    assert_refused(encode(noisy, "--out", out, "--codec", "vp9"), "invalid choice")
    assert_refused(encode(noisy, "--out", out.with_suffix(".webm")), "does not take h264")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "words"),
    [(7, "only 7 frames, "), (9, "more than 8 frames, ")],
)
def test_a_table_of_another_length_is_refused(noisy, table, tmp_path, encode, frames, words):
    regions_file = table(*(f"{n},0,0,0,160,96,0.1" for n in range(1, frames + 1)))
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out.mp4"
    assert_refused(encode(noisy, "--regions", regions_file, "--out", out), f"{words}expected")
    assert sorted(tmp_path.iterdir()) == before


def test_a_table_with_a_broken_row_is_refused_before_anything_is_encoded(
    noisy, table, tmp_path, encode
):
    rows = [f"{n},0,0,0,160,96,0.1" for n in range(1, 9)]
    regions_file = table(*rows[:-1], "8,0,0,0,160,97,0.1")
    out = tmp_path / "out.mp4"
    result = encode(noisy, "--regions", regions_file, "--out", out)
    assert_refused(result, "line 9: 160x97 pixels at 0,0 are not inside the 160x96 frame")
    assert not out.exists()


def test_predict_writes_what_encode_reads(noisy, tmp_path, encode, script_of, step_model, capfd):
    path = tmp_path / "regions.csv"
    arguments = ["--model", str(step_model), str(noisy), "--regions", str(path)]
    assert script_of("predict")(arguments) == 0
    assert f"wrote {path}" in capfd.readouterr().out
    with VideoReader(noisy) as video:
        maps = list(Predictor(step_model).run(video.timed()))
    assert list(read_regions(path, 160, 96)) == [regions(one, 160, 96) for one in maps]
    with path.open(newline="") as file:
        seconds = {row["frame"]: row["seconds"] for row in csv.DictReader(file)}
    assert seconds == {str(n + 1): f"{n / 25:.3f}" for n in range(8)}
    assert encode(noisy, "--regions", path, "--out", tmp_path / "out.mp4")[0] == 0


def points(*sizes, gain=0.0):
    return [Point(size, 30 + 3 * n + gain, 40) for n, size in enumerate(sizes)]


def test_bits_saved_at_equal_quality():
    plain = points(100, 200, 400, 800)
    assert saved(plain, plain) == pytest.approx(0)
    assert saved(plain, points(75, 150, 300, 600)) == pytest.approx(0.25)
    # 1 dB more at the same size, where 3 dB cost twice the bits.
    assert saved(plain, points(100, 200, 400, 800, gain=1)) == pytest.approx(1 - 2 ** (-1 / 3))
    assert saved(points(75, 150, 300, 600), plain) == pytest.approx(1 - 4 / 3)
    assert np.isnan(saved(plain, points(1, 2, 4, 8, gain=100)))


def test_the_comparison_has_a_row_for_each_clip_and_floor(gaze_root, step_model, script_of, capfd):
    arguments = ["--layout", "gaze", "--root", str(gaze_root), "--model", str(step_model)]
    arguments += ["--preset", "superfast", "--floor", "0.1", "0.5"]
    assert script_of("score_regions")(arguments) == 0
    head, names, *rows = capfd.readouterr().out.splitlines()
    assert "% of bits saved" in head
    assert names.split()[:3] == ["clip", "floor", "model"]
    assert [row.split()[:2] for row in rows] == [
        [clip, floor] for clip in ("clip03", "mean") for floor in ("0.1", "0.5")
    ]
    assert all(len(row.split()) == 8 for row in rows)


def test_the_comparison_refuses_a_split_without_clips(gaze_root, script_of, capfd):
    arguments = ["--layout", "gaze", "--root", str(gaze_root), "--split", "test"]
    code = script_of("score_regions")(arguments)
    assert_refused((code, *capfd.readouterr()), "no clips with gaze in the split 'test'")
