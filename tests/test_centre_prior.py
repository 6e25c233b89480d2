"""Maps that are multiplied by a centre prior when a student is converted."""

import keras
import numpy as np
import pytest
from conftest import model_of

from uva_tf.commands import ship
from uva_tf.commands.convert import main as convert_main
from uva_tf.compression import export
from uva_tf.compression.agreement import agreement, file_maps
from uva_tf.compression.export import convert, layers_of, to_tflite
from uva_tf.compression.gate import check_file
from uva_tf.config import PRESETS, StudentConfig
from uva_tf.core.centre_prior import PRIOR_SIGMA, log_centre_prior
from uva_tf.core.errors import InputError
from uva_tf.models.student import build_student, with_centre_prior
from uva_tf.runtime.manifest import Manifest
from uva_tf.runtime.predictor import Predictor, open_interpreter
from uva_tf.training.examples import with_data
from uva_tf.training.run import Run


def gaussian(side, power):
    """A Gaussian of `PRIOR_SIGMA` to a power, `[side, side]`, pixel by pixel."""
    middle = side / 2
    return np.array(
        [
            [
                np.exp(
                    -power
                    * ((x + 0.5 - middle) ** 2 + (y + 0.5 - middle) ** 2)
                    / (2 * (PRIOR_SIGMA * side) ** 2)
                )
                for x in range(side)
            ]
            for y in range(side)
        ]
    )


def test_the_prior_is_a_gaussian_about_the_middle():
    np.testing.assert_allclose(np.exp(log_centre_prior(32, 32)), gaussian(32, 1))
    wide = log_centre_prior(20, 32)
    np.testing.assert_allclose(wide[:, 0], wide[:, 31])
    # Of the pixel right of the middle, in the uppermost row.
    distance = (9.5 / 20) ** 2 + (0.5 / 32) ** 2
    assert wide[0, 16] == pytest.approx(-distance / (2 * PRIOR_SIGMA**2))


@pytest.mark.parametrize("pairing", ["previous", "next"])
def test_unnormalised_densities_are_multiplied(pairing):
    keras.utils.set_random_seed(3)
    student = build_student(StudentConfig("tiny", pairing=pairing))
    with_prior = with_centre_prior(student, 0.5)
    frames = keras.random.uniform((2, 2, 32, 32, 3), -1, 1, seed=3)
    pair = {"frame": frames[0], "other": frames[1]}
    ratio = np.exp(with_prior.pair(pair) - student.pair(pair))[..., 0]
    np.testing.assert_allclose(ratio, [gaussian(32, 0.5)] * 2, rtol=1e-4)

    given, state = (
        (pair["frame"], pair["other"]) if pairing == "previous" else (frames[1], frames[0])
    )
    stepped = with_prior.step({"frame": given, "state": student.trunk(state)})
    np.testing.assert_allclose(stepped["attention"], with_prior.pair(pair), atol=1e-5)


def test_a_power_of_0_leaves_the_student_alone(student):
    assert with_centre_prior(student, 0.0) is student


@pytest.mark.parametrize("form", ["step", pytest.param("pair", marks=pytest.mark.slow)])
def test_an_integer_file_draws_it_too(student, noise_pairs, form):
    pairs = noise_pairs(8)
    content = to_tflite(with_centre_prior(student, 1.0), "int8", form, pairs)
    check_file(content, form, integer=True)
    plain = file_maps(open_interpreter(to_tflite(student, "int8", form, pairs)), form, pairs)
    # A finished map is 2 s / (1 + s) of densities s with the peak 1.
    density = [one / 255 / (2 - one / 255) * gaussian(32, 1.0) for one in plain]
    density = [one / one.max() for one in density]
    expected = [np.rint(255 * 2 * one / (1 + one)).astype(np.uint8) for one in density]
    found = agreement(file_maps(open_interpreter(content), form, pairs), expected)
    assert found.mean_cc > 0.98


def test_a_file_that_was_fine_tuned_has_no_place_for_it(tmp_path):
    run = Run.create(tmp_path / "run", PRESETS["smoke"]())
    with pytest.raises(InputError, match=r"--centre 0\.3: expected 0 with int8-qat"):
        convert(run, "int8-qat", "step", tmp_path / "model.tflite", centre=0.3)


@pytest.mark.parametrize("power", [-0.1, 10.1, float("nan"), "0.3", None])
def test_a_manifest_with_another_power_is_refused(step_model, tmp_path, power):
    with pytest.raises(InputError, match=r"centre .* is not valid"):
        Predictor(model_of(step_model, tmp_path, centre=power))


def test_older_files_have_none():
    assert Manifest("step", "fp32", "tiny", 32, "previous", "0").centre == 0


def test_the_layers_of_a_file_with_a_prior_can_be_compared(student, shards, noise_pairs, tmp_path):
    config = PRESETS["smoke"]().changed("student.variant=tiny")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    student.pair.save(run.student)
    centred = with_centre_prior(student, 0.5)
    content = to_tflite(centred, "int8", "step", noise_pairs(8))
    manifest = Manifest("step", "int8", "tiny", 32, "previous", "0", centre=0.5)
    layers = [(one.operator, tuple(one.shape)) for one in layers_of(run, manifest, content)]
    assert layers.count(("ADD", (1, 32, 32, 1))) == 1


def test_what_is_shipped_has_the_prior_that_was_asked_for(student, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", PRESETS["smoke"]().changed("student.variant=tiny"))
    student.pair.save(run.student)
    asked = {}

    def convert(run, recipe, form, file, **options):  # what it makes of them, test_export shows
        asked[recipe] = options

    monkeypatch.setattr(export, "convert", convert)
    out = str(tmp_path / "weights")
    assert ship.main(["--run", str(run.folder), "--out", out, "--centre", "0.5"]) == 0
    assert asked.keys() == set(ship.SHIPPED)
    for options in asked.values():
        assert options == {"persistence": 0, "brighten": 0, "centre": 0.5}


@pytest.mark.parametrize("power", ["-1", "11", "nan", "much"])
def test_other_powers_are_refused_in_one_line(power, tmp_path, capsys):
    arguments = ["--run", str(tmp_path), "--recipe", "fp32", "--out", "m.tflite"]
    assert convert_main([*arguments, "--centre", power]) == 2
    assert f"{power!r}: expected 0 to 10" in capsys.readouterr().err
