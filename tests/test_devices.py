"""Several devices and several machines train to the weights of one; a kill changes nothing."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from uva_tf.config import LoopConfig
from uva_tf.core.errors import InputError
from uva_tf.training.devices import is_chief, open_strategy
from uva_tf.training.run import Run
from uva_tf.training.stages import train
from uva_tf.training.weights import load_student

PROGRAM = Path(__file__).parent / "train_in_process.py"
NOBODY = ("soft_targets.spatial=none", "soft_targets.temporal=none")


def start(folder, shards, stages, *changes, **environment):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(shards.folder), stages, *changes],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err


def weights(folder):
    return load_student(Run.open(folder)).pair.get_weights()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    """The folders of a run that one device trained, and of one that two did."""
    folder = tmp_path_factory.mktemp("trained")
    one, two = folder / "one", folder / "two"
    changes = TestSharedBatches.CHANGES
    beside = ("--", two, shards.folder, "joint", *changes, "loop.strategy=mirrored")
    finish(start(one, shards, "joint", *changes, *map(str, beside), UVA_TF_TEST_EXACT="1"))
    return one, two


@pytest.fixture(scope="module")
def alone(trained):
    return weights(trained[0])


class TestSharedBatches:
    # With one path and without attention, which is traced in half the time.
    CHANGES = (
        *("joint.steps=10", "joint.batch=4"),
        *("student.paths=spatial", "student.channel_attention=false", *NOBODY),
    )

    def assert_alike(self, alone, folder):
        for one, other in zip(alone, weights(folder), strict=True):
            # float64, kept as float32; a bias without effect differs by 1e-12.
            np.testing.assert_allclose(other, one, atol=1e-6)

    def test_on_two_devices_train_to_the_weights_of_one(self, alone, trained):
        self.assert_alike(alone, trained[1])

    @pytest.mark.slow  # beside two devices, which share a batch in the same way
    @pytest.mark.parametrize("kinds", [("worker", "worker"), ("chief", "worker")])
    def test_on_two_machines_train_to_the_weights_of_one(self, alone, shards, tmp_path, kinds):
        cluster = {}
        for kind, port in zip(kinds, free_ports(2), strict=True):
            cluster.setdefault(kind, []).append(f"localhost:{port}")
        processes = []
        for kind, hosts in cluster.items():
            for index in range(len(hosts)):
                task = {"cluster": cluster, "task": {"type": kind, "index": index}}
                environment = {"UVA_TF_TEST_EXACT": "1", "TF_CONFIG": json.dumps(task)}
                changes = (*self.CHANGES, "loop.strategy=multi-worker")
                processes.append(start(tmp_path / "run", shards, "joint", *changes, **environment))
        finish(*processes)
        self.assert_alike(alone, tmp_path / "run")
        # Written by the first machine alone.
        history = Run.open(tmp_path / "run").history()
        assert [entry["step"] for entry in history if "loss" in entry] == [5, 10]


@pytest.mark.parametrize("config", ["", "{}", '{"cluster": {"worker": []}}', "no JSON"])
def test_several_machines_without_a_list_of_them_are_refused(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match="expected TF_CONFIG in the environment"):
        open_strategy(LoopConfig(strategy="multi-worker"))


@pytest.mark.slow  # beside TestOneProcessAtATime, whose process only takes the lock
def test_a_process_that_trains_a_run_keeps_others_out_until_it_is_killed(shards, tmp_path):
    process = start(tmp_path / "run", shards, "joint", "joint.steps=100000", *NOBODY)
    assert process.stdout.readline() == "step\n"
    run = Run.open(tmp_path / "run")
    with pytest.raises(InputError, match="run is being trained by another process"):
        train(run, ["joint"])
    process.kill()
    process.communicate()
    with run.locked():
        pass


class TestKilledTrainings:
    def train_with_kills(self, folder, kills, seed, *arguments):
        """Kill at a random step each time, then let it end."""
        rng = random.Random(seed)
        for _ in range(kills):
            process = start(folder, *arguments)
            for _ in range(rng.randint(1, 14)):
                if not process.stdout.readline():
                    break  # it ended before
            process.send_signal(signal.SIGKILL)
            process.communicate()
        finish(start(folder, *arguments))

    def assert_same(self, undisturbed, folder):
        for one, other in zip(weights(undisturbed), weights(folder), strict=True):
            np.testing.assert_array_equal(other, one)
        assert Run.open(folder).history() == Run.open(undisturbed).history()

    @pytest.mark.slow  # test_loop.py has a smaller twin, which is interrupted and not killed
    def test_end_with_the_same_weights_bit_for_bit(self, shards, tmp_path):
        arguments = (shards, "joint", "joint.steps=16", *NOBODY)
        finish(start(tmp_path / "undisturbed", *arguments))
        self.train_with_kills(tmp_path / "run", 1, 0, *arguments)
        self.assert_same(tmp_path / "undisturbed", tmp_path / "run")

    @pytest.mark.slow
    def test_five_times_too_and_in_every_stage(self, shards, tmp_path):
        # Kills fall into every stage, and some before a stage's first checkpoint at step 5.
        changes = ("teach.steps=8", "distill.steps=12", "joint.steps=12")
        arguments = (shards, "teach,distill,joint", *changes)
        finish(start(tmp_path / "undisturbed", *arguments))
        for seed in (1, 2):
            folder = tmp_path / f"run-{seed}"
            self.train_with_kills(folder, 5, seed, *arguments)
            self.assert_same(tmp_path / "undisturbed", folder)


def task(monkeypatch, cluster, kind, index):
    config = {"cluster": cluster, "task": {"type": kind, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    return LoopConfig(strategy="multi-worker")


@pytest.mark.parametrize(
    ("cluster", "chief"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 0)),
        ({"worker": ["a:1"]}, ("worker", 0)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0)),
        ({"chief": ["a:1"]}, ("chief", 0)),
    ],
)
def test_one_machine_of_several_writes_the_run(monkeypatch, cluster, chief):
    machines = [(kind, index) for kind, hosts in cluster.items() for index in range(len(hosts))]
    writing = [one for one in machines if is_chief(task(monkeypatch, cluster, *one))]
    assert writing == [chief]


@pytest.mark.parametrize(
    ("cluster", "kind", "words"),
    [
        ({"worker": ["a:1"], "ps": ["b:1"]}, "worker", "a task of type ps: expected workers and"),
        ({"worker": ["a:1"], "ps": ["b:1"]}, "ps", "a task of type ps: expected workers and"),
        ({"worker": ["a:1"]}, "evaluator", "a task of type evaluator: expected workers and"),
        ({"chief": ["a:1", "b:1"], "worker": ["c:1"]}, "chief", "several chiefs"),
    ],
)
def test_machines_that_have_nothing_to_do_are_refused(monkeypatch, cluster, kind, words):
    loop = task(monkeypatch, cluster, kind, 0)
    for call in (is_chief, open_strategy):
        with pytest.raises(InputError, match=words):
            call(loop)
