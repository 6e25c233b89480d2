"""The notebooks run from top to bottom, and are stored as a reader sees them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from uva_tf.data import synthetic

PICTURES = {"01_quickstart": 2, "02_train_on_your_gaze_data": 4, "03_compress_and_benchmark": 2}
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MOST_BYTES = 400_000


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def assert_quiet_with_pictures(notebook, count):
    """No warnings or logs, and pictures in PNG, alone or in HTML."""
    shown = [output["data"] for output in outputs(notebook) if output.get("data")]
    pictures = [data for data in shown if "image/png" in data or "base64," in data["text/html"]]
    assert len(pictures) == count
    assert {output.get("name") for output in outputs(notebook)} <= {None, "stdout"}
    assert not any("INFO:" in output.get("text", "") for output in outputs(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_outputs_and_small(path):
    notebook = nbformat.read(path, as_version=4)
    assert_quiet_with_pictures(notebook, PICTURES[path.stem])
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_what_there_is(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    imports = [line for cell in code for line in cell.splitlines() if "import " in line]
    assert any("uva_tf" in line for line in imports)
    exec("\n".join(imports), {})


@pytest.mark.slow  # beside the imports, and the tests of what the cells call
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_pictures(path, tmp_path, monkeypatch):
    monkeypatch.setenv("UVA_TF_PRESET", "smoke")
    monkeypatch.setenv("UVA_TF_FOLDER", str(tmp_path))
    # Fewer and shorter clips than a notebook draws where there are none.
    synthetic.write_recordings(tmp_path / "recordings", train=2, val=1, length=8)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert_quiet_with_pictures(notebook, PICTURES[path.stem])
