"""Hints on their way into a student: prepared, batched with their frames, and learned from."""

import functools
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.dataset import open_dataset
from uva_tf.data.hints import GRID, MIDDLE, SCALE, read_hint
from uva_tf.data.pipeline import View, ordered_batches, training_batches
from uva_tf.data.prepare import prepare, summary
from uva_tf.models.student import build_student
from uva_tf.presets import PRESETS
from uva_tf.studies.trainings import Training, train_all
from uva_tf.training import losses
from uva_tf.training.checks import check_new
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run
from uva_tf.training.stages import train
from uva_tf.training.weights import load_weights

COMPONENTS = 3
EVERY = 2
alone = functools.partial(training_batches, hints_alone=True)
PLAIN = AugmentConfig(smallest_crop=1.0, colour=0, time_reversal=0, camera_motion=0)


def hint_of(name, index):
    """Levels that say which frame they are of, and rise from left to right."""
    ramp = np.tile(np.arange(GRID)[None, :, None], (GRID, 1, COMPONENTS))
    return (ramp + 20 * int(name[-1]) + index).astype(np.uint8)


def write_hints(folder, names, frames, every=EVERY):
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(1, frames + 1, every):
            np.save(folder / name / f"{index:06d}.npy", hint_of(name, index))


@pytest.fixture(scope="module")
def hinted(tmp_path_factory, gaze_root):
    folder = tmp_path_factory.mktemp("hinted")
    write_hints(folder / "hints", ["clip01", "clip02", "clip03"], 8)
    return prepare("gaze", gaze_root, folder / "shards", DataConfig(64), hints=folder / "hints")


def test_a_dataset_knows_its_hints(hinted):
    assert open_dataset(hinted.folder).hints == COMPONENTS
    assert "with hints of 3 components" in summary(hinted)


def test_every_frame_that_has_a_hint_arrives_with_it(hinted):
    view = View(32, 32, "previous", hint_size=GRID)
    seen = set()
    for batch in alone([hinted], view, batch=4, seed=1, augment=PLAIN).take(8):
        mirrored = batch["hint"][:, 0, 0, 0] > batch["hint"][:, 0, -1, 0]
        for name, index, flip, hint in zip(
            batch["video"].numpy(), batch["index"].numpy(), mirrored.numpy(), batch["hint"].numpy(),
            strict=True,
        ):  # fmt: skip
            seen.add((name, index))
            expected = (hint_of(name.decode(), index) - MIDDLE) / SCALE
            np.testing.assert_allclose(hint[:, ::-1] if flip else hint, expected, atol=1e-5)
    assert {index for _, index in seen} == {1, 3, 5, 7}


def test_a_crop_of_a_frame_is_a_crop_of_its_hint(hinted):
    augment = replace(PLAIN, smallest_crop=0.5)
    view = View(32, 32, "previous", hint_size=4)
    batch = next(iter(alone([hinted], view, batch=8, seed=1, augment=augment)))
    levels = batch["hint"].numpy() * SCALE + MIDDLE  # (8, 4, 4, 3)
    across = np.abs(levels[:, 0, -1, 0] - levels[:, 0, 0, 0])
    # The centres of the first and the last of 4 places lie 12 levels apart, less in a crop.
    assert across.max() <= 12 + 1e-3
    assert across.min() < 10


def test_without_hints_batches_are_as_before(hinted, gaze_root, tmp_path):
    bare = prepare("gaze", gaze_root, tmp_path / "bare", DataConfig(64))
    view = View(32, 32, "previous")
    one, other = (
        next(iter(ordered_batches(data, data.split("train"), view, batch=4)))
        for data in (hinted, bare)
    )
    assert set(one) == set(other)
    np.testing.assert_array_equal(one["frame"], other["frame"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hints: (hints / "clip02").rename(hints / "other"), "expected hints of some frames"),
        (lambda hints: np.save(hints / "clip01" / "000099.npy", hint_of("1", 1)), "no such frame"),
        (
            lambda hints: np.save(hints / "clip03" / "000001.npy", hint_of("1", 1)[..., :2]),
            "2 components, expected 3",
        ),
    ],
)
def test_hints_that_do_not_fit_the_recordings_are_refused(tmp_path, gaze_root, change, words):
    write_hints(tmp_path / "hints", ["clip01", "clip02", "clip03"], 8)
    change(tmp_path / "hints")
    with pytest.raises(InputError, match=words):
        prepare("gaze", gaze_root, tmp_path / "out", DataConfig(64), hints=tmp_path / "hints")


