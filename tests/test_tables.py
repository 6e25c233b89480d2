"""Tables as trackers and spreadsheets write them: read and said, or refused with the cause."""

import codecs
import gzip
import unicodedata
import warnings

import cv2
import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.data.layouts import gaze, images
from uva_tf.data.splits import read_split
from uva_tf.gaze.fixation_table import LOST, MISSING, OUTSIDE, REPEATED, read_fixations
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.plausible import check_pixels, check_times, covered
from uva_tf.gaze.tables import TextTable

HEAD = "video,observer,onset_ms,duration_ms,x,y"
NUMBERS = ("onset_ms", "duration_ms", "x", "y")


@pytest.fixture
def read(tmp_path):
    """A function that reads bytes or text as a table, and returns that of `a` and what is wrong."""

    def read(content):
        path = tmp_path / "fixations.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        tables, problems = read_fixations(path, "video", NUMBERS)
        return tables.get("a"), problems

    return read


def places(table):
    return list(zip(table.columns["x"].tolist(), table.columns["y"].tolist(), strict=True))


PLAIN = f"{HEAD}\na,p1,0,400,80,60\na,p2,400,400,20.5,30\n"
SPACED = (
    " video , observer,onset_ms , duration_ms, x, y \n a , p1 ,0, 400 ,80,60\na,p2 ,400,400,20.5,30"
)
# How it comes, and what is said of it.
READ = {
    "as it should be": (PLAIN, ""),
    "Windows line ends": (PLAIN.replace("\n", "\r\n"), ""),
    "old Mac line ends": (PLAIN.replace("\n", "\r"), ""),
    "no end of the last line": (PLAIN.rstrip("\n"), ""),
    "UTF-8 with a mark": (codecs.BOM_UTF8 + PLAIN.encode(), ""),
    "UTF-16": (PLAIN.encode("utf-16"), "as utf-16"),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "as utf-16"),
    "UTF-32": (PLAIN.encode("utf-32"), "as utf-32"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "as utf-16-le"),
    "semicolons": (PLAIN.replace(",", ";"), "with ';' between cells"),
    "tabs": (PLAIN.replace(",", "\t"), "with '\\t' between cells"),
    "decimal commas": (PLAIN.replace(",", ";").replace("20.5", "20,5"), "with ';' between"),
    "Excel's line": ("sep=;\n" + PLAIN.replace(",", ";"), "with ';' between cells"),
    "Excel's line for commas": ("sep=,\r\n" + PLAIN, ""),
    "Excel in UTF-16": (
        ("sep=\t\r\n" + PLAIN.replace(",", "\t")).encode("utf-16"),
        "with '\\t' between cells and as utf-16",
    ),
    "padded cells": (SPACED, ""),
    "quotes": (PLAIN.replace("p1", '"p1"').replace("video", '"video"'), ""),
    "empty columns behind": (PLAIN.replace("\n", ",,\n") + ",,,,,,,\n,,,,,,,\n", ""),
    "empty columns behind, short rows": (PLAIN.replace("x,y", "x,y,,"), ""),
    "blank rows": (PLAIN.replace("\n", "\n\n , , \n"), ""),
    "more columns": (PLAIN.replace("\n", ",7\n").replace("y,7", "y,pupil"), ""),
}


@pytest.mark.parametrize("case", READ)
def test_a_table_is_read_and_what_was_guessed_is_said(read, case):
    content, said = READ[case]
    table, problems = read(content)
    assert problems == {}
    assert places(table) == [(80, 60), (20.5, 30)]
    assert table.columns["onset_ms"].tolist() == [0, 400]
    assert table.observers.tolist() == [0, 1]
    assert not any(table.left_out.values())
    notes = "; ".join(table.notes)
    assert said in notes
    assert bool(said) == bool(notes)
    assert ("commas in the table's numbers are decimal" in notes) == (case == "decimal commas")


