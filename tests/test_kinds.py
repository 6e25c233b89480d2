"""The study that leaves one kind of scene out at a time."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

from uva_tf.commands import kinds as command
from uva_tf.commands import score_kinds
from uva_tf.core.centre_prior import log_centre_prior
from uva_tf.core.errors import InputError
from uva_tf.data.dataset import open_dataset
from uva_tf.evaluation.map_sources import keras_source
from uva_tf.presets import PRESETS
from uva_tf.studies import kinds
from uva_tf.studies.scoring import score
from uva_tf.studies.trainings import Training, train_all
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run
from uva_tf.training.weights import divide_logits, initial_student, load_student, save_model

ROWS = """
[[row]]
name = "gaze alone"

[[row]]
name = "with photographs"
data = ["photographs"]
weights = {photographs = 2}
set = ["joint.batch=2"]
"""


@pytest.fixture
def rows_file(tmp_path):
    path = tmp_path / "rows.toml"
    path.write_text(ROWS)
    return path


@pytest.fixture
def listed(tmp_path, shards):
    """Kinds of the synthetic clips: two of discs, one of squares."""
    path = tmp_path / "kinds.csv"
    name = shards.folder.name
    rows = [f"{name},clip01,discs", f"{name},clip02,squares", f"{name},clip03,discs"]
    path.write_text("\n".join(["set,name,kind", *rows, "other,x,y"]) + "\n")
    return path


def test_a_row_like_another_has_what_it_does_not_say_itself(tmp_path):
    path = tmp_path / "rows.toml"
    first = "name = 'a'\ndata = ['x']\nweights = {x = 2}\nset = ['joint.batch=2', 'seed=3']\n"
    second = "name = 'b'\nlike = 'a'\nweights = {}\nset = ['joint.batch=4']\n"
    path.write_text(f"[[row]]\n{first}[[row]]\n{second}[[row]]\nname = 'c'\nlike = 'b'\n")
    *_, b, c = kinds.read_rows(path)
    assert (b.data, b.weights, b.hinted) == (("x",), {}, "")
    changed = PRESETS["uva-64"]().changed(*b.changes)
    assert (changed.joint.batch, changed.seed) == (4, 3)
    assert replace(c, name="b") == b


def left_out(dataset, of_clips, kind, folder):
    """The dataset without a kind, made in its folder."""
    changed = kinds.left_out(dataset, of_clips, kind, folder)
    kinds.link(dataset, changed)
    return changed


def test_rows_are_read(rows_file):
    first, second = kinds.read_rows(rows_file)
    assert (first.name, first.data, first.changes) == ("gaze alone", (), ())
    assert (second.data, second.changes) == (("photographs",), ("joint.batch=2",))
    assert second.weights == {"photographs": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected \\[\\[row\\]\\] with a name"),
        ("[[row]]\n", "row 1: name = None: expected text"),
        ("[row]\nname = 'a'\n", "expected \\[\\[row\\]\\] with a name"),
        ("row = [1]\n", "row 1: expected a name"),
        ("[[row]]\nname = ''\n", "row 1: name = '': expected a name"),
        ("[[row]]\nname = '../a'\n", "row 1: name = '../a': expected a name that a folder can"),
        ('[[row]]\nname = "a\\u0000"\n', "row 1: name = 'a.x00': expected text"),
        (f"[[row]]\nname = {'9' * 5000}\n", "expected \\[\\[row\\]\\] with a name"),
        ("row = 3\n", "expected \\[\\[row\\]\\] with a name"),
        (
            "[[row]]\nname = 'a'\nsets = []\n",
            "unknown 'sets', expected name, like, data, weights, set, hinted",
        ),
        ("[[row]]\nname = 'a'\n[[row]]\nname = 'a'\n", "a is named twice"),
        ("[[row]]\nname = 'a'\nlike = 'b'\n", "like = 'b': expected the name of an earlier row"),
        ("[[row]]\nname = 'a'\ndata = 'b'\n", "row 1: data = 'b': expected a list of texts"),
        ("[[row]]\nname = 'a'\ndata = [3]\n", "row 1: data = 3: expected text"),
        ("[[row]]\nname = 'a'\nhinted = ['b']\n", "row 1: hinted = \\['b'\\]: expected text"),
        ("[[row]]\nname = 'a'\nweights = {b = 'c'}\n", "expected a number for each dataset"),
        ("[[row]]\nname = 'a'\nweights = {b = true}\n", "expected a number for each dataset"),
        (
            f"[[row]]\nname = 'a'\nweights = {{b = {'9' * 400}}}\n",
            "row 1: weights = .*below a billion",
        ),
    ],
)
def test_rows_that_make_no_sense_are_refused(tmp_path, text, words):
    path = tmp_path / "rows.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        kinds.read_rows(path)


def test_a_kind_is_left_out_of_training_and_scored(tmp_path, shards, listed):
    of_clips = kinds.read_kinds(listed, {shards.folder.name: shards})[shards.folder.name]
    left_out(shards, of_clips, "discs", tmp_path / "study" / "gaze")
    found = open_dataset(tmp_path / "study" / "gaze")
    assert [shard.recordings for shard in found.split("train")] == [("clip02",)]
    assert [shard.recordings for shard in found.split("val")] == [("clip01",), ("clip03",)]


def test_a_clip_without_a_kind_is_named(tmp_path, shards, listed):
    listed.write_text("set,name,kind\n")
    with pytest.raises(InputError, match=r"no row of .* for clip01, clip02, clip03"):
        kinds.read_kinds(listed, {shards.folder.name: shards})


@pytest.mark.parametrize("kind", ["", "..", "../../discs", "a/b", "a\\b", ".hidden"])
def test_a_kind_that_is_no_name_of_a_folder_is_refused(shards, listed, kind):
    listed.write_text(listed.read_text().replace("clip02,squares", f"clip02,{kind}"))
    with pytest.raises(InputError, match=r"kind .* of clip02: expected the name of a folder"):
        kinds.read_kinds(listed, {shards.folder.name: shards})


def test_a_clip_of_two_kinds_is_refused(shards, listed):
    listed.write_text(listed.read_text() + f"{shards.folder.name},clip01,squares\n")
    with pytest.raises(InputError, match="clip01 of gaze is of two kinds, discs, squares"):
        kinds.read_kinds(listed, {shards.folder.name: shards})


def test_a_change_that_makes_no_sense_leaves_nothing_behind(tmp_path, shards, listed, rows_file):
    out = tmp_path / "study"
    args = ["--data", shards.folder, "--kinds", listed, "--rows", rows_file, "--out", out]
    args += ["--preset", "smoke", "--more", shards.folder, "--set", "joint.steps=nan"]
    assert command.main([str(arg) for arg in args]) == 2
    assert not out.exists()


@pytest.fixture
def without(shards, tmp_path):
    """Of each kind, the clips without it."""
    of_clips = {"clip01": "a", "clip02": "b", "clip03": "a"}
    return {
        kind: [left_out(shards, of_clips, kind, tmp_path / kind / "gaze")] for kind in ("a", "b")
    }


def test_each_row_trains_without_each_kind(tmp_path, rows_file, without):
    more = {"photographs": tmp_path / "photographs"}
    rows = kinds.read_rows(rows_file)
    found = kinds.trainings(rows, without, more, [1, 2], (), PRESETS["uva-64"]())
    assert [run.name for run in found if run.without == "a"] == [
        "gaze-alone-without-a-1",
        "with-photographs-without-a-1",
        "gaze-alone-without-a-2",
        "with-photographs-without-a-2",
    ]
    last = found[-1]
    assert last.data == (tmp_path / "b" / "gaze", tmp_path / "photographs")
    assert (last.weights, last.stages) == ((1.0, 2.0), ("joint",))


def test_datasets_in_folders_of_one_name_are_weighed_by_what_they_are_called(tmp_path, without):
    more = {name: tmp_path / name for name in ("x/photos", "y/photos")}
    row = kinds.StudyRow("a", ("y/photos",), {"y/photos": 4.0, "gaze": 2.0})
    found = kinds.trainings([row], without, more, [1], (), PRESETS["uva-64"]())
    assert {run.weights for run in found} == {(2.0, 4.0)}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (kinds.StudyRow("a", ("gaze",)), "no dataset 'gaze' among --more"),
        (kinds.StudyRow("a", (), {"photos": 2.0}), "no dataset 'photos' among --data, --more"),
        (kinds.StudyRow("a", ("of-{kind}",)), "no dataset 'of-a' among --more"),
        (kinds.StudyRow("a", hinted="b"), "hinted = 'b': expected an earlier row"),
        (
            kinds.StudyRow("a", changes=("loop.keep=best",)),
            "would choose on the clips that are scored",
        ),
    ],
)
def test_rows_that_make_no_study_are_refused(without, row, words):
    with pytest.raises(InputError, match=words):
        kinds.trainings([row], without, {}, [1], (), PRESETS["uva-64"]())


def test_a_row_needs_clips_of_another_kind(tmp_path, shards):
    all_alike = dict.fromkeys(("clip01", "clip02", "clip03"), "a")
    of_a = {"a": [left_out(shards, all_alike, "a", tmp_path / "a" / "gaze")]}
    with pytest.raises(InputError, match="nothing to train on without a"):
        kinds.trainings([kinds.StudyRow("gaze")], of_a, {}, [1], (), PRESETS["uva-64"]())


def test_kinds_do_not_change_during_a_study(tmp_path, shards):
    of_clips = dict.fromkeys(("clip01", "clip02", "clip03"), "a")
    first = left_out(shards, of_clips, "a", tmp_path / "gaze")
    assert left_out(shards, of_clips, "a", tmp_path / "gaze") == first  # resumed
    with pytest.raises(InputError, match="was made of other clips or kinds"):
        left_out(shards, of_clips | {"clip02": "b"}, "a", tmp_path / "gaze")


def test_a_dataset_of_one_kind_is_not_trained_on_without_it(tmp_path, rows_file, shards):
    all_alike = dict.fromkeys(("clip01", "clip02", "clip03"), "a")
    of_a = {"a": [left_out(shards, all_alike, "a", tmp_path / "a" / "gaze")]}
    more = {"photographs": tmp_path / "photographs"}
    rows = kinds.read_rows(rows_file)[1:]
    (run,) = kinds.trainings(rows, of_a, more, [1], (), PRESETS["uva-64"]())
    assert (run.data, run.weights) == ((tmp_path / "photographs",), (2.0,))


def test_the_stage_hint_is_shared_by_all_kinds(tmp_path, without):
    row = kinds.StudyRow("hints", ("photographs",), {"photographs": 2}, ("hint.steps=5",))
    more = {"photographs": tmp_path / "photographs"}
    found = kinds.trainings([row], without, more, [1, 2], (), PRESETS["uva-64"]())
    assert [(run.name, run.stages, run.hinted) for run in found] == [
        ("hints-1", ("hint",), ""),
        ("hints-2", ("hint",), ""),
        ("hints-without-a-1", ("joint",), "hints-1"),
        ("hints-without-b-1", ("joint",), "hints-1"),
        ("hints-without-a-2", ("joint",), "hints-2"),
        ("hints-without-b-2", ("joint",), "hints-2"),
    ]
    assert (found[0].data, found[0].weights) == ((tmp_path / "photographs",), (2.0,))


def test_a_row_continues_from_the_stage_hint_of_an_earlier_one(tmp_path, without):
    """Though its teacher's maps, and so its data, differ from kind to kind."""
    names = ("photographs", "of-a", "of-b")
    more = {name: tmp_path / name for name in names}
    hint = ("hint.steps=5",)
    rows = [
        kinds.StudyRow("hints", ("photographs",), changes=hint),
        kinds.StudyRow("own", ("of-{kind}",), {"of-{kind}": 3.0}, hint, hinted="hints"),
        kinds.StudyRow("alone", ("of-{kind}",), changes=hint),  # its data differ: no hint is shared
    ]
    found = kinds.trainings(rows, without, more, [1], (), PRESETS["uva-64"]())
    assert [run.name for run in found if not run.without] == ["hints-1"]
    own = [run for run in found if run.row == "own"]
    assert [(run.stages, run.hinted) for run in own] == 2 * [(("joint",), "hints-1")]
    assert [run.data[1] for run in own] == [tmp_path / "of-a", tmp_path / "of-b"]
    assert [run.weights[1] for run in own] == [3.0, 3.0]
    alone = [run for run in found if run.row == "alone"]
    assert [(run.stages, run.hinted) for run in alone] == 2 * [(("hint", "joint"), "")]
    other = ("hint.steps=5", "student.variant=uva-32")
    changed = [
        [rows[0], replace(rows[1], changes=given)] for given in ((), ("hint.steps=6",), other)
    ]
    for wrong in (rows[1::-1], *changed, [rows[2], replace(rows[1], hinted="alone")]):
        with pytest.raises(InputError, match=r"row 'own': hinted = .*: expected an earlier"):
            kinds.trainings(wrong, without, more, [1], (), PRESETS["uva-64"]())


