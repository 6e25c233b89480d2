"""What the scripts share: what their parser refuses, and the command that goes on."""

import logging
import sys

import pytest

from uva_tf.commands.arguments import add_training_arguments
from uva_tf.commands.command import Parser, command, goes_on, losses_printed
from uva_tf.core.errors import InputError
from uva_tf.presets import PRESETS


@pytest.fixture
def parser():
    parser = Parser("try", "What it does.")
    parser.add_argument("video", nargs="?")
    parser.add_argument("--overlay")
    parser.add_argument("-n", "--count", type=int)
    parser.add_argument("--seeds", nargs="+", default=[1])
    parser.add_argument("--skip-bad", action="store_true")
    parser.add_argument_group("more").add_argument("--csv")
    parser.add_mutually_exclusive_group().add_argument("--json")
    parser.add_argument("--model", action="append")
    return parser


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--csv a --csv b", "--csv"),
        ("--csv a --csv a", "--csv"),
        ("--csv=a --csv b", "--csv"),
        ("--csv=a --csv=b", "--csv"),
        ("--ov a --overlay b", "--overlay"),
        ("--ov=a --over=b", "--overlay"),
        ("-n 1 --count 2", "--count"),
        ("-n1 -n2", "--count"),
        ("--seeds 1 2 --seeds 3", "--seeds"),
        ("--skip-bad clip.mp4 --skip-bad", "--skip-bad"),
        ("--json a clip.mp4 --json b", "--json"),
    ],
)
def test_an_option_given_twice_is_refused(parser, words, option):
    with pytest.raises(InputError) as error:
        parser.parse_args(words.split())
    assert str(error.value) == f"{option} given twice: expected once (see --help)"


@pytest.mark.parametrize("words", [[""], ["--csv", ""], ["--csv="], ["clip.mp4", "--model="]])
def test_an_empty_argument_is_refused(parser, words):
    """Of a variable that is not set; as a path it would be the current folder."""
    with pytest.raises(InputError, match=r"^(an argument|--csv=|--model=) is empty: "):
        parser.parse_args(words)


def test_a_message_is_one_line_whatever_a_file_is_called(capsys):
    @command
    def main(argv):
        raise InputError("no\nsuch\x1b[2J.mp4: no such file")

    assert main([]) == 2
    assert capsys.readouterr().err == "error: no\\nsuch\\x1b[2J.mp4: no such file\n"


def test_options_given_once_and_lists_are_taken(parser):
    for _ in range(2):  # a parser may be used again
        words = "--ov a --csv b -n 1 --model c --model=d clip.mp4"
        args = parser.parse_args(words.split())
        assert (args.overlay, args.csv, args.count, args.video) == ("a", "b", 1, "clip.mp4")
        assert args.model == ["c", "d"]
        assert args.seeds == [1]
        assert not args.skip_bad


def test_a_field_set_twice_is_refused():
    given = ["--data", "here", "--preset", "smoke", "--set", "joint.steps=4"]
    for last in ("joint.steps=5", "joint.steps=4"):
        parser = Parser("try", "What it does.")
        add_training_arguments(parser, ["smoke"])
        with pytest.raises(InputError, match=r"^--set joint.steps given twice: expected once"):
            parser.parse_args([*given, "--set", "joint.batch=4", "--set", last])
    assert parser.parse_args([*given, "--set", "seed=4"]).changes == ["joint.steps=4", "seed=4"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tflite/predict.py", "clip.mp4 --csv a --csv b"),
        ("tflite/predict.py", "clip.mp4 --model a --model b"),
        ("tflite/convert.py", "--run a --recipe fp32 --out b --out=c"),
        ("tflite/benchmark.py", "--model a --threads 1 --threads 2"),
        ("pipelines/prepare.py", "--layout gaze --root a --out b --root c"),
        ("pipelines/train.py", "--data a --preset smoke --run b --seed 1 --seed 2"),
        ("pipelines/ablate.py", "--data a --preset smoke --out b --rows x --rows y"),
        ("pipelines/evaluate.py", "--maps a --data b --json c --json d"),
    ],
)
def test_the_scripts_refuse_it_in_one_line(call, path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(path, *words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "given twice: expected once" in err
    assert not list(tmp_path.iterdir())


def test_a_list_is_set_as_config_json_has_it_or_without_brackets():
    preset = PRESETS["smoke"]()
    for text in ("[24, 48, 96, 160]", "24,48,96,160"):
        assert preset.changed(f"teacher.widths={text}").teacher.widths == (24, 48, 96, 160)
    assert preset.changed('student.paths=["spatial"]').student.paths == ("spatial",)


@pytest.mark.parametrize("error", [InputError("x"), IsADirectoryError(21, "is a folder", "x")])
def test_what_would_fail_again_is_not_advised(error):
    with pytest.raises(type(error)) as failed, goes_on("train", ["--run", "a"]):
        raise error
    assert not hasattr(failed.value, "__notes__")


def test_the_command_that_goes_on_is_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["../pipelines/train.py", "--run", "a b"])
    with pytest.raises(KeyboardInterrupt) as stopped, goes_on("train", None, "--resume"):
        raise KeyboardInterrupt
    assert stopped.value.__notes__ == [
        "resume with: python ../pipelines/train.py --run 'a b' --resume"
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_losses_are_printed_once_where_no_progress_bar_shows_them(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    log = logging.getLogger("uva_tf.training.run")
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(sys.stderr)])
    for _ in range(2):
        with losses_printed():
            log.info("joint: step 20 of 40, loss 1.000")
        log.info("not within a training")
    out, err = capsys.readouterr()
    assert (out.count("loss 1.000"), out.count("\n")) == ((0, 0) if terminal else (2, 2))
    assert err == ""


def test_a_field_set_by_its_older_name_is_set_twice():
    parser = Parser("try", "What it does.")
    add_training_arguments(parser, ["smoke"])
    given = "--data d --preset smoke --set teachers.spatial=own --set soft_targets.spatial=none"
    with pytest.raises(InputError, match=r"soft_targets\.spatial given twice"):
        parser.parse_args(given.split())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("pipelines/frontier.py", "--data absent --preset uva-64-s --out {} --variants uva-32-s"),
        ("pipelines/quickstart.py", "--preset uva-64-s --out {}"),
    ],
)
def test_older_names_of_presets_and_variants_reach_what_is_meant(call, path, words, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "frontier.md").touch()
    code, _, err = call(path, *words.format(tmp_path / "out").split())
    assert code == 2
    assert "exists already" in err or "absent" in err


def test_a_quickstart_has_no_maps_of_other_models(call, tmp_path):
    result = call("pipelines/quickstart.py", "--preset", "distill-64", "--out", tmp_path / "out")
    assert result[0] == 2
    assert "invalid choice: 'distill-64' (choose from 'smoke', 'quickstart'" in result[2]
    assert not (tmp_path / "out").exists()