@pytest.mark.parametrize(
    ("x", "read_as"), [("1,020", None), ("1,020 5,5", [1.02, 5.5]), ("1024,500", [1024.5])]
)
def test_a_comma_that_may_stand_after_thousands_is_refused(read, x, read_as):
    rows = [f"a;p1;{n};200;{cell};10" for n, cell in enumerate(x.split())]
    table, problems = read("video;observer;onset_ms;duration_ms;x;y\n" + "\n".join(rows) + "\n")
    if read_as:
        assert table.columns["x"].tolist() == read_as
    else:
        assert "x is '1,020': thousands or a decimal comma? write numbers without" in problems["a"]


def test_places_with_three_decimals_are_no_thousands(read):
    """Eighths of a pixel, as a half is written in them."""
    table, problems = read(f"{HEAD}\na,p1,0,250,412.125,300\na,p1,300,250,500,301.375\n")
    assert problems == {}
    assert table.columns["x"].tolist() == [412.125, 500]


@pytest.mark.parametrize(
    ("onsets", "x", "refused"),
    [
        ("800 1.200 2.400", "10,5", "onset_ms is '1.200', but commas in the table's numbers are"),
        ("1.000 1.200 1.400", "10,5", "onset_ms is '1.000', but commas in the table's numbers are"),
        ("800 1.200 2.400", "10", "onset_ms is '1.200': thousands or a decimal point? write"),
        ("8.123 1.200 2.400", "10", ""),  # three decimals each
        ("0 1.234 2.345", "10", ""),  # a plain zero among them
        ("800 1.200 2.400", "10.5", ""),  # a point that can't separate thousands
        ("800 1.200 2.45", "10", ""),
        ("800 1.200 0.400", "10", ""),
        ("800 1.200 2400", "10", ""),
        ("800 1.25 2.500", "10,5", ""),
    ],
)
def test_a_point_that_may_stand_after_thousands_is_refused(read, onsets, x, refused):
    rows = "".join(f"a;p1;{onset};250;{x};41\n" for onset in onsets.split())
    content = f"{HEAD}\n".replace(",", ";") + rows
    if refused:
        with pytest.raises(InputError, match=r"fixations.csv line [23]: onset_ms") as caught:
            read(content)
        assert refused in str(caught.value)
    else:
        table, problems = read(content)
        assert problems == {}
        assert table.columns["onset_ms"].tolist() == [float(onset) for onset in onsets.split()]


