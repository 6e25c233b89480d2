"""Maps that another model made: each arrives at its frame, and what does not fit is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from trees import CELLS, SIZE, facing, number_in, picture, spot, ucf_clip, write

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.pipeline import View, training_batches
from uva_tf.data.prepare import prepare, summary
from uva_tf.data.records import map_record, read_records

PLAIN = AugmentConfig(smallest_crop=1.0, colour=0.0, time_reversal=0.0, camera_motion=0.0)
CLIPS = {
    "Diving-Side-001": {1: 1, 2: 2, 3: 3},
    "Lifting-002": {1: 9, 2: 10, 5: 11},  # frames 3 and 4 are missing
}
SIZES = [(8, 8), (40, 24), (64, 128), (256, 512), (32, 32), (16, 48)]
# The spatial teacher looks at the number's own cell, the temporal one at the opposite.
CELL = {"spatial": lambda number: number, "temporal": lambda number: 63 - number}


@pytest.fixture
def root(tmp_path):
    """Two clips for training and one for testing."""
    for name, numbers in CLIPS.items():
        ucf_clip(tmp_path / "root", name, "train", numbers)
    ucf_clip(tmp_path / "root", "Walk-Front-003", "test", [20])
    return tmp_path / "root"


@pytest.fixture
def maps(tmp_path):
    """A folder for each kind, with a map of every frame in `root`, of many sizes."""
    folders = {kind: tmp_path / f"{kind} maps" for kind in CELL}
    for kind, folder in folders.items():
        sizes = iter(SIZES)
        for name, numbers in CLIPS.items():
            for index, number in numbers.items():
                write(folder / name / f"{index:06d}.png", spot(CELL[kind](number), *next(sizes)))
        write(folder / "Walk-Front-003" / "000001.png", spot(20))
    return folders


def prepared(root, out, **options):
    return prepare("ucf-sports", root, out, DataConfig(SIZE), **options)


def taught(dataset, own=Path("none"), others=()):
    """By the frame's number, the cell that each kind of teacher looks at in training.

    `own` is the folder of maps of the kinds that the records do not hold.
    """
    datasets = [dataset, *others]
    teachers = {
        kind: [None if kind in d.teachers else own / kind for d in datasets] for kind in CELL
    }
    view = View(SIZE, 32, "previous")
    batches = training_batches(datasets, view, batch=8, seed=1, augment=PLAIN, teachers=teachers)
    found = {}
    for batch in batches.take(6 * len(datasets)):
        keys = [key for key in batch if key.startswith("teacher_")]
        for number, frame in enumerate(batch["frame"].numpy()):
            step = facing(frame)
            cells = {}
            for key in keys:
                attention = batch[key][number].numpy()[:, ::step, 0]
                assert attention.sum() == pytest.approx(1, abs=1e-5)  # 1,024 float32 summands
                row, column = np.unravel_index(attention.argmax(), attention.shape)
                size = len(attention) // CELLS
                cells[key.removeprefix("teacher_")] = row // size * CELLS + column // size
                inside = attention.reshape(CELLS, size, CELLS, size).sum(axis=(1, 3))
                # Enlarged 4 times, bilinearly, a pixel keeps 9/16 of itself in its own place.
                assert inside.max() > 0.5
            shown = number_in(frame[:, ::step])
            assert found.setdefault(shown, cells) == cells
    return found


NUMBERS = [number for numbers in CLIPS.values() for number in numbers.values()]


def test_maps_of_any_size_arrive_at_their_frames_as_their_kind(root, tmp_path, maps):
    dataset = prepared(root, tmp_path / "out", maps=maps)
    assert dataset.teachers == ("spatial", "temporal")
    assert taught(dataset) == {
        number: {kind: cell(number) for kind, cell in CELL.items()} for number in NUMBERS
    }
    for kind in maps:
        assert f"with maps of a {kind} teacher" in summary(dataset)


def write_own_maps(dataset, kinds, folder):
    """Maps of one's own teachers, each with the number's cell of its kind."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for shard in dataset.split("train"):
            with tf.io.TFRecordWriter(str(folder / kind / shard.file)) as writer:
                for record in read_records(dataset, shard):
                    cell = spot(CELL[kind](number_in(record.frame)), SIZE // 2, SIZE // 2)
                    writer.write(map_record(record.video.encode(), record.index, kind, cell))
    return folder


BOTH_KINDS = {number: {kind: cell(number) for kind, cell in CELL.items()} for number in NUMBERS}


@pytest.mark.parametrize(("kind", "other"), [("spatial", "temporal"), ("temporal", "spatial")])
def test_one_kind_arrives_beside_ones_own_of_the_other(root, tmp_path, maps, kind, other):
    dataset = prepared(root, tmp_path / "out", maps={kind: maps[kind]})
    assert taught(dataset, write_own_maps(dataset, [other], tmp_path / "own")) == BOTH_KINDS


def test_datasets_with_and_without_maps_are_taught_together(root, tmp_path, maps):
    one = prepared(root, tmp_path / "one", maps=maps)
    other = prepared(root, tmp_path / "other")
    own = write_own_maps(other, CELL, tmp_path / "own")
    assert taught(one, own, [other]) == BOTH_KINDS


def test_datasets_with_and_without_maps_are_trained_on_together_without_teachers(
    root, tmp_path, maps
):
    datasets = [
        prepared(root, tmp_path / "one", maps=maps),
        prepared(root, tmp_path / "other"),
    ]
    view = View(SIZE, 32, "previous")
    (batch,) = training_batches(datasets, view, batch=8, seed=1, augment=PLAIN).take(1)
    assert set(batch) == {"frame", "other", "density", "fixations", "video", "index"}


def test_maps_do_not_depend_on_how_many_digits_name_them(root, tmp_path, maps):
    for folder in (maps["spatial"] / "Diving-Side-001", maps["temporal"] / "Lifting-002"):
        for path in list(folder.iterdir()):
            path.rename(folder / f"{int(path.stem)}.png")
    one = prepared(root, tmp_path / "out", maps=maps)
    assert taught(one)[2] == {"spatial": 2, "temporal": 61}


def test_a_dim_map_says_as_much_as_a_bright_one(root, tmp_path, maps):
    """Of a large map, a few pixels of low value are all that there is."""
    dim = np.zeros((360, 640), np.uint8)
    dim[200:203, 100:103] = 9
    write(maps["spatial"] / "Diving-Side-001" / "000002.png", dim)
    dataset = prepared(root, tmp_path / "out", maps=maps)
    row, column = 200 * CELLS // 360, 100 * CELLS // 640
    assert taught(dataset)[2]["spatial"] == row * CELLS + column


BAD_MAPS = {
    "a frame without map": (
        lambda clip: (clip / "000002.png").unlink(),
        r"Lifting-002/000002\.png: no such file, expected a map of every frame",
    ),
    "a map without frame": (
        lambda clip: write(clip / "000004.png", spot(1)),
        r"Lifting-002/000004\.png: Lifting-002 has no such frame",
    ),
    "a clip without folder": (shutil.rmtree, r"Lifting-002: no such folder, expected a map of"),
    "an empty folder": (
        lambda clip: [path.unlink() for path in clip.iterdir()],
        r"Lifting-002: no pictures in it, expected a map of every frame",
    ),
    "a black map": (
        lambda clip: write(clip / "000002.png", np.zeros((40, 40), np.uint8)),
        r"Lifting-002/000002\.png: an empty map, expected attention somewhere",
    ),
    "a heat map in colour": (
        lambda clip: write(clip / "000002.png", picture(1)),
        r"Lifting-002/000002\.png: a map in colour, expected 8-bit grey",
    ),
}


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
@pytest.mark.parametrize("case", BAD_MAPS)
def test_maps_that_do_not_fit_are_refused_by_name_or_their_recording_skipped(
    root, tmp_path, maps, case, kind
):
    spoil, words = BAD_MAPS[case]
    spoil(maps[kind] / "Lifting-002")
    with pytest.raises(InputError, match=words) as refused:
        prepared(root, tmp_path / "out", maps=maps)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()
    dataset = prepared(root, tmp_path / "out", maps=maps, skip_bad=True)
    assert list(dataset.skipped) == ["Lifting-002"]
    names = [name for shard in dataset.shards for name in shard.recordings]
    assert names == ["Diving-Side-001", "Walk-Front-003"]


def test_maps_of_a_skipped_recording_do_not_move_those_of_others(root, tmp_path, maps):
    (maps["spatial"] / "Diving-Side-001" / "000001.png").unlink()
    dataset = prepared(root, tmp_path / "out", maps=maps, skip_bad=True)
    numbers = CLIPS["Lifting-002"].values()
    assert taught(dataset) == {n: {kind: cell(n) for kind, cell in CELL.items()} for n in numbers}