def test_a_row_without_further_data_shares_no_stage_hint(without):
    row = kinds.StudyRow("hints", changes=("hint.steps=5",))
    found = kinds.trainings([row], without, {}, [1], (), PRESETS["uva-64"]())
    assert [(run.stages, run.hinted) for run in found] == 2 * [(("hint", "joint"), "")]


def test_a_stage_hint_of_its_own_is_not_replaced_by_a_shared_one(tmp_path, shards):
    config = ("soft_targets.spatial=none", "soft_targets.temporal=none")
    run = Training("row", 1, ("joint",), config, without="a", hinted="row-1")
    own = tmp_path / run.name / "checkpoints" / "hint"
    preset = PRESETS["smoke"]()
    Run.create(own.parents[1], with_data(preset.changed(*config, "seed=1"), [shards.folder]))
    own.mkdir(parents=True)
    with pytest.raises(InputError, match="was begun with other hint"):
        train_all([run], preset, [shards.folder], tmp_path)


@pytest.mark.usefixtures("small_grid")
def test_the_centre_prior_of_the_study_is_in_the_scored_maps(tmp_path, shards, without):
    changes = ("seed=1", "student.variant=tiny")
    config = with_data(PRESETS["smoke"]().changed(*changes), [shards.folder])
    run = Run.create(tmp_path / "run", config)
    student = initial_student(config.student).pair
    divide_logits(student, 1e6)  # so that nothing but the prior is left of a map
    save_model(run, student, run.student)
    folders = [one.folder for one in without["a"]]
    settings = {"every": 1, "progress": lambda clips, total: clips}
    scored = kinds.score_kind({"row": [run]}, folders, external=None, centre=40, **settings)
    prior = np.exp(40 * log_centre_prior(32, 32))
    drawn = np.rint(255 * 2 * prior / (prior + prior.max())).astype(np.uint8)
    expected = score(folders, lambda _: {"prior": lambda all_: (drawn for _ in all_)}, **settings)
    np.testing.assert_allclose(
        scored.rows["row"].scores[..., 0], expected.rows["prior"].scores[..., 0], atol=0.02
    )


