"""The frontier: which trainings it needs, how points are compared, and what is written."""

from types import SimpleNamespace

import numpy as np
import pytest

from uva_tf.bench.cost import Totals
from uva_tf.bench.timing import latency
from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.evaluation.results import CENTRE, METRICS, Row
from uva_tf.presets import PRESETS
from uva_tf.studies.frontier import (
    Point,
    measure,
    on_frontier,
    table,
    trainings,
    write_study,
)
from uva_tf.studies.scoring import Scores


def values(*nss):
    """One seed, a clip for each value."""
    found = np.zeros((1, len(nss), len(METRICS)))
    found[..., METRICS.index("NSS")] = nss
    return found


def timing(ms, file="a.tflite"):
    taken = latency(0, [[ms / 1000], [ms / 1000], [ms / 250]])
    return SimpleNamespace(
        file=file, threads=1, delegate=True, latency=taken, median=ms, of_peak=0.5
    )


def point(name, ms, nss, plain_ms=5.0, plain_nss=2.0):
    return Point(
        row=Row(name, values(nss)),
        plain=Row("plain-32", values(plain_nss)),
        form="step",
        cost=Totals(1, 2, 3, 4),
        timing=timing(ms),
        speed=plain_ms / ms,
    )


def test_every_variant_and_its_yardstick_train_alike():
    config = PRESETS["smoke"]()
    runs = trainings(config, ["uva-32", "paper-32"], [1, 2], ["joint.batch=2"])
    assert [run.row for run in runs] == 2 * ["uva-32", "paper-32", "plain-32"]
    for run in runs:
        changed = config.changed(*run.changes)
        assert changed.student.variant == run.row
        assert run.stages == ("joint",)
        assert (changed.joint.steps, changed.joint.batch) == (6, 2)
        assert {changed.soft_targets.spatial, changed.soft_targets.temporal} == {"none"}


def test_a_variant_named_twice_is_refused():
    with pytest.raises(InputError, match="paper-32 is named twice"):
        trainings(PRESETS["smoke"](), ["paper-32", "paper-32"], [1], [])


@pytest.mark.parametrize(
    ("ms", "nss", "met"), [(1.0, 2.0, True), (1.01, 2.0, False), (1.0, 1.99, False)]
)
def test_the_target_is_five_times_the_speed_at_no_less_accuracy(ms, nss, met):
    assert point("paper-32", ms, nss).meets_target == met


def test_the_frontier_is_what_nothing_beats_in_both():
    slow, fast, beaten = point("a", 3, 3.0), point("b", 1, 2.0), point("c", 2, 1.9)
    points = [slow, fast, beaten]
    assert [on_frontier(one, points) for one in points] == [True, True, False]


def test_the_table_says_what_meets_the_target():
    head, fast, slow = table([point("uva-32", 1.0, 2.2), point("paper-32", 2.0, 2.4)])
    assert fast[:9] == ["uva-32", "step", "1", "0.0", "0.00", "1.000", "5.00", "50 %", "2.200"]
    assert (fast[-2:], slow[-2:]) == (["yes", "met"], ["yes", ""])
    assert len(head) == len(fast)


def test_networks_are_timed_and_written(tmp_path, monkeypatch):
    def benchmark(files, **options):
        medians = {"uva-32.tflite": 0.5, "plain-32.tflite": 2.0}
        return [timing(medians[file.name], file.name) for file in files]

    monkeypatch.setattr("uva_tf.studies.frontier.benchmark", benchmark)
    scores = Scores(
        (("faces", "a"), ("faces", "b")),
        {
            name: Row(name, values(*nss))
            for name, nss in {"uva-32": (2, 4), "plain-32": (1, 3), CENTRE: (1, 1)}.items()
        },
        (7,),
    )
    points = measure(scores, tmp_path, StudentConfig(channel_attention=False), rounds=1)
    student, plain = points
    assert (student.name, student.form, plain.form) == ("uva-32", "step", "pair")
    assert student.cost.parameters < 108_968
    assert student.of_plain.value == pytest.approx(1.5)
    assert student.speed == pytest.approx(4)
    assert (plain.speed, plain.of_plain.value) == (1, 1)
    out = tmp_path / "out"
    out.mkdir()
    write_study(out, points, scores, "frontier.py --out here")
    text = (out / "frontier.md").read_text()
    assert "`frontier.py --out here`, seeds 7" in text
    assert "| plain-32 | pair | 318,498 |" in text
    assert (out / "frontier.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="exists already"):
        write_study(out, points, scores, "again")


def test_a_variant_that_there_is_not_is_refused(script, shards, tmp_path, capsys):
    frontier = script("pipelines/frontier.py").main
    given = ["--data", str(shards.folder), "--preset", "smoke", "--out", str(tmp_path / "out")]
    assert frontier([*given, "--variants", "uva-33"]) == 2
    assert "no variant 'uva-33': choose from uva-64" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_study_from_command_to_table(script, shards, tmp_path, capsys):
    frontier = script("pipelines/frontier.py").main
    given = ["--data", str(shards.folder), "--preset", "smoke", "--out", str(tmp_path / "out")]
    assert frontier([*given, "--variants", "uva-32", "--seeds", "1", "--every", "4"]) == 0
    printed = capsys.readouterr().out
    assert "| uva-32 | step |" in printed
    assert "| plain-32 | pair |" in printed
