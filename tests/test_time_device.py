"""Students in batches on whatever device there is."""

import csv

import keras
import numpy as np
import pytest

from uva_tf.bench import device
from uva_tf.commands import time_device
from uva_tf.core.errors import InputError
from uva_tf.models import maps


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(device, "LARGEST_SIDE", device.SMALLEST_SIDE)


def test_every_student_is_timed_in_both_forms():
    before = keras.config.dtype_policy()
    rows = device.measure(["tiny"], precision="bfloat16", most=2, rounds=2, seconds=0.001)
    assert [(row.variant, row.form) for row in rows] == [("tiny", "pair"), ("tiny", "step")]
    for row in rows:
        assert row.batch in (1, 2)
        assert min(row.frames_per_second, row.copied_per_second, row.gmacs, row.of_peak) > 0
    assert keras.config.dtype_policy() == before


def rates(of_sizes, seen):
    def make(size):
        seen.append(size)
        rate = of_sizes[size]
        if isinstance(rate, Exception):
            raise rate
        return lambda: rate

    return make


@pytest.mark.parametrize(
    ("of_sizes", "best", "tried"),
    [
        ({1: 100.0, 2: 80.0, 4: 41.0, 8: 20.0, 16: 100.0}, 4, [1, 2, 4, 8]),  # the largest is 8
        ({1: 100.0, 2: 40.0, 4: 20.0, 8: 100.0}, 1, [1, 2, 4]),  # two without a gain
        ({1: 100.0, 2: 90.0, 4: RuntimeError("RESOURCE_EXHAUSTED: 8 GiB")}, 2, [1, 2, 4]),
        ({1: 9.0, 2: MemoryError("Unable to allocate 7.11 PiB for an array")}, 1, [1, 2]),
        ({1: 100.0, 2: 0.5}, 1, [1, 2]),  # takes longer than the second that a turn has
    ],
)
def test_the_search_ends_where_larger_batches_bring_nothing(of_sizes, best, tried):
    seen = []
    size, rate = device._fastest(rates(of_sizes, seen), 1, 8, 1.0)
    assert (size, rate(), seen) == (best, of_sizes[best], tried)


@pytest.mark.parametrize("of_sizes", [{1: MemoryError("out of memory")}, {1: 9.0, 2: ValueError()}])
def test_other_failures_are_raised(of_sizes):
    with pytest.raises((MemoryError, ValueError)):
        device._fastest(rates(of_sizes, []), 1, 8, 1.0)


def test_maps_are_those_of_training():
    logits = np.random.default_rng(1).normal(0, 3, (2, 8, 8, 1)).astype(np.float32)
    ours = keras.ops.convert_to_numpy(device._attention(logits))
    np.testing.assert_allclose(ours, maps.attention(logits).numpy(), atol=1e-6)


def test_an_unknown_student_is_refused_before_anything_is_timed():
    with pytest.raises(InputError, match="uva-65"):
        device.measure(["uva-65"], precision="float32", most=1, rounds=1)


def test_the_command_prints_and_writes_the_table(tmp_path, capsys):
    out = tmp_path / "device.csv"
    given = ["--variants", "tiny", "--largest", "1", "--rounds", "1", "--csv", str(out)]
    assert time_device.main(given) == 0
    assert "frames/s" in capsys.readouterr().out
    assert [row["batch"] for row in csv.DictReader(out.open())] == ["1", "1"]
    assert time_device.main(given) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("backend", "told"), [("torch", "expected tensorflow or jax"), ("jax", "jax is not installed")]
)
def test_a_backend_that_is_not_there_is_refused(backend, told, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(time_device.importlib.util, "find_spec", lambda name: None)
    assert time_device.main(["--variants", "tiny"]) == 2
    assert told in capsys.readouterr().err
