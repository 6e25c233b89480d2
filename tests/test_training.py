"""Configurations, and the stages of a training in their order."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import assert_refused, contents

from uva_tf.config import Config, DataConfig, SoftTargets, StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import locked
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.prepare import prepare
from uva_tf.evaluation.metrics import cc
from uva_tf.models.maps import attention, normalise
from uva_tf.models.student import build_student
from uva_tf.presets import PRESETS
from uva_tf.training import losses
from uva_tf.training.checks import check_new
from uva_tf.training.examples import (
    kinds_to_teach,
    open_data,
    validation_examples,
    with_data,
)
from uva_tf.training.loop import Task, make_steps
from uva_tf.training.run import Run
from uva_tf.training.stages import train
from uva_tf.training.weights import divide_logits, initial_student, load_student, load_teacher

SMOKE = PRESETS["smoke"]().changed("student.variant=tiny")


def new_run(folder, **changes):
    return Run.create(folder, replace(SMOKE, **changes))


def test_a_configuration_survives_json_and_refuses_what_it_does_not_know():
    config = PRESETS["quick"]()
    assert Config.from_json(config.to_json()) == config
    for text in ("{", "[]", json.dumps({"name": "x"}), config.to_json().replace("seed", "sed")):
        with pytest.raises(InputError, match=r"config\.json"):
            Config.from_json(text)


def test_a_stage_that_comes_too_late_is_refused(tmp_path, shards):
    nobody = SoftTargets(spatial="none", temporal="none")
    run = new_run(tmp_path / "run", data=(str(shards.folder),), soft_targets=nobody)
    saved = tf.train.CheckpointManager(tf.train.Checkpoint(), run.checkpoints("joint"), 1)
    saved.save(checkpoint_number=run.config.joint.steps)
    with pytest.raises(InputError, match="joint was trained before distill"):
        train(run)


def test_data_that_changed_since_the_run_began_is_refused(tmp_path, shards):
    config = with_data(SMOKE, [shards.folder])
    assert open_data(config)[0].sha256 == config.data_sha256[0]
    changed = replace(config, data_sha256=("0" * 64,))
    with pytest.raises(InputError, match="prepared anew"):
        open_data(changed)


def test_half_a_line_of_metrics_is_forgotten(tmp_path):
    run = new_run(tmp_path / "run")
    run.log(stage="joint", step=20, loss=1.0)
    with run.metrics.open("a") as file:
        file.write('{"stage": "joi')
    assert [entry["step"] for entry in run.history()] == [20]


def test_a_path_that_tensorflow_takes_for_a_pattern_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose a path"):
        new_run(tmp_path / "run[1]")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", ["distill", "joint"])
def test_learning_from_teachers_without_any_is_refused(tmp_path, shards, stage):
    run = new_run(tmp_path / "run", data=(str(shards.folder),))
    with pytest.raises(
        InputError, match=r"add teach to --stages, or --set soft_targets\.spatial=none"
    ):
        train(run, [stage])


def trained_weights(run):
    """The student's weights by their layer, after the stages that the run has."""
    student = load_student(run)
    return {
        weight.path: weight.numpy() for layer in student.pair.layers for weight in layer.weights
    }


@pytest.fixture(scope="module")
def taught(shards, tmp_path_factory):
    """A run whose teachers are trained."""
    folder = tmp_path_factory.mktemp("taught") / "run"
    run = Run.create(folder, with_data(SMOKE, [shards.folder]))
    train(run, ["teach"])
    return run


@pytest.fixture(scope="module")
def distilled(taught, tmp_path_factory):
    """`taught` and its student's paths trained."""
    run = copied(taught, tmp_path_factory.mktemp("distilled"))
    train(run, ["distill"])
    return run


@pytest.fixture(scope="module")
def averaged(distilled, tmp_path_factory):
    """`distilled` and its student trained, twice from there."""
    run = copied(distilled, tmp_path_factory.mktemp("averaged"))
    run = replace(run, config=run.config.changed("members=2"))
    train(run)
    return run


@pytest.fixture(scope="module")
def untaught(shards, tmp_path_factory):
    """A run without teachers, and the logits' temperature below 1."""
    joint = replace(SMOKE.joint, steps=30, batch=8)
    nobody = SoftTargets(spatial="none", temporal="none")
    config = replace(SMOKE, joint=joint, soft_targets=nobody, temperature=0.1)
    folder = tmp_path_factory.mktemp("untaught") / "run"
    run = Run.create(folder, with_data(config, [shards.folder]))
    train(run, ["teach", "joint"])
    return run