REFUSED = {
    "a column twice": (PLAIN.replace("x,y", "x,y,x"), "2 columns 'x', expected one"),
    "another case": (PLAIN.replace("x,y", "X,Y"), r"no column 'x'.* found 'video', .* 'X', 'Y'"),
    "blanks between": (PLAIN.replace(",", " "), "found 'video observer onset_ms"),
    "more cells": (PLAIN.replace("60", "60,1"), "line 2: more cells"),
    "no name": (PLAIN + ",p1,0,1,2,3\n", "line 4: video is empty, expected a name"),
    "pictures": (b"\x89PNG\r\n\x1a\n\x81\x8d\x90", "a PNG picture, expected text: unpack"),
    "an archive": (gzip.compress(PLAIN.encode()), "a gzip archive, expected text: unpack it"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "old Office document, such"),
    "other bytes": (b"\x01\x81\x8d\x90", "neither UTF-8 nor cp1252"),
    "nothing": (b"", "fixations.csv: empty, expected a table with video, observer"),
    "head only": (HEAD + "\n,,,,,\n", "no fixations in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_is_refused_with_the_cause(read, case):
    content, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as caught:
        read(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('a,p1,0,9,"80,5",60', "line 4: x is '80,5'"),
        ("a,p1,0,9,ten,60", "line 4: x is 'ten'"),
        ("a,p1,0,-9,8,60", "line 4: duration_ms is '-9', expected 0 or more"),
        ("a,p1,0,inf,8,60", "line 4: duration_ms is 'inf'"),
        ("a,,0,9,8,60", "line 4: observer is empty"),
    ],
)
def test_a_row_that_makes_no_sense_costs_its_recording_only(read, row, words):
    _, problems = read(f"{PLAIN}{row}\nb,p1,0,9,8,60\n")
    assert list(problems) == ["a"]
    assert words in problems["a"]


def test_names_of_columns_within_a_table_are_left_out_and_said(read):
    """Where tables were joined to one; before, they were rows of a clip `video`."""
    table, problems = read(f"{PLAIN}{HEAD}\na,p1,900,50,5,5\n")
    assert problems == {}
    assert len(places(table)) == 3
    assert table.notes == ("fixations.csv repeats its header line once: left out",)
    with pytest.raises(InputError, match="no fixations in it"):
        read(f"{HEAD}\n{HEAD}\n")


@pytest.mark.parametrize("cell", ["", " ", "NaN", "nan", "-nan", "NA", "N/A", ".", "-", "null"])
def test_rows_without_gaze_are_left_out_and_counted(read, cell):
    table, problems = read(f"{PLAIN}a,p1,800,100,{cell},{cell}\na,p3,900,100,{cell},7\n")
    assert problems == {}
    assert len(places(table)) == 2
    assert +table.left_out == {MISSING: 2}


def test_a_recording_of_which_no_row_has_gaze_is_named(read):
    _, problems = read(f"{PLAIN}b,p1,0,9,NaN,NaN\nb,p2,0,9,.,.\n")
    assert list(problems) == ["b"]
    assert "no row of 'b' has gaze (2 rows without gaze" in problems["b"]


def test_a_row_whose_numbers_are_written_in_another_way_is_the_same(read):
    table, _ = read(f"{PLAIN}a,p1,0.0,400.0,80.0,6e1\na,p1,0,400,80,61\n")
    assert +table.left_out == {REPEATED: 1}
    assert len(places(table)) == 3
    again = "a,p1,0,400,80,60,1\na,p1,0.0,400,80,60,2\n"  # as other columns say
    table, _ = read(f"{HEAD},order\n{again}")
    assert len(places(table)) == 2


def test_observers_whose_names_are_the_same_number_are_said(read):
    table, _ = read(f"{HEAD}\na,1.0,0,400,80,60\na,1,400,400,20,30\na,2,400,400,20,30\n")
    assert table.observers.tolist() == [0, 1, 2]
    assert table.notes == ("observers '1.0' and '1' count as 2 people",)


def test_rows_at_exactly_0_0_are_lost_tracking_if_there_are_several(read):
    table, _ = read(f"{PLAIN}a,p1,800,100,0,0\na,p1,900,100,0.0,0.00\nb,p1,0,9,0,5\n")
    assert +table.left_out == {LOST: 2}
    assert places(table) == [(80, 60), (20.5, 30)]
    assert table.observers.tolist() == [0, 1]
    table, _ = read(f"{PLAIN}a,p1,800,100,0,0\n")  # the corner may be looked at
    assert places(table)[-1] == (0, 0)
    _, problems = read(f"{PLAIN}b,p1,800,100,0,0\nb,p1,900,100,0,0\n")
    assert "no row of 'b' has gaze (2 rows at exactly 0,0" in problems["b"]


UMLAUTS = ("J\xe4n", "J\xf6n", "J\xe4n")


@pytest.mark.parametrize(
    ("names", "encoding", "people"),
    [
        (("Participant 1", "Participant 1 ", "participant 1"), "utf-8", [0, 0, 1]),
        (UMLAUTS, "utf-8", [0, 1, 0]),
        (UMLAUTS, "cp1252", [0, 1, 0]),
        (UMLAUTS, "utf-16", [0, 1, 0]),
        ((unicodedata.normalize("NFD", "J\xe4n"), "J\xe4n", "Jan"), "utf-8", [0, 0, 1]),
    ],
)
def test_observers_are_who_they_are(read, names, encoding, people):
    rows = "".join(f"a,{name},{n},9,8,6\n" for n, name in enumerate(names))
    table, _ = read(f"{HEAD}\n{rows}".encode(encoding))
    assert table.observers.tolist() == people
    assert bool(table.notes) == (encoding != "utf-8")


@pytest.fixture
def pictures(tmp_path):
    """A function that writes pictures by name and a table of rows, and lists the recordings."""

    def write(names, rows, *, side=32):
        (tmp_path / "images").mkdir(exist_ok=True)
        for name in names:
            blank = cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1]
            (tmp_path / "images" / f"{name}.png").write_bytes(blank.tobytes())
        text = "image,observer,x,y\n" + "".join(f"{row}\n" for row in rows)
        (tmp_path / "fixations.csv").write_text(text)
        return images(tmp_path)

    return write


