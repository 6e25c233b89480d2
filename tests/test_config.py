"""Everything that a configuration can hold is checked before a run has a folder."""

import json
import re
from dataclasses import replace

import pytest

from uva_tf.commands.arguments import add_training_arguments
from uva_tf.commands.command import Parser
from uva_tf.config import Config, DataConfig, SoftTargets, StageConfig, TeacherConfig
from uva_tf.core.errors import InputError
from uva_tf.presets import PRESETS
from uva_tf.training.checks import check_new
from uva_tf.training.examples import with_data

SMOKE = PRESETS["smoke"]()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_come_back_from_json(preset):
    config = PRESETS[preset]()
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("augment.smallest_crop=0", "augment.smallest_crop 0.0: expected 0.01 to 1"),
        ("augment.smallest_crop=1.5", "expected 0.01 to 1"),
        ("augment.colour=-0.1", "augment.colour -0.1: expected 0 to 1"),
        ("augment.colour=NaN", "augment.colour nan: expected a finite number"),
        ("augment.time_reversal=2", "augment.time_reversal 2.0: expected 0 to 1"),
        ("augment.camera_motion=-1", "augment.camera_motion -1.0: expected 0 to 0.5"),
        ("teacher.widths=", r"teacher.widths \(\): expected 1 to 8 of them"),
        ("teacher.widths=8,0", "each 1 to 4096"),
        ("teacher.widths=8,1.5", "expected a value like 8"),
        ("teacher.widths=1,1,1,1,1,1,1,1,1", "expected 1 to 8 of them"),
        ("teacher.decoder=0", "teacher.decoder 0: expected 2 to 4096"),
        ("teacher.decoder=-8", "teacher.decoder -8: expected"),
        ("seed=-1", "seed -1: expected 0 to 2147483647"),
        ("seed=2147483648", "seed 2147483648: expected"),
        ("seed=true", "expected a value like 1"),
        ("seed=1.0", "expected a value like 1"),
        ("joint.steps=-1", "joint.steps -1: expected 0 or more"),
        ("joint.batch=0", "joint.batch 0: expected 1 to 65536"),
        ("joint.learning_rate=0", "joint.learning_rate 0.0: expected above 0"),
        ("joint.learning_rate=1e999", "joint.learning_rate inf: expected a finite number"),
        ("joint.loss=kl+kl", "joint.loss 'kl\\+kl': expected each distance once"),
        ("loop.clip_norm=Infinity", "loop.clip_norm inf: expected a finite number"),
        ("loop.average=1", "loop.average 1.0: expected 0 to below 1"),
        ("soft_targets.temperature=NaN", "soft_targets.temperature nan: expected a finite number"),
        ("compression.qat.steps=0", "compression.qat.steps 0: expected 1 or more"),
        ("compression.sparsity=NaN", "compression.sparsity nan"),
        ("data=here", "set the data with --data and --weight"),
        ("data_weights=1,2", "set the data with --data and --weight"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(InputError, match=words) as error:
        SMOKE.changed(change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("seed", True, "seed True: expected a whole number"),
        ("seed", "1", "seed '1': expected a whole number"),
        ("seed", None, "seed None: expected a whole number"),
        ("joint.steps", "3", "joint.steps '3': expected a whole number"),
        ("joint.steps", 3.0, "joint.steps 3.0: expected a whole number"),
        ("joint.learning_rate", "fast", "joint.learning_rate 'fast': expected a finite number"),
        ("joint.learning_rate", True, "expected a finite number"),
        ("joint.learning_rate", 10**400, "expected a finite number"),
        ("joint", None, "joint: expected an object"),
        ("joint.pace", 3, "joint: unknown field 'pace'"),
        ("loop.average", float("nan"), "loop.average nan"),
        ("loop.tensorboard", 1, "loop.tensorboard 1: expected true or false"),
        ("loop.strategy", ["one"], r"loop.strategy \['one'\]: expected text"),
        ("student.channel_attention", "no", "expected true or false"),
        ("student.paths", "spatial", "student.paths 'spatial': expected text each"),
        ("teacher.widths", [8, "8"], "expected a whole number each"),
        ("teacher.widths", [[8]], "expected a whole number each"),
        ("name", 3, "name 3: expected text"),
        ("data_weights", ["1"], "expected a finite number each"),
        ("data_sha256", ["0"], "1 data_sha256 of 0 datasets"),
    ],
)
def test_a_file_edited_by_hand_is_refused_by_its_field(path, value, words):
    values = json.loads(SMOKE.to_json())
    *parents, name = path.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    with pytest.raises(InputError, match=words) as error:
        Config.from_json(json.dumps(values))
    assert str(error.value).startswith("config.json is not a configuration of this version (")


def test_a_whole_number_will_do_for_a_float():
    values = json.loads(SMOKE.to_json())
    values["joint"]["learning_rate"] = 1
    config = Config.from_json(json.dumps(values))
    assert type(config.joint.learning_rate) is float
    assert config.changed("joint.learning_rate=0.5").joint.learning_rate == 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DataConfig(quality=0), "quality 0: expected 1 to 100"),
        (lambda: DataConfig(quality=95.5), "quality 95.5: expected a whole number"),
        (lambda: DataConfig(sigma=float("nan")), "sigma nan: expected a finite number"),
        (lambda: DataConfig(size=True), "size True: expected 32 to 1024"),
        (lambda: StageConfig(steps="3"), "steps '3': expected a whole number"),
        (lambda: TeacherConfig(widths=[8, 8]), r"widths \[8, 8\]: expected a whole number each"),
    ],
)
def test_code_gets_no_further_either(make, words):
    with pytest.raises(InputError, match=words):
        make()


