"""Sources other than one file, and several of them: each whole or not at all, and resumed."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_refused, contents, noise

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.pictures import decode
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime import worker
from uva_tf.runtime.places import peak
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sources import find_sources

PREDICT = "tflite/predict.py"
LIMIT = 60  # seconds, after which a process is taken to hang
# EXIF's orientation 6: to be shown a quarter turn clockwise.
SIDEWAYS = bytes.fromhex("4d4d002a00000008000101120003000000010006000000000000")


def clip(path, frames=3, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25, 32, 24) as writer:
        for number in range(frames):
            writer.write(cv2.GaussianBlur(noise(24, 32, seed + number), (5, 5), 2))
    return path


def picture(path, side=20, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    blurred = cv2.GaussianBlur(noise(side, side + 10, seed), (9, 9), 3)
    path.write_bytes(cv2.imencode(path.suffix, blurred)[1].tobytes())
    return path


@pytest.fixture
def clips(tmp_path):
    """A folder of four clips."""
    for number in range(4):
        clip(tmp_path / "in" / f"{number}.mp4", seed=10 * number)
    return tmp_path / "in"


@pytest.fixture
def predict(call):
    """A function that runs predict, and returns its exit code and what it printed."""
    return lambda *args: call(PREDICT, *args)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_videos_gives_its_videos_sorted(tmp_path):
    for name in ("b.mp4", "a.WEBM", ".hidden.mp4", "notes.txt", "below/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path)])
    assert found.places == [tmp_path / "a.WEBM", tmp_path / "b.mp4"]
    assert (found.several, found.stills) == (True, False)
    assert found.notes == [f"{tmp_path}: left out 1 .txt"]


@pytest.mark.parametrize(
    ("given", "expected", "several"),
    [
        (["b.mp4"], ["b.mp4"], False),
        (["b.mp4", "a.mp4"], ["b.mp4", "a.mp4"], True),
        (["[ab].mp4"], ["a.mp4", "b.mp4"], True),
        (["b*"], ["b.mp4"], True),
        (["what?.mp4"], ["what?.mp4"], False),  # a file of this name
    ],
)
def test_files_and_patterns(tmp_path, monkeypatch, given, expected, several):
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "what?.mp4"):
        Path(name).touch()
    found = find_sources(given)
    assert ([str(place) for place in found.places], found.several) == (expected, several)


def test_numbered_pictures_are_a_film_unless_told_otherwise(tmp_path):
    for name in ("f_1.png", "f_2.PNG", "f_10.png"):
        picture(tmp_path / name)
    found = find_sources([str(tmp_path)])
    assert (found.places, found.several, found.stills) == ([tmp_path], False, False)
    assert "taken for a film at 25 frames/s" in found.notes[0]
    assert "--stills" in found.notes[0]
    assert find_sources([str(tmp_path)], rate=10).notes == []
    found = find_sources([str(tmp_path)], stills=True)
    assert (len(found.places), found.several, found.stills) == (3, True, True)


@pytest.mark.parametrize(
    ("files", "given", "options", "words"),
    [
        (["a.jpg", "b.jpg"], ["."], {}, "2 pictures that are not numbered: --stills takes each"),
        (["a.mp4", "a.jpg"], ["."], {}, "videos (1) and pictures (1), expected one kind"),
        (["a.mp4", "a.jpg"], ["a.mp4", "a.jpg"], {}, "videos and pictures together"),
        (["a.txt"], ["."], {}, "no videos and no pictures, found 1 .txt"),
        ([], ["*.mp4"], {}, "*.mp4: nothing matches it"),
        (["a.mp4"], ["a.mp4", "-"], {}, "-: give it alone"),
        (["a.mp4"], ["a.mp4"], {"stills": True}, "--stills: a.mp4 is no picture"),
        (["a.mp4"], ["a.mp4"], {"rate": 5}, "--rate is for a folder of pictures"),
        (["1.png"], ["."], {"rate": 5, "stills": True}, "exclude each other"),
    ],
)
def test_what_is_no_source_or_ambiguous_is_refused(
    tmp_path, monkeypatch, files, given, options, words
):
    monkeypatch.chdir(tmp_path)
    for name in files:
        Path(name).touch()
    with pytest.raises(InputError) as caught:
        find_sources(given, **options)
    assert words in str(caught.value)


def test_twenty_files_of_which_two_are_broken(predict, tmp_path):
    for number in range(20):
        path = clip(tmp_path / "in" / f"{number:02d}.mp4", seed=number)
        if number in (7, 11):
            path.write_bytes(path.read_bytes()[: 300 * (number - 7)])
    out = tmp_path / "out"
    arguments = (tmp_path / "in", "--csv", out, "--overlay", out)
    code, printed, err = predict(*arguments)
    assert code == 1
    assert "18 of 20 sources done\n" in printed
    first, second, last = err.splitlines()
    assert first == f"failed: {tmp_path}/in/07.mp4: no frame can be read: the file is empty"
    assert second.startswith(f"failed: {tmp_path}/in/11.mp4: no frame can be read: ")
    assert last == "failed: 2 of 20 sources, named above"
    made = {
        f"{n:02d}{suffix}" for n in range(20) if n not in (7, 11) for suffix in (".csv", ".mp4")
    }
    assert {path.name for path in out.iterdir()} == made | {"predict.json"}
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".json"}
    code, printed, again = predict(*arguments)
    assert (code, again) == (1, err)
    assert "18 of 20 sources done (18 done before)\n" in printed
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_all_failed_by_the_users_mistake_is_a_mistake(predict, tmp_path):
    code, _, err = predict(tmp_path / "a.mp4", tmp_path / "b.mp4", "--csv", tmp_path / "out")
    assert code == 2
    assert err.count("no such video file") == 2
    assert err.endswith("error: 2 of 2 sources, named above\n")
    assert list(tmp_path.iterdir()) == []


def test_several_at_a_time_give_the_same(predict, clips, tmp_path):
    for jobs in (1, 2):
        out = tmp_path / f"out{jobs}"
        kinds = [
            word for kind in ("--csv", "--overlay", "--maps", "--regions") for word in (kind, out)
        ]
        assert predict(clips, *kinds, "--jobs", jobs)[0] == 0
    one, two = (
        {
            path.relative_to(tmp_path / name): data
            for path, data in contents(tmp_path / name).items()
        }
        for name in ("out1", "out2")
    )
    assert one == two
    assert len(rows_of(tmp_path / "out1" / "0.csv")) == 3
    assert len(list((tmp_path / "out1" / "0").iterdir())) == 3
    assert (tmp_path / "out1" / "0.regions.csv").is_file()


def test_what_is_missing_of_a_source_is_added(predict, clips, tmp_path):
    out = tmp_path / "out"
    assert predict(clips, "--csv", out)[0] == 0
    (out / "2.csv").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.csv")}
    code, printed, _ = predict(clips, "--csv", out, "--overlay", out, "--codec", "vp9")
    assert code == 0
    assert "done before" not in printed
    assert {path.stem for path in out.glob("*.webm")} == set("0123")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert len(rows_of(out / "2.csv")) == 3


def begin(clips, out, *more):
    """A process that predicts, with one finished source of many."""
    command = [sys.executable, PREDICT, clips, "--csv", out, "--overlay", out, *more]
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob("*.csv")):  # the last of its outputs
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    return process


def children_of(process):
    """Numbers of a process's children (Linux)."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(number) for task in tasks for number in (task / "children").read_text().split()]


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def films(tmp_path):
    """A folder of ten clips, some of which take a moment."""
    for number in range(10):
        clip(tmp_path / "films" / f"{number}.mp4", frames=60 if number else 3, seed=number)
    return tmp_path / "films"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_and_started_again_it_does_what_is_missing(
    predict, films, tmp_path, signals_are_not_ignored, number
):
    out, jobs = tmp_path / "out", ("--jobs", "2") if number == signal.SIGINT else ()
    process = begin(films, out, *jobs)
    children = children_of(process)
    process.send_signal(number)
    printed, err = process.communicate(timeout=LIMIT)
    assert children
    deadline = time.monotonic() + LIMIT
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, children))
    done = {path.stem for path in out.glob("*.mp4")} & {path.stem for path in out.glob("*.csv")}
    assert 0 < len(done) < 10
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        told = f"interrupted; {len(done)} of 10 sources are done; resume with: python {PREDICT} "
        assert (process.returncode, err.count("\n")) == (1, 1)
        assert err.startswith(told)
        assert not list(out.glob(".*"))
    before = {path: path.stat().st_mtime_ns for name in done for path in out.glob(f"{name}.*")}
    code, printed, _ = predict(films, "--csv", out, "--overlay", out)
    assert code == 0
    assert f"10 of 10 sources done ({len(done)} done before)" in printed
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not list(out.glob(".*"))
    undisturbed = tmp_path / "undisturbed"
    assert predict(films, "--csv", undisturbed, "--overlay", undisturbed)[0] == 0
    same, other = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (out, undisturbed))
    assert same == other


