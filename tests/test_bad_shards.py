"""Shards and indices that are spoilt: no training begins on them."""

import json
import shutil

import pytest
from conftest import assert_refused, contents


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def empty(path):
    path.write_bytes(b"")


@pytest.fixture
def train(tmp_path, shards, call):
    """A function that spoils a copy of the shards, trains on it, and returns what came."""
    folder = shutil.copytree(shards.folder, tmp_path / "shards")

    def run(file, spoil):
        spoil(folder / file)
        before = contents(tmp_path)
        args = ["--data", folder, "--preset", "quick", "--run", tmp_path / "run"]
        result = call("pipelines/train.py", *args)
        assert contents(tmp_path) == before
        return result

    return run


def change(**values):
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | values))


def other_checksum(path):
    index = json.loads(path.read_text())
    index["shards"][1]["sha256"] = "0" * 64
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("file", "spoil", "words"),
    [
        ("00000.tfrecord", cut, "00000.tfrecord: changed since it was prepared"),
        ("00000.tfrecord", empty, "00000.tfrecord: changed since it was prepared"),
        ("index.json", other_checksum, "00001.tfrecord: changed since it was prepared"),
        ("index.json", cut, "index.json: not an index of this version"),
        ("index.json", lambda path: path.write_bytes(b"\xff\0\x80"), "index.json: not an index"),
        ("index.json", change(size="64"), "index.json: not an index"),
        ("index.json", change(size=64.0), "index.json: not an index"),
        ("index.json", change(shards=None), "index.json: not an index"),
        ("index.json", change(shards=[]), "no split 'train'"),
        ("index.json", change(teachers=5), "index.json: not an index"),
        ("index.json", change(colour="red"), "index.json: not an index"),
    ],
)
def test_train_refuses_shards_and_indices_that_were_spoilt(train, file, spoil, words):
    assert_refused(train(file, spoil), words)
