"""Where a run comes from is said only where it is known."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from uva_tf.core.errors import InputError
from uva_tf.presets import PRESETS
from uva_tf.training import provenance
from uva_tf.training.run import Run

OURS = ("setup.cfg", "pipelines/train.py", "uva_tf/__init__.py")
NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder, *arguments):
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", *name, "-C", str(folder), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | NOBODY
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit_all(folder):
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that copies what tells a checkout to a folder; the package then lies there."""

    def lie(folder, files=OURS):
        for file in files:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, path)
        monkeypatch.setattr(provenance, "ROOT", folder)
        return folder

    return lie


class TestCommit:
    def test_is_the_checkouts_and_says_if_files_differ(self, package, tmp_path):
        checkout = package(tmp_path / "checkout")
        head = commit_all(checkout)
        assert provenance.commit() == head
        (checkout / "notes.txt").touch()  # not of the project
        assert provenance.commit() == head
        (checkout / "uva_tf" / "__init__.py").write_text("changed")
        assert provenance.commit() == f"{head}+changes"

    @pytest.mark.parametrize("place", ["site-packages", "vendor", "."])
    @pytest.mark.parametrize("tracked", [True, False])
    def test_is_none_in_a_repository_of_somebody_else(self, package, tmp_path, place, tracked):
        (tmp_path / "theirs.txt").touch()
        if not tracked:
            commit_all(tmp_path)
        package(tmp_path / place, OURS[2:])
        if tracked:
            (tmp_path / "setup.cfg").write_text("[metadata]\nname = theirs\n")
            commit_all(tmp_path)
        assert provenance.commit() is None

    def test_is_none_where_a_whole_copy_lies_in_another_repository(self, package, tmp_path):
        package(tmp_path / "vendor")
        commit_all(tmp_path)
        assert provenance.commit() is None

    def test_is_none_outside_a_repository_and_without_git(self, package, tmp_path, monkeypatch):
        checkout = package(tmp_path / "checkout")
        assert provenance.commit() is None
        commit_all(checkout)
        monkeypatch.setenv("PATH", "")
        assert provenance.commit() is None

    def test_is_not_that_of_a_repository_in_the_environment(self, package, tmp_path, monkeypatch):
        other = tmp_path / "other"
        other.mkdir()
        commit_all(other)
        checkout = package(tmp_path / "checkout")
        head = commit_all(checkout)
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(checkout))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        assert provenance.commit() == head

    def test_runs_no_program_that_the_repository_names(self, package, tmp_path):
        checkout = package(tmp_path / "checkout")
        head = commit_all(checkout)
        marker = tmp_path / "was run"
        git(checkout, "config", "core.fsmonitor", f"touch '{marker}' #")
        assert provenance.commit() == head
        assert not marker.exists()


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "run", PRESETS["smoke"]())
    told = provenance.provenance("uva-tf train --run 'a b'")
    run.provenance.write_text(json.dumps(told))
    return run


def told(run):
    return json.loads(run.provenance.read_text())


def test_the_versions_are_those_that_are_loaded(run):
    import keras
    import numpy
    import tensorflow

    expected = {m.__name__: m.__version__ for m in (tensorflow, keras, numpy)}
    assert told(run)["versions"] == expected
    assert told(run)["command"] == "uva-tf train --run 'a b'"


def test_a_run_says_if_other_code_went_on_with_it(run, monkeypatch):
    before = told(run)
    provenance.note_resumed(run)
    assert told(run) == before
    for commit in ("one", "one", "two"):
        monkeypatch.setattr(provenance, "commit", lambda commit=commit: commit)
        provenance.note_resumed(run)
    assert [entry["commit"] for entry in told(run)["resumed"]] == ["one", "two"]
    run.student.touch()  # finished: nothing goes on
    monkeypatch.setattr(provenance, "commit", lambda: "three")
    provenance.note_resumed(run)
    assert len(told(run)["resumed"]) == 2
    assert {k: v for k, v in told(run).items() if k != "resumed"} == before
    assert provenance.origin(run)["resumed"] == told(run)["resumed"]


def test_datasets_of_one_name_are_all_told(run):
    config = replace(run.config, data=("/a/shards", "/b/shards"), data_sha256=("1", "2"))
    assert provenance.origin(Run(run.folder, config))["data"] == {"a/shards": "1", "b/shards": "2"}
    config = replace(config, data=("/a/shards", "/a/more"))
    assert provenance.origin(Run(run.folder, config))["data"] == {"shards": "1", "more": "2"}


def test_the_package_lies_where_it_is_looked_for():
    assert Path(provenance.__file__).is_relative_to(provenance.ROOT / "uva_tf")


def test_a_run_that_began_with_another_says_where_that_came_from(run, tmp_path):
    config = run.config.changed(f"student.weights={run.student}", "seed=2")
    second = provenance.origin(Run.create(tmp_path / "second", config))
    assert second["seed"] == 2
    assert second["begun_from"] == provenance.origin(run)
    assert "begun_from" not in second["begun_from"]


def test_a_run_whose_first_run_is_gone_says_so(run, tmp_path):
    config = run.config.changed(f"student.weights={tmp_path / 'gone' / 'student.keras'}")
    assert provenance.origin(Run.create(tmp_path / "second", config))["begun_from"] is None


def test_damaged_files_of_a_run_are_named(run):
    run.provenance.write_text("{")
    with pytest.raises(InputError, match=r"provenance\.json: damaged, expected a JSON object"):
        provenance.origin(run)
    for text in ("3", "null", '{"resumed": 3}', '{"resumed": [3]}', "[" * 100_000):
        run.provenance.write_text(text)
        with pytest.raises(InputError, match=r"provenance\.json: damaged, expected a JSON object"):
            provenance.note_resumed(run)
    for line in ("{", "3", "{}", "[" * 100_000):
        run.metrics.write_text(f'{{"stage": "joint", "step": 1}}\n{line}\n')
        with pytest.raises(
            InputError, match=r"metrics\.jsonl: damaged, expected a JSON object with"
        ):
            run.history()
    run.metrics.write_text('{"stage": "joint", "step": 1}\n\n{"stage": "joi')
    assert run.history() == [{"stage": "joint", "step": 1}]


@pytest.mark.parametrize("weights", ["none", "shipped"])
def test_a_run_in_the_current_folder_is_not_taken_for_the_first_one(
    run, tmp_path, monkeypatch, weights
):
    monkeypatch.chdir(run.folder)
    config = run.config.changed(f"student.weights={weights}")
    assert "begun_from" not in provenance.origin(Run.create(tmp_path / "second", config))