CRASH = """\
import errno, os
from uva_tf.runtime import worker
original = worker.predict_stream
def predict_stream(place, *args, **kwargs):
    if place.stem == "1":
        {}
    return original(place, *args, **kwargs)
worker.predict_stream = predict_stream
worker.serve()
"""


def test_a_crash_costs_one_source(predict, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PROGRAM", CRASH.format("os.abort()"))
    code, printed, err = predict(clips, "--csv", tmp_path / "out")
    assert code == 1
    assert "3 of 4 sources done" in printed
    assert f"{clips}/1.mp4: reading or writing it crashed the process (SIGABRT)\n" in err


def test_a_full_disk_stops_the_work(predict, clips, tmp_path, monkeypatch):
    full = "raise OSError(errno.ENOSPC, 'No space left on device')"
    monkeypatch.setattr(worker, "PROGRAM", CRASH.format(full))
    code, _, err = predict(clips, "--csv", tmp_path / "out")
    assert (code, err.count("\n")) == (1, 1)
    assert "No space left on device; 1 of 4 sources are done; resume with: " in err


def test_strict_fails_what_is_damaged(predict, clips, tmp_path):
    path = clip(clips / "x.mp4", frames=30)
    with av.open(str(path)) as file:
        at, size = [(packet.pos, packet.size) for packet in file.demux(video=0)][15]
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes(size) + content[at + size :])
    code, printed, _ = predict(clips, "--csv", tmp_path / "out")
    assert code == 0
    assert f"note: {path}: 1 damaged packet left out" in printed
    code, _, err = predict(clips, "--csv", tmp_path / "strict", "--strict")
    assert code == 1
    assert err.startswith(f"failed: {path}: 1 damaged packet left out")
    assert {path.stem for path in (tmp_path / "strict").glob("*.csv")} == set("0123")


