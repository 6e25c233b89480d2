"""The commands, one `main` each: `uva-tf NAME`, and the scripts of pipelines/ and tflite/."""

# In the order in which one meets them.
COMMANDS = (
    *("quickstart", "predict", "look", "prepare", "train", "evaluate", "convert"),
    *("benchmark", "predict-many"),
    *("reframe", "score-reframing", "encode", "score-regions"),
    *("ensemble", "hints"),
    *("throughput", "qat", "cost"),
    *("ablate", "kinds", "score-kinds", "robustness", "frontier", "compress", "ship"),
    *("time-batches", "time-preparing", "time-device"),
)
