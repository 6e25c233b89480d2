"""The study of what distillation brings: its runs, its figures, and how it goes on."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.evaluation.intervals import resampled_means
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Row
from uva_tf.presets import PRESETS
from uva_tf.studies import trainings as study
from uva_tf.studies.ablation import BASELINE, FILES, ROWS, table, trainings, write_study
from uva_tf.studies.scoring import ITSELF, Scores
from uva_tf.studies.trainings import train_all
from uva_tf.training.run import Run


def rows(nss):
    """Rows by name whose NSS `[seeds, clips]` is given and whose other metrics are 0."""
    found = {}
    for name, values in nss.items():
        scores = np.zeros((*np.shape(values), len(METRICS)))
        scores[..., METRICS.index("NSS")] = values
        found[name] = Row(name, scores)
    return found


def lines(scores):
    """The table's lines by their first cell, each a dictionary; of two columns the first counts."""
    head, *found = table(scores)
    return {cells[0]: dict(zip(head[::-1], cells[::-1], strict=True)) for cells in found}


SCORES = Scores(
    (("faces", "a"), ("faces", "b"), ("streets", "c")),
    rows(
        {
            BASELINE: [[1, 2, 3], [2, 2, 2]],
            "coupled": [[2, 3, 4], [2, 3, 4]],
            CENTRE: [[1, 1, 1]],
            CEILING: [[5, 5, 5]],
        }
    ),
    (4, 7),
)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_takes_as_many_steps_and_says_what_it_changes(preset):
    config = PRESETS[preset]()
    runs = trainings(config, list(ROWS), [4, 5], ["joint.batch=2"])
    assert (runs[0].stages, runs[0].seed) == (("teach",), 4)
    assert [run.row for run in runs[1:]] == 2 * list(ROWS)
    assert len({run.name for run in runs}) == len(runs)
    steps = set()
    for run in runs[1:]:
        changed = config.changed(*run.changes)
        assert changed.joint.batch == 2
        steps.add(sum(getattr(changed, stage).steps for stage in run.stages))
    assert steps == {config.distill.steps + config.joint.steps}


def test_the_rows_change_who_teaches_and_what_is_left_out():
    config = PRESETS["smoke"]()
    found = {}
    for row, changes in ROWS.items():
        changed = config.changed(*changes)
        found[row] = (changed.soft_targets.spatial, changed.soft_targets.temporal)
    assert found[BASELINE] == ("none", "none")
    assert found["spatial teacher"] == ("own", "none")
    assert found["temporal teacher"] == ("none", "own")
    assert found["coupled"] == ("own", "own")
    assert found["external teacher alone"] == ("none", "external")
    student = config.changed(*ROWS["coupled, no temporal path"]).student
    assert student.paths == ("spatial",)
    assert not config.changed(*ROWS["coupled, no channel attention"]).student.channel_attention


def test_a_row_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="no row 'copuled': choose from no teacher; "):
        trainings(PRESETS["smoke"](), ["copuled"], [1], [])


@pytest.mark.parametrize(("rows", "seeds"), [(["coupled"] * 2, [1]), (["coupled"], [1, 1])])
def test_a_row_or_seed_named_twice_is_refused(rows, seeds):
    with pytest.raises(InputError, match="is named twice"):
        trainings(PRESETS["smoke"](), rows, seeds, [])


def test_figures_by_hand():
    baseline, coupled, centre = (SCORES.rows[name] for name in (BASELINE, "coupled", CENTRE))
    assert baseline.mean("NSS") == pytest.approx(2)
    assert coupled.mean("NSS") == pytest.approx(3)
    assert coupled.ratio(baseline, "NSS").value == pytest.approx(1.5)
    assert (coupled.seeds, centre.seeds) == (2, 1)
    assert baseline.ratio(baseline, "NSS").interval == (1, 1)  # the same draws above and below
    assert coupled.share(centre, SCORES.rows[CEILING], "NSS") == pytest.approx(0.5)
    assert lines(SCORES)["coupled"]["share"] == "50.0%"