def test_inputs_of_one_name_are_told_apart(predict, tmp_path):
    paths = [clip(tmp_path / name) for name in ("a/x.mp4", "b/x.mp4", "c/y.mp4", "c/y.mov")]
    assert predict(*paths, "--csv", tmp_path / "out")[0] == 0
    found = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/**/*.csv")}
    assert found == {"a/x.csv", "b/x.csv", "y.mp4.csv", "y.mov.csv"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--overlay", "{out}.mp4"), "out.mp4: several sources are written to a folder"),
        (("--csv", "{out}.csv"), "out.csv: several sources are written to a folder"),
        (("--maps", "{clips}/0.mp4"), "0.mp4: several sources are written to a folder"),
        (("--overlay", "{clips}"), "the sources are there, choose another folder"),
        (("{clips}/0.mp4", "--csv", "{out}"), "0.mp4 is given twice"),
        (("--csv", "{out}", "--maps", "{out}/maps"), "--maps and --csv overlap"),
        (("--codec", "h264"), "give --overlay too"),
        (("--quality", "60", "--overlay", "{out}"), "quality 60: expected 0 to 51"),
    ],
)
def test_outputs_of_several_that_cant_be(predict, clips, tmp_path, more, words):
    more = [word.format(clips=clips, out=tmp_path / "out") for word in more]
    assert_refused(predict(clips, *more), words)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_outputs_of_another_make_are_not_mixed(predict, clips, tmp_path):
    out = tmp_path / "out"
    assert predict(clips, "--overlay", out)[0] == 0
    before = contents(out)
    refused = "choose another folder"
    for more, words in [
        (("--model", "uva_tf/weights/uva-32-int8-step.tflite"), "made with model "),
        (("--style", "beside"), "made with style heat, this is beside"),
        (("--quality", "30"), "made with quality 24, this is 30"),
        (("--deinterlace",), "made with deinterlace False, this is True"),
        (("--persistence", "0.5"), "made with persistence 0.7, this is 0.5"),
        (("--ahead", "4"), "made with ahead 0, this is 4"),
    ]:
        result = predict(clips, "--overlay", out, *more)
        assert_refused(result, words)
        assert refused in result[2]
    other = clip(tmp_path / "other" / "0.mp4", frames=5, seed=3)
    assert_refused(predict(other, clips / "1.mp4", "--overlay", out), "0.mp4 of another source")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "0.csv").touch()
    result = predict(clips, "--csv", tmp_path / "foreign")
    assert_refused(result, "holds 0.mp4 already, which predict.json does not vouch for")
    assert contents(out) == before


