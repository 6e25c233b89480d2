"""Batches: pairs, maps, order, and what is never mixed."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.core.frames import Frame
from uva_tf.data import pipeline
from uva_tf.data.fixations import Fixations, density_map
from uva_tf.data.layouts import gaze
from uva_tf.data.pipeline import View, Worker, ordered_batches, training_batches
from uva_tf.data.recordings import GazeFrame, Recording
from uva_tf.data.records import map_record, read_records
from uva_tf.data.writer import Job, write_dataset

SIZE = 64  # of the frames of `shards`
PLAIN = AugmentConfig(smallest_crop=1.0, colour=0.0, time_reversal=0.0, camera_motion=0.0)


def write(recordings, out, jobs=1, split=None):
    split = split or {recording.name: "train" for recording in recordings}
    job = Job("gaze", DataConfig(size=SIZE))
    return write_dataset(recordings, split, out, job, jobs=jobs)


def ordered(dataset, pairing, shards=None, map_size=32, **options):
    """The examples of some shards, as NumPy arrays."""
    view = View(SIZE, map_size, pairing)
    batches = ordered_batches(dataset, shards or dataset.shards, view, batch=3, **options)
    return [
        {key: batch[key][number].numpy() for key in batch}
        for batch in batches
        for number in range(len(batch["index"]))
    ]


def training(datasets, *, count, batch=4, size=32, map_size=16, **options):
    options = {"seed": 1, "augment": AugmentConfig()} | options
    batches = training_batches(datasets, View(size, map_size, "previous"), batch=batch, **options)
    return list(batches.take(count))


def same(one, other):
    for key in one:
        left, right = one[key], other[key]
        if isinstance(left, tf.RaggedTensor):
            left, right = left.to_list(), right.to_list()
            if left != right:
                return False
        elif not np.array_equal(left, right):
            return False
    return True


class TestPairing:
    def test_previous_is_the_frame_before_and_itself_for_the_first(self, shards):
        examples = ordered(shards, "previous")
        assert [e["index"] for e in examples] == [1, 2, 3, 4, 5, 6, 7, 8] * 3
        for before, example in zip([None, *examples], examples, strict=False):
            partner = example if example["index"] == 1 else before
            np.testing.assert_array_equal(example["other"], partner["frame"])
            if partner is before:
                assert np.any(example["other"] != example["frame"])

    def test_next_is_the_frame_after_and_itself_for_the_last(self, shards):
        examples = ordered(shards, "next")
        for example, after in zip(examples, [*examples[1:], None], strict=True):
            partner = example if example["index"] == 8 else after
            np.testing.assert_array_equal(example["other"], partner["frame"])
            if partner is after:
                assert np.any(example["other"] != example["frame"])

    @pytest.mark.parametrize("pairing", ["previous", "next"])
    def test_photographs_of_one_shard_pair_with_themselves(self, photographs, pairing):
        examples = ordered(photographs, pairing)
        assert [e["video"] for e in examples] == [b"a", b"b", b"c"]
        for example in examples:
            np.testing.assert_array_equal(example["other"], example["frame"])

    @pytest.mark.parametrize("pairing", ["previous", "next"])
    @pytest.mark.parametrize(
        "places", [[("a", 1), ("b", 2)], [("a", 1), ("a", 3)], [("a", 2), ("a", 2)]]
    )
    def test_stops_at_another_recording_and_at_a_gap(self, tmp_path, pairing, places):
        """Records side by side in a shard that are no neighbours in time."""
        rng = np.random.default_rng(0)
        nobody = Fixations(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))
        gaze_frames = [
            GazeFrame(index, Frame(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)), nobody)
            for _, index in places
        ]
        recordings = [
            Recording(name, True, lambda gaze_frame=gaze_frame: iter([gaze_frame]))
            for (name, _), gaze_frame in zip(places, gaze_frames, strict=True)
        ]
        for example in ordered(write(recordings, tmp_path / "out"), pairing):
            np.testing.assert_array_equal(example["other"], example["frame"])


class TestOrderedBatches:
    def test_hold_the_stored_frames(self, shards):
        examples = iter(ordered(shards, "previous"))
        for shard in shards.shards:
            for record in read_records(shards, shard):
                example = next(examples)
                # Two JPEG decoders may round the same coefficients and colours apart.
                difference = np.abs(example["frame"].astype(int) - record.frame)
                assert difference.mean() < 1
                assert example["video"].decode() == record.video
                np.testing.assert_array_equal(example["fixations"], record.fixations.points)
        assert next(examples, None) is None

    @pytest.mark.parametrize("kind", ["clips", "photographs"])
    def test_draw_the_density_map_of_the_fixations(self, shards, photographs, kind):
        dataset = shards if kind == "clips" else photographs
        examples = iter(ordered(dataset, "previous", map_size=24))
        for shard in dataset.shards:
            for record in read_records(dataset, shard):
                expected = density_map(
                    record.fixations.points, 24, 24, dataset.sigma, record.aspect
                )
                # The same float32 formula, summed and raised to powers in another order.
                np.testing.assert_allclose(
                    next(examples)["density"][..., 0], expected, rtol=1e-4, atol=1e-8
                )

    def test_of_every_third_frame_skip_frames_without_fixations(self, tmp_path, clips_root):
        rows = [("a", 1, 0, 40, 10, 10), ("a", 1, 240, 40, 10, 10)]  # frames 1 and 7 of 10
        dataset = write(gaze(clips_root(rows)), tmp_path / "out")
        assert [e["index"] for e in ordered(dataset, "previous", every=3)] == [1, 7]
        everything = ordered(dataset, "previous")
        assert [e["index"] for e in everything] == list(range(1, 11))
        assert [bool(e["density"].any()) for e in everything].count(True) == 2


@pytest.fixture(scope="module")
def dozen(shards):
    """The first twelve batches of a training."""
    return training([shards], count=12)


class TestTrainingBatches:
    def test_keep_the_contract(self, shards):
        (batch,) = training([shards], count=1, batch=5)
        assert set(batch) == {"frame", "other", "density", "fixations", "video", "index"}
        for key in ("frame", "other"):
            assert (batch[key].shape, batch[key].dtype) == ((5, 32, 32, 3), tf.uint8)
        assert (batch["density"].shape, batch["density"].dtype) == ((5, 16, 16, 1), tf.float32)
        # 256 float32 summands.
        np.testing.assert_allclose(tf.reduce_sum(batch["density"], [1, 2, 3]), 1, atol=1e-5)
        points = batch["fixations"]
        assert isinstance(points, tf.RaggedTensor)
        assert (points.shape.as_list(), points.dtype) == ([5, None, 2], tf.float32)
        assert points.row_lengths().numpy().min() > 0
        assert 0 <= points.flat_values.numpy().min() <= points.flat_values.numpy().max() <= 1
        assert (batch["video"].shape, batch["video"].dtype) == ((5,), tf.string)
        assert (batch["index"].shape, batch["index"].dtype) == ((5,), tf.int64)

    def test_are_the_same_for_the_same_seed_and_others_for_another(self, shards, dozen):
        first, again = dozen[:5], training([shards], count=5)
        assert all(same(one, other) for one, other in zip(first, again, strict=True))
        assert not any(
            same(one, other)
            for one, other in zip(first, training([shards], count=5, seed=2), strict=True)
        )

    def test_differ_from_one_another(self, dozen):
        # 16 frames, 48 draws: every frame is drawn three times, and changed each time.
        frames = {frame.tobytes() for batch in dozen for frame in batch["frame"].numpy()}
        assert len(frames) == 48

    @pytest.mark.parametrize("start", [1, 5])
    def test_resume_where_they_were(self, shards, dozen, start):
        whole = dozen[:7]
        rest = training([shards], count=7 - start, start=start)
        assert all(same(one, other) for one, other in zip(whole[start:], rest, strict=True))

    def test_draw_from_the_train_split_only(self, dozen):
        videos = {v for batch in dozen for v in batch["video"].numpy()}
        assert videos == {b"clip01", b"clip02"}

    def test_leave_out_frames_without_fixations_but_not_as_other(self, tmp_path, clips_root):
        rows = [("a", 1, 160, 80, 10, 10)]  # frames 5 and 6 of 10
        dataset = write(gaze(clips_root(rows)), tmp_path / "out")
        indices = {int(i) for batch in training([dataset], count=5) for i in batch["index"]}
        assert indices == {5, 6}

    def test_pair_a_frame_with_the_one_before(self, shards):
        stored = {(e["video"], e["index"]): e["frame"] for e in ordered(shards, "previous")}
        for batch in training([shards], count=4, size=SIZE, augment=PLAIN):
            for video, index, frame, other in zip(
                *(batch[key].numpy() for key in ("video", "index", "frame", "other")), strict=True
            ):
                before = stored[video, max(1, index - 1)]
                flipped = not np.array_equal(frame, stored[video, index])
                if flipped:
                    np.testing.assert_array_equal(frame[:, ::-1], stored[video, index])
                np.testing.assert_array_equal(other[:, ::-1] if flipped else other, before)

    @pytest.mark.parametrize(("weights", "share"), [((), 0.5), ((3, 1), 0.75)])
    def test_draw_datasets_by_weight(self, shards, photographs, weights, share):
        batches = training([shards, photographs], count=40, batch=16, weights=weights)
        videos = np.concatenate([batch["video"].numpy() for batch in batches])
        clips = np.mean([video.startswith(b"clip") for video in videos])
        # 640 draws are off by 0.02; the datasets hold 16 and 3 frames.
        assert abs(clips - share) < 0.08

    def test_take_every_frame_once_an_epoch(self, shards, monkeypatch):
        monkeypatch.setattr(pipeline, "SHUFFLE", 1)  # which else reaches across epochs
        epochs = training([shards], count=4, batch=16)
        places = [list(zip(e["video"].numpy(), e["index"].numpy(), strict=True)) for e in epochs]
        assert all(len(set(epoch)) == 16 for epoch in places)
        assert len({tuple(epoch) for epoch in places}) > 1

    @pytest.mark.parametrize(("time_reversal", "share"), [(1.0, 1.0), (0.5, 0.5)])
    def test_pair_with_the_frame_after_where_time_runs_backwards(
        self, shards, time_reversal, share
    ):
        stored = {(e["video"], e["index"]): e["frame"] for e in ordered(shards, "previous")}
        augment = replace(PLAIN, time_reversal=time_reversal)
        ahead = []
        for batch in training([shards], count=24, batch=16, size=SIZE, augment=augment):
            for video, index, frame, other in zip(
                *(batch[key].numpy() for key in ("video", "index", "frame", "other")), strict=True
            ):
                if not np.array_equal(frame, stored[video, index]):
                    frame, other = frame[:, ::-1], other[:, ::-1]
                    np.testing.assert_array_equal(frame, stored[video, index])
                after, before = (
                    np.array_equal(other, stored[video, min(max(index + step, 1), 8)])
                    for step in (1, -1)
                )
                assert after != before or index in (1, 8)
                if index not in (1, 8):
                    ahead.append(after)
        # Two shards of an epoch draw 24 times: half of them off by 0.1.
        assert abs(np.mean(ahead) - share) <= (0.35 if share == 0.5 else 0)

    def test_of_several_machines_are_of_different_clips_in_every_epoch(self, shards, monkeypatch):
        monkeypatch.setattr(pipeline, "SHUFFLE", 1)
        clips = [
            [set(b["video"].numpy()) for b in training([shards], count=6, batch=8, worker=worker)]
            for worker in (Worker(0, 2), Worker(1, 2))
        ]
        for one, two in zip(*clips, strict=True):
            assert len(one) == len(two) == 1
            assert one | two == {b"clip01", b"clip02"}
        assert {clip for epoch in clips[0] for clip in epoch} == {b"clip01", b"clip02"}

    def test_refuse_fewer_shards_than_machines(self, photographs):
        with pytest.raises(ValueError, match="1 shards for training"):
            training([photographs], count=1, worker=Worker(0, 2))

    def test_refuse_datasets_whose_maps_differ_in_width(self, shards, photographs):
        with pytest.raises(ValueError, match="sigma"):
            training([shards, replace(photographs, sigma=0.05)], count=1)


KINDS = {"spatial": 3, "temporal": 10}  # column of the bright pixel in maps of 32 pixels


def write_maps(dataset, folder, change=lambda records: records):
    """Maps that tell their frame: one bright pixel, in row 2 * index and its kind's column."""
    for kind, column in KINDS.items():
        (folder / kind).mkdir(parents=True)
        for shard in dataset.split("train"):
            records = []
            for record in read_records(dataset, shard):
                picture = np.zeros((32, 32), np.uint8)
                picture[2 * record.index, column] = 255
                records.append(map_record(record.video.encode(), record.index, kind, picture))
            with tf.io.TFRecordWriter(str(folder / kind / shard.file)) as writer:
                for record in change(records):
                    writer.write(record)
    return folder


