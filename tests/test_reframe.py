"""`uva-tf reframe` on real files, and its score on recorded gaze."""

import csv
import importlib
import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from conftest import assert_refused, write_table

from uva_tf.core.frames import Frame
from uva_tf.core.video import VideoReader
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime import reframe as runtime
from uva_tf.runtime.reframe import cropped

WIDTH, HEIGHT, RATE, FRAMES = 160, 90, 25, 30


def picture(number):
    """A ramp, whose place can be told from any part, and a disc that moves."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = (6 * np.arange(WIDTH) % 256).astype(np.uint8)[None, :, None]
    return cv2.circle(frame, (30 + 3 * number, 45), 8, (40, 40, 230), -1)


@pytest.fixture
def clip(tmp_path):
    """A clip whose frames are at uneven times, with a second and more of sound."""
    path = tmp_path / "clip.mp4"
    silent = tmp_path / "silent.mp4"
    with VideoWriter(silent, RATE, WIDTH, HEIGHT, quality=10) as writer:
        for number in range(FRAMES):
            writer.write(picture(number), number / RATE + (0.3 if number >= 10 else 0))
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                target.mux(packet)
        wave = np.sin(np.arange(24 * 1024) / 9).astype(np.float32)
        for start in range(0, len(wave), 1024):
            samples = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
            samples.sample_rate, samples.pts = 16000, start
            target.mux(sound.encode(samples))
        target.mux(sound.encode(None))
    return path


@pytest.fixture
def reframe(step_model, tmp_path, capfd):
    """A function that reframes into out.mp4 and crop.csv: code, out, err."""

    def run(source, *more, aspect="9:16", out="out.mp4"):
        main = importlib.import_module("uva_tf.commands.reframe").main
        arguments = [source, "--model", step_model, "--aspect", aspect]
        outputs = ["--out", tmp_path / out, "--csv", tmp_path / "crop.csv"]
        capfd.readouterr()
        return main([str(a) for a in [*arguments, *outputs, *more]]), *capfd.readouterr()

    return run


def frames_of(path):
    with VideoReader(path) as video:
        return list(video.timed())


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def sound_of(path):
    with av.open(str(path)) as file:
        return b"".join(bytes(p) for p in file.demux(audio=0) if p.size)


def test_frames_times_and_sound_are_kept(reframe, clip, tmp_path):
    code, out, err = reframe(clip)
    assert code == 0, err
    assert f"{FRAMES} frames of 50x90, 0 cuts" in out
    before, after = frames_of(clip), frames_of(tmp_path / "out.mp4")
    assert [f.seconds for f in after] == pytest.approx([f.seconds for f in before], abs=0.002)
    assert {(f.width, f.height) for f in after} == {(50, 90)}
    kept, whole = sound_of(tmp_path / "out.mp4"), sound_of(clip)
    assert kept in whole
    assert len(kept) > 0.9 * len(whole)  # it ends with the last frame


def test_the_table_says_which_part_of_each_frame_is_shown(reframe, clip, tmp_path):
    assert reframe(clip, "--quality", 5)[0] == 0
    rows, after = rows_of(tmp_path / "crop.csv"), frames_of(tmp_path / "out.mp4")
    assert [int(row["frame"]) for row in rows] == list(range(1, FRAMES + 1))
    assert [float(row["seconds"]) for row in rows] == pytest.approx(
        [f.seconds for f in after], abs=0.002
    )
    for row, whole, frame in zip(rows, frames_of(clip), after, strict=True):
        x = int(row["x"])
        assert (row["y"], row["width"], row["height"]) == ("0", "50", "90")
        difference = frame.pixels.astype(float) - whole.pixels[:, x : x + 50]
        assert np.abs(difference[:20]).mean() < 2  # a column beside has another level


def test_another_aspect_container_and_axis(reframe, clip, tmp_path):
    assert reframe(clip, aspect="2.39:1", out="out.webm")[0] == 0
    assert {(f.width, f.height) for f in frames_of(tmp_path / "out.webm")} == {(160, 66)}
    assert {row["x"] for row in rows_of(tmp_path / "crop.csv")} == {"0"}


def test_pixels_that_are_not_square_stay_so(reframe, tmp_path):
    path = tmp_path / "pal.mp4"
    with VideoWriter(path, RATE, 180, 144, pixel_aspect=Fraction(64, 45)) as writer:
        for _ in range(5):
            writer.write(np.full((144, 180, 3), 90, np.uint8))
    assert reframe(path, aspect="1:1")[0] == 0
    with VideoReader(tmp_path / "out.mp4") as video:
        assert (video.width, video.height, video.pixel_aspect) == (102, 144, Fraction(64, 45))


def test_the_crop_jumps_at_the_cut(reframe, tmp_path):
    path = tmp_path / "cut.mp4"
    with VideoWriter(path, RATE, WIDTH, HEIGHT) as writer:
        for number in range(40):
            back, x = ((30, 60, 30), 20) if number < 20 else ((180, 150, 190), 140)
            frame = np.full((HEIGHT, WIDTH, 3), back, np.uint8)
            writer.write(cv2.circle(frame, (x, 45), 12, (20, 20, 240), -1))
    code, out, _ = reframe(path)
    assert code == 0
    assert "1 cut," in out
    places = [int(row["x"]) for row in rows_of(tmp_path / "crop.csv")]
    assert set(np.flatnonzero(np.diff(places))) <= {19}


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (6, 0), (7, 0), (0, 4), (0, 5)])
def test_a_part_of_a_frame(x, y, turns):
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(small, (31, 41) if turns else (41, 31))
    whole = Frame(decoded=Frame(pixels).video(), seconds=1.5, turns=turns)
    assert (whole.width, whole.height) == (41, 31)
    part = cropped(whole, x, y, 34, 26)
    assert (part.width, part.height, part.seconds) == (34, 26, 1.5)
    planes, parts = whole.planes(), part.planes()
    assert np.array_equal(parts.y, planes.y[y : y + 26, x : x + 34])
    # Chroma at twice its size lies where luma does.
    for plane, cut in ((planes.u, parts.u), (planes.v, parts.v)):
        large = plane.repeat(2, 0).repeat(2, 1)[y : y + 26, x : x + 34].astype(float)
        means = large.reshape(13, 2, 17, 2).mean(axis=(1, 3))
        assert np.abs(cut - means).max() <= 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clip.mp4", "--aspect", "0:1"], "aspect '0:1': expected WIDTH:HEIGHT"),
        (["clip.mp4", "--aspect", "tall"], "aspect 'tall': expected WIDTH:HEIGHT"),
        (["clip.mp4", "--aspect", "30:1"], "from 1:20 to 20:1"),
        (["rtsp://camera/stream"], "rtsp://camera/stream: expected a file"),
        (["-"], "-: expected a file"),
        (["nothing.mp4"], "no such video file"),
        (["clip.mp4", "--out", "out.gif"], "expected a name that ends in"),
    ],
)
def test_what_is_refused(clip, tmp_path, monkeypatch, capfd, step_model, arguments, words):
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in arguments else ["--out", "out.mp4"]
    before = sorted(tmp_path.iterdir())
    main = importlib.import_module("uva_tf.commands.reframe").main
    code = main([*arguments, *out, "--model", str(step_model)])
    assert_refused((code, *capfd.readouterr()), words)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_overwritten(reframe, clip, tmp_path):
    (tmp_path / "out.mp4").write_text("mine")
    assert_refused(reframe(clip), "exists already")
    assert (tmp_path / "out.mp4").read_text() == "mine"


def interrupting(original, number):
    """`annotate` or `write_crop`, interrupted after so many frames as by Ctrl-C."""

    class Stop:
        left = itertools.count(1)

        def asked(self):
            return next(self.left) == number

    return lambda *args: original(*args[:-1], Stop())


def test_an_interruption_while_writing_keeps_finished_frames(reframe, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "write_crop", interrupting(runtime.write_crop, 7))
    code, _, err = reframe(clip)
    assert code == 1
    assert err.startswith("interrupted; 7 finished frames are in ")
    assert len(frames_of(tmp_path / "out.mp4")) == len(rows_of(tmp_path / "crop.csv")) == 7


def test_an_interruption_while_looking_ahead_leaves_nothing(reframe, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "annotate", interrupting(runtime.annotate, 7))
    before = sorted(tmp_path.iterdir())
    code, _, err = reframe(clip)
    assert (code, err) == (1, "interrupted\n")
    assert sorted(tmp_path.iterdir()) == before


def test_frames_of_another_size_are_refused(clip):
    source = type("Source", (), {"live": False, "name": "mixed", "width": 8, "height": 6})()
    source.pixel_aspect = 1
    source.timed = lambda: (
        f for f in [*[Frame(np.zeros((6, 8, 3), np.uint8))] * 2, *frames_of(clip)]
    )
    predictor = type("P", (), {"run": lambda _, f: (np.zeros((4, 4), np.uint8) for _ in f)})()
    with pytest.raises(ValueError, match="mixed: frame 3 is 160x90, the first was 8x6"):
        runtime.plan_crop(source, predictor, Fraction(1))


def test_scores_beside_other_crops(gaze_root, step_model, tmp_path, capfd):
    main = importlib.import_module("uva_tf.commands.score_reframing").main
    strip = tmp_path / "strip.png"
    arguments = ["--layout", "gaze", "--root", gaze_root, "--split", "train", "--strip", strip]
    assert main([str(a) for a in [*arguments, "--model", step_model]]) == 0
    out = capfd.readouterr().out
    assert "untrained, split train, 9:16: 2 clips, 16 frames" in out
    rows = {line.split("  ")[0]: line.split("  ") for line in out.splitlines()}
    assert float(rows["centre crop"][-1]) == 0
    assert {"spectral residual", "attention", "recorded gaze"} <= set(rows)
    assert cv2.imread(str(strip)).shape[0] == 2 * 122


def test_gaze_on_pixels_that_are_not_square_is_drawn_round(tmp_path, step_model):
    """A fixation's Gaussian is as wide as high on the screen, where a PAL pixel is wider."""
    from uva_tf.config import DHF1K_SIGMA
    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.evaluation import reframing
    from uva_tf.runtime.predictor import Predictor

    (tmp_path / "videos").mkdir()
    pal = Fraction(64, 45)
    with VideoWriter(tmp_path / "videos" / "pal.mp4", RATE, 180, 144, pixel_aspect=pal) as writer:
        for _ in range(3):
            writer.write(np.full((144, 180, 3), 90, np.uint8))
    columns = "video,observer,onset_ms,duration_ms,x,y"
    write_table(tmp_path / "fixations.csv", columns, [("pal", 1, 0, 120, 90, 72)])
    (recording,) = LAYOUTS["gaze"](tmp_path)
    clip = reframing.read_clip(recording, Predictor(step_model), Fraction(4))  # moves up and down
    profile = clip.profiles[reframing.GAZE][0]
    heights = (np.arange(len(profile)) + 0.5) / len(profile)
    deviation = np.sqrt((profile * (heights - (profile * heights).sum()) ** 2).sum())
    assert deviation == pytest.approx(DHF1K_SIGMA * 180 * pal / 144, rel=0.02)


def test_on_recorded_gaze(recordings):
    """One clip, every 4th frame: attention keeps more than the centre, recorded gaze the most."""
    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.data.recordings import Recording
    from uva_tf.evaluation import reframing
    from uva_tf.runtime.predictor import Predictor

    found = next(r for r in LAYOUTS["gaze"](recordings / "mufvet") if r.name == "011")
    some = Recording("011", False, lambda: itertools.islice(found.read(), 0, None, 4), found.paths)
    clip = reframing.read_clip(some, Predictor(), Fraction(9, 16))
    inside = {name: clip.inside(path) for name, path in clip.paths().items()}
    assert inside["centre crop"] < 0.45
    assert inside["centre crop"] + 0.2 < inside["attention"]
    assert inside["attention"] <= inside["recorded gaze"] + 0.02
    path = clip.paths()["attention"]
    assert np.abs(clip.derivative(path, 1)).max() <= 0.401