@pytest.fixture
def album(tmp_path):
    """A folder of photographs of different kinds and sizes."""
    for number, name in enumerate(("sea.jpg", "hill.png", "dog.webp", "cat.avif", "bee.bmp")):
        picture(tmp_path / "album" / name, side=20 + 2 * number, seed=number)
    return tmp_path / "album"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_video_is_looked_ahead_in_alone_or_with_others(predict, clips, tmp_path, jobs):
    ahead = ("--ahead", "3", "--maps")
    assert predict(clips, *ahead, tmp_path / "all", "--jobs", jobs)[0] == 0
    assert predict(clips / "1.mp4", *ahead, tmp_path / "1")[0] == 0
    assert predict(clips / "1.mp4", "--maps", tmp_path / "behind")[0] == 0
    maps = [
        [path.read_bytes() for path in sorted((tmp_path / folder).iterdir())]
        for folder in ("all/1", "1", "behind")
    ]
    assert maps[0] == maps[1] != maps[2]
    assert len(maps[1]) == len(maps[2])
    assert maps[1][-1] == maps[2][-1]  # nothing is after the last


@pytest.mark.parametrize("source", [["album", "--stills"], ["rtsp://127.0.0.1/x"], ["--camera=0"]])
def test_nothing_can_be_looked_ahead_in_but_a_recorded_video(predict, album, tmp_path, source):
    source = [album if word == "album" else word for word in source]
    refused = predict(*source, "--ahead", "3", "--csv", tmp_path / "out")
    assert_refused(refused, "--ahead is for recorded videos: give files")


def test_stills_are_named_after_the_pictures(predict, album, tmp_path):
    out, table = tmp_path / "out", tmp_path / "table.csv"
    arguments = (album, "--stills", "--overlay", out, "--maps", out, "--csv", table)
    code, printed, err = predict(*arguments, "--jobs", "2")
    assert (code, err) == (0, "")
    assert "5 of 5 pictures done\n" in printed
    names = {"sea", "hill", "dog", "cat", "bee"}
    made = {f"{name}{suffix}" for name in names for suffix in (".jpg", ".png")}
    assert {path.name for path in out.iterdir()} == made | {"predict.json"}
    rows = {row["picture"]: row for row in rows_of(table)}
    assert list(rows) == ["bee.bmp", "cat.avif", "dog.webp", "hill.png", "sea.jpg"]
    predictor = Predictor()
    for path in album.iterdir():
        frame = Frame(decode(path, cv2.IMREAD_COLOR))
        (attention,) = predictor.run([frame])  # paired with itself
        x, y = peak(attention, frame.width, frame.height)
        row = rows[path.name]
        assert (float(row["peak_x"]), float(row["peak_y"])) == pytest.approx((x, y), abs=0.051)
        for suffix in (".jpg", ".png"):
            shape = cv2.imread(str(out / f"{path.stem}{suffix}")).shape
            assert shape == (frame.height, frame.width, 3)
    # Another picture, of which the table gets a row more.
    picture(album / "ant.jpg")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".json"}
    assert "6 of 6 pictures done (5 done before)" in predict(*arguments)[1]
    assert [row["picture"] for row in rows_of(table)] == ["ant.jpg", *rows]
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_broken_picture_costs_the_others_nothing(predict, album, tmp_path):
    (album / "a.png").write_text("no picture")
    code, _, err = predict(album, "--stills", "--csv", tmp_path / "table.csv")
    assert code == 1
    assert err.startswith(f"failed: {album}/a.png: OpenCV can't read it as a picture: it is text")
    assert len(rows_of(tmp_path / "table.csv")) == 5