COMPOSED, APART = (unicodedata.normalize(form, "caf\xe9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("file", "name"),
    [("a", "a.png"), ("a", "a.MP4"), (APART, COMPOSED), (COMPOSED, f"{APART}.png"), ("a.1", "a.1")],
)
def test_a_name_is_that_of_its_file_with_an_extension_too(pictures, tmp_path, file, name):
    (recording,) = pictures([file], [f"{name},p1,9,9"])
    assert recording.name == file
    assert len(next(recording.read()).fixations.points) == 1
    assert bool(recording.notes) == (name[-4:].lower() in (".png", ".mp4"))
    (tmp_path / "split.csv").write_text(f"name,split\n{name},val\n")
    assert read_split(tmp_path / "split.csv", [file]) == {file: "val"}


def test_two_names_of_one_file_are_not_joined(pictures):
    a, other = pictures(["a"], ["a,p1,9,9", "a.png,p1,8,8"])
    assert (a.name, a.problem) == ("a", "")
    assert other.problem.endswith(
        "no file for 'a.png' of fixations.csv, but 'a': give names without extension"
    )


def test_a_file_of_another_format_is_hinted_at(pictures, tmp_path):
    pictures(["a"], ["a,p1,9,9", "b,p1,9,9"])
    (tmp_path / "images" / "b.tiff").touch()
    _, b = images(tmp_path)
    assert b.problem.endswith(
        "for 'b' of fixations.csv, but b.tiff: expected .avif, .bmp, .jpeg, .jpg, .png, .webp"
    )


@pytest.mark.parametrize(("file", "name"), [("001", "1"), ("1", "1.0"), ("07", "7,0")])
def test_a_number_that_a_spreadsheet_changed_is_hinted_at(pictures, file, name):
    both = pictures([file], [f'"{name}",p1,9,9'])
    assert len(both) == 2
    for one, other in ((file, name), (name, file)):
        problem = next(recording.problem for recording in both if recording.name == one)
        assert f"but {other!r}: did a spreadsheet change the number?" in problem


def test_a_name_in_a_guessed_encoding_is_hinted_at(pictures, tmp_path):
    pictures(["Caf\xe9"], ["a,p1,9,9"])
    (tmp_path / "fixations.csv").write_bytes(
        "image,observer,x,y\nCaf\xe9,p1,9,9".encode("mac-roman")
    )
    for recording in images(tmp_path):
        assert recording.problem.endswith("; it was read as cp1252: save it as UTF-8 if it is not")


@pytest.mark.parametrize("name", ["fixations.xlsx", "fixations.tsv", "Fixations.csv"])
def test_a_table_under_another_name_is_named(pictures, tmp_path, name):
    pictures(["a"], ["a,p1,9,9"])
    (tmp_path / "fixations.csv").rename(tmp_path / name)
    with pytest.raises(InputError, match=rf"fixations.csv: no such file, but {name}: name it fix"):
        images(tmp_path)


def test_a_name_in_another_case_is_read_if_it_can_only_mean_one_file(pictures):
    (recording,) = pictures(["A"], ["a.png,p1,9,9"])
    assert (recording.name, recording.problem) == ("A", "")
    assert "names in fixations.csv differ in case from those of the files" in recording.notes


def test_a_name_in_another_case_of_two_files_is_refused(pictures):
    found = {one.name: one.problem for one in pictures(["Ab", "aB"], ["ab,p1,9,9"])}
    assert "no file for 'ab' of fixations.csv, but 'Ab': names must agree in case" in found["ab"]


def refusal(check, *args):
    """What a check says of arrays and numbers, or nothing."""
    try:
        check(*(np.array(arg, float) if isinstance(arg, list) else arg for arg in args), "clip")
    except InputError as error:
        return str(error)
    return ""


CENTRED = [-0.5, -0.9, 0.3, 0.7, -0.2]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([0.5, 0.2, 0.91], [0.5, 0.3, 0.77], "multiply x by 160 and y by 120"),
        ([0.5], [0.25], "lie between 0.25 and 0.5, expected pixels of the 160x120 frame"),
        ([0.1 * n for n in range(1, 10)] + [1.3], [0.5] * 10, "multiply x by 160"),  # a slip
        (CENTRED, CENTRED, "convert them, origin upper left"),
        ([80, 20, 0.5], [60, 30, 0.5], ""),
        ([0, 1, 0], [0, 0, 1], ""),  # whole pixels
        ([0.5, 20], [0.5, 30], ""),
        ([], [], ""),
    ],
)
def test_fractions_of_the_frame_are_no_pixels(x, y, words):
    said = refusal(check_pixels, x, y, 160, 120)
    assert words in said
    assert bool(words) == bool(said)