def copied(run, folder):
    return Run(Path(shutil.copytree(run.folder, folder / "run")), run.config)


@pytest.fixture
def run(taught, tmp_path):
    """A copy of `taught` to go on with."""
    return copied(taught, tmp_path)


def paths_of(run):
    """The weights of the student's paths, as distill left them."""
    paths = build_student(run.config.student).paths
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints("distill")))
    tf.train.Checkpoint(model=paths).restore(checkpoint).expect_partial()
    return {weight.path: weight.numpy() for weight in paths.weights}


def changes(run, before):
    """Which of some weights the run's student has others of."""
    after = trained_weights(run)
    return {
        path: not np.array_equal(value, before[path])
        for path, value in after.items()
        if path in before
    }


def test_every_stage_runs_and_leaves_a_student(distilled, averaged, tmp_path):
    run = copied(averaged, tmp_path)
    stages = {entry["stage"] for entry in run.history()}
    assert stages == {"teach-spatial", "teach-temporal", "distill", "joint", "joint-2"}
    # The paths too, as they are not frozen.
    assert any(changes(run, paths_of(distilled)).values())
    metrics, student = run.metrics.read_bytes(), run.student.read_bytes()
    train(run)  # nothing left to do, nothing changed
    assert (run.metrics.read_bytes(), run.student.read_bytes()) == (metrics, student)


@pytest.mark.parametrize("variant", ["tiny", "uva-32-m", "paper-32"])
def test_the_last_layer_divides_logits(variant):
    pair = build_student(StudentConfig(variant)).pair
    rng = np.random.default_rng(0)
    frames = {key: rng.uniform(-1, 1, (2, 32, 32, 3)).astype("f") for key in ("frame", "other")}
    before = pair(frames, training=False).numpy()
    divide_logits(pair, 0.8)
    np.testing.assert_allclose(pair(frames, training=False), before / 0.8, rtol=1e-4, atol=1e-5)


def test_the_plain_network_has_no_temperature():
    with pytest.raises(InputError, match="temperature of plain-32: expected 1"):
        SMOKE.changed("student.variant=plain-32", "temperature=0.8")


def test_a_trained_students_logits_are_divided_by_the_temperature(untaught, tmp_path):
    """Times the temperature, they have the loss that was logged."""
    run, config, joint = untaught, untaught.config, untaught.config.joint
    pair, datasets = load_student(run).pair, open_data(run.config)
    means = {factor: [] for factor in (0.1, 1.0)}
    for batch in validation_examples(datasets, View(32, 32, "previous"), joint.batch):
        logits = pair(losses.frames(batch), training=False)
        for factor, found in means.items():
            terms = losses.ground_truth(factor * logits, batch, joint.loss)
            found.append(float(sum(losses.without_counts(terms).values())))
    logged = run.last_losses()["joint"].validation
    assert np.mean(means[0.1]) == pytest.approx(logged, rel=1e-4)
    assert abs(np.mean(means[1.0]) - logged) > 1e-3
    # A training that begins with it goes on from undivided logits, whatever its own temperature.
    alone = shutil.copy(run.student, tmp_path / "student.keras")  # in no run
    for weights, own, undone in (
        (run.student, 1.0, 0.1),
        (run.student, 0.1, 0.1),
        (alone, 0.8, 0.8),
    ):
        begun = initial_student(replace(config.student, weights=str(weights)), own).pair
        np.testing.assert_allclose(
            begun(losses.frames(batch), training=False), undone * logits, rtol=1e-4, atol=1e-5
        )


def weights_of(run, stage):
    """The weights of the student's layers at a stage's last checkpoint."""
    pair = build_student(run.config.student).pair
    checkpoint = tf.train.latest_checkpoint(str(run.checkpoints(stage)))
    tf.train.Checkpoint(model=pair).restore(checkpoint).expect_partial()
    return {weight.path: weight.numpy() for layer in pair.layers for weight in layer.weights}


def test_members_are_trained_from_the_same_beginning_and_averaged(averaged, tmp_path):
    run = copied(averaged, tmp_path)
    first, second, mean = weights_of(run, "joint"), weights_of(run, "joint-2"), trained_weights(run)
    assert any(np.abs(first[path] - second[path]).max() > 1e-4 for path in mean)
    for path, value in mean.items():
        np.testing.assert_allclose(value, (first[path] + second[path]) / 2, rtol=1e-5, atol=1e-6)

    # Killed before the second ended, it resumes to the same student.
    run.student.unlink()
    shutil.rmtree(run.checkpoints("joint-2"))
    train(run, ["joint"])
    for path, value in trained_weights(run).items():
        np.testing.assert_array_equal(value, mean[path])


