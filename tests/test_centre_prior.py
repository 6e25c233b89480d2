"""A centre prior that is multiplied onto a student's maps, or mixed into them, on conversion."""

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
from uva_tf.compression.graph import pair_of_step
from uva_tf.config import StudentConfig
from uva_tf.core.centre_prior import PRIOR_SIGMA, log_centre_prior
from uva_tf.core.errors import InputError
from uva_tf.models.maps import attention
from uva_tf.models.student import build_student, with_centre_prior
from uva_tf.presets import PRESETS
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


def mixed(one, share):
    """A finished map `[R, R]` with a share of the prior, pixel by pixel."""
    prior = gaussian(len(one), 1)
    beside = share / (1 - share) * one.mean() * prior / prior.mean()
    return one + (1 - one) * np.minimum(1, beside)


def test_a_share_of_the_prior_is_mixed_into_finished_maps():
    rng = np.random.default_rng(5)
    logits = 3 * rng.standard_normal((2, 32, 32, 1)).astype(np.float32)
    plain, found = attention(logits).numpy(), attention(logits, 0.3).numpy()
    expected = [mixed(one[..., 0], 0.3)[..., None] for one in plain]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max(axis=(1, 2, 3)).tolist() == [1, 1]
    assert (found.reshape(2, -1).argmax(1) == plain.reshape(2, -1).argmax(1)).all()


def test_where_a_map_is_dark_a_share_is_a_mixture_of_densities():
    logits = np.full((1, 64, 64, 1), -9.0, np.float32)
    logits[0, 10, 12] = 0
    plain, found = (attention(logits, share).numpy()[0, ..., 0] for share in (0.0, 0.3))
    prior = gaussian(64, 1)
    mixture = 0.7 * plain / plain.sum() + 0.3 * prior / prior.sum()
    dark = plain < 0.5
    np.testing.assert_allclose(found[dark] / found[0, 0], mixture[dark] / mixture[0, 0], rtol=0.01)


def test_a_map_that_is_bright_all_over_keeps_its_bounds():
    flat = attention(np.zeros((1, 32, 32, 1), np.float32), 0.9).numpy()
    np.testing.assert_array_equal(flat, np.ones_like(flat))
    wide = attention(np.linspace(-1, 0, 1024, dtype=np.float32).reshape(1, 32, 32, 1), 0.9).numpy()
    assert wide.min() >= 0 and wide.max() == 1


@pytest.fixture(scope="module")
def centred(student, noise_pairs):
    """`student` with the prior multiplied onto its densities, as an integer file."""
    return to_tflite(with_centre_prior(student, 1.0), "int8", "step", noise_pairs())


@pytest.mark.parametrize("form", ["step", "pair"])
def test_an_integer_file_draws_it_too(centred, converted, noise_pairs, form):
    pairs = noise_pairs(8)
    content = centred if form == "step" else pair_of_step(centred, "previous")
    check_file(content, form, integer=True)
    plain = file_maps(open_interpreter(converted("int8", form)), form, pairs)
    # A finished map is 2 s / (1 + s) of densities s with the peak 1.
    density = [one / 255 / (2 - one / 255) * gaussian(32, 1.0) for one in plain]
    density = [one / one.max() for one in density]
    expected = [np.rint(255 * 2 * one / (1 + one)).astype(np.uint8) for one in density]
    found = agreement(file_maps(open_interpreter(content), form, pairs), expected)
    assert found.mean_cc > 0.98


@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_files_mix_it_too_and_keep_the_peak(student, converted, noise_pairs, recipe):
    pairs = noise_pairs(8)
    plain = converted(recipe, "step")
    content = to_tflite(with_centre_prior(student, 0.0, 0.5), recipe, "step", pairs)
    check_file(content, "step", integer=recipe == "int8")
    one, found = (file_maps(open_interpreter(file), "step", pairs) for file in (plain, content))
    expected = [np.rint(255 * mixed(m / 255, 0.5)).astype(np.uint8) for m in one]
    assert all(m.max() == 255 for m in found)
    assert agreement(found, expected).mean_cc > (0.99 if recipe == "int8" else 0.9999)