FINE = np.arange(20) * 95.0  # ms in a clip of 2 s
EPOCH = 1.7e12
LENGTHS = [200.0 + 10 * n for n in range(20)]


@pytest.mark.parametrize(
    ("onset", "duration", "words"),
    [
        (FINE, 80, ""),
        (FINE / 1000, 0.08, "seconds? multiply onset and duration by 1000"),
        (FINE / 1000, 80, "seconds? multiply onset and duration by 1000"),
        (FINE[:3] / 1000, 0.08, "seconds?"),
        ([0.0], 0.4, "seconds?"),
        (FINE, [length / 1000 for length in LENGTHS], "durations have a median of 0.295"),
        (FINE * 1000, 8e4, "19 of 20 fixations lie outside its 2000 ms, onsets are 0 to 1805000"),
        (FINE * 1000, 8e4, "microseconds? divide onset and duration by 1000"),
        (FINE * 1e6, 8e7, "nanoseconds? divide onset and duration by 1000000"),
        (FINE, [1000 * length for length in LENGTHS], "microseconds? divide them by 1000"),
        (FINE[:6], [0.25 + 0.01 * n for n in range(6)], "durations have a median of 0.275 in"),
        (FINE[:2], 0.25, "seconds? multiply them by 1000 (--units ms if they are right)"),
        (FINE[:3], [4e5, 3e5, 3e5], "durations have a median of 300000 in a clip of 2000 ms"),
        (FINE, 25e4, "microseconds? divide them by 1000"),
        ([1700000000.0, 1700000000.3], 0.25, "subtract when the clip began"),
        ([1700000000.3], 0.25, "subtract when the clip began"),
        ([12e5], 2e5, "microseconds? divide onset and duration by 1000"),
        ([15e5, 16e5], 2e5, "microseconds? divide onset and duration by 1000"),
        (FINE + EPOCH, 80, "onsets are 1700000000000 to 1700000001805, expected"),
        (FINE + EPOCH, 80, "subtract when the clip began"),
        ((FINE + EPOCH) * 1000, 8e4, "subtract when the clip began"),
        ([9000.0], 80, "subtract when the clip began"),
        (FINE - 9000, 80, "20 of 20 fixations lie outside its 2000 ms"),
        ([0.0, 9000], 80, ""),  # half of them late
        (np.zeros(20), 2000, ""),  # looked on from beginning to end
        (np.zeros(20), 0, ""),
        (FINE, 0, ""),  # samples
        (FINE, 1.0, ""),
        (FINE, [0.999 + 0.0001 * n for n in range(20)], ""),
        (FINE, 99999, ""),  # to the end
        (FINE[:3], 1.0, ""),
        (np.append(FINE, FINE[:5] + 2000), 80, ""),  # a fifth after the end
        ([39.0], 1, ""),
        ([], 0, ""),
    ],
)
def test_times_of_another_unit_or_clock_are_refused(onset, duration, words):
    onset = np.array(onset, float)
    duration = np.broadcast_to(np.array(duration, float), onset.shape)
    said = refusal(check_times, onset, duration, 2000.0)
    assert words in said
    assert bool(words) == bool(said)


