"""Shards: what goes in comes out, whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import noise

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data import records
from uva_tf.data.dataset import open_dataset
from uva_tf.data.fixations import Fixations
from uva_tf.data.layouts import gaze
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_gaze, read_records
from uva_tf.data.writer import Job, write_dataset
from uva_tf.evaluation.evaluate import evaluate
from uva_tf.gaze.fixation_table import NOWHERE

SIZE = 64  # of the frames of `shards`


def write(recordings, out, jobs=1, split=None):
    split = split or {recording.name: "train" for recording in recordings}
    job = Job("gaze", DataConfig(size=SIZE))
    return write_dataset(recordings, split, out, job, jobs=jobs)


class TestRecords:
    def test_come_back_as_they_went_in(self, gaze_root, shards):
        for recording, shard in zip(gaze(gaze_root), shards.shards, strict=True):
            for gaze_frame, record in zip(
                recording.read(), read_records(shards, shard), strict=True
            ):
                assert record.video == recording.name
                assert record.index == gaze_frame.index
                assert record.aspect == 144 / 256
                np.testing.assert_array_equal(record.fixations.points, gaze_frame.fixations.points)
                np.testing.assert_array_equal(
                    record.fixations.observers, gaze_frame.fixations.observers
                )

    def test_hold_the_frame_made_small(self, gaze_root, shards):
        for recording, shard in zip(gaze(gaze_root), shards.shards, strict=True):
            frames = np.array([s.frame.small(SIZE) for s in recording.read()], float)
            for number, record in enumerate(read_records(shards, shard)):
                differences = np.abs(frames - record.frame).mean(axis=(1, 2, 3))
                # JPEG of quality 95 is off by 1 to 2 of 255 on average, PNG by nothing.
                assert differences[number] <= (2 if shard.split == "train" else 0)
                assert differences.argmin() == number
                swapped = np.abs(frames[number] - record.frame[..., ::-1]).mean()
                assert differences[number] < swapped

    def test_reach_validation_as_the_frame_made_small(self, gaze_root, shards):
        batches = ordered_batches(shards, shards.split("val"), View(SIZE, 16, "previous"), batch=8)
        (batch,) = batches.as_numpy_iterator()
        (recording,) = (r for r in gaze(gaze_root) if r.name == "clip03")
        frames = [gaze_frame.frame.small(SIZE) for gaze_frame in recording.read()]
        np.testing.assert_array_equal(batch["frame"], frames)

    def test_keep_the_shape_of_photographs(self, photographs):
        (shard,) = photographs.shards
        records = list(read_records(photographs, shard))
        assert [record.video for record in records] == ["a", "b", "c"]
        # Stored as float32.
        assert [record.aspect for record in records] == pytest.approx([48 / 32, 40 / 60, 1])

    def test_are_counted_in_the_index(self, gaze_root, shards):
        for recording, shard in zip(gaze(gaze_root), shards.shards, strict=True):
            found = [len(gaze_frame.fixations.points) for gaze_frame in recording.read()]
            assert shard.recordings == (recording.name,)
            assert (shard.frames, shard.fixations) == (8, sum(found))
            assert shard.not_looked_at == found.count(0)
        assert [shard.split for shard in shards.shards] == ["train", "train", "val"]

    def test_name_what_was_left_out(self, tmp_path, clips_root):
        rows = [("a", 1, 0, 40, 10, 10), ("a", 1, 900, 40, 10, 10), ("b", 1, 0, 40, 10, 10)]
        dataset = write(gaze(clips_root(rows)), tmp_path / "out")
        assert [shard.left_out for shard in dataset.shards] == [{"a": {NOWHERE: 1}}, {}]


class TestDataset:
    def test_opens_as_it_was_written(self, shards):
        assert open_dataset(shards.folder) == shards

    def test_does_not_depend_on_the_number_of_jobs(self, tmp_path, gaze_root, shards):
        split = {"clip01": "train", "clip02": "train", "clip03": "val"}
        one, two = (write(gaze(gaze_root), tmp_path / str(jobs), jobs, split) for jobs in (1, 2))
        assert one.shards == two.shards == shards.shards
        assert len({shard.sha256 for shard in one.shards}) == 3

    def test_refuses_an_existing_folder_and_leaves_it_alone(self, tmp_path, clips_root):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("kept")
        with pytest.raises(InputError, match="exists already"):
            write(gaze(clips_root([("a", 1, 0, 40, 10, 10)])), tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
        assert (tmp_path / "out" / "mine").read_text() == "kept"

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_leaves_finished_shards_alone_when_it_fails_half_way(self, tmp_path, clips_root, jobs):
        rows = [(name, 1, 0, 40, 10, 10) for name in "abd"] + [("c", 1, 0, 40, 999, 10)]
        recordings = gaze(clips_root(rows))
        with pytest.raises(InputError, match=r"c\.mp4"):
            write(recordings, tmp_path / "out", jobs)
        assert not (tmp_path / "out").exists()
        left = {path.suffix for path in (tmp_path / ".out.partial").iterdir()}
        assert left == {".tfrecord", ".json"}

    def test_refuses_a_shard_that_has_changed(self, tmp_path, shards):
        folder = shutil.copytree(shards.folder, tmp_path / "copy")
        shard = folder / "00001.tfrecord"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        with pytest.raises(InputError, match=r"00001\.tfrecord: changed since it was prepared"):
            open_dataset(folder)

    def test_refuses_a_shard_that_is_gone(self, tmp_path, shards):
        folder = shutil.copytree(shards.folder, tmp_path / "copy")
        (folder / "00002.tfrecord").unlink()
        with pytest.raises(InputError, match=r"00002\.tfrecord: no such shard"):
            open_dataset(folder)

    @pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"shards": [{"file": 1}]}'])
    def test_refuses_a_folder_without_a_true_index(self, tmp_path, text):
        if text is not None:
            (tmp_path / "index.json").write_text(text)
        with pytest.raises(InputError, match=r"index\.json"):
            open_dataset(tmp_path)

    def test_names_the_splits_it_has(self, shards):
        assert [shard.recordings for shard in shards.split("val")] == [("clip03",)]
        with pytest.raises(InputError, match="no split 'test', it has train, val"):
            shards.split("test")

    def test_groups_photographs_by_split_in_one_shard(self, tmp_path, images_root):
        root = images_root(split={"a": "train", "b": "val", "c": "train"})
        dataset = prepare("images", root, tmp_path / "out", DataConfig(size=SIZE))
        groups = {(shard.split, shard.recordings) for shard in dataset.shards}
        assert groups == {("train", ("a", "c")), ("val", ("b",))}
        assert all(shard.still for shard in dataset.shards)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": -5},
        {"sigma": float("nan")},
        {"shards": [5]},
        {"size": 100},
    ],
)
def test_an_index_that_makes_no_sense_is_refused(shards, tmp_path, changes):
    index = json.loads((shards.folder / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(index | changes))
    with pytest.raises(InputError, match=r"index\.json"):
        open_dataset(tmp_path)


def test_a_shard_outside_its_folder_is_refused(shards, tmp_path):
    index = json.loads((shards.folder / "index.json").read_text())
    index["shards"][0]["file"] = str(shards.folder / index["shards"][0]["file"])
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="outside the folder"):
        open_dataset(tmp_path)


class TestInvariants:
    """What a record must be, where it is written and where it is read."""

    # Width, height, and whether the sides are of 20 to 1 at most.
    SHAPES = [(400, 20, True), (401, 20, False), (20, 400, True), (20, 401, False), (3, 3, True)]

    @pytest.mark.parametrize(("width", "height", "fits"), SHAPES)
    def test_a_picture_is_evaluated_or_refused_by_prepare(
        self, images_root, tmp_path, call, width, height, fits
    ):
        pictures = {"a.png": noise(30, 40, seed=1), "long.png": noise(height, width, seed=2)}
        looks = [("a", 7, 15.5, 12.5), ("long", 7, width / 2, height / 2)]
        root = images_root(pictures, looks, {"a": "train", "long": "val"})
        words = ["--layout", "images", "--root", root, "--out", tmp_path / "shards", "--size", 64]
        code, _, err = call("pipelines/prepare.py", *words)
        if not fits:
            assert code == 2
            assert f"long, frame 1 of {width}x{height}: height" in err
            assert "expected sides of at most 20 to 1; --skip-bad leaves it out" in err
            code, out, _ = call("pipelines/prepare.py", *words, "--skip-bad")
            assert code == 0
            assert "skipped: long: long, frame 1" in out
            return
        assert code == 0
        dataset = open_dataset(tmp_path / "shards")
        assert evaluate({}, dataset, "val", baselines=False).frames == 1

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"aspect": 0.04}, "height 0.04 times the width, expected sides of at most 20 to 1"),
            ({"aspect": float("nan")}, "height nan times"),
            ({"points": [[0.5, 1.5]]}, "a fixation at 0.5, 1.5 of the frame, expected 0 to 1"),
            ({"points": [[-0.1, 0.5]]}, "a fixation at -0.1, 0.5"),
            ({"points": [[0.1, np.nan]]}, "a fixation at 0.1, nan"),
            ({"observers": [1, 2]}, r"2 observers for \(1, 2\) fixations"),
            ({"density": np.zeros((4, 4), np.uint8)}, "an empty density map"),
        ],
    )
    def test_they_are_the_same_in_both_places(self, tmp_path, change, words):
        given = {"aspect": 0.75, "points": [[0.5, 0.5]], "observers": [1], "density": None} | change
        points = np.array(given["points"], np.float32)
        fixations = Fixations(points, np.array(given["observers"], np.int32))
        with pytest.raises(InputError, match=words):
            records.check(given["aspect"], fixations, given["density"])
        frame = cv2.imencode(".png", noise(SIZE, SIZE, seed=0))[1].tobytes()
        maps = [] if given["density"] is None else [cv2.imencode(".png", given["density"])[1]]
        record = records._serialize(
            video=[b"a"],
            index=[1],
            frame=[frame],
            aspect=[float(given["aspect"])],
            points=points.ravel().tolist(),
            observers=given["observers"],
            density=[png.tobytes() for png in maps],
        )
        with tf.io.TFRecordWriter(str(tmp_path / "shard")) as writer:
            writer.write(record)
        dataset = SimpleNamespace(folder=tmp_path, size=SIZE)
        shard = SimpleNamespace(file="shard")
        with pytest.raises(InputError, match=rf"shard: a record is not valid \({words}"):
            list(read_records(dataset, shard))
        if "density" not in change:
            with pytest.raises(InputError, match=rf"is not valid \({words}"):
                list(read_gaze(dataset, shard))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"\xff\xff", "no tf.train.Example"),
        ({"video": [1]}, "video is something else"),
        ({"frame": [b"a", b"b"]}, "frame is something else"),
        ({"points": [b"a"]}, "points is something else"),
        ({"density": [b"xxx"]}, "density is no picture"),
        ({"points": [0.5, 0.5, 0.5], "observers": [1]}, "an odd number of coordinates"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, record, words):
    picture = cv2.imencode(".png", noise(SIZE, SIZE, seed=0))[1].tobytes()
    if isinstance(record, dict):
        record = records._serialize(**{"video": [b"a"], "frame": [picture]} | record)
    with tf.io.TFRecordWriter(str(tmp_path / "shard")) as writer:
        writer.write(record)
    dataset, shard = SimpleNamespace(folder=tmp_path, size=SIZE), SimpleNamespace(file="shard")
    with pytest.raises(InputError, match=rf"shard: a record is not valid \({words}\): run uva-tf"):
        list(read_records(dataset, shard))


def test_records_are_read_as_tensorflow_reads_them(shards):
    shard = shards.split("train")[0]
    serialized = tf.data.TFRecordDataset(str(shards.folder / shard.file))
    examples = [tf.io.parse_single_example(one, records.FEATURES) for one in serialized]
    for example, record in zip(examples, read_records(shards, shard), strict=True):
        assert record.video == example["video"].numpy().decode()
        assert (record.index, record.aspect) == (example["index"], example["aspect"])
        points = example["points"].values.numpy().reshape(-1, 2)
        np.testing.assert_array_equal(record.fixations.points, points)
        np.testing.assert_array_equal(record.fixations.observers, example["observers"].values)


def test_the_panorama_is_evaluated_or_refused(call, tmp_path):
    if not (cases := os.environ.get("UVA_TF_CASES")) or not Path(cases).is_dir():
        pytest.skip("UVA_TF_CASES names no folder of files that went wrong")
    words = ["--layout", "images", "--root", Path(cases) / "pano", "--out", tmp_path / "out"]
    code, out, err = call("pipelines/prepare.py", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "expected sides of at most 20 to 1" in err
    assert not list(tmp_path.iterdir())