def test_a_table_of_something_else_is_not_extended(predict, album, tmp_path):
    (tmp_path / "table.csv").write_text("mine\n")
    result = predict(album, "--stills", "--csv", tmp_path / "table.csv")
    assert_refused(result, "table.csv exists already and is no table of stills")
    assert (tmp_path / "table.csv").read_text() == "mine\n"
    (tmp_path / "link.csv").symlink_to("gone.csv")
    result = predict(album, "--stills", "--csv", tmp_path / "link.csv")
    assert_refused(result, "link.csv exists already")
    assert (tmp_path / "link.csv").is_symlink()


def test_a_table_that_is_a_folder_or_takes_its_record_s_place_is_refused(predict, album, tmp_path):
    (tmp_path / "tables").mkdir()
    result = predict(album, "--stills", "--csv", tmp_path / "tables")
    assert_refused(result, "--csv " + str(tmp_path / "tables") + ": of pictures it is one table")
    result = predict(album, "--stills", "--csv", tmp_path / "table.json")
    assert_refused(result, "table.json: its record goes there, expected a .csv name")
    assert not (tmp_path / "table.json").exists()


def test_one_picture_is_a_still(predict, album, tmp_path):
    outputs = (
        "--overlay",
        tmp_path / "o.png",
        "--maps",
        tmp_path / "m",
        "--csv",
        tmp_path / "t.csv",
    )
    assert predict(album / "sea.jpg", *outputs)[0] == 0
    assert cv2.imread(str(tmp_path / "o.png")).shape == (20, 30, 3)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["sea.png"]
    assert [row["picture"] for row in rows_of(tmp_path / "t.csv")] == ["sea.jpg"]
    assert_refused(predict(album / "sea.jpg", *outputs), "o.png exists already")
    result = predict(album / "sea.jpg", "--overlay", tmp_path / "o.mp4")
    assert_refused(result, "o.mp4: expected a name that ends in .avif, .bmp")


def test_what_is_wrong_with_a_picture_is_said_before_its_outputs_name(predict, tmp_path):
    clip(tmp_path / "clip.mp4").rename(tmp_path / "film.png")
    result = predict(tmp_path / "film.png", "--overlay", tmp_path / "o.mp4")
    assert_refused(result, "film.png: OpenCV can't read it as a picture: it is an MP4")
    assert not (tmp_path / "o.mp4").exists()


def test_a_film_of_pictures_at_another_rate(predict, tmp_path):
    for number in range(1, 4):
        picture(tmp_path / "film" / f"{number}.webp", seed=number)
    code, printed, _ = predict(tmp_path / "film", "--rate", "2", "--csv", tmp_path / "t.csv")
    assert code == 0
    assert "--stills" not in printed
    assert [row["seconds"] for row in rows_of(tmp_path / "t.csv")] == ["0.000", "0.500", "1.000"]
    code, printed, _ = predict(tmp_path / "film")
    assert "taken for a film at 25 frames/s: --rate N changes that, --stills" in printed


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_orientation_is_that_of_the_metadata(tmp_path, suffix):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 255  # upper left; upper right when shown
    exif = np.frombuffer(SIDEWAYS, np.uint8)
    encoded = cv2.imencodeWithMetadata(suffix, pixels, [cv2.IMAGE_METADATA_EXIF], [exif])[1]
    (tmp_path / f"x{suffix}").write_bytes(encoded.tobytes())
    shown = decode(tmp_path / f"x{suffix}", cv2.IMREAD_COLOR)
    assert shown.shape == (60, 40, 3)
    assert shown[10, 30].min() > 200 > 50 > shown[10, 10].max()