@pytest.fixture
def untrained(tmp_path, photographs):
    """A function that makes runs of the seeds, trained on photographs, with random weights."""

    def make(*seeds):
        runs = []
        for seed in seeds:
            changes = (f"seed={seed}", "student.variant=tiny", "temperature=0.5")
            config = with_data(PRESETS["smoke"]().changed(*changes), [photographs.folder])
            run = Run.create(tmp_path / f"run-{seed}", config)
            keras.utils.set_random_seed(seed)
            student = initial_student(config.student).pair
            save_model(run, student, run.student)
            runs.append(run)
        return runs

    return make


@pytest.mark.usefixtures("small_grid")
def test_trained_students_are_scored_by_kind(tmp_path, shards, untrained, listed, capsys):
    one, two = untrained(1, 2)
    out = tmp_path / "study"
    args = ["--data", shards.folder, "--kinds", listed, "--every", 4, "--out", out]
    rows = ["--row", "both", two.folder, one.folder, "--row", "one", one.folder]
    cooler = ["--temperature", 0.1]
    assert score_kinds.main([str(arg) for arg in (*rows, *args, *cooler)]) == 0
    assert "discs | squares | mean" in capsys.readouterr().out
    cells = list(csv.DictReader((out / "clips.csv").open()))
    found = {(c["row"], c["seed"], c["clip"]): float(c["NSS"]) for c in cells if c["NSS"]}
    for clip in ("clip01", "clip02", "clip03"):
        assert found["both", "1", clip] == found["one", "1", clip]
    assert found["both", "1", "clip01"] != found["both", "2", "clip01"]
    # As logits that are five times as large are drawn.
    student = load_student(one)
    divide_logits(student.pair, 0.2)
    source = keras_source(student.pair, one.config.student.pairing, one.config.student.gap)
    settings = {"every": 4, "progress": lambda clips, total: clips}
    expected = score([shards.folder], lambda _: {"it": source}, **settings).rows["it"].values("NSS")
    assert found["one", "1", "clip03"] == pytest.approx(expected[0, 0], rel=1e-5)


