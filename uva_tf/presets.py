"""The presets: configurations that the commands name.

`fine-tune` for your own recordings, `uva-64` to train from scratch on much gaze, `distill-64` to
learn from other models' maps of footage without gaze too (at 32 px `distill-32`, then
`refine-32`), `quick` to see distillation work, `paper-64` for the paper's length of training.
"""

from __future__ import annotations

from dataclasses import replace

from uva_tf.config import (
    AugmentConfig,
    CompressionConfig,
    Config,
    LoopConfig,
    SoftTargets,
    StageConfig,
    StudentConfig,
    TeacherConfig,
)

TEACH_LOSS = "kl+cc"


def smoke() -> Config:
    """A few steps of every stage, for tests.

    `uva-tf train --preset smoke --data SHARDS --run RUN`: under a minute on 2 cores with
    synthetic data. Score: none, as it learns nothing.
    """
    short = StageConfig(steps=3, batch=4)
    gentle = replace(short, learning_rate=1e-5)
    return Config(
        name="smoke",
        student=StudentConfig("uva-32"),
        teach=replace(short, loss=TEACH_LOSS),
        distill=short,
        joint=short,
        teacher=TeacherConfig(widths=(8, 8, 8, 8), decoder=8),
        compression=CompressionConfig(prune=gentle, qat=gentle),
    )


def quickstart() -> Config:
    """The paper's 32 px student on synthetic clips, with teachers.

    `uva-tf quickstart` prepares the clips, trains and reports: 3 to 5 minutes on 2 cores. Score:
    about 60 % of the way from centre prior to human ceiling (NSS) on them, in int8.
    `uva-tf train --preset quickstart --data SHARDS --run RUN` trains on other data: not measured.
    """
    return Config(
        name="quickstart",
        student=StudentConfig("paper-32"),
        teach=StageConfig(steps=120, batch=16, loss=TEACH_LOSS),
        distill=StageConfig(steps=200),
        joint=StageConfig(steps=400),
        teacher=TeacherConfig(widths=(16, 32, 64, 96), decoder=32),
        augment=AugmentConfig(smallest_crop=1.0),
    )


def quick() -> Config:
    """The paper's 64 px student, distilled in minutes.

    `uva-tf train --preset quick --data SHARDS --run RUN`: 15 to 25 minutes on 2 cores, teachers
    included. Score: NSS 2.77, or 48 % of the way from centre prior to human ceiling, on the
    recordings of docs/results-distillation.md.
    """
    return Config(
        name="quick",
        student=StudentConfig("paper-64"),
        teach=StageConfig(steps=600, batch=16, loss=TEACH_LOSS),
        distill=StageConfig(steps=350),
        joint=StageConfig(steps=900),
    )


def paper_64() -> Config:
    """The paper's 64 px student at the paper's length: 6,000 steps of batch 64.

    `uva-tf train --preset paper-64 --data SHARDS --run RUN`: about 10 hours on 2 cores, estimated
    from `quick`. Score: not measured.
    """
    return Config(
        name="paper-64",
        student=StudentConfig("paper-64"),
        teach=StageConfig(steps=6000, loss=TEACH_LOSS),
        distill=StageConfig(steps=6000, batch=64),
        joint=StageConfig(steps=6000, batch=64),
    )


def paper_32() -> Config:
    """The paper's 32 px student, trained like `paper-64`.

    `uva-tf train --preset paper-32 --data SHARDS --run RUN`: time and score not measured.
    """
    return replace(paper_64(), name="paper-32", student=StudentConfig("paper-32"))


def uva_64() -> Config:
    """The fast 64 px student: a long training on ground truth alone.

    `uva-tf train --preset uva-64 --data SHARDS --run RUN`: about 25 minutes on 2 cores. Score on
    the recordings of docs/model-card.md, in fp16: NSS 4.03 on clips of several faces and 2.42 on
    the others, or 51 % and 56 % of the way from centre prior to human ceiling. On scenes of kinds
    that it never saw, `distill-64` is better.
    """
    return Config(
        name="uva-64",
        student=StudentConfig("uva-64"),
        teach=StageConfig(steps=0),
        distill=StageConfig(steps=0),
        joint=StageConfig(steps=3000),
        soft_targets=SoftTargets(spatial="none", temporal="none"),
        loop=LoopConfig(average=0.998),
    )


