"""Make `cases.json`: small maps and fixations with the scores pysaliency 0.2.22 gives them.

    pip install pysaliency==0.2.22
    python tests/cross_check/make.py

pysaliency (https://github.com/matthias-k/pysaliency, MIT licence) is no dependency of this
project: the file is committed, and only this script needs the package. It wants torch and
numpy's old `trapz` at import; neither takes part in what is called here.
"""

import importlib.metadata
import json
import sys
import types
from pathlib import Path

import numpy as np

try:
    import torch  # noqa: F401
except ImportError:
    sys.modules["torch"] = types.ModuleType("torch")
if not hasattr(np, "trapz"):
    np.trapz = np.trapezoid

import pysaliency
from pysaliency import metrics

HEIGHT, WIDTH = 24, 32
# Kind of map, fixations here, fixations elsewhere.
CASES = (
    ("distinct", 12, 60),
    ("distinct", 1, 40),
    ("distinct", 200, 90),
    ("8 bit", 12, 60),
    ("8 bit", 40, 30),
    ("11 levels", 40, 30),
)


class Given(pysaliency.SaliencyMapModel):
    """Answers with the map it was made of."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def _saliency_map(self, stimulus):
        return self.values


def draw(rng, kind):
    ranks = rng.permutation(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) / (HEIGHT * WIDTH - 1)
    if kind == "8 bit":
        return np.round(255 * ranks**2)
    if kind == "11 levels":
        return np.round(10 * ranks)
    return np.round(255 * ranks**2, 4)


def pixels(rng, count):
    return sorted(rng.choice(HEIGHT * WIDTH, count, replace=False).tolist())


def scores(prediction, density, fixated, elsewhere):
    y, x = np.unravel_index(fixated, prediction.shape)
    other_y, other_x = np.unravel_index(elsewhere, prediction.shape)
    picture = np.zeros((*prediction.shape, 3), np.uint8)
    stimuli = pysaliency.Stimuli([picture])
    here = pysaliency.Fixations.create_without_history(x=x, y=y, n=np.zeros(len(x), int))
    there = pysaliency.Fixations.create_without_history(
        x=other_x, y=other_y, n=np.zeros(len(other_x), int)
    )
    model = Given(prediction)
    auc = {
        name: model.AUC(stimuli, here, nonfixations=negatives, average="image", thresholds=at)
        for name, negatives, at in (
            ("AUC, unfixated pixels, thresholds at fixations", "unfixated", "fixations"),
            ("AUC, unfixated pixels, all thresholds", "unfixated", "all"),
            ("AUC, all pixels, all thresholds", "uniform", "all"),
            ("AUC, fixations elsewhere, all thresholds", there, "all"),
        )
    }
    return {
        "NSS": metrics.NSS(prediction, x, y).mean(),
        "CC": metrics.CC(prediction, density),
        "SIM": metrics.SIM(prediction, density),
        "SIM of maps from 0": metrics.SIM(prediction - prediction.min(), density - density.min()),
        "KL": metrics.MIT_KLDiv(prediction, density),
    } | auc


def main():
    rng = np.random.default_rng(0)
    cases = []
    for kind, count, others in CASES:
        prediction = draw(rng, kind)
        density = np.round(rng.random(prediction.shape), 3)
        fixated, elsewhere = pixels(rng, count), pixels(rng, others)
        values = scores(prediction, density, fixated, elsewhere)
        cases.append(
            {
                "kind": kind,
                "prediction": prediction.ravel().tolist(),
                "density": density.ravel().tolist(),
                "fixated": fixated,
                "elsewhere": elsewhere,
                "scores": {name: float(value) for name, value in values.items()},
            }
        )
    content = {
        "made by": f"pysaliency {importlib.metadata.version('pysaliency')}, numpy {np.__version__}",
        "height": HEIGHT,
        "width": WIDTH,
        "cases": cases,
    }
    lines = json.dumps(content).replace('"kind"', '\n"kind"')
    (Path(__file__).parent / "cases.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
