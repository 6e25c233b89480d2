"""The shipped model that suits a processor."""

import pytest

from uva_tf.core.errors import InputError
from uva_tf.runtime import default_model
from uva_tf.runtime.default_model import choose_model, fast_instructions
from uva_tf.weights import shipped_model

X86 = "processor : {}\nflags : fpu sse2 avx2 {}\n"
ARM = "processor : {}\nFeatures : fp asimd {}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "found"),
    [
        (X86.format(0, "avx512_vnni") + X86.format(1, "avx512_vnni"), "avx512_vnni"),
        (X86.format(0, "") + X86.format(1, ""), ""),
        (X86.format(0, "avx_vnni") + X86.format(1, ""), ""),  # not on every core
        (ARM.format(0, "asimddp i8mm"), "asimddp"),
        (ARM.format(0, ""), ""),
        ("processor : 0\n", ""),
    ],
)
def test_fast_instructions_are_those_of_every_core(tmp_path, monkeypatch, cpuinfo, found):
    monkeypatch.setattr(default_model.platform, "system", lambda: "Linux")
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert fast_instructions(tmp_path / "cpuinfo") == found


def test_an_unknown_system_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model.platform, "system", lambda: "Windows")
    assert fast_instructions(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("found", "recipe", "why"),
    [
        ("avx_vnni", "int8", "int8: this processor has avx_vnni"),
        ("", "fp16", "fp16: no fast 8-bit instructions found"),
    ],
)
def test_int8_is_chosen_where_it_is_fast_and_the_reason_said(monkeypatch, found, recipe, why):
    monkeypatch.setattr(default_model, "fast_instructions", lambda: found)
    assert choose_model() == (shipped_model(f"uva-64-l-{recipe}-step"), why)


def test_a_model_can_be_named(tmp_path):
    assert choose_model("int8") == (shipped_model("uva-64-l-int8-step"), "")
    assert choose_model("fp16") == (shipped_model("uva-64-l-fp16-step"), "")
    assert choose_model("uva-64-int8") == (shipped_model("uva-64-int8-step"), "")
    assert choose_model("uva-64-s-fp16-step") == (shipped_model("uva-64-fp16-step"), "")
    assert choose_model(tmp_path / "own.tflite") == (tmp_path / "own.tflite", "")


def test_a_student_s_file_is_the_one_that_suits_the_processor(monkeypatch):
    monkeypatch.setattr(default_model, "fast_instructions", lambda: "")
    path, why = choose_model("uva-32")
    assert path == shipped_model("uva-32-fp16-step")
    assert why == "fp16: no fast 8-bit instructions found"


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match=r"uva-99: no such file, and no shipped student, .*uva-32"):
        choose_model("uva-99")
