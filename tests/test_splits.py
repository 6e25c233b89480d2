"""Which split a recording is in: the dataset's own, a table's, or a file's."""

import pytest
from trees import SIZE, check_records, picture, salicon_picture, ucf_tree, write

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.prepare import prepare

TRAIN, TEST = (f"COCO_{split}2014_{9:012d}" for split in ("train", "test"))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def prepared(layout, root, out, **options):
    return prepare(layout, root, out, DataConfig(SIZE), **options)


class TestSplits:
    def test_of_a_table_in_the_root_override_the_datasets_own(self, root, out):
        frames = ucf_tree(root)
        (root / "split.csv").write_text(
            "name,split\nDiving-Side-001,val\nKicking-Front-001,train\n"
        )
        splits = {"Diving-Side-001": "val", "Kicking-Front-001": "train"}
        check_records(
            prepared("ucf-sports", root, out), [f._replace(split=splits[f.video]) for f in frames]
        )

    def test_of_a_table_in_another_case_are_not_left_out(self, root, out):
        frames = ucf_tree(root)
        splits = "name,split\nDiving-Side-001,val\nKicking-Front-001,train\n"
        (root / "Split.csv").write_text(splits)
        with pytest.raises(InputError, match=r"Split\.csv: name it split\.csv, or give it"):
            prepared("ucf-sports", root, out)
        dataset = prepared("ucf-sports", root, out, split=root / "Split.csv")
        assert len(frames) == sum(shard.frames for shard in dataset.shards)

    def test_of_a_file_that_is_asked_for_override_both(self, root, out, tmp_path):
        frames = ucf_tree(root)
        (root / "split.csv").write_text(
            "name,split\nDiving-Side-001,val\nKicking-Front-001,train\n"
        )
        path = tmp_path / "mine.csv"
        path.write_text("name,split\nDiving-Side-001,test\nKicking-Front-001,test\n")
        dataset = prepared("ucf-sports", root, out, split=path)
        check_records(dataset, [frame._replace(split="test") for frame in frames])

    def test_may_name_recordings_whose_gaze_is_withheld(self, root, out):
        frames = salicon_picture(root, TRAIN, "train", 5)
        write(root / "images" / f"{TEST}.jpg", picture(8))
        (root / "split.csv").write_text(f"name,split\n{TRAIN},val\n{TEST},test\n")
        dataset = prepared("salicon", root, out)
        check_records(dataset, [frame._replace(split="val") for frame in frames])
        assert dataset.withheld == 1
