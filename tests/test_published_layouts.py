"""The layouts of published datasets: each pixel and each fixation arrives where it belongs."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from trees import (
    CELLS,
    SIZE,
    avs1k_clip,
    check,
    check_records,
    dhf1k_video,
    facing,
    hollywood2_shot,
    marks,
    number_in,
    ordered,
    picture,
    records,
    salicon_picture,
    spot,
    ucf_clip,
    ucf_tree,
    write,
    write_gaze,
)

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.layouts import LAYOUTS, OWN
from uva_tf.data.pipeline import View, training_batches
from uva_tf.data.prepare import prepare, summary
from uva_tf.gaze.fixation_table import OUTSIDE

PLAIN = AugmentConfig(smallest_crop=1.0, colour=0.0, time_reversal=0.0, camera_motion=0.0)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def prepared(layout, root, out, **options):
    return prepare(layout, root, out, DataConfig(SIZE), **options)


class TestDhf1k:
    @pytest.mark.parametrize("fixations", [("png",), ("mat",), ("png", "mat")])
    def test_every_frame_has_its_fixations_and_every_video_its_split(self, root, out, fixations):
        splits = {"001": "train", "600": "train", "601": "val", "700": "val", "701": "test"}
        frames = [
            frame
            for number, (name, split) in enumerate(splits.items())
            for frame in dhf1k_video(
                root,
                name,
                split,
                range(5 * number + 1, 5 * number + 4),
                fixations=fixations,
                size=(128, 256),  # twice the video's
            )
        ]
        dataset = prepared("dhf1k", root, out)
        # Batches are made of the records, whatever those were made of.
        (check if len(fixations) > 1 else check_records)(dataset, frames)
        assert not any(shard.still for shard in dataset.shards)
        assert dataset.withheld == 0

    def test_test_videos_without_annotation_are_counted_as_withheld(self, root, out):
        frames = dhf1k_video(root, "001", "train", [1, 2])
        for name in ("701", "1000"):
            dhf1k_video(root, name, "test", [3, 4])
            shutil.rmtree(root / "annotation" / f"{int(name):04d}")
        dataset = prepared("dhf1k", root, out)
        check_records(dataset, frames)
        assert dataset.withheld == 2
        assert "left out: 2 recordings whose gaze is not published" in summary(dataset)

    @pytest.mark.parametrize("name", ["600", "700"])
    def test_other_videos_without_annotation_are_refused_or_skipped(self, root, out, name):
        frames = dhf1k_video(root, "001", "train", [1, 2])
        dhf1k_video(root, name, "", [3, 4])
        shutil.rmtree(root / "annotation" / f"0{name}")
        with pytest.raises(InputError, match=rf"{name}\.AVI: no folder annotation/0{name}"):
            prepared("dhf1k", root, out)
        dataset = prepared("dhf1k", root, out, skip_bad=True)
        check_records(dataset, frames)
        assert list(dataset.skipped) == [name]

    def test_density_maps_without_fixations_or_the_reverse_are_refused_by_name(self, root, out):
        dhf1k_video(root, "001", "train", [1, 2, 3])
        density, fixations = (root / f"annotation/0001/{k}/0003.png" for k in ("maps", "fixation"))
        fixations.unlink()
        with pytest.raises(InputError, match=r"maps/0003\.png: no "):
            prepared("dhf1k", root, out)
        density.rename(fixations)
        with pytest.raises(InputError, match=r"fixation/0003\.png: no "):
            prepared("dhf1k", root, out)

    def test_an_annotation_without_video_is_refused_by_name(self, root, out):
        dhf1k_video(root, "001", "train", [1, 2])
        shutil.copytree(root / "annotation/0001", root / "annotation/0002")
        with pytest.raises(InputError, match=r"annotation/0002: no video for it"):
            prepared("dhf1k", root, out)

    def test_a_map_without_fixations_is_a_frame_that_nobody_looked_at(self, root, out):
        dhf1k_video(root, "001", "train", [1, 2, 3])
        write(root / "annotation/0001/fixation/0002.png", np.zeros((64, 128), bool))
        dataset = prepared("dhf1k", root, out)
        assert [len(r.fixations.points) > 0 for r in records(dataset)] == [True, False, True]
        assert dataset.shards[0].not_looked_at == 1


AVS1K = {
    "Building_00001": "train",
    "Human_00002": "val",
    "Others_00003": "test",
    "Vehicle_00004": "train",
}


def avs1k_tree(root, **options):
    return [
        frame
        for number, (name, split) in enumerate(AVS1K.items())
        for frame in avs1k_clip(root, name, split, range(5 * number + 1, 5 * number + 4), **options)
    ]


class TestAvs1k:
    def test_every_frame_has_its_own_density(self, root, out):
        frames = avs1k_tree(root)
        dataset = prepared("avs1k", root, out)
        check(dataset, frames)
        for record, frame in zip(records(dataset), frames, strict=True):
            np.testing.assert_array_equal(record.density, spot(frame.number, SIZE, SIZE))
            assert len(record.fixations.points) == 0
        for example, frame in zip(ordered(dataset), frames, strict=True):
            expected = spot(frame.number, 32, 32).astype(float)
            # Whole cells averaged in float32.
            np.testing.assert_allclose(
                example["density"][..., 0], expected / expected.sum(), atol=1e-6
            )
        assert not any(shard.not_looked_at or shard.notes for shard in dataset.shards)

    def test_a_copy_with_frame_and_ground_swapped_is_the_same_dataset_and_says_so(
        self, root, tmp_path
    ):
        avs1k_tree(root)
        frames = avs1k_tree(tmp_path / "swapped", swapped=True)
        one = prepared("avs1k", root, tmp_path / "one")
        other = prepared("avs1k", tmp_path / "swapped", tmp_path / "other")
        assert [shard.sha256 for shard in one.shards] == [s.sha256 for s in other.shards]
        check_records(other, frames)
        note = "Frame and Ground are swapped in this copy: they were read the other way round"
        notes = {name: note for shard in other.shards for name, (note,) in shard.notes.items()}
        assert notes == dict.fromkeys(AVS1K, note)
        names = "Building_00001, Human_00002, Others_00003 and 1 more"
        assert f"note: {note} ({names})" in summary(other)

    def test_a_swapped_clip_is_known_though_its_first_frame_is_grey(self, root, out):
        grey = 21
        frames = avs1k_clip(root, "Human_00001", "train", [grey, 1, 2], swapped=True)
        check_records(prepared("avs1k", root, out), frames)

    def test_nobody_looked_at_a_frame_whose_ground_is_black(self, root, out):
        frames = avs1k_clip(root, "Human_00001", "train", [1, 2, 3], black=[2])
        dataset = prepared("avs1k", root, out)
        check_records(dataset, frames)
        assert [record.looked_at for record in records(dataset)] == [True, False, True]
        assert [bool(e["density"].any()) for e in ordered(dataset)] == [True, False, True]
        assert dataset.shards[0].not_looked_at == 1
        assert "1 frames without gaze" in summary(dataset)

    def test_training_sees_each_density_with_its_frame_and_never_the_black_one(self, root, out):
        avs1k_clip(root, "Human_00001", "train", [1, 2, 3], black=[2])
        dataset = prepared("avs1k", root, out)
        view = View(SIZE, 32, "previous")
        seen = set()
        for batch in training_batches([dataset], view, batch=4, seed=1, augment=PLAIN).take(4):
            density = batch["density"].numpy()
            np.testing.assert_allclose(density.sum(axis=(1, 2, 3)), 1, atol=1e-5)  # 1,024 float32
            for frame, other, target in zip(
                batch["frame"].numpy(), batch["other"].numpy(), density[..., 0], strict=True
            ):
                step = facing(frame)
                frame, other, target = frame[:, ::step], other[:, ::step], target[:, ::step]
                row, column = np.unravel_index(target.argmax(), target.shape)
                cell = row // (32 // CELLS) * CELLS + column // (32 // CELLS)
                assert cell == number_in(frame)
                seen.add((number_in(frame), number_in(other)))
        assert seen == {(1, 1), (3, 2)}

    def test_every_crop_in_training_holds_some_of_its_density(self, root, out):
        avs1k_tree(root)  # each density is one cell of 8 x 8
        dataset = prepared("avs1k", root, out)
        augment = AugmentConfig(smallest_crop=0.3)
        view, sums, peaks = View(SIZE, 32, "previous"), [], []
        for batch in training_batches([dataset], view, batch=16, seed=1, augment=augment).take(8):
            sums += tf.reduce_sum(batch["density"], axis=[1, 2, 3]).numpy().tolist()
            peaks += tf.reduce_max(batch["density"], axis=[1, 2, 3]).numpy().tolist()
        np.testing.assert_allclose(sums, 1, atol=1e-5)  # 1,024 float32 summands
        assert len(set(peaks)) > 10  # larger or cut by its crop

    def test_a_clip_in_one_of_the_two_folders_only_is_refused_by_name(self, root, out):
        avs1k_tree(root)
        shutil.rmtree(root / "validSet/Ground/Human_00002")
        with pytest.raises(InputError, match=r"validSet/Ground/Human_00002: no such folder"):
            prepared("avs1k", root, out)


class TestUcfSports:
    @pytest.mark.parametrize("folder", ["fixation", "fixation/maps"])
    @pytest.mark.parametrize("suffix", [".png", ".mat"])
    def test_every_frame_has_its_own_fixations_in_clips_of_any_size(
        self, root, out, folder, suffix
    ):
        frames = [
            frame
            for name, split, numbers, size in (
                ("Diving-Side-001", "train", [1, 2, 3], (64, 128)),
                ("Golf-Swing-Back-002", "test", [5, 6], (96, 64)),
                ("Walk-Front-003", "train", [9, 10], (192, 256)),
            )
            for frame in ucf_clip(
                root, name, split, numbers, size=size, fixation=f"{folder}/*{suffix}"
            )
        ]
        # Batches are made of the records, whatever those were made of.
        once = folder == "fixation" and suffix == ".png"
        (check if once else check_records)(prepared("ucf-sports", root, out), frames)

    @pytest.mark.parametrize("stem", ["Diving-Side-001-{}", "Diving_Side_001_{:03}", "{:04}"])
    def test_dashes_and_underscores_are_the_same(self, root, out, stem):
        frames = ucf_clip(root, "Diving-Side-001", "train", [1, 2, 3], stem=stem)
        check_records(prepared("ucf-sports", root, out), frames)

    @pytest.mark.parametrize("folder", ["images", "maps", "fixation"])
    def test_a_file_of_another_clip_is_refused_by_name(self, root, out, folder):
        frames = ucf_clip(root, "Diving-Side-001", "train", [1, 2])
        ucf_clip(root, "Diving-Side-002", "train", [3, 4])
        stray = root / "training/Diving-Side-002" / folder / "Diving-Side_001_003.png"
        write(stray, marks(5))
        with pytest.raises(InputError, match=rf"{folder}/{stray.stem}\.png: expected a name"):
            prepared("ucf-sports", root, out)
        dataset = prepared("ucf-sports", root, out, skip_bad=True)
        check_records(dataset, frames)
        assert list(dataset.skipped) == ["Diving-Side-002"]


class TestHollywood2:
    def test_shots_of_one_film_are_kept_apart_and_numbered_from_1(self, root, out):
        film = "actioncliptrain00001_"
        frames = [
            *hollywood2_shot(root, "actioncliptest00001_1", "test", [60, 61], first=1),
            *hollywood2_shot(root, f"{film}1", "train", [1, 2, 3], first=1),
            *hollywood2_shot(root, f"{film}2", "train", [4, 5, 6], first=4),
            *hollywood2_shot(root, f"{film}3", "train", [7], first=7),
        ]
        dataset = prepared("hollywood2", root, out)
        check(dataset, frames)
        others = {
            pairing: [number_in(example["other"]) for example in ordered(dataset, pairing)]
            for pairing in ("previous", "next")
        }
        assert others["previous"] == [60, 60, 1, 1, 2, 4, 4, 5, 7]
        assert others["next"] == [61, 61, 2, 3, 3, 5, 6, 6, 7]
        assert not any(shard.notes for shard in dataset.shards)


TRAIN, VAL, TEST = (f"COCO_{split}2014_{9:012d}" for split in ("train", "val", "test"))


class TestSalicon:
    @pytest.mark.parametrize("plain", [False, True])
    def test_every_picture_has_its_own_fixations(self, root, out, plain):
        second = f"COCO_train2014_{10:012d}"
        frames = [
            *salicon_picture(root, TRAIN, "train", 5, plain=plain, size=(96, 128)),
            *salicon_picture(root, second, "train", 6, plain=plain, size=(128, 64)),
            *salicon_picture(root, VAL, "val", 7, plain=plain),
        ]
        dataset = prepared("salicon", root, out)
        check(dataset, frames)
        assert all(shard.still for shard in dataset.shards)
        # Seven points: two of the first observer, none of the second.
        observers = [0] * 7 if plain else [0, 0, 2, 2, 2, 2, 2]
        assert all(r.fixations.observers.tolist() == observers for r in records(dataset))

    def test_the_first_pixel_is_1_and_the_last_is_the_width(self, root, out):
        salicon_picture(root, TRAIN, "train", 1, size=(480, 640))
        path = root / "fixations/train" / f"{TRAIN}.mat"
        write_gaze(path, [[(1, 1), (640, 480)], [(640, 1), (2, 3)]], resolution=(480, 640))
        (record,) = records(prepared("salicon", root, out))
        expected = [[0.5, 0.5], [639.5, 479.5], [639.5, 0.5], [1.5, 2.5]]
        pixels = record.fixations.points * np.float32([640, 480])
        # Stored as float32 shares: off by 1e-4 of a pixel at most.
        np.testing.assert_allclose(pixels, expected, atol=1e-4)

    def test_points_outside_are_left_out_and_counted(self, root, out):
        salicon_picture(root, TRAIN, "train", 1)
        points = [(x, 5) for x in range(1, 20)]
        write_gaze(root / "fixations/train" / f"{TRAIN}.mat", [points, [(129, 5)]])
        dataset = prepared("salicon", root, out)
        (record,) = records(dataset)
        assert len(record.fixations.points) == 19
        assert dataset.shards[0].left_out == {TRAIN: {OUTSIDE: 1}}

    def test_test_pictures_are_withheld_and_others_without_fixations_refused(self, root, out):
        frames = salicon_picture(root, VAL, "val", 7)
        write(root / "images" / f"{TEST}.jpg", picture(8))
        dataset = prepared("salicon", root, out)
        check_records(dataset, frames)
        assert dataset.withheld == 1
        write(root / "images" / f"{TRAIN}.jpg", picture(9))
        with pytest.raises(InputError, match=rf"{TRAIN}\.jpg: no fixations/train/{TRAIN}\.mat"):
            prepared("salicon", root, out.with_name("again"))


TREES = {
    "dhf1k": lambda root: [
        *dhf1k_video(root, "001", "train", [1, 2]),
        *dhf1k_video(root, "010", "train", [4, 5], fixations=("mat",)),
    ],
    "avs1k": avs1k_tree,
    "ucf-sports": ucf_tree,
    "hollywood2": lambda root: [
        *hollywood2_shot(root, "actioncliptrain00001_1", "train", range(1, 4), first=8),
        *hollywood2_shot(root, "actioncliptrain00001_2", "train", [4, 5], first=11),
    ],
    "salicon": lambda root: [
        *salicon_picture(root, TRAIN, "train", 5),
        *salicon_picture(root, VAL, "val", 6),
    ],
}


def test_every_published_layout_is_tested():
    assert set(LAYOUTS) - set(TREES) == {*OWN, "synthetic", "videos"}


@pytest.mark.parametrize("layout", TREES)
class TestListings:
    @pytest.mark.parametrize("backwards", [False, True])
    def test_come_in_any_order(self, root, out, monkeypatch, layout, backwards):
        def shuffled(found):
            return lambda *args: iter(sorted(found(*args), reverse=backwards))

        frames = TREES[layout](root)
        for name in ("iterdir", "glob"):
            monkeypatch.setattr(Path, name, shuffled(getattr(Path, name)))
        check_records(prepared(layout, root, out), frames)

    def test_may_hold_what_systems_hide_there(self, root, out, layout):
        frames = TREES[layout](root)
        for path in list(root.rglob("*")):
            path.with_name(f"._{path.name}").write_text("of macOS")
            path.with_name(".AppleDouble").mkdir(exist_ok=True)
            for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
                path.with_name(name).write_text("of a system")
        check_records(prepared(layout, root, out), frames)

    def test_without_anything_are_refused_in_one_line(self, root, out, layout):
        root.mkdir()
        with pytest.raises(InputError, match=re.escape(str(root))) as refused:
            prepared(layout, root, out)
        assert "\n" not in str(refused.value)
        assert not out.exists()


def test_numbers_missing_between_frames_are_noted_and_not_paired_across(root, out):
    frames = ucf_clip(root, "Diving-Side-001", "train", {1: 1, 2: 2, 5: 3, 6: 4})
    dataset = prepared("ucf-sports", root, out)
    check(dataset, frames)
    assert [number_in(example["other"]) for example in ordered(dataset)] == [1, 1, 3, 3]
    note = "note: frame numbers have gaps (Diving-Side-001)"
    assert note in summary(dataset)