@pytest.mark.parametrize("option", ["centre", "centre_share"])
def test_a_file_that_was_fine_tuned_has_no_place_for_it(tmp_path, option):
    run = Run.create(tmp_path / "run", PRESETS["smoke"]())
    shown = option.replace("_", "-")
    with pytest.raises(InputError, match=rf"--{shown} 0\.3: expected 0 with int8-qat"):
        convert(run, "int8-qat", "step", tmp_path / "model.tflite", **{option: 0.3})


@pytest.mark.parametrize("share", [-0.1, 0.91, 1, float("nan"), "0.3", None])
def test_a_manifest_with_another_share_is_refused(step_model, tmp_path, share):
    with pytest.raises(InputError, match=r"centre_share .* is not valid"):
        Predictor(model_of(step_model, tmp_path, centre_share=share))


@pytest.mark.parametrize("power", [-0.1, 10.1, float("nan"), "0.3", None])
def test_a_manifest_with_another_power_is_refused(step_model, tmp_path, power):
    with pytest.raises(InputError, match=r"centre .* is not valid"):
        Predictor(model_of(step_model, tmp_path, centre=power))


def test_older_files_have_none():
    manifest = Manifest("step", "fp32", "tiny", 32, "previous", "0")
    assert (manifest.centre, manifest.centre_share) == (0, 0)


def test_the_layers_of_a_file_with_a_prior_can_be_compared(student, centred, shards, tmp_path):
    config = PRESETS["smoke"]().changed("student.variant=tiny")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    student.pair.save(run.student)
    manifest = Manifest("step", "int8", "tiny", 32, "previous", "0", centre=1.0)
    layers = [(one.operator, tuple(one.shape)) for one in layers_of(run, manifest, centred)]
    assert layers.count(("ADD", (1, 32, 32, 1))) == 1


def test_a_converted_file_mixes_the_share_and_says_so(
    student, step_model, shards, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "CHECKED", 6)
    config = PRESETS["smoke"]().changed("student.variant=tiny")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    student.pair.save(run.student)
    out = tmp_path / "mixing.tflite"
    assert convert(run, "fp32", "step", out, centre_share=0.5).centre_share == 0.5
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    one, found = (Predictor(model).step(frame) for model in (step_model, out))
    np.testing.assert_allclose(found, 255 * mixed(one / 255, 0.5), atol=1)
    assert np.abs(found.astype(int) - one).max() > 5


@pytest.mark.slow  # beside one with a power
def test_the_layers_of_a_file_with_a_share_are_compared_with_its_own(
    student, shards, noise_pairs, tmp_path
):
    config = PRESETS["smoke"]().changed("student.variant=tiny")
    run = Run.create(tmp_path / "run", with_data(config, [shards.folder]))
    student.pair.save(run.student)
    content = to_tflite(with_centre_prior(student, 0.0, 0.3), "int8", "step", noise_pairs(8))
    manifest = Manifest("step", "int8", "tiny", 32, "previous", "0", centre_share=0.3)
    layers = [one.operator for one in layers_of(run, manifest, content)]
    assert "SUB" in layers[-4:]


def test_what_is_shipped_has_the_prior_that_was_asked_for(student, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", PRESETS["smoke"]().changed("student.variant=tiny"))
    student.pair.save(run.student)
    asked = {}

    def convert(run, recipe, form, file, **options):  # what it makes of them, test_export shows
        asked[recipe] = options

    monkeypatch.setattr(export, "convert", convert)
    out = str(tmp_path / "weights")
    asked_for = ["--centre", "0.5", "--centre-share", "0.3"]
    assert ship.main(["--run", str(run.folder), "--out", out, *asked_for]) == 0
    assert asked.keys() == set(ship.SHIPPED)
    for options in asked.values():
        assert options == {"persistence": 0, "brighten": 0, "centre": 0.5, "centre_share": 0.3}


@pytest.mark.parametrize("power", ["-1", "11", "nan", "much"])
def test_other_powers_are_refused_in_one_line(power, tmp_path, capsys):
    arguments = ["--run", str(tmp_path), "--recipe", "fp32", "--out", "m.tflite"]
    assert convert_main([*arguments, "--centre", power]) == 2
    assert f"{power!r}: expected 0 to 10" in capsys.readouterr().err
    assert convert_main([*arguments, "--centre-share", power]) == 2
    assert f"{power!r}: expected 0 to 0.9" in capsys.readouterr().err
