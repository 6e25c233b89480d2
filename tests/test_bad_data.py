"""Recordings and shards that are spoilt: refused by name, or skipped and listed on request."""

import json
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from conftest import assert_refused, contents, noise, write_table
from scipy.io import savemat

from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.records import FEATURES

WIDTH, HEIGHT, FRAMES = 64, 36, 6
MARKED = np.zeros((HEIGHT, WIDTH), np.uint8)
MARKED[[5, 9, 20], [7, 30, 50]] = 255
RAMP = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
COCO = "COCO_train2014_00000000000"


def put(picture):
    """A function that writes a picture to a path."""

    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture)

    return write


def put_mat(**values):
    """A function that writes a .mat file in place of a picture."""

    def write(path):
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path.with_suffix(".mat"), values)

    return write


def put_gaze(*parts, shape=(HEIGHT, WIDTH)):
    """A function that writes the gaze of some observers as SALICON has it."""
    gaze = np.zeros((len(parts), 1), [("fixations", object)])
    for number, part in enumerate(parts):
        gaze[number, 0]["fixations"] = np.array(part, float)
    return put_mat(gaze=gaze, resolution=np.array(shape))


def put_avi(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(noise(HEIGHT, WIDTH, seed=100 * seed + number))
    writer.release()


def write_gaze(root):
    for seed, name in enumerate("abc"):
        put_avi(root / "videos" / f"{name}.avi", seed)
        for number in range(1, FRAMES + 1):
            put(RAMP)(root / "maps" / name / f"{number:06d}.png")
    rows = [(name, observer, 0, 200, 10, observer) for name in "abc" for observer in (1, 2)]
    write_table(root / "fixations.csv", "video,observer,onset_ms,duration_ms,x,y", rows)


def write_dhf1k(root):
    for seed, name in enumerate(("001", "002", "700")):
        put_avi(root / "video" / f"{name}.AVI", seed)
        for number in range(1, FRAMES + 1):
            put(MARKED)(root / "annotation" / f"0{name}" / "fixation" / f"{number:04d}.png")


def write_ucf(root):
    for clip in ("training/Run-Side-001", "training/Run-Side-002", "testing/Run-Side-003"):
        for number in range(1, FRAMES + 1):
            name = f"Run-Side_{clip[-3:]}_{number:03d}.png"
            put(noise(HEIGHT, WIDTH, seed=number))(root / clip / "images" / name)
            put(MARKED)(root / clip / "fixation" / name)


def write_images(root):
    for seed, name in enumerate("abc"):
        put(noise(HEIGHT, WIDTH, seed=seed))(root / "images" / f"{name}.png")
        put(RAMP)(root / "maps" / name / "000001.png")
    rows = [(name, observer, 10, observer) for name in "abc" for observer in (1, 2)]
    write_table(root / "fixations.csv", "image,observer,x,y", rows)


def write_salicon(root):
    for number in (1, 2, 3):
        put(noise(HEIGHT, WIDTH, seed=number))(root / "images" / f"{COCO}{number}.jpg")
        put_gaze([(3, 4), (9, 9)])(root / "fixations" / "train" / f"{COCO}{number}.mat")


# How three good recordings are written, and what the second is called.
LAYOUTS = {
    "gaze": (write_gaze, "b"),
    "dhf1k": (write_dhf1k, "002"),
    "ucf-sports": (write_ucf, "Run-Side-002"),
    "images": (write_images, "b"),
    "salicon": (write_salicon, f"{COCO}2"),
}


def records(out):
    """The records of a prepared folder as they were written, by recording."""
    found = {}
    for path in sorted(out.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            name = tf.io.parse_single_example(record, FEATURES)["video"].numpy().decode()
            found.setdefault(name, []).append(record)
    return found


def prepare(layout, root, out, *more):
    """Arguments that prepare a folder, with a teacher's maps where it holds them."""
    maps = ["--spatial-maps", root / "maps"] if (root / "maps").is_dir() else []
    args = ["--layout", layout, "--root", root, "--out", out, "--size", "32"]
    return ["pipelines/prepare.py", *args, *maps, *more]


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def text(path):
    path.write_text("not a picture")


def cut_mp4(path):
    with VideoWriter(path.with_suffix(".mp4"), 25, WIDTH, HEIGHT) as video:
        for number in range(FRAMES):
            video.write(noise(HEIGHT, WIDTH, seed=number))
    cut(path.with_suffix(".mp4"), 0.9)
    path.unlink()


def huge_png(path):
    """The header of a picture of 60000 x 60000 pixels, and none of them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    content = struct.pack(">I", len(header) - 4) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def huge_mat(path):
    """A variable that claims 60000 x 60000 numbers and holds few of them."""
    put_mat(I=np.ones((3, 5)))(path)
    path = path.with_suffix(".mat")
    content, shape = path.read_bytes(), struct.pack("<ii", 3, 5)
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, struct.pack("<ii", 60000, 60000)))


def junk_mat(path):
    path.unlink()
    text(path.with_suffix(".mat"))


def add(row):
    def spoil(path):
        with path.open("a") as file:
            file.write(row + "\n")

    return spoil


def drop_rows(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("b,")))


def empty(path):
    path.write_bytes(b"")


def link_to_nowhere(path):
    path.unlink()
    path.symlink_to("nowhere")


def double(path):
    shutil.copy(path, path.with_name(f"0{path.name}"))


CSV, CLIP, MAPS = "fixations.csv", "videos/b.avi", "maps/b"
VIDEO_MAPS, VIDEO_MAP = "annotation/0002/fixation", "annotation/0002/fixation/0002.png"
CLIP_MAPS, CLIP_MAP = (f"training/Run-Side-002/fixation/Run-Side_002{n}" for n in ("", "_002.png"))
FRAME = "training/Run-Side-002/images/Run-Side_002_002.png"
MAT = f"fixations/train/{COCO}2.mat"
GREY16, RGBA = MARKED.astype(np.uint16), np.dstack([MARKED] * 4)
SPARSE = scipy.sparse.csc_matrix(MARKED * 1.0)

# By layout: which file of the second recording is spoilt how, and what is said of it.
BAD = {
    "gaze": {
        "cut avi": (CLIP, cut, "b.avi: stops 5 frames before the 6 that it announces"),
        "cut mp4": (CLIP, cut_mp4, "b.mp4: stops"),
        "link to nowhere": (CLIP, link_to_nowhere, "b.avi"),
        "letters": (CSV, add("b,3,0,9,ten,10"), f"{CSV} line 8: x is 'ten', expected a number"),
        "nobody": (CSV, add("b,,0,9,10,10"), f"{CSV} line 8: observer is empty, expected a name"),
        "row without file": (CLIP, Path.unlink, f"videos: no file for 'b' of {CSV}"),
        "file without row": (CSV, drop_rows, f"b.avi: no rows in {CSV}"),
        "no maps": (MAPS, shutil.rmtree, f"{MAPS}: no such folder, expected a map of every"),
        "map missing": (f"{MAPS}/000003.png", Path.unlink, f"{MAPS}/000003.png: no such file"),
        "map surplus": (f"{MAPS}/000007.png", put(RAMP), "000007.png: b has no such frame"),
        "map empty": (f"{MAPS}/000003.png", put(0 * RAMP), f"{MAPS}/000003.png: an empty map"),
    },
    "images": {
        "cut": (
            "images/b.png",
            cut,
            "images/b.png: the file was cut short: it ends within the picture",
        ),
        "huge": (
            "images/b.png",
            huge_png,
            "images/b.png: 3600000000 pixels, expected at most",
        ),
        "map surplus": (f"{MAPS}/000002.png", put(RAMP), "000002.png: b has no such frame"),
    },
    "dhf1k": {
        "no maps": ("annotation/0002", shutil.rmtree, "002.AVI: no folder annotation/0002"),
        "map missing": (
            *(f"{VIDEO_MAPS}/0006.png", Path.unlink),
            "annotation/0002: no fixation map for frame 6 of 002.AVI",
        ),
        "map surplus": (
            *(f"{VIDEO_MAPS}/0007.png", put(MARKED)),
            f"{VIDEO_MAPS}/0007.png: 002.AVI has only 6 frames",
        ),
        "one number twice": (VIDEO_MAP, double, "0002.png and 00002.png: two files have the same"),
        "empty file": (VIDEO_MAP, empty, f"{VIDEO_MAP}: the file is empty, expected a picture"),
        "inverted": (VIDEO_MAP, put(255 - MARKED), f"{VIDEO_MAP}: 100% of its pixels are not 0"),
        "16 bits": (VIDEO_MAP, put(GREY16), f"{VIDEO_MAP}: a map of 16 bits, expected 8-bit grey"),
        "transparency": (VIDEO_MAP, put(RGBA), f"{VIDEO_MAP}: a map with transparency (RGBA)"),
        "colour": (VIDEO_MAP, put(noise(HEIGHT, WIDTH, 9)), f"{VIDEO_MAP}: a map in colour"),
        "density": (VIDEO_MAP, put(RAMP), f"{VIDEO_MAP}: 64 shades of grey"),
        "shape": (VIDEO_MAP, put(MARKED.T), f"{VIDEO_MAP}: 36x64 pixels for a frame of 64x36"),
    },
    "ucf-sports": {
        "map missing": (
            f"{CLIP_MAPS}_006.png",
            Path.unlink,
            "002_006.png: no map with this number in",
        ),
        "map surplus": (
            f"{CLIP_MAPS}_007.png",
            put(MARKED),
            "002_007.png: no frame with this number in",
        ),
        "map of another": (
            CLIP_MAPS.replace("_002", "_003_002.png"),
            put(MARKED),
            "Run-Side_003_002.png: expected a name such as Run_Side_002_00001.png",
        ),
        "text for a frame": (FRAME, text, f"{FRAME}: OpenCV can't read it as a picture"),
        "junk": (CLIP_MAP, junk_mat, "002_002.mat: SciPy can't read it as a MATLAB file"),
        "no I": (CLIP_MAP, put_mat(J=MARKED), "002_002.mat: no variable I, it has J"),
        "nan": (CLIP_MAP, put_mat(I=MARKED * np.nan), "002_002.mat: the map holds NaN"),
        "huge": (CLIP_MAP, huge_mat, "002_002.mat: I is (60000, 60000), larger than any"),
        "sparse": (CLIP_MAP, put_mat(I=SPARSE), "002_002.mat: "),
        "0x0": (CLIP_MAP, put_mat(I=np.zeros((0, 0))), "002_002.mat: "),
    },
    "salicon": {
        "no gaze": (MAT, Path.unlink, f"{COCO}2.jpg: no {MAT} for it"),
        "nan": (MAT, put_gaze([(3, np.nan)]), f"{MAT}: gaze holds NaN"),
        "outside": (MAT, put_gaze([(640, 9)]), f"{MAT}: 1 of 1 fixations lie outside the 64x36"),
        "three columns": (MAT, put_gaze([(3, 4, 20), (9, 9, 20)]), f"{MAT}: gaze"),
        "endless": (MAT, put_gaze([(3, 4)], shape=(np.inf, 64)), f"{MAT}: resolution"),
        "shape": (MAT, put_gaze([(3, 4)], shape=(480, 640)), f"{MAT}: 640x480 pixels for"),
        "cut jpeg": (f"images/{COCO}2.jpg", cut, f"{COCO}2.jpg: "),
    },
}
CASES = [(layout, case) for layout, found in BAD.items() for case in found]


@pytest.mark.parametrize(("layout", "case"), CASES)
def test_prepare_refuses_a_bad_recording_and_skips_it_if_asked(tmp_path, call, layout, case):
    file, spoil, words = BAD[layout][case]
    write, bad = LAYOUTS[layout]
    root, out = tmp_path / "root", tmp_path / "out"
    write(root)
    assert call(*prepare(layout, root, tmp_path / "good"))[0] == 0
    good = records(tmp_path / "good")
    spoil(root / file)
    before = contents(tmp_path)
    assert_refused(call(*prepare(layout, root, out)), words)
    kept = {p.suffix for p in contents(tmp_path) if p.parent.name == ".out.partial"}
    assert kept <= {".tfrecord", ".json"}
    assert {p: c for p, c in contents(tmp_path).items() if ".out.partial" not in p.parts} == before

    code, printed, err = call(*prepare(layout, root, out, "--skip-bad"))
    assert (code, err) == (0, "")
    skipped = json.loads((out / "index.json").read_text())["skipped"]
    assert list(skipped) == [bad]
    assert words in skipped[bad]
    assert f"skipped: {bad}: {skipped[bad]}" in printed.splitlines()
    assert len(good) == 3
    assert len(good.pop(bad)) > 0
    assert records(out) == good


def test_a_name_in_another_case_is_read_and_said(tmp_path, call):
    write_gaze(tmp_path / "root")
    (tmp_path / "root" / CLIP).rename(tmp_path / "root" / "videos" / "B.avi")
    shutil.copytree(tmp_path / "root" / MAPS, tmp_path / "root" / "maps" / "B")
    code, printed, _ = call(*prepare("gaze", tmp_path / "root", tmp_path / "out"))
    assert code == 0
    assert (
        "note: names in fixations.csv differ in case from those of the files (B, a, c)" in printed
    )
    assert set(records(tmp_path / "out")) == {"a", "B", "c"}


@pytest.mark.parametrize(("layout", "file"), [("images", "images/{}.png"), ("gaze", "maps/{}")])
def test_skipping_all_recordings_is_refused(tmp_path, call, layout, file):
    LAYOUTS[layout][0](tmp_path / "root")
    for name in "abc":
        path = tmp_path / "root" / file.format(name)
        text(path) if path.is_file() else shutil.rmtree(path)
    before = contents(tmp_path)
    words = {"images": "every recording was skipped", "gaze": "also bad: b, c"}[layout]
    result = call(*prepare(layout, tmp_path / "root", tmp_path / "out", "--skip-bad"))
    assert_refused(result, words)
    assert contents(tmp_path) == before


def test_rows_that_repeat_another_are_left_out_and_counted(tmp_path, call):
    write_gaze(tmp_path / "root")
    assert call(*prepare("gaze", tmp_path / "root", tmp_path / "good"))[0] == 0
    add("b,1,0,200,10,1\nb,1,0,200,10,1\nc,2,0,200,10,2")(tmp_path / "root" / CSV)
    code, printed, err = call(*prepare("gaze", tmp_path / "root", tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "left out: 3 rows that repeat another (b 2, c 1)" in printed
    assert records(tmp_path / "out") == records(tmp_path / "good")


@pytest.mark.parametrize(
    ("layout", "file", "spoil", "counts"),
    [
        ("dhf1k", VIDEO_MAP, put(0 * MARKED), "2 recordings, 12 frames, 33 fixations"),
        ("salicon", MAT, put_gaze(), "3 recordings, 3 frames, 4 fixations"),
    ],
)
def test_a_frame_that_nobody_looked_at_is_counted(tmp_path, call, layout, file, spoil, counts):
    LAYOUTS[layout][0](tmp_path / "root")
    spoil(tmp_path / "root" / file)
    code, printed, err = call(*prepare(layout, tmp_path / "root", tmp_path / "out"))
    assert (code, err) == (0, "")
    assert (
        f"train: {counts} (counted in every frame that they last), 1 frames without gaze" in printed
    )