def test_teachers_that_no_stage_learns_from_are_not_wanted(shards):
    alone = SMOKE.changed("distill.steps=0", "soft_targets.joint_weight=0")
    assert kinds_to_teach(SMOKE, [shards]) == ["spatial", "temporal"]
    assert kinds_to_teach(alone, [shards]) == []
    one = alone.changed("distill.steps=3", "student.paths=spatial")
    assert kinds_to_teach(one, [shards]) == ["spatial"]


def test_the_weights_to_begin_with_are_found_from_any_folder(tmp_path, shards, monkeypatch):
    build_student(SMOKE.student).pair.save(tmp_path / "student.keras")
    monkeypatch.chdir(tmp_path)
    config = with_data(SMOKE.changed("student.weights=student.keras"), [shards.folder])
    assert config.student.weights == str(tmp_path / "student.keras")


def test_a_run_goes_on_where_its_first_weights_moved(tmp_path, shards, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    first, moved = tmp_path / "first.keras", tmp_path / "moved.keras"
    build_student(SMOKE.student).pair.save(first)
    earlier = with_data(SMOKE, [shards.folder]).changed("student.weights=first.keras")
    run = Run.create(tmp_path / "run", earlier)  # as an earlier version wrote it: relative
    now = with_data(SMOKE.changed("student.weights=first.keras"), [shards.folder])
    assert run.continued(now).config == now
    shutil.copy(first, moved)
    config = with_data(SMOKE.changed(f"student.weights={moved}"), [shards.folder])
    with pytest.raises(InputError, match=r"other settings or data \(student\)"):
        run.continued(config)  # another file beside the first
    first.unlink()
    caplog.clear()
    assert Run.open(run.folder).continued(config).config == config
    assert caplog.messages == [f"{run.folder}: its data moved, read from {moved} now"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("", "weights '': expected none, shipped or a file"), ("loop", "loop: can't be opened")],
)
def test_first_weights_that_are_no_file_are_refused(tmp_path, shards, monkeypatch, path, words):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(InputError, match=words):
        with_data(SMOKE.changed(f"student.weights={path}"), [shards.folder])


def test_a_path_that_the_variant_lacks_is_refused_before_a_run_is_written(shards):
    config = SMOKE.changed("student.variant=uva-64-xs", "student.paths=spatial")
    with pytest.raises(InputError, match="paths spatial of uva-64-xs: it has temporal only"):
        with_data(config, [shards.folder])


def test_weights_of_another_student_are_refused(tmp_path, shards):
    path = tmp_path / "student.keras"
    build_student(SMOKE.student).pair.save(path)
    config = SMOKE.changed("student.variant=uva-32", f"student.weights={path}")
    with pytest.raises(
        InputError, match=r"student\.keras: expected weights of the student uva-32, f"
    ):
        with_data(config, [shards.folder])


def test_members_from_random_weights_are_refused(tmp_path, shards):
    run = Run.create(tmp_path / "run", with_data(SMOKE.changed("members=2"), [shards.folder]))
    with pytest.raises(InputError, match="members=2: train the stage hint or distill first"):
        train(run, ["joint"])
    with pytest.raises(InputError, match="networks with different beginnings have no useful mean"):
        check_new(with_data(SMOKE.changed("members=2", "distill.steps=0"), [shards.folder]))


def test_frozen_paths_stay_as_distill_left_them(distilled, tmp_path):
    run = copied(distilled, tmp_path)
    run = replace(run, config=run.config.changed("freeze_paths=true"))
    before = paths_of(run)
    train(run, ["joint"])
    changed = changes(run, before)
    assert any(path.startswith("trunk") for path in changed)
    assert any(path.startswith("temporal") for path in changed)
    assert not any(changed.values())