def uva_32() -> Config:
    """The fast 32 px student, trained like `uva-64`.

    `uva-tf train --preset uva-32 --data SHARDS --run RUN`: about 10 minutes on 2 cores. Score on
    the same clips, in int8: NSS 3.59 and 1.91, or 42 % and 37 % of the way. On scenes of kinds
    that it never saw, `refine-32` is better.
    """
    return replace(uva_64(), name="uva-32", student=StudentConfig("uva-32"))


def distill_64() -> Config:
    """The best student as it is shipped: other models teach it on footage that nobody annotated.

    `uva-tf train --preset distill-64 --data FOOTAGE --data PHOTOS --data CLIPS ...`:
    about 30 minutes on 2 cores. Score on the recordings of docs/model-card.md, in int8: NSS 4.12 on
    clips of several faces and 2.45 on the others, or 53 % and 57 % of the way from centre prior to
    human ceiling; on scenes of kinds that were left out, 48 % (one member).
    """
    return replace(
        uva_64(),
        name="distill-64",
        student=StudentConfig("uva-64-l", gap=3),
        hint=StageConfig(steps=4000, learning_rate=4e-3),
        joint=StageConfig(steps=1500),
        soft_targets=SoftTargets(spatial="external", temporal="none", hint_weight=0.3),
        augment=AugmentConfig(
            smallest_crop=0.8, colour=0.4, stride=3, cuts=0.03, stills=0.04, noise=6.0
        ),
        loop=LoopConfig(average=0.995),
        temperature=0.7,
        members=3,
    )


def distill_32() -> Config:
    """Step 1 of the 32 px student as it is shipped: what other models know, and photographs.

    `uva-tf train --preset distill-32 --data FOOTAGE --data PHOTOS --run FIRST`: about 20 minutes on
    one core, without recordings of people who watch clips. `refine-32` is step 2.
    """
    return replace(
        distill_64(),
        name="distill-32",
        student=StudentConfig("uva-32", gap=3),
        hint=StageConfig(steps=6000, learning_rate=4e-3),
        joint=StageConfig(steps=6000),
        members=1,
    )


def refine_32() -> Config:
    """Step 2 of the 32 px student as it is shipped: gaze too, from the weights of step 1.

    `uva-tf train --preset refine-32 --set student.weights=FIRST/student.keras --data FOOTAGE
    --data PHOTOS --data CLIPS --run RUN`: about 7 minutes on one core. Score on the recordings of
    docs/model-card.md, in int8: NSS 3.40 on clips of several faces and 2.09 on the others, or 39 %
    and 44 % of the way; on scenes of kinds that were left out, 36 % (one member).
    """
    first = distill_64()
    return replace(
        first,
        name="refine-32",
        student=StudentConfig("uva-32", gap=3),
        hint=StageConfig(steps=0),
        soft_targets=replace(first.soft_targets, hint_weight=0.0),
    )


def fine_tune() -> Config:
    """The best shipped student, trained further on your own recordings.

    `uva-tf train --preset fine-tune --data SHARDS --run RUN`: a few minutes on 2 cores. Score after
    training on two clips: NSS 1.20 on two others, 1.18 without fine-tuning (docs/model-card.md).
    """
    return replace(
        uva_64(),
        name="fine-tune",
        student=StudentConfig("uva-64-l", gap=3, weights="shipped"),
        joint=StageConfig(steps=300, learning_rate=5e-4),
        temperature=0.7,
    )


PRESETS = {
    "smoke": smoke,
    "quickstart": quickstart,
    "fine-tune": fine_tune,
    "uva-64": uva_64,
    "uva-32": uva_32,
    "distill-64": distill_64,
    "distill-32": distill_32,
    "refine-32": refine_32,
    "quick": quick,
    "paper-64": paper_64,
    "paper-32": paper_32,
}
