"""The notebooks run from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from uva_tf.data import synthetic

PICTURES = {"01_quickstart": 2, "02_train_on_your_gaze_data": 4, "03_compress_and_benchmark": 2}
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SLOW = "01_quickstart"  # the README's first command, beside two shorter ones


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem == SLOW else [])
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_and_shows_its_pictures(path, tmp_path, monkeypatch):
    monkeypatch.setenv("UVA_TF_PRESET", "smoke")
    monkeypatch.setenv("UVA_TF_FOLDER", str(tmp_path))
    # Fewer and shorter clips than a notebook draws where there are none.
    synthetic.write_recordings(tmp_path / "recordings", train=2, val=1, length=8)
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored with outputs"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if output.get("data")]
    pictures = [data for data in shown if "image/png" in data or "base64," in data["text/html"]]
    assert len(pictures) == PICTURES[path.stem]
