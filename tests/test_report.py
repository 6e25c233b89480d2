"""What the pages say, and when."""

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from uva_tf.bench.model_files import Timing
from uva_tf.bench.timing import Latency
from uva_tf.evaluation import report
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Clip, Evaluation

ROWS = ("uniform", CENTRE, "model", CEILING)
# By metric the rows' scores; sAUC and the like follow NSS.
FAIR = {"NSS": (0, 1, 2, 3), "KL": (4, 3, 2, 1)}


def evaluation(scores, clips=1, frames=2):
    """Of some clips, each with the same scores in every frame; NSS rises by 1 a clip."""
    values = np.array([scores.get(metric, scores["NSS"]) for metric in METRICS], np.float32).T
    by_clip = {}
    for number in range(clips):
        shifted = values.copy()
        shifted[:, METRICS.index("NSS")] += clips - number
        indices = np.arange(1, frames + 1)
        by_clip[f"clip{number}"] = Clip(indices, np.repeat(shifted[None], frames, axis=0))
    return Evaluation("shards", "val", "a prior", {}, ROWS, by_clip, {})


def test_scores_in_their_natural_order_need_no_caution():
    assert report.cautions(evaluation(FAIR), ["model"]) == []


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"KL": (4, 3, 1, 2)}, "The human ceiling is not the best row in KL."),
        ({"IG": (0, 1, 3, 2)}, "The human ceiling is not the best row in IG."),
        ({"KL": (1, 3, 2, 0)}, "In KL, uniform scores better than model, although its NSS"),
        ({"IG": (0, 2, 1, 3)}, "In IG, centre prior scores better than model, although"),
        ({"KL": (5, 2, 4, 1), "IG": (-1, 0, -1, 3)}, "In KL and IG, centre prior scores"),
        ({"CC": (0, 1, 3, 2)}, "A model is above the human ceiling in CC."),
        ({"CC": (0, 1, 3, 2), "SIM": (0, 1, 3, 2)}, "A model is above the human ceiling in CC and"),
        ({"AUC-Judd": (0, 2, 1, 3)}, "In AUC-Judd, centre prior scores better than model"),
    ],
)
def test_a_metrics_nature_is_told_where_it_shows(scores, words):
    (caution,) = report.cautions(evaluation(FAIR | scores), ["model"])
    assert caution.startswith(words)


def test_scores_that_are_not_there_are_no_caution():
    unknown = dict.fromkeys(METRICS, (np.nan,) * 4)
    assert report.cautions(evaluation(unknown), ["model"]) == []


def cells(table):
    """The texts of a table's lines."""
    return [re.findall(r"<t[hd]>([^<]*)", line) for line in table.split("<tr>")[1:]]


def test_clips_stand_in_the_order_of_a_rows_nss_with_frames_and_shares():
    head, *lines = cells(report.clip_table(evaluation(FAIR, clips=3, frames=5), "model"))
    assert head == ["clip", "frames", *ROWS]
    assert [line[0] for line in lines] == ["clip2", "clip1", "clip0"]
    # Half of the way from the centre prior at 2 to the human ceiling at 4.
    assert lines[0][1:] == ["5", "1.00\n-50.0%", "2.00", "3.00\n50.0%", "4.00"]


def test_many_clips_are_cut_short(monkeypatch):
    monkeypatch.setattr(report, "MOST_CLIPS", 4)
    monkeypatch.setattr(report, "MOST_PANELS", 3)
    many = evaluation(FAIR, clips=7)
    assert len(cells(report.clip_table(many, "model"))) == 1 + 4
    assert "<p>3 of 7 clips, from the lowest mean" in report.nss_over_time(many, "model")
    assert "clips," not in report.nss_over_time(evaluation(FAIR, clips=3), "model")
    photographs = evaluation(FAIR, clips=2, frames=1)
    assert report.nss_over_time(photographs, "model") == "<p>No clip has more than one frame.</p>"


def test_a_player_holds_every_frame():
    frames = [np.full((36, 64, 3), 40 * n, np.uint8) for n in range(5)]
    page = report.player(iter(frames), 12.5, 'a "clip"')
    assert 'data-rate="12.5"' in page
    assert 'alt="a &quot;clip&quot;"' in page
    texts = json.loads(re.search(r'<script type="application/json">(.*)</script>', page)[1])
    assert f'src="data:image/jpeg;base64,{texts[0]}"' in page
    for frame, text in zip(frames, texts, strict=True):
        jpeg = np.frombuffer(base64.b64decode(text), np.uint8)
        # One grey everywhere, up to JPEG's rounding.
        np.testing.assert_allclose(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), frame, atol=2)


def timing(recipe, kilobytes, ratio):
    unknown = dict.fromkeys(Timing.__dataclass_fields__, 0)
    latency = dict.fromkeys(Latency.__dataclass_fields__, 0)
    values = {"recipe": recipe, "kilobytes": kilobytes, "ratio": ratio}
    return Timing(**unknown | {"latency": Latency(**latency)} | values)


def test_int8_is_explained_where_it_is_slower_than_float():
    floating, slow, fast = (
        timing("fp32", 400, 1),
        timing("int8", 200, 1.5),
        timing("int8", 200, 0.5),
    )
    text = report.slow_int8([floating, slow])
    assert "int8 takes 1.50 times as long as float" in text
    assert "200 kB, float 400 kB" in text
    assert report.slow_int8([floating, fast]) == ""
    assert report.slow_int8([replace(slow, ratio=1)]) == ""


def test_gradient_norms_have_axes_of_their_own(monkeypatch):
    drawn = {}
    monkeypatch.setattr(report, "_picture", lambda figure, alt: drawn.update(figure=figure))
    report.loss_curves(
        [
            {"stage": "teach", "step": 20, "loss": 3.0, "hard_kl": 3.0, "gradient_norm": 90.0},
            {"stage": "teach", "step": 20, "val_loss": 4.0, "val_hard_kl": 4.0},
            {"stage": "joint", "step": 20, "loss": 2.0, "hard_kl": 2.0, "gradient_norm": 70.0},
        ]
    )
    lines = [[line.get_label() for line in axes.lines] for axes in drawn["figure"].axes]
    norm = ["gradient_norm"]
    assert lines == [["hard_kl", "hard_kl, validation"], norm, ["hard_kl"], norm]
    assert [axes.get_ylabel() for axes in drawn["figure"].axes] == ["loss", "gradient norm"] * 2
