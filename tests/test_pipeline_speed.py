"""The speed of the pipeline, beside decoding alone and training."""

from uva_tf.bench import batches as throughput


def test_every_work_is_measured(shards, monkeypatch):
    for name, value in {"BATCH": 2, "VARIANT": "tiny", "FRAMES": 4, "STEPS": 1}.items():
        monkeypatch.setattr(throughput, name, value)
    monkeypatch.setattr(throughput, "PIPELINE_BATCHES", 2)
    monkeypatch.setattr(throughput, "DECODE_BATCHES", 2)
    rates = throughput.measure([shards], rounds=2)
    assert len(rates) == 3
    for turns in rates.values():
        assert len(turns) == 2
        assert min(turns) > 0
