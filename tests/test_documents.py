"""What documents and help say is so: commands parse, paths exist, tables name their commands."""

import argparse
import ast
import importlib
import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from uva_tf.commands import COMMANDS
from uva_tf.commands.command import Parser
from uva_tf.commands.quickstart import WHAT_NEXT

ROOT = Path(__file__).parent.parent
FILES = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
DOCUMENTS = [ROOT / name for name in FILES if name.endswith(".md")]
MODULES = [ROOT / f"uva_tf/commands/{name.replace('-', '_')}.py" for name in COMMANDS]
METAVARS = (
    *("DIR", "FILE", "DIR|FILE", "FILE.tflite", "FILE.mp4", "VIDEO", "N", "NAME", "NAMES", "ROW"),
    *("SECONDS", "SOURCE", "SIGMA", "WEIGHT", "FIELD=VALUE", "WIDTH:HEIGHT", "FILE.png"),
    *("UNITS", "WxH", "PLACE", "CM", "PATTERN", "LEVEL", "SHARE"),
    *("DEST", "HOST:PORT", "MB", "NAME|FILE.tflite", "DIR|FILE|NAME", ("NAME", "RUN"), "T"),
)
COMMAND = re.compile(r"uva-tf ([a-z][\w-]*)([^&#\n]*)")


class Parsed(BaseException):
    """Carries a command's parser out of it, past what a command catches."""


def blocks(document):
    """The code between fences, one text for each pair."""
    return re.findall(r"^```\w*\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def commands():
    """Every command line in the documents, in the commands' own first lines and in the page."""
    texts = [(document, block) for document in DOCUMENTS for block in blocks(document)]
    for document in DOCUMENTS:
        texts += [
            (document, span) for span in re.findall(r"`(uva-tf [^`]+)`", document.read_text())
        ]
    texts += [
        (script, ast.get_docstring(ast.parse(script.read_text())) or "") for script in MODULES
    ]
    texts.append((ROOT / "uva_tf/commands/quickstart.py", "\n".join(WHAT_NEXT.values())))
    for source, text in texts:
        for name, arguments in COMMAND.findall(text.replace("\\\n", " ")):
            if name != "NAME":
                yield source.relative_to(ROOT), name, arguments.strip()


@pytest.fixture
def parser_of(monkeypatch):
    """A function that gives the parser of a command."""

    def give(name):
        with monkeypatch.context() as patch:
            patch.setattr(Parser, "parse_args", lambda self, _: (_ for _ in ()).throw(Parsed(self)))
            with pytest.raises(Parsed) as caught:
                importlib.import_module(f"uva_tf.commands.{name.replace('-', '_')}").main([])
        return caught.value.args[0]

    return give


def test_every_command_in_the_documents_parses(parser_of):
    found = sorted(set(commands()))
    assert len(found) > 30
    for source, name, arguments in found:
        assert name in COMMANDS, f"{source}: {name}"
        if arguments in ("", "--help"):  # the command is only mentioned
            continue
        words = shlex.split(re.sub(r"[\[\]]", " ", arguments))
        parser = parser_of(name)
        if "..." in words:  # what is left out may be required: only the options can be checked
            options = {word for word in words if word.startswith("--")}
            assert options <= set(parser._option_string_actions), f"{source}: {name} {arguments}"
            continue
        try:
            parser.parse_args(words)
        except ValueError as error:
            raise AssertionError(f"{source}: {name} {arguments}: {error}") from None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text_with_its_default(parser_of, name):
    for action in parser_of(name)._actions:
        option = (action.option_strings or [action.dest])[-1]
        assert action.help, option
        takes_value = action.nargs != 0 and not action.choices
        assert not takes_value or action.metavar in METAVARS, option
        if action.option_strings and action.default not in (None, False, [], argparse.SUPPRESS):
            assert "(default: " in action.help, option


def test_the_list_of_commands_has_short_lines():
    for name, module in zip(COMMANDS, MODULES, strict=True):
        about = ast.get_docstring(ast.parse(module.read_text()))
        what, between, example = about.split("\n", 2)
        assert len(f"  {name:16}{what}") <= 80, name
        assert (between, example.startswith(f"uva-tf {name} ")) == ("", True), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_of_the_library_in_a_document_exists(document):
    for path in re.findall(r"(?<![\w./])uva_tf/[\w./-]*\w", document.read_text()):
        assert (ROOT / path).exists(), path


def test_every_command_is_in_a_document():
    assert {name for source, name, _ in commands() if source.suffix == ".md"} >= set(COMMANDS)


def anchors(document):
    """GitHub's anchors of a document's headings."""
    heads = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_repository_resolve(document):
    text = document.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        path, _, anchor = "".join(link).partition("#")
        if re.match(r"https?:", path):
            continue
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to #{anchor}"


def sections(document):
    """A document divided at its headings of the second level."""
    return re.split(r"^## ", document.read_text(), flags=re.MULTILINE)


def test_every_table_of_results_names_its_command_and_day():
    documents = [*(ROOT / "docs").glob("results-*.md"), ROOT / "docs" / "model-card.md"]
    for section in itertools.chain.from_iterable(map(sections, documents)):
        if re.search(r"^\|.*\d\.\d", section, re.MULTILINE):
            title = section.partition("\n")[0]
            assert re.search(r"^ *(uva-tf|python|node) ", section, re.MULTILINE), (
                f"{title}: no command"
            )
            assert re.search(r"20\d\d-\d\d-\d\d", section), f"{title}: no day"


def test_results_in_the_readme_lead_to_their_commands():
    for section in sections(ROOT / "README.md"):
        if re.search(r"^\|.*\d\.\d\d", section, re.MULTILINE):
            title = section.partition("\n")[0]
            assert "(docs/results-" in section or "(docs/model-card.md" in section, title
            assert re.search(r"20\d\d-\d\d-\d\d", section), f"{title}: no day"