def test_rows_that_are_samples_are_refused_unless_they_are_stated_to_be_right(clips_root):
    root = clips_root([("clip", 1, 4 * n, 4, 10 + n % 50, 10) for n in range(90)])
    with pytest.raises(InputError, match="rows last 4 ms, as samples of a tracker do, expected"):
        gaze(root)
    (recording,) = gaze(root, GazeOptions(times="ms"))
    assert sum(len(gaze_frame.fixations.points) for gaze_frame in recording.read()) == 90


def test_units_can_be_stated(clips_root):
    rows = [("clip", n % 3, 0.04 * n, 0.04, 0.5 + 0.01 * n, 0.25) for n in range(9)]
    root = clips_root(rows)
    (recording,) = gaze(root, GazeOptions(units="fractions", times="s"))
    frames = [frame.fixations.points.tolist() for frame in recording.read()]
    assert frames[:9] == [[pytest.approx([0.5 + 0.01 * n, 0.25])] for n in range(9)]
    (recording,) = gaze(root, GazeOptions(units="pixels", times="s"))  # it is right, they say
    assert next(recording.read()).fixations.points[0] == pytest.approx([0.5 / 64, 0.25 / 36])


def test_what_is_stated_wrongly_is_refused_too(clips_root):
    root = clips_root([("clip", n, 40 * n, 40, 10 + n, 10) for n in range(9)])
    for options in (
        GazeOptions(units="fractions"),
        GazeOptions(times="s"),
        GazeOptions(times="us"),
    ):
        with pytest.raises(InputError):
            list(gaze(root, options)[0].read())


def test_gaze_on_one_part_of_a_small_clip_is_no_percent():
    rng = np.random.default_rng(0)
    x, y = rng.normal(70, 12, 40).clip(1, 99), rng.normal(60, 12, 40).clip(1, 99)
    check_pixels(x, y, 320, 240, "a")
    check_pixels(x, y, 224, 224, "a")
    with pytest.raises(InputError, match="percent"):
        check_pixels(x, y, 1280, 720, "a")


def test_percent_of_a_large_frame_is_no_pixels():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(5, 95, (2, 60))
    with pytest.raises(InputError, match=r"percent\? multiply x by 12\.8 and y by 7\.2"):
        check_pixels(x, y, 1280, 720, "a")
    with pytest.raises(InputError, match=r"percent\? multiply x by 3\.2 and y by 2\.4"):
        check_pixels(x, y, 320, 240, "a")
    check_pixels(x, y, 160, 120, "a")  # it may be all of a small one
    check_pixels(x[:9], y[:9], 1280, 720, "a")  # too few to say


def test_few_places_are_percent_if_they_spread_so():
    x, y = np.linspace(5, 95, 12), np.linspace(70, 4, 12)
    with pytest.raises(InputError, match=r"percent\?"):
        check_pixels(x, y, 640, 360, "a")
    check_pixels(x / 2 + 10, y, 640, 360, "a")  # something in the corner


def test_few_places_of_each_recording_are_judged_by_the_whole_table(pictures):
    """Percent, and x in fractions; a table whose other pictures show that it has pixels is read."""

    def rows(x):
        return [f"p{n % 20},o{n % 3},{x(n)},{1.5 * (n % 60) + 2}" for n in range(60)]

    names = [f"p{n}" for n in range(20)]
    for recording in pictures(names, rows(lambda n: 0.5 + 1.6 * n), side=400):
        with pytest.raises(InputError, match=r"percent\? multiply x by 4 and y by 4, or state"):
            next(recording.read())
    for recording in pictures(names, rows(lambda n: 0.01 + n / 61), side=400):
        with pytest.raises(InputError, match=r"x of its fixations lies between 0\.01 and"):
            next(recording.read())
    for recording in pictures(names, rows(lambda n: 0.5 + 6 * n), side=400):
        assert len(next(recording.read()).fixations.points) == 3


