"""An archive through Ray: on this machine, on a cluster, and when something is killed meanwhile."""

import contextlib
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, contents
from made_archive import make
from test_archives import MODEL, run

from uva_tf import __version__
from uva_tf.archives import engine
from uva_tf.archives.actor import Actor
from uva_tf.archives.engine import check_listens, done_by_ray
from uva_tf.archives.storage import UNFINISHED
from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.prepare import Request
from uva_tf.data.shard_actor import ShardActor, ShardJob
from uva_tf.gaze.options import NOTHING_STATED

COUNT, BROKEN = 40, 4
FILES = ("videos.parquet", "throughput.png")
FEW = "clip00*.mp4"  # ten of them, one broken


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Forty clips, every tenth broken."""
    folder = tmp_path_factory.mktemp("clips") / "in"
    make(folder, COUNT, BROKEN)
    return folder


@pytest.fixture(scope="module")
def expected(clips, tmp_path_factory):
    """What an archive of the clips holds, made without Ray."""
    out = tmp_path_factory.mktemp("expected") / "out"
    run(out, [clips])
    return outputs(out)


@pytest.fixture(scope="module")
def expected_of_few(clips, tmp_path_factory):
    """The same of the first ten clips."""
    out = tmp_path_factory.mktemp("expected") / "out"
    run(out, [clips / FEW])
    return outputs(out)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of a head without cores and of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 100 * 2**20}
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    for _ in range(2):
        made.add_node(num_cpus=1, **small)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def start(clips, out, *arguments):
    command = [sys.executable, "-m", "uva_tf", "predict-many", clips, "--out", out]
    command += ["--model", MODEL, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def outputs(out):
    """The bytes of all outputs by name, and the table without what depends on the day."""
    files = {
        path.name: data
        for kind in ("maps", "places")
        for path, data in contents(out / kind).items()
    }
    table = pq.read_table(out / "videos.parquet")
    assert {path.name for path in out.iterdir()} <= {"maps", "places", *FILES}
    return files, table.drop_columns(["seconds"]).to_pylist()


def finished(out):
    """How many videos have their maps."""
    return len(list((out / "maps").glob("*.npz")))


def wait_for(out, count, process):
    until = time.monotonic() + 120
    while finished(out) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def actors(parent):
    """Ray's processes that hold an actor, below a process of ours."""
    found = []
    for one in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that was killed may linger
            if "ray::_Actor" in "".join(one.cmdline()[:1]):
                found.append(one)
    return found


def check(process, out, expected, count=COUNT, broken=BROKEN):
    printed, failed = process.communicate(timeout=180)
    assert process.returncode == 1, failed  # some are broken
    assert f"{count - broken} of {count} videos done" in printed
    assert f"failed: {broken} of {count} videos" in failed
    assert outputs(out) == expected
    return printed


def test_a_worker_that_is_killed_costs_nothing(clips, expected_of_few, tmp_path):
    out = tmp_path / "out"
    process = start(clips / FEW, out, "--jobs", 2)
    wait_for(out, 2, process)
    random.Random(0).choice(actors(process.pid)).kill()
    printed = check(process, out, expected_of_few, 10, 1)
    assert "(raylet)" not in printed  # Ray's own lines


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_workers_on_a_cluster_cost_nothing(clips, expected, cluster, tmp_path, seed):
    chance, out = random.Random(seed), tmp_path / "out"
    process = start(clips, out, "--address", cluster.address)
    for count in sorted(chance.sample(range(1, 25), 2)):
        wait_for(out, count, process)
        chance.choice(actors(os.getpid())).kill()
    check(process, out, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_node_that_is_lost_costs_nothing(clips, expected, cluster, tmp_path, seed):
    chance, out = random.Random(seed), tmp_path / "out"
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    process = start(clips, out, "--address", cluster.address)
    wait_for(out, chance.randrange(1, 25), process)
    cluster.remove_node(node, allow_graceful=False)
    check(process, out, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_driver_that_is_killed_is_started_again(clips, expected, tmp_path, seed):
    chance, out = random.Random(seed), tmp_path / "out"
    process = start(clips, out, "--jobs", 2)
    wait_for(out, chance.randrange(1, 25), process)
    process.kill()
    process.wait()
    done = finished(out)
    before = {path: path.stat().st_mtime_ns for path in (out / "maps").iterdir()}
    assert all(path.stat().st_size for path in before)
    check(start(clips, out, "--jobs", 2), out, expected)
    kept = [path for path, made in before.items() if path.stat().st_mtime_ns == made]
    assert len(kept) >= done  # nothing that was finished is done again


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_says_how_to_go_on(clips, tmp_path, number):
    out = tmp_path / "out"
    process = start(clips, out, "--jobs", 2)
    wait_for(out, 3, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("interrupted; "), said
    assert f"of {COUNT} videos are done; resume with: uva-tf predict-many" in said
    assert f"; {finished(out)} of" in said
    assert pq.read_table(out / "videos.parquet").num_rows < COUNT
    assert not (out / UNFINISHED).exists()


def test_where_no_cluster_is_nothing_is_written(clips, tmp_path):
    process = start(clips, tmp_path / "out", "--address", "127.0.0.1:1")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.startswith("error: --address 127.0.0.1:1: no cluster answers there ("), said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "--address '': expected HOST:PORT"),
        ("ray://127.0.0.1:10001", "--address 'ray://127.0.0.1:10001': expected HOST:PORT"),
        ("a..b:1", "--address a..b:1: no cluster answers there"),
        ("10.0.0.1:65536", "--address '10.0.0.1:65536': expected HOST:PORT"),
        ("127.0.0.1:1", "Connection refused): start one with ray start --head --port=1, or leave"),
    ],
)
def test_an_address_without_a_cluster_is_a_users_mistake(address, words):
    with pytest.raises(InputError, match=re.escape(words)):
        check_listens(address)


