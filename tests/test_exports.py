"""What all readers of exports have in common: what is refused whoever wrote the files."""

import gzip
import json

import pytest

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.listing import EXPORTS, read_trials
from uva_tf.gaze.options import GazeOptions

GAZEPOINT = "TIME,BPOGX,BPOGY,FPOGX,FPOGY\n" + "".join(
    f"{n / 60:.3f},0.{n},0.5,0.{n},0.5\n" for n in range(1, 9)
)
TOBII = "Recording timestamp [ms]\tGaze point X\tGaze point Y\n" + "".join(
    f"{17 * n}\t{100 * n}\t500\n" for n in range(9)
)


@pytest.fixture
def read(tmp_path):
    """A function that reads files by name in a layout, of a dataset with one clip."""

    def read(layout, files, **stated):
        for name, content in files.items():
            path = tmp_path / "gaze" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_trials(EXPORTS[layout], tmp_path, {"a"}, GazeOptions(**stated))

    return read


def bids(unit, x=100.0):
    samples = "".join(f"{n / 100}\t{x + x * n / 100}\t{x}\n" for n in range(6))
    columns = ["timestamp", "x_coordinate", "y_coordinate"]
    about = {"PhysioType": "eyetrack", "Columns": columns, "timestamp": {"Units": "s"}}
    about["x_coordinate"] = about["y_coordinate"] = {"Units": unit}
    name = "sub-01_task-a_recording-eye1_physio"
    return {f"{name}.tsv.gz": gzip.compress(samples.encode()), f"{name}.json": json.dumps(about)}


@pytest.mark.parametrize(
    ("layout", "files", "units", "stated"),
    [
        ("gazepoint", {"P1_all_gaze.csv": GAZEPOINT}, "fractions", "pixels"),
        ("gazepoint", {"P1_all_gaze.csv": GAZEPOINT}, "fractions", "percent"),
        ("tobii", {"P1.tsv": TOBII}, "pixels", "fractions"),
        ("tobii", {"P1.tsv": TOBII}, "pixels", "percent"),
        ("bids", bids("pixel"), "pixels", "fractions"),
        ("bids", bids("normalized", 0.5), "fractions", "pixels"),
    ],
)
def test_other_units_than_those_of_an_export_are_refused(read, layout, files, units, stated):
    with pytest.raises(InputError, match=f"its places are {units}: leave --units {stated} out"):
        read(layout, files, units=stated)
    (trial,) = read(layout, files, units=units)
    assert trial.units == units


@pytest.mark.parametrize(
    ("unit", "x", "stated"),
    [("pixel", 0.5, "fractions"), ("pixel", 50, "percent"), ("normalized", 500, "pixels")],
)
def test_units_that_alone_fit_the_numbers_count_before_those_of_a_sidecar(read, unit, x, stated):
    assert len(read("bids", bids(unit, x), units=stated)) == 1


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("bids", r"expected \*_physio.tsv.gz or .* with a sidecar"),
        ("pupil-core", "expected gaze_positions.csv and fixations.csv"),
        ("pupil-cloud", "expected gaze.csv and fixations.csv"),
        ("webgazer", r"expected files \*.json or \*.csv"),
    ],
)
def test_files_of_another_layout_are_named_beside_those_that_are_looked_for(read, layout, words):
    with pytest.raises(InputError, match=f"gaze: no gaze in it: {words}.*; found P1.tsv$"):
        read(layout, {"P1.tsv": TOBII})