def test_an_interval_is_that_of_a_mean_over_clips_and_seeds():
    rng = np.random.default_rng(1)
    clips, seeds = 40, 20
    nss = rng.normal(0, 2, (1, clips)) + rng.normal(0, 1, (seeds, 1))
    drawn = resampled_means(nss)
    expected = np.sqrt(nss.mean(axis=0).var() / clips + nss.mean(axis=1).var() / seeds)
    # 2,000 resamples know a deviation to 2 %.
    assert drawn.std() == pytest.approx(expected, rel=0.08)
    assert drawn.mean() == pytest.approx(nss.mean(), abs=0.1 * expected)


def test_a_ratio_is_surer_than_the_scores_where_clips_differ_more_than_rows():
    nss = np.array([[1.0, 2.0, 4.0, 8.0]])
    baseline, coupled = rows({BASELINE: nss, "coupled": 1.1 * nss}).values()
    assert coupled.ratio(baseline, "NSS").interval == pytest.approx((1.1, 1.1))
    low, high = coupled.interval("NSS")
    assert high / low > 2


def test_without_the_row_to_compare_with_there_is_no_ratio():
    others = {name: SCORES.rows[name] for name in ("coupled", CENTRE, CEILING)}
    (line, *_) = lines(Scores(SCORES.clips, others, SCORES.seeds)).values()
    assert (line["to no teacher"], line["to best teacher"]) == ("nan", "nan")