def test_beside_gaze_a_frame_without_a_hint_has_zeros(hinted):
    view = View(32, 32, "previous", hint_size=8)
    batch = next(iter(training_batches([hinted], view, batch=16, seed=1, augment=PLAIN)))
    odd = batch["index"].numpy() % EVERY == 1
    assert 0 < odd.sum() < 16
    assert (batch["hint"].numpy()[odd] != 0).all()
    assert (batch["hint"].numpy()[~odd] == 0).all()
    np.testing.assert_allclose(batch["density"].numpy().sum((1, 2, 3)), 1, rtol=1e-5)


def test_the_loss_is_the_mean_over_the_frames_that_have_a_hint():
    target = np.zeros((3, 2, 2, 4), np.float32)
    target[1], target[2] = 1, 2
    terms = losses.hint(tf.zeros((3, 2, 2, 4)), {"hint": tf.constant(target)}, 0.5)
    assert float(terms["hint_mse"]) == pytest.approx(0.5 * (1 + 4) / 2)
    assert float(terms["hint_frames"]) == 2


def config_of(data, *changes):
    changes = ("student.variant=tiny", "hint.steps=3", "hint.batch=4", *changes)
    return with_data(PRESETS["smoke"]().changed(*changes), [data.folder])


NOBODY = ("soft_targets.spatial=none", "soft_targets.temporal=none", "distill.steps=0")


@pytest.fixture(scope="module")
def learned(hinted, tmp_path_factory):
    """A run whose stage hint is trained."""
    config = config_of(hinted, *NOBODY, "hint.steps=60", "soft_targets.hint_weight=0.3")
    run = Run.create(tmp_path_factory.mktemp("learned") / "run", config)
    train(run, ("hint",))
    return run


def test_trunk_and_paths_learn_from_hints(learned):
    losses = [e["hint_mse"] for e in learned.history() if "hint_mse" in e]
    assert losses[-1] < 0.5 * losses[0]


def test_hints_may_weigh_in_joint_too(learned, tmp_path):
    run = Run(Path(shutil.copytree(learned.folder, tmp_path / "run")), learned.config)
    train(run, ("hint", "joint"))  # of which hint is finished
    joint = [entry for entry in run.history() if entry["stage"] == "joint" and "loss" in entry]
    assert joint[-1]["hint_mse"] > 0
    assert 0 < joint[-1]["hint_frames"] < 4
    assert joint[-1]["loss"] == pytest.approx(joint[-1]["hint_mse"] + joint[-1]["hard_kl"])
    assert not any("val_hint_mse" in entry for entry in run.history())
    hint = [entry for entry in run.history() if entry["stage"] == "hint"]
    assert hint == learned.history()  # not trained again
    saved = keras.saving.load_model(run.student)  # without what predicts hints
    assert saved.output_shape == (None, 32, 32, 1)


@pytest.mark.slow
def test_joint_begins_with_what_hints_taught_in_a_call_before(hinted, tmp_path):
    config = config_of(hinted, *NOBODY, "joint.learning_rate=1e-9", "hint.learning_rate=0.01")
    weights = []
    for number, calls in enumerate(([("hint",), ("joint",)], [("joint",)])):
        run = Run.create(tmp_path / str(number), config)
        for stages in calls:
            train(run, stages)
        student = build_student(run.config.student).pair
        load_weights(student, run.student)
        weights.append(student.trainable_variables[0].numpy())
    moved = np.abs(weights[0] - weights[1]).max()
    assert moved == pytest.approx(0.02, rel=0.5)  # Adam's steps, at the rates of 3 steps