def by_kind(folder):
    return {kind: [folder / kind] for kind in KINDS}


class TestTeachersMaps:
    def test_arrive_at_their_frames(self, tmp_path, shards):
        folder = write_maps(shards, tmp_path / "maps")
        seen = set()
        for batch in training(
            [shards], count=20, size=SIZE, map_size=32, augment=PLAIN, teachers=by_kind(folder)
        ):
            for kind, column in KINDS.items():
                maps = batch[f"teacher_{kind}"].numpy()
                assert (maps.shape, maps.dtype) == ((4, 32, 32, 1), np.float32)
                # 1,024 float32 summands.
                np.testing.assert_allclose(maps.sum(axis=(1, 2, 3)), 1, atol=1e-5)
                for index, picture in zip(batch["index"].numpy(), maps[..., 0], strict=True):
                    row, found = np.unravel_index(picture.argmax(), picture.shape)
                    assert row == 2 * index
                    assert min(found, 31 - found) == column  # mirrored or not
                    # The bright pixel holds 255 of 255 + 1,024 / 1,000.
                    assert picture.max() > 0.99
            seen |= set(batch["index"].numpy())
        assert seen == set(range(1, 9))  # of 80 draws

    def test_are_cropped_with_their_frames(self, tmp_path, shards):
        folder = write_maps(shards, tmp_path / "maps")
        augment = replace(PLAIN, smallest_crop=0.5)
        batches = training(
            [shards], count=8, size=SIZE, map_size=32, augment=augment, teachers=by_kind(folder)
        )
        peaks = {
            float(peak)
            for batch in batches
            for peak in tf.reduce_max(batch["teacher_spatial"], axis=[1, 2, 3])
        }
        assert len(peaks) > 10  # the bright pixel spreads by the crop's size, or is cut off

    def test_out_of_step_with_their_frames_are_refused(self, tmp_path, shards):
        folder = write_maps(shards, tmp_path / "maps", lambda records: records[::-1])
        with pytest.raises(tf.errors.InvalidArgumentError, match="out of step"):
            training([shards], count=2, map_size=32, teachers=by_kind(folder))

    def test_of_too_few_frames_are_refused(self, tmp_path, shards):
        folder = write_maps(shards, tmp_path / "maps", lambda records: records[:3])
        with pytest.raises(tf.errors.InvalidArgumentError, match="out of step"):
            training([shards], count=8, map_size=32, teachers=by_kind(folder))

    def test_of_one_kind_come_without_the_other(self, tmp_path, shards):
        folder = write_maps(shards, tmp_path / "maps")
        teachers = {"temporal": [folder / "temporal"]}
        (batch,) = training([shards], count=1, map_size=32, teachers=teachers)
        assert "teacher_temporal" in batch
        assert "teacher_spatial" not in batch

    def test_that_nobody_made_are_0_beside_those_that_there_are(
        self, tmp_path, shards, photographs
    ):
        folder = write_maps(shards, tmp_path / "maps")
        teachers = {"temporal": [folder / "temporal", None]}
        clips = {name for shard in shards.split("train") for name in shard.recordings}
        taught = set()
        for batch in training([shards, photographs], count=8, map_size=32, teachers=teachers):
            sums = tf.reduce_sum(batch["teacher_temporal"], axis=[1, 2, 3]).numpy()
            for video, total in zip(batch["video"].numpy(), sums, strict=True):
                # 1,024 float32 summands; 0 exactly where there is no map.
                assert total == (pytest.approx(1, abs=1e-5) if video.decode() in clips else 0)
                taught.add(round(float(total)))
        assert taught == {0, 1}