class TestTeachersMaps:
    def stamp(self, run):
        return run.teacher_maps(0) / "temporal" / "made_from.json"

    @pytest.mark.parametrize(
        ("key", "value"), [("shards", "0" * 64), ("resolution", 128), ("pairing", "next")]
    )
    def test_made_from_something_else_are_refused(self, run, key, value):
        stamp = json.loads(self.stamp(run).read_text())
        self.stamp(run).write_text(json.dumps(stamp | {key: value}))
        with pytest.raises(InputError, match=f"made from another {key} .*: remove that folder"):
            train(run, ["distill"])

    def test_of_another_teacher_are_refused(self, run):
        shutil.copy(run.teacher("spatial"), run.teacher("temporal"))
        with pytest.raises(InputError, match="temporal: made from another teacher"):
            train(run, ["distill"])

    @pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"teacher": "x"}'])
    def test_that_do_not_say_what_they_were_made_from_are_refused(self, run, text):
        self.stamp(run).unlink()
        if text is not None:
            self.stamp(run).write_text(text)
        words = rf"its made_from\.json {'does not say' if text else 'is missing'}"
        with pytest.raises(InputError, match=f"temporal: {words}.*: remove that folder"):
            train(run, ["distill"])

    def test_are_made_anew_once_they_are_removed(self, run):
        old = self.stamp(run).read_text()
        shutil.rmtree(run.teacher_maps(0) / "temporal")
        train(run, ["teach"])
        assert self.stamp(run).read_text() == old


def test_nobody_teaches_where_nobody_should(untaught):
    assert not (untaught.folder / "teachers").exists()
    terms = {key for entry in untaught.history() for key in entry if "hard" in key or "soft" in key}
    assert terms == {"hard_kl", "hard_frames", "val_hard_kl"}