def test_the_study_is_written_whole(tmp_path):
    write_study(tmp_path, SCORES, "ablate.py --out here")
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    text = (tmp_path / "table.md").read_text()
    assert "`ablate.py --out here`" in text
    assert "| coupled | 2 | 3.000 | 2.00 to 4.00 | 1.500 |" in text
    with (tmp_path / "table.csv").open() as file:
        head, first, *_ = csv.reader(file)
    # faces: the mean of 1, 2, 2 and 2.
    assert dict(zip(head, first, strict=True)) | {"faces": "1.750", "streets": "2.500"} == dict(
        zip(head, first, strict=True)
    )
    with (tmp_path / "clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert len(clips) == (2 + 2 + 1 + 1) * 3
    assert {line["seed"] for line in clips if line["row"] == "coupled"} == {"4", "7"}
    with pytest.raises(InputError, match="exists already"):
        write_study(tmp_path, SCORES, "again")


def test_a_clip_without_a_score_is_left_out_and_said(tmp_path):
    """Two clips more: one of published maps, and one of a single observer."""
    nan = np.nan
    spoilt = Scores(
        (*SCORES.clips, ("streets", "maps only"), ("streets", "one observer")),
        rows(
            {
                BASELINE: [[1, 2, 3, nan, 2], [2, 2, 2, nan, 2]],
                "coupled": [[2, 3, 4, nan, 3], [2, 3, 4, nan, 3]],
                f"spatial{ITSELF}": [[2, 2, 2, nan, 2]],
                CENTRE: [[1, 1, 1, nan, 1]],
                CEILING: [[5, 5, 5, nan, nan]],
            }
        ),
        SCORES.seeds,
        unscored=("photographs",),
    )
    write_study(tmp_path, spoilt, "ablate.py")
    text = (tmp_path / "table.md").read_text()
    assert "nan" not in text.partition("| no teacher |")[2].partition("\n")[0]
    assert "clips without NSS, left out: 1 of 5; of human ceiling 2" in text
    assert "not scored, without video in val: photographs" in text
    assert "NaN" not in (tmp_path / "clips.csv").read_text()
    # Without them, all is as of the clips that have a score.
    kept = [0, 1, 2, 4]
    clean = {name: Row(name, row.scores[:, kept]) for name, row in spoilt.rows.items()}
    same = lines(replace(spoilt, clips=tuple(spoilt.clips[n] for n in kept), rows=clean))
    assert lines(spoilt) == same
    assert not any("nan" in cell for cell in same["coupled"].values())
    # The share is over the three clips that all have.
    assert same["coupled"]["share"] == "50.0%"


class TestRuns:
    @pytest.fixture
    def trained(self, monkeypatch):
        """The commands that were run; instead of training, each leaves what a training leaves."""
        commands = []

        def run(self, command, name):
            folder = Path(command[command.index("--run") + 1])
            commands.append(command)
            stages = command[command.index("--stages") + 1]
            if stages == "teach":
                (folder / "teachers").mkdir(exist_ok=True)
            else:
                (folder / "student.keras").touch()

        monkeypatch.setattr(study.Children, "run", run)
        return commands

    def study(self, shards, out, rows=(BASELINE, "coupled"), seeds=(1,), changes=()):
        preset = PRESETS["smoke"]()
        out.mkdir(exist_ok=True)
        train_all(trainings(preset, rows, seeds, changes), preset, [shards.folder], out)

    def test_are_commands_that_share_the_teachers(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs")
        assert [command[-2] for command in trained] == ["teach", "joint", "distill,joint"]
        (command,) = (c for c in trained if c[c.index("--run") + 1].endswith("/coupled-1"))
        assert command[command.index("--seed") + 1] == "1"
        assert command.count("soft_targets.spatial=own") == 1
        teachers = (tmp_path / "runs" / "coupled-1" / "teachers").resolve()
        assert teachers == (tmp_path / "runs" / "teachers-1" / "teachers").resolve()
        config = Run.open(tmp_path / "runs" / "no-teacher-1").config
        assert config.joint.steps == 6

    def test_that_are_finished_are_not_run_again(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs")
        trained.clear()
        self.study(shards, tmp_path / "runs", seeds=(1, 2))
        names = [Path(command[command.index("--run") + 1]).name for command in trained]
        assert names[1:] == ["no-teacher-2", "coupled-2"]

    def test_that_lost_their_teachers_get_them_back(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs")
        (tmp_path / "runs" / "coupled-1" / "teachers").unlink()
        self.study(shards, tmp_path / "runs")
        assert (tmp_path / "runs" / "coupled-1" / "teachers").is_dir()

    def test_never_mix_teachers(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs", seeds=(1,))
        with pytest.raises(InputError, match="was begun with other teachers"):
            self.study(shards, tmp_path / "runs", seeds=(2, 1))

    def test_begun_otherwise_are_refused(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs")
        with pytest.raises(InputError, match="was begun with other settings"):
            self.study(shards, tmp_path / "runs", changes=("joint.batch=2",))

    def test_are_commands_of_the_package_which_need_no_repository(self, trained, shards, tmp_path):
        self.study(shards, tmp_path / "runs")
        command = [*trained[0], "--help"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.startswith("usage: uva-tf train"), done.stderr
        assert not any(word.endswith(".py") for word in command[command.index("train") :])

    def test_that_fail_stop_the_study_with_their_last_word(self, shards, tmp_path, monkeypatch):
        program = "import sys; sys.exit('some\\nfailed: no space left')"
        failing = [sys.executable, "-c", program]
        monkeypatch.setattr(study, "uva_tf", lambda *given: failing.copy())
        with pytest.raises(InputError, match=r"^teachers-1: failed: no space left$"):
            self.study(shards, tmp_path / "runs")


def test_nothing_is_trained_that_cant_be_scored_or_written(
    shards, photographs, script, tmp_path, capsys
):
    ablate = script("pipelines/ablate.py").main
    out = tmp_path / "out"
    given = ["--preset", "smoke", "--out", str(out), "--data"]
    assert ablate([*given, str(photographs.folder)]) == 2
    assert "nothing to score" in capsys.readouterr().err
    assert not out.exists()
    out.mkdir()
    (out / "plot.png").touch()
    assert ablate([*given, str(shards.folder)]) == 2
    assert "plot.png exists already" in capsys.readouterr().err
    assert not (out / "runs").exists()


@pytest.mark.slow
def test_a_study_from_command_to_table(shards, script, tmp_path, capsys):
    ablate = script("pipelines/ablate.py").main
    arguments = ["--data", str(shards.folder), "--preset", "smoke", "--out", str(tmp_path / "out")]
    given = ["--rows", BASELINE, "coupled", "--seeds", "1"]
    assert ablate([*arguments, *given, "--every", "4"]) == 0
    printed = capsys.readouterr().out
    for row in (BASELINE, "coupled", "temporal teacher itself", CEILING):
        assert f"| {row} | 1 |" in printed
    assert ablate([*arguments, *given]) == 2
    assert "table.md exists already" in capsys.readouterr().err
