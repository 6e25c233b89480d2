"""Tables as text, letter by letter."""

from uva_tf.core.text_tables import aligned, csv_text, markdown, write_csv
from uva_tf.evaluation.results import digits, percent, span

TABLE = [["", "kind", "ms"], ["a, b", "int8", "1.25"], ["c", "float", "10.50"]]


def test_markdown_has_a_rule_below_the_head():
    assert markdown(TABLE) == (
        "|  | kind | ms |\n| --- | --- | --- |\n| a, b | int8 | 1.25 |\n| c | float | 10.50 |"
    )


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned(TABLE) == "       kind     ms\na, b   int8   1.25\nc     float  10.50"
    assert aligned(TABLE, left=2) == "      kind      ms\na, b  int8    1.25\nc     float  10.50"


def test_a_comma_in_a_cell_is_quoted(tmp_path):
    text = ',kind,ms\n"a, b",int8,1.25\nc,float,10.50\n'
    assert csv_text(TABLE) == text
    write_csv(tmp_path / "a.csv", iter(TABLE))
    assert (tmp_path / "a.csv").read_bytes() == text.encode()


def test_figures_as_tables_show_them():
    nan = float("nan")
    assert (percent(0.4567), percent(nan)) == ("45.7%", "-")
    assert (span((1.234, 5)), span((0.5, nan), 1)) == ("1.23 to 5.00", "0.5 to nan")
    assert span((nan, nan)) == "-"
    assert digits([1 / 3, nan]) == ["0.333333", ""]