@pytest.mark.parametrize(
    ("suffix", "options", "as_bytes"),
    [
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50], lambda *size: struct.pack("<HH", *size)),
        (
            ".webp",
            [cv2.IMWRITE_WEBP_QUALITY, 101],
            lambda w, h: struct.pack("<I", (h - 1) << 14 | (w - 1)),
        ),
        (".webp", None, lambda w, h: struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]),
        (".avif", [], lambda *size: struct.pack(">II", *size)),
        (".png", [], lambda *size: struct.pack(">II", *size)),
        (".bmp", [], lambda *size: struct.pack("<ii", *size)),
    ],
    ids=["lossy", "lossless", "extended", "avif", "png", "bmp"],
)
def test_a_picture_that_announces_too_much_is_not_decoded(tmp_path, suffix, options, as_bytes):
    pixels, path = noise(40, 72, seed=1), tmp_path / f"x{suffix}"
    if options is None:  # an extended header, since there are metadata
        exif = np.frombuffer(SIDEWAYS, np.uint8)
        content = cv2.imencodeWithMetadata(suffix, pixels, [cv2.IMAGE_METADATA_EXIF], [exif])[1]
    else:
        content = cv2.imencode(suffix, pixels, options)[1]
    content, small = content.tobytes(), as_bytes(72, 40)
    assert small in content[:400]
    path.write_bytes(content.replace(small, as_bytes(9000, 8000), 1))
    with pytest.raises(InputError, match="72000000 pixels, expected at most 67108864"):
        decode(path, cv2.IMREAD_COLOR)
    path.write_bytes(content[:-20])
    if suffix != ".bmp":
        with pytest.raises(InputError, match=r"cut short|damaged"):
            decode(path, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("kind", ["WebP", "PNG", "GIF"])
def test_an_animated_picture_is_no_still(tmp_path, kind):
    made, path = tmp_path / f"x.{kind.lower()}", tmp_path / "named.png"
    frames = cv2.Animation()
    frames.frames = [noise(20, 30, seed) for seed in range(3)]
    frames.durations = [100, 100, 100]
    assert cv2.imwriteanimation(str(made), frames)
    made.rename(path)
    with pytest.raises(InputError, match=f"an animated {kind} picture, expected a still one"):
        decode(path, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_still_of_a_format_that_can_be_animated_is_read(tmp_path, suffix):
    picture = np.kron(noise(4, 6, seed=0), np.ones((8, 8, 1), np.uint8))
    content = cv2.imencode(suffix, picture)[1].tobytes()
    if suffix == ".png":  # as an animated one, of one picture
        begin = content.index(b"IDAT") - 4
        chunk = b"acTL" + struct.pack(">II", 1, 0)
        chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
        content = content[:begin] + chunk + content[begin:]
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert decode(path, cv2.IMREAD_COLOR).shape == picture.shape


def piped(content, *arguments):
    command = [sys.executable, PREDICT, "-", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, input=content, capture_output=True, timeout=LIMIT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_a_video_comes_through_a_pipe(tmp_path, suffix):
    path = clip(tmp_path / f"x{suffix}", frames=20)
    code, printed, err = piped(path.read_bytes(), "--overlay", tmp_path / "o.mp4")
    assert (code, err) == (0, "")
    assert printed.startswith("20 frames")
    with VideoReader(tmp_path / "o.mp4") as overlay:
        assert len(list(overlay)) == 20


def test_an_index_at_the_end_does_not_come_through_a_pipe(tmp_path):
    path = tmp_path / "x.mp4"
    with VideoWriter(tmp_path / "y.mp4", 25, 320, 240) as writer:
        for number in range(3):
            writer.write(noise(240, 320, number))  # more than a buffer holds
    with av.open(str(tmp_path / "y.mp4")) as film, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    assert path.read_bytes().rfind(b"moov") > path.read_bytes().find(b"mdat")
    result = piped(path.read_bytes(), "--csv", tmp_path / "o.csv")
    assert_refused(result, "its index (moov) at the end, which a pipe can't go back from: give the")
    with path.open("rb") as file:  # a file in place of a pipe can be gone back in
        command = [sys.executable, PREDICT, "-"]
        done = subprocess.run(command, cwd=ROOT, stdin=file, capture_output=True, timeout=LIMIT)
    assert (done.returncode, done.stdout[:8]) == (0, b"3 frames")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "stdin: no frame can be read: nothing came"),
        (b"to do\n", "it is text, expected a video"),
        (b"#EXTM3U\n#EXTINF:4,\n/tmp/x.mp4\n", "it is a playlist, expected a video"),
        (bytes([1, 2, 3]) * 50, "of an unknown format, damaged or without frames"),
    ],
)
def test_a_pipe_without_a_video(tmp_path, content, words):
    assert_refused(piped(content, "--csv", tmp_path / "o.csv"), words)
    assert list(tmp_path.iterdir()) == []


