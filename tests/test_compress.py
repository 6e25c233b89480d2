"""From a trained run by every step to 8 bits: fine-tuned, converted, compared."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from uva_tf.evaluation.results import METRICS, Row
from uva_tf.presets import PRESETS
from uva_tf.runtime.predictor import Predictor
from uva_tf.studies.recipes import Compressed, agreement_table, table, zipped_size
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run


@pytest.fixture(scope="module")
def run(shards, student, tmp_path_factory):
    """A run whose student is not trained, but there."""
    changes = ("student.variant=tiny", "soft_targets.spatial=none", "soft_targets.temporal=none")
    config = with_data(PRESETS["smoke"]().changed(*changes), [shards.folder])
    run = Run.create(tmp_path_factory.mktemp("compress") / "run", config)
    student.pair.save(run.student)
    return run


def assert_converts(run, script, folder):
    """What a run was fine-tuned to becomes files of both forms, which draw the same maps."""
    outs = {form: folder / f"{form}.tflite" for form in ("step", "pair")}
    for form, out in outs.items():
        command = ["--run", str(run.folder), "--recipe", "int8-qat", "--form", form]
        assert script("tflite/convert.py").main([*command, "--out", str(out)]) == 0
    manifest = json.loads(outs["step"].with_suffix(".json").read_text())
    assert (manifest["recipe"], len(manifest["calibration"])) == ("int8-qat", 64)
    assert manifest["metrics"]["frames"] == 50
    assert outs["step"].read_bytes() == run.fine_tuned("int8-qat").read_bytes()
    frames = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8)
    step, pair = (list(Predictor(out).run(iter(frames))) for out in outs.values())
    np.testing.assert_array_equal(step, pair)


def test_what_a_run_was_fine_tuned_to_is_converted(run, files, script, tmp_path, capsys):
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "run")), run.config)
    command = ["--run", str(own.folder), "--recipe", "int8-qat"]
    assert script("tflite/convert.py").main([*command, "--out", f"{tmp_path}/x.tflite"]) == 2
    assert "is not fine-tuned for int8-qat: run uva-tf qat" in capsys.readouterr().err

    made = own.fine_tuned("int8-qat")
    made.parent.mkdir(parents=True)
    made.write_bytes(files["int8", "step"])  # of the same student
    assert script("pipelines/qat.py").main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert made.read_bytes() == files["int8", "step"]
    assert_converts(own, script, tmp_path)


@pytest.mark.slow
def test_a_student_is_fine_tuned_then_converted(run, script, tmp_path, capsys):
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "run")), run.config)
    assert script("pipelines/qat.py").main(["--run", str(own.folder)]) == 0
    assert "int8-qat: loss" in capsys.readouterr().out
    assert_converts(own, script, tmp_path)


@pytest.mark.usefixtures("small_grid")
def test_recipes_are_compared(run, script, tmp_path, capsys):
    compress = script("pipelines/compress.py").main
    command = ["--run", str(run.folder), "--out", str(tmp_path / "out"), "--recipes", "fp16"]
    assert compress(command) == 0
    rows = capsys.readouterr().out.splitlines()
    recipes = [row.split(" | ")[1] for row in rows if row.startswith("| tiny")]
    assert recipes == 2 * ["fp32", "fp16"]  # in both tables
    assert compress(command) == 2
    assert "compression.md exists already" in capsys.readouterr().err
    command = ["--run", str(run.folder), "--out", str(tmp_path / "other"), "--recipes", "int4"]
    assert compress(command) == 2
    assert "no recipe 'int4'" in capsys.readouterr().err


def test_runs_that_do_not_compare_are_refused_at_once(run, script, tmp_path, capsys):
    compress = script("pipelines/compress.py").main
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    command = ["--out", str(tmp_path / "out"), "--run", str(run.folder)]
    assert compress([*command, "--run", str(other)]) == 2
    assert "run: another run has the same variant and seed" in capsys.readouterr().err

    config = (other / "config.json").read_text()
    config = config.replace(run.config.data_sha256[0], "0" * 64).replace('"seed": 1', '"seed": 2')
    (other / "config.json").write_text(config)
    assert compress([*command, "--run", str(other)]) == 2
    assert "other was not trained on the data of" in capsys.readouterr().err

    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs.json").write_text("{}")
    assert compress(command) == 2
    assert "compares other runs: choose another --out" in capsys.readouterr().err


def test_the_table_relates_recipes_to_float():
    values = np.full((2, 3, len(METRICS)), 0.5)  # (seeds, clips, metrics)
    baseline = values.copy()
    nss = METRICS.index("NSS")
    values[..., nss], baseline[..., nss] = 1.98, 2.0
    timing = SimpleNamespace(kilobytes=194.4, median=0.25, ratio=0.5, memory=None)
    agreement = {"mean_cc": 0.9992, "worst_cc": 0.9973, "close": 0.92}
    metrics = {"frames": 50, "with_float": agreement, "with_reference_kernels": agreement}
    rows = Row("uva-64 int8", values), Row("uva-64 fp32", baseline)
    one = Compressed("uva-64", "int8", *rows, timing, 128_700, metrics)
    head, line = table([one])
    assert len(head) == len(line)
    assert line[:11] == [
        *("uva-64", "int8", "194", "129", "0.250", "0.50", "-"),
        *("1.980", "1.98 to 1.98", "0.9900", "0.990 to 0.990"),
    ]
    assert line[11:13] == ["0.500", "0.50 to 0.50"]
    agreeing = ["0.9992", "0.9973", "0.9200"]
    assert agreement_table([one])[1] == ["uva-64", "int8", "50", *agreeing, *agreeing]


def test_the_zip_of_zeros_is_small(tmp_path):
    sizes = []
    for name, share in (("dense", 1.0), ("sparse", 0.25)):
        rng = np.random.default_rng(0)
        weights = rng.integers(-127, 128, 100_000, dtype=np.int8)
        (tmp_path / name).write_bytes((weights * (rng.random(100_000) < share)).tobytes())
        sizes.append(zipped_size(tmp_path / name))
    # Entropy of 255 equal values, 7.99 bits, and of a quarter of them beside zeros: 2.81 bits.
    assert sizes[0] > 98_000
    assert 2.81 / 8 * 100_000 < sizes[1] < 0.45 * sizes[0]