def test_an_external_teacher_that_no_shards_hold_is_refused(tmp_path, shards):
    config = SMOKE.changed("soft_targets.spatial=none", "soft_targets.temporal=external")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    with pytest.raises(
        InputError, match="no --data holds such maps: prepare it with uva-tf prepare --temporal"
    ):
        train(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seeds=3", "no such field"),
        ("soft_targets=3", "no such field"),
        ("soft_targets.weight=lots", "expected a value like 0.5"),
        ("soft_targets.weight=7", "soft_targets.weight 7.0: expected 0 to 1"),
        ("members=0", "members 0: expected 1 to 100"),
        ("joint.steps=1.5", "expected a value like 3"),
        ("joint.loss=l2", "expected one of kl, cc, mse"),
        ("loop.strategy=many", "expected one of one, mirrored, multi-worker"),
        ("student.paths=up", "expected spatial, temporal"),
        ("teacher.weights=imagenet", "plain backbone"),
        ("loop.tensorboard=maybe", "expected a value like true"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        SMOKE.changed(change)


def test_changes_reach_their_fields_and_no_others():
    config = PRESETS["quick"]()
    changed = config.changed("soft_targets.weight=1", "student.paths=spatial", "joint.loss=kl+cc")
    assert changed.soft_targets.weight == 1.0
    assert changed.student.paths == ("spatial",)
    assert changed.joint.loss == "kl+cc"
    assert changed.changed(
        "soft_targets.weight=0.5", "student.paths=spatial,temporal", "joint.loss=kl"
    ) == replace(config)


def overfitted(frames, others, densities, steps):
    """Mean correlation of a 32 px student's maps with the densities that it was trained on."""
    keras.utils.set_random_seed(0)
    pair = build_student(SMOKE.student).pair
    batch = {"frame": frames, "other": others, "density": densities}

    def loss(batch, training):
        return losses.ground_truth(pair(losses.frames(batch), training=training), batch, "kl")

    task = Task("joint", pair, loss, lambda start: None, None)
    step, _ = make_steps(task, keras.optimizers.Adam(3e-3))
    for _ in range(steps):
        step(batch)
    inputs = {key: normalise(batch[key]) for key in ("frame", "other")}
    maps = attention(pair(inputs, training=False)).numpy()
    return np.mean(
        [
            cc(p[..., 0].astype(float), d[..., 0])
            for p, d in zip(maps, densities.numpy(), strict=True)
        ]
    )


def first_frames(dataset, count):
    """Frames of the train split, far apart."""
    (batch,) = ordered_batches(
        dataset,
        dataset.split("train"),
        View(32, 32, "previous"),
        batch=count,
        every=64 if count > 2 else 7,
    ).take(1)
    return batch["frame"], batch["other"], batch["density"]


def test_a_student_overfits_two_frames(shards):
    assert overfitted(*first_frames(shards, 2), steps=120) > 0.95


@pytest.mark.slow
def test_a_student_overfits_eight_real_frames(recordings, tmp_path):
    dataset = prepare("gaze", recordings / "mufvet", tmp_path / "shards", DataConfig(64))
    assert overfitted(*first_frames(dataset, 8), steps=600) > 0.95


class TestOneProcessAtATime:
    def test_a_run_that_is_being_trained_is_refused_and_left_as_it_is(self, run, call, shards):
        before = contents(run.folder)
        arguments = ["--data", shards.folder, "--preset", "smoke", "--set", "student.variant=tiny"]
        for script in ("train", "qat"):
            more = [*arguments, "--resume"] if script == "train" else []
            with run.locked():
                result = call(f"pipelines/{script}.py", "--run", run.folder, *more)
            assert_refused(result, f"{run.folder} is being trained by another process")
        assert contents(run.folder) == before
        assert load_teacher(run, "spatial", 64)  # reading is nobody's business

    def test_a_lock_ends_with_its_process(self, tmp_path):
        run = new_run(tmp_path / "run")
        program = (
            "import sys, time; from pathlib import Path; from uva_tf.training.run import Run\n"
            "with Run.open(Path(sys.argv[1])).locked():\n"
            "    print('locked', flush=True); time.sleep(100)"
        )
        command = [sys.executable, "-c", program, run.folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "locked\n"
            with pytest.raises(InputError, match="is being trained by another process"):
                train(run)
            process.kill()
        with run.locked():
            pass

    def test_a_lock_leaves_no_file_and_ends_with_its_block(self, run):
        before = contents(run.folder)
        for _ in range(2):
            with run.locked():
                assert contents(run.folder) == before

    def test_a_study_that_is_being_written_is_refused(self, shards, tmp_path, call):
        (tmp_path / "runs").mkdir()
        arguments = ["--data", shards.folder, "--preset", "smoke", "--out", tmp_path]
        for script, more in (("ablate", ["--rows", "coupled"]), ("frontier", [])):
            with locked(tmp_path / "runs", tmp_path, "written"):
                result = call(f"pipelines/{script}.py", *arguments, *more)
            assert_refused(result, f"{tmp_path} is being written by another process")
        assert not list((tmp_path / "runs").iterdir())

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
    def test_where_nothing_can_be_locked_one_line_says_so(self, run, monkeypatch, caplog, number):
        def unable(handle, how):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", unable)
        with run.locked():
            pass
        (line,) = caplog.messages
        assert line == f"{run.folder} can't be locked: make sure that no other process uses it"


class TestDataThatMoved:
    @pytest.fixture
    def moved(self, run, shards, tmp_path):
        """A run whose shards are gone, and where they are now."""
        old, new = tmp_path / "old", tmp_path / "new"
        shutil.copytree(shards.folder, old)
        config = replace(run.config, data=(str(old),))
        (run.folder / "config.json").write_text(config.to_json())
        maps = run.folder / "teachers" / "maps"
        (maps / f"0-{shards.folder.name}").rename(maps / "0-old")
        old.rename(new)
        return Run.open(run.folder), new

    ARGUMENTS = ("--preset", "smoke", "--set", "student.variant=tiny", "--resume")

    def test_is_the_same_data_and_keeps_its_teachers_maps(self, moved, call, caplog):
        run, new = moved
        before = contents(run.folder)
        arguments = ["--data", new, "--run", run.folder, *self.ARGUMENTS, "--stages", "teach"]
        assert call("pipelines/train.py", *arguments)[0] == 0
        assert caplog.messages == [f"{run.folder}: its data moved, read from {new} now"]
        assert Run.open(run.folder).config == replace(run.config, data=(str(new),))
        after = contents(run.folder)  # nothing is taught or drawn anew
        assert [p.name for p in after if after[p] != before.get(p)] == ["config.json"]
        assert (run.folder / "teachers" / "maps" / "0-old" / "spatial").is_dir()
        assert Run.open(run.folder).teacher_maps(0).name == "0-old"

    def test_other_data_there_is_refused_and_nothing_changes(self, moved, call, photographs):
        run, _ = moved
        before = contents(run.folder)
        result = call(
            "pipelines/train.py", "--data", photographs.folder, "--run", run.folder, *self.ARGUMENTS
        )
        assert_refused(result, f"{run.folder} was begun with other settings or data")
        assert contents(run.folder) == before

    def test_is_asked_for_by_name_and_remedy(self, moved):
        run, _ = moved
        with pytest.raises(
            InputError, match=r"give the run's uva-tf train command again, with --resume"
        ):
            open_data(run.config)
