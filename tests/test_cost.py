"""The cost table against layers counted by hand, and against converted files."""

import csv
from argparse import ArgumentParser

import pytest

from uva_tf.bench.cost import layer_costs, totals
from uva_tf.commands.command import Parser
from uva_tf.compression.export import to_tflite
from uva_tf.compression.operators import read_operators
from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.models.student import build_student


@pytest.fixture(scope="module")
def student():
    return build_student(StudentConfig("paper-32"))


def test_layers_cost_what_is_counted_by_hand(student):
    rows = {row.layer: row for row in layer_costs(student, "step")}
    stem = rows["stem_conv"]  # 3x3, 3 to 16 channels, 32x32, no bias
    assert (stem.parameters, stem.multiply_adds) == (9 * 3 * 16, 9 * 3 * 16 * 32 * 32)
    assert (stem.output, stem.activation_bytes) == ("32x32x16", 4 * 32 * 32 * 16)
    separable = rows["trunk2_separable"]  # 3x3 on 32 channels, then 32 to 32, 16x16
    assert separable.multiply_adds == (9 * 32 + 32 * 32) * 16 * 16
    deconv = rows["head_deconv1"]  # 4x4, 16 to 8 channels, from 8x8
    assert deconv.multiply_adds == 16 * 16 * 8 * 8 * 8
    assert deconv.output == "16x16x8"
    squeeze = rows["spatial2_attention_squeeze"]  # 128 to 16 channels with a bias, once
    assert (squeeze.parameters, squeeze.multiply_adds) == (128 * 16 + 16, 128 * 16)
    norm = rows["stem_bn"]  # scale and shift are trained, mean and variance are not
    assert (norm.parameters, norm.multiply_adds) == (32, 0)


def test_parameters_are_the_models(student):
    trained = sum(weight.shape.num_elements() for weight in student.pair.trainable_weights)
    for form in ("pair", "step"):
        assert totals(layer_costs(student, form)).parameters == trained


def test_pair_runs_the_trunk_twice(student):
    pair, step = (totals(layer_costs(student, form)) for form in ("pair", "step"))
    names = {layer.name for layer in student.trunk.layers}
    trunk = [row for row in layer_costs(student, "step") if row.layer in names]
    assert pair.multiply_adds - step.multiply_adds == totals(trunk).multiply_adds


@pytest.mark.parametrize(("variant", "most"), [("paper-32", 0.68e6), ("paper-64", 2.73e6)])
def test_the_papers_memory_count_is_within_the_papers_figure(variant, most):
    """By hand at one pixel: trunk 50 twice, paths 40, their concatenation 16, head 8."""
    built = build_student(StudentConfig(variant))
    side = built.trunk.input_shape[1]
    assert totals(layer_costs(built, "pair")).block_bytes == 4 * (2 * 50 + 40 + 16 + 8) * side**2
    assert totals(layer_costs(built, "pair")).block_bytes <= most


@pytest.mark.parametrize(
    ("variant", "form"),
    [
        ("tiny", "pair"),
        ("plain-32", "pair"),
        pytest.param("paper-32", "pair", marks=pytest.mark.slow),
        pytest.param("uva-32", "step", marks=pytest.mark.slow),
    ],
)
def test_the_converted_file_multiplies_as_often(variant, form):
    built = build_student(StudentConfig(variant))
    operators = read_operators(to_tflite(built, "fp32", form))
    counted = totals(layer_costs(built, form)).multiply_adds
    assert sum(operator.multiply_adds for operator in operators) == counted


def test_the_script_prints_and_writes_the_table(script, tmp_path, capsys):
    out = tmp_path / "cost.csv"
    cost = script("pipelines/cost.py").main
    assert cost(["--variant", "uva-32", "--form", "step", "--csv", str(out)]) == 0
    assert "108,968 parameters" in capsys.readouterr().out
    rows = list(csv.DictReader(out.open()))
    assert sum(int(row["parameters"]) for row in rows) == 108_968
    assert cost(["--variant", "uva-32", "--csv", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cost(["--variant", "uva-65"]) == 2
    assert "uva-65" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("tflite/convert.py", "--run a --recipe fp32 --out b.tflite"),
        ("pipelines/cost.py", "--variant uva-32"),
        ("pipelines/compress.py", "--run a --out b"),
    ],
)
def test_every_command_takes_a_student_as_a_step_by_default(script, monkeypatch, path, given):
    seen = []

    def parse(self, argv):
        seen.append(ArgumentParser.parse_args(self, argv))
        raise InputError("seen")

    monkeypatch.setattr(Parser, "parse_args", parse)
    assert script(path).main(given.split()) == 2
    assert seen[0].form == "step"


def test_a_layer_keeps_its_block_whatever_the_head(student):
    blocks = {row.layer: row.block for row in layer_costs(student, "step")}
    assert blocks["trunk1_attention_gate"] == "trunk1"
    assert blocks["head_deconv1_bn"] == "head_deconv1"