NOBODY = ("soft_targets.spatial=none", "soft_targets.temporal=none")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("joint.steps=0",), "joint.steps 0: expected 1 or more, as the stage joint"),
        (("teach.steps=0",), "teach.steps 0: expected 1 or more, or soft_targets.spatial=none"),
        (
            ("soft_targets.temporal=external",),
            "no --data holds such maps: prepare it with uva-tf prepare --temporal",
        ),
        (("teacher.widths=8,8,8,8,8,8,8",), "frames of 64 px for a plain teacher: .* of 128"),
        (
            ("teacher.backbone=vgg16", "teacher.weights=absent.h5"),
            "teacher.weights absent.h5: no such file, expected weights of vgg16",
        ),
        (("student.variant=uva-65",), "unknown student variant 'uva-65'"),
        (("student.weights=absent.keras",), "absent.keras"),
    ],
)
def test_what_cant_be_trained_is_refused_before_there_is_a_folder(
    call, shards, tmp_path, monkeypatch, changes, words
):
    monkeypatch.chdir(tmp_path)
    changes = [word for change in changes for word in ("--set", change)]
    given = ["--preset", "smoke", "--data", shards.folder, "--run", tmp_path / "run", *changes]
    code, out, err = call("pipelines/train.py", *given)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert re.search(words, err)
    assert not list(tmp_path.iterdir())


def test_a_study_is_refused_before_its_first_training(call, shards, tmp_path):
    given = ["--preset", "smoke", "--data", shards.folder, "--out", tmp_path / "out", "--rows"]
    code, _, err = call("pipelines/ablate.py", *given, "coupled", "external teacher alone")
    assert code == 2
    assert "soft_targets.temporal=external: no --data holds such maps" in err
    code, _, err = call("pipelines/ablate.py", *given, "coupled", "--set", "seed=4")
    assert code == 2
    assert "seed can't be set by --set in a study: give --seeds" in err
    assert not list(tmp_path.iterdir())


def test_a_dataset_or_seed_given_twice_is_refused(call, shards, tmp_path):
    given = ["--preset", "smoke", "--run", tmp_path / "run", "--data", shards.folder]
    for more, words in (
        (["--data", shards.folder / "." / ""], "is given twice: give it once"),
        (["--seed", "3", "--set", "seed=4"], "--seed and --set seed: give one of them"),
    ):
        code, _, err = call("pipelines/train.py", *given, *more)
        assert code == 2
        assert words in err
    assert not list(tmp_path.iterdir())


def test_a_batch_that_devices_cant_share_is_refused(shards, monkeypatch):
    monkeypatch.setattr("uva_tf.training.devices._devices", lambda: ["CPU:0", "CPU:1", "CPU:2"])
    config = with_data(SMOKE.changed(*NOBODY, "loop.strategy=mirrored"), [shards.folder])
    with pytest.raises(InputError, match="batch 4: expected a multiple of the 3 devices"):
        check_new(config)
    check_new(replace(config, **{stage: StageConfig(1, 6) for stage in ("joint", "distill")}))


def test_the_best_on_validation_needs_validation(photographs):
    config = with_data(SMOKE.changed(*NOBODY, "loop.keep=best"), [photographs.folder])
    with pytest.raises(InputError, match=r"loop\.keep=best: no --data has a val split"):
        check_new(config)


def test_what_can_be_trained_is_not_refused(shards):
    for changes in ((), NOBODY, ("distill.steps=0",), ("seed=2147483647",)):
        check_new(with_data(SMOKE.changed(*changes), [shards.folder]))
    # What a stage does not use does not matter to the others.
    config = SMOKE.changed("soft_targets.temporal=external", "soft_targets.joint_weight=0")
    check_new(with_data(config, [shards.folder]), ["joint"])
    config = SMOKE.changed("teach.steps=0", *NOBODY)
    check_new(with_data(config, [shards.folder]))


class TestEarlierNames:
    def test_of_fields_and_variants_are_taken(self):
        now = PRESETS["uva-64"]()
        assert now.changed("teachers.soft_weight=0.3") == now.changed("soft_targets.weight=0.3")
        assert now.changed("student.variant=uva-32-s").student.variant == "uva-32"

    @pytest.mark.parametrize(
        ("older", "variant"), [("uva-64-s", "uva-64"), ("uva-64", "paper-64"), ("tiny", "tiny")]
    )
    def test_of_a_run_are_todays(self, older, variant):
        values = json.loads(SMOKE.to_json())
        soft = values.pop("soft_targets")
        values["teachers"] = {
            "spatial": "none",
            "temporal": soft["temporal"],
            "soft_weight": 0.25,
            "joint_soft_weight": 0.75,
            "temperature": 2.0,
            "freeze": values.pop("freeze_paths"),
        }
        values["student"]["variant"] = values["name"] = older
        config = Config.from_json(json.dumps(values))
        assert (config.name, config.student.variant) == (variant, variant)
        expected = SoftTargets("none", soft["temporal"], 0.25, 0.75, 2.0)
        assert (config.soft_targets, config.freeze_paths) == (expected, False)
        assert Config.from_json(config.to_json()) == config

    def test_of_presets_are_taken_by_the_commands(self):
        parser = Parser("train", "What it does.")
        add_training_arguments(parser, list(PRESETS))
        assert parser.parse_args(["--data", "x", "--preset", "uva-64-s"]).preset == "uva-64"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("soft_target.weight=1", r"no such field, did you mean soft_targets\.weight\?"),
        ("steps=4", "no such field, "),
        ("nothing=4", "no such field, expected one of config.json"),
    ],
)
def test_an_unknown_field_is_refused_with_the_one_that_is_like_it(change, words):
    with pytest.raises(InputError, match=words):
        SMOKE.changed(change)