def test_students_of_other_seeds_or_that_saw_the_clips_are_refused(shards, photographs, untrained):
    one, two = (run.folder for run in untrained(1, 2))
    with pytest.raises(
        InputError, match="row 'b': runs of the seeds 2: expected the first of 1, 2"
    ):
        kinds.students_of({"a": [one, two], "b": [two]}, [shards])
    with pytest.raises(InputError, match=r"runs of the seeds 1, 1: expected .*each once"):
        kinds.students_of({"a": [one, one]}, [shards])
    with pytest.raises(InputError, match=r"run-1 was trained on .*: it saw every kind there"):
        kinds.students_of({"a": [one]}, [photographs])
    for name in ("centre prior", "human ceiling", "external teacher itself"):
        with pytest.raises(InputError, match=f"row '{name}': the study has a row of this name"):
            kinds.students_of({name: [one]}, [shards])


@pytest.mark.slow
def test_the_study_from_end_to_end(tmp_path, shards, photographs, rows_file, listed, capsys):
    out = tmp_path / "study"
    name = photographs.folder.name
    rows = ROWS.replace('["photographs"]', f'["{name}"]').replace("{photographs", f'{{"{name}"')
    rows_file.write_text(rows)
    args = ["--data", shards.folder, "--more", photographs.folder, "--kinds", listed]
    args += ["--rows", rows_file, "--preset", "smoke", "--seeds", "1", "--out", out]
    args += ["--set", "soft_targets.spatial=none", "--set", "soft_targets.temporal=none"]
    assert command.main([str(arg) for arg in args]) == 0
    printed = capsys.readouterr().out
    assert "| with photographs" in printed
    assert "discs | squares | mean" in printed
    rows = (out / "clips.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * 4  # clips; two rows, the centre prior and the human ceiling
    assert command.main([str(arg) for arg in args]) == 2  # its table exists