def test_one_axis_in_fractions_takes_some_rows_to_say():
    x, y = np.array([0.8, 0.2, 0.2, 0.8, 0.1]), np.array([14.0, 31, 93, 69, 15])
    with pytest.raises(InputError, match=r"x of its fixations lies between 0\.1 and 0\.8"):
        check_pixels(x, y, 160, 120, "a")
    check_pixels(x[:4], y[:4], 160, 120, "a")  # at the edge
    check_pixels(np.rint(x), y, 160, 120, "a")


def test_a_clip_says_that_its_gaze_covers_a_small_part_of_it():
    onset = np.linspace(0, 400, 20)
    assert "between 0.00 and 0.45 s of 10.00 s" in covered(onset, np.full(20, 50.0), 10_000)
    assert covered(onset, np.full(20, 50.0), 1000) == ""


def test_a_clip_refuses_what_can_not_be_its_pixels_or_times(clips_root):
    rows = [("a", 1, 0, 40, 0.5, 0.25), ("b", 1, 0.0, 0.2, 10, 10), ("b", 1, 0.2, 0.1, 9, 9)]
    wrong = [*rows, ("c", 1, EPOCH, 40, 10, 10)]
    said = []
    for recording in gaze(clips_root(wrong)):
        with pytest.raises(InputError) as caught:
            list(recording.read())
        said.append(str(caught.value))
    assert "multiply x by 64 and y by 36" in said[0]
    assert "seconds?" in said[1]
    assert "subtract when the clip began" in said[2]


def test_places_outside_are_described(pictures):
    rows = [f"a,p{n},{-1 if n % 2 else n},{-1 if n % 2 else 5}" for n in range(20)]
    (recording,) = pictures(["a"], rows)
    with pytest.raises(InputError) as caught:
        next(recording.read())
    assert "10 of 20 fixations lie outside the 32x32 frame, x is -1 to 18" in str(caught.value)
    assert "10 of them lie at exactly -1,-1, as if tracking was lost" in str(caught.value)
    (recording,) = images_of(recording, pictures)
    next(recording.read())
    assert recording.left_out[OUTSIDE] == 1


def test_a_place_that_no_float32_holds_is_outside(pictures):
    rows = [f"a,p{n},{'1e300' if n == 3 else n},5" for n in range(20)]
    (recording,) = pictures(["a"], rows)
    with warnings.catch_warnings(action="error"):
        assert len(next(recording.read()).fixations.points) == 19
    assert recording.left_out[OUTSIDE] == 1


def images_of(recording, pictures):
    """The same picture with one slip in twenty rows."""
    root = recording.paths[0].parents[1]
    rows = [f"a,p{n},{40 if n == 3 else n},5" for n in range(20)]
    (root / "fixations.csv").write_text("image,observer,x,y\n" + "\n".join(rows))
    return images(root)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n", b"\xff\xfe"])
def test_a_file_with_nothing_in_it_is_called_empty(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.csv: empty, expected a table with t in its first"):
        TextTable(tmp_path / "a.csv", ("t",), preamble=True)
    with pytest.raises(InputError, match=r"a\.csv: empty, expected a table: export or write it"):
        TextTable(tmp_path / "a.csv", ())


@pytest.mark.parametrize(
    ("rows", "cut", "kept"), [(30, 1, 30), (2, 1, 2), (0, 1, 0), (30, 2, None)]
)
def test_few_rows_with_too_few_cells_can_be_skipped(tmp_path, rows, cut, kept):
    (tmp_path / "a.csv").write_text("t,x,y\n" + rows * "1,2,3\n" + cut * "1,2\n")
    table = TextTable(tmp_path / "a.csv", ("t",), short="skipped")
    if kept is None:
        with pytest.raises(InputError, match="2 of 32 rows have fewer cells"):
            table.read((), ("t",))
        return
    for _ in range(2):  # reading again counts them once
        read = table.read((), ("t",))
        assert (len(read.line), read.skipped) == (kept, cut)