def test_another_server_is_not_taken_for_a_cluster():
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(InputError, match="what answers there is not a Ray cluster"):
        check_listens(f"127.0.0.1:{server.server_port}")
    thread.join()
    server.server_close()


def test_a_machine_with_another_version_is_refused(monkeypatch):
    """Ray sends the class by value, so the version must be looked up on the machine itself."""
    from ray import cloudpickle

    sent = cloudpickle.dumps(engine._Actor.__ray_metadata__.modified_class)
    monkeypatch.setattr("uva_tf.__version__", "9.9")
    answer = cloudpickle.loads(sent)(None, None, "0.1").do("{}")
    assert json.loads(answer)["failure"] == "a machine of the cluster has uva_tf 9.9, not 0.1"


@pytest.mark.parametrize(("number", "mistake"), [(errno.EACCES, True), (errno.EIO, False)])
def test_a_path_that_an_actor_may_not_read_is_a_users_mistake(number, mistake):
    def refused(job):
        raise OSError(number, os.strerror(number), "x")

    actor = engine._Actor.__ray_metadata__.modified_class(refused, None, __version__)
    answer = json.loads(actor.do("{}"))
    assert answer == {"failure": f"[Errno {number}] {os.strerror(number)}: 'x'", "mistake": mistake}


class Unreadable:
    """A job that calls a function where an actor reads it."""

    def __init__(self, function, argument):
        self._call = function, (argument,)

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        pytest.param(int, "no number", id="an actor can't begin"),
        pytest.param(os._exit, 1, id="every actor dies", marks=pytest.mark.slow),
    ],
)
def test_actors_are_not_started_again_for_ever(function, argument):
    tasks = deque([{"do": "video", "name": "a"}])
    with pytest.raises(OSError, match=r"^Ray: .+"):
        list(done_by_ray(Unreadable(function, argument), tasks, jobs=1, actor=Actor))


def prepared(root, out, *arguments):
    command = [sys.executable, "-m", "uva_tf", "prepare", "--layout", "gaze", "--root", root]
    command += ["--out", out, "--size", 64, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(list(map(str, command)), stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


@pytest.mark.slow  # in one process: TestShardActors
def test_a_cluster_prepares_the_same_bytes(gaze_root, tmp_path):
    """Also where paths are relative."""
    from ray.cluster_utils import Cluster

    relative = os.path.relpath(gaze_root, ROOT)
    alone = prepared(relative, tmp_path / "alone")
    assert alone.wait(timeout=120) == 0, alone.communicate()
    head = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        process = prepared(relative, tmp_path / "out", "--address", cluster.address)
        printed, said = process.communicate(timeout=180)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, said
    assert f"wrote {tmp_path / 'out'}" in printed
    made, expected = (
        {path.name: data for path, data in contents(tmp_path / name).items()}
        for name in ("out", "alone")
    )
    assert made == expected


class TestShardActors:
    """In this process."""

    def request(self, gaze_root, **more):
        given = {"layout": "gaze", "root": gaze_root, "config": DataConfig(64), "split": None}
        given |= {"maps": {}, "hints": None, "options": NOTHING_STATED}
        return Request(**given | {"skip_bad": False} | more)

    def test_a_machine_that_does_not_see_the_dataset_says_so(self, gaze_root, tmp_path):
        job = ShardJob(self.request(gaze_root), tmp_path / "not there", Path.cwd())
        with pytest.raises(InputError, match=r"does not see .*not there: with --address, all"):
            ShardActor(job)

    def test_a_machine_that_sees_other_recordings_writes_nothing(self, gaze_root, tmp_path):
        actor = ShardActor(ShardJob(self.request(gaze_root), tmp_path, Path.cwd()))
        with pytest.raises(InputError, match="sees other recordings than this machine"):
            actor({"number": 0, "recordings": ["clip02"]})
        assert not list(tmp_path.iterdir())

    def test_a_shard_is_that_of_one_machine(self, gaze_root, script, tmp_path):
        words = ["--layout", "gaze", "--root", gaze_root, "--size", 64, "--out", tmp_path / "alone"]
        assert script("pipelines/prepare.py").main([*map(str, words)]) == 0
        (tmp_path / "out").mkdir()
        actor = ShardActor(ShardJob(self.request(gaze_root), tmp_path / "out", Path.cwd()))
        answer = actor({"number": 0, "recordings": ["clip01"]})
        assert not answer["skipped"]
        [made] = (tmp_path / "out").glob("*.tfrecord")
        assert made.read_bytes() == (tmp_path / "alone" / made.name).read_bytes()