def test_a_training_on_hints_needs_some(shards):
    with pytest.raises(InputError, match=r"no --data holds hints.*hint\.steps=0"):
        check_new(config_of(shards, *NOBODY))


def test_hints_of_two_networks_are_refused(hinted, gaze_root, tmp_path):
    for name in ("clip01", "clip02", "clip03"):
        (tmp_path / "hints" / name).mkdir(parents=True)
        np.save(tmp_path / "hints" / name / "000001.npy", hint_of(name, 1)[..., :2])
    other = prepare("gaze", gaze_root, tmp_path / "b", DataConfig(64), hints=tmp_path / "hints")
    config = config_of(hinted, *NOBODY)
    config = with_data(config, [hinted.folder, other.folder])
    with pytest.raises(InputError, match=r"hints of 3 components and .* of 2"):
        check_new(config)


def test_joint_does_not_begin_on_unfinished_hints(learned):
    longer = Run(learned.folder, learned.config.changed("hint.steps=99"))
    with pytest.raises(InputError, match="hint is unfinished: add it to --stages"):
        train(longer, ("joint",))


@pytest.mark.slow
def test_runs_of_a_study_share_a_stage_hint(hinted, tmp_path):
    changes = ("hint.steps=2", "soft_targets.spatial=none", "soft_targets.temporal=none")
    hint = Training("row", 1, ("hint",), changes)
    runs = [replace(hint, stages=("joint",), without=kind, hinted=hint.name) for kind in "ab"]
    train_all([*runs, hint], PRESETS["smoke"](), [hinted.folder], tmp_path)
    for run in runs:
        found = Run.open(tmp_path / run.name)
        assert {entry["stage"] for entry in found.history()} == {"joint"}
        assert found.student.is_file()
        learned = found.checkpoints("hint").resolve()
        assert learned == Run.open(tmp_path / hint.name).checkpoints("hint").resolve()


class TestReadHint:
    def test_what_was_written_is_read(self, tmp_path):
        hint = np.arange(GRID * GRID * 2, dtype=np.uint8).reshape(GRID, GRID, 2)
        np.save(tmp_path / "000001.npy", hint)
        np.testing.assert_array_equal(read_hint(tmp_path / "000001.npy"), hint)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (np.zeros((GRID, GRID), np.uint8), r"uint8 \(16, 16\), expected uint8"),
            (np.zeros((GRID, GRID, 0), np.uint8), r"expected uint8 \(16, 16, components\)"),
            (np.zeros((8, GRID, 4), np.uint8), r"uint8 \(8, 16, 4\)"),
            (np.zeros((GRID, GRID, 4), np.float32), "float32"),
            (np.zeros((GRID, GRID, 4096 + 1), np.uint8), "expected at most 1048576 in a hint"),
            (np.array([{}], object), "NumPy can't read it as a hint"),
        ],
    )
    def test_another_array_is_refused(self, tmp_path, content, words):
        np.save(tmp_path / "1.npy", content, allow_pickle=True)
        with pytest.raises(InputError, match=words) as error:
            read_hint(tmp_path / "1.npy")
        assert "\n" not in str(error.value)

    def test_one_thread_at_a_time_parses(self, tmp_path, monkeypatch):
        """Python before 3.11.8 fails now and then where two threads parse at once."""
        np.save(tmp_path / "1.npy", np.zeros((GRID, GRID, 2), np.uint8))
        load, inside, most = np.load, [], []

        def slow_load(*given, **more):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()
            return load(*given, **more)

        monkeypatch.setattr(np, "load", slow_load)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read_hint, [tmp_path / "1.npy"] * 8))
        assert most == [1] * 8

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"])
    def test_a_damaged_file_is_refused(self, tmp_path, content):
        (tmp_path / "1.npy").write_bytes(content)
        with pytest.raises(InputError, match="NumPy can't read it as a hint"):
            read_hint(tmp_path / "1.npy")
        np.savez(tmp_path / "1.npz", np.zeros(3))
        with pytest.raises(InputError, match="several arrays"):
            read_hint(tmp_path / "1.npz")