def test_the_record_names_what_the_outputs_depend_on(predict, clips, tmp_path):
    assert predict(clips, "--csv", tmp_path / "out", "--model", "fp16")[0] == 0
    record = json.loads((tmp_path / "out" / "predict.json").read_text())
    names = {"model", "brighten", "stream", "deinterlace", "rate", "persistence", "ahead", "gap"}
    assert set(record["settings"]) == names
    assert set(record["sources"]) == {f"{number}.mp4" for number in range(4)}
    os.utime(clips / "0.mp4", (1, 1))  # another file, for all that is known
    assert_refused(predict(clips, "--csv", tmp_path / "out", "--model", "fp16"), "0.mp4 of another")


@pytest.mark.parametrize(("name", "now", "older"), [("brighten", 100, 0), ("gap", 3, 1)])
def test_a_record_from_before_it_had_an_option_says_so(predict, clips, tmp_path, name, now, older):
    assert predict(clips, "--csv", tmp_path / "out")[0] == 0
    path = tmp_path / "out" / "predict.json"
    record = json.loads(path.read_text())
    assert record["settings"].pop(name) == now
    path.write_text(json.dumps(record))
    result = predict(clips, "--csv", tmp_path / "out")
    assert_refused(result, f"made with {name} {older}, this is {now}")


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("a/clip.mp4", "b/clip.mp4", "a.mp4"), ("--maps", "out")),
        (("x.mp4", "x.regions.mkv"), ("--csv", "out", "--regions", "out")),
        (("x.mp4", "x.csv.mkv"), ("--csv", "out", "--maps", "out")),
    ],
)
def test_outputs_that_would_be_one_are_refused(tmp_path, predict, monkeypatch, names, options):
    monkeypatch.chdir(tmp_path)
    for name in names:
        clip(Path("in") / name)
    result = predict(*(Path("in") / name for name in names), *options)
    assert_refused(result, "would both be written to out")
    assert not Path("out").exists()


def test_what_the_user_has_in_the_folder_stays(tmp_path, clips, predict):
    out = tmp_path / "out"
    mine = {"predict.json": '{"mine": 1}', ".0.mp4.original/film.txt": "film"}
    for name, text in mine.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    assert_refused(predict(clips, "--csv", out), "not a record of uva-tf predict")
    (out / "predict.json").rename(tmp_path / "mine.json")
    assert predict(clips, "--overlay", out)[0] == 0
    assert (out / ".0.mp4.original" / "film.txt").read_text() == "film"
    assert (tmp_path / "mine.json").read_text() == '{"mine": 1}'
