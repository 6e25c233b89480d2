"""What a student consists of, whatever its layers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uva_tf.models.blocks import Block

Tensor = Any
# From the features of two frames to those that a head draws a map of.
Path = Callable[[Tensor, Tensor], Tensor]

# From path features and the trunk's features of the mapped frame to logits.
Head = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Parts:
    """Functions that make a student's layers; each call makes new ones.

    Attributes:
        features: channels of the trunk's features, `[B, R/4, R/4, features]`.
        trunk: `() -> frame -> features`.
        paths: by kind, `() -> (features, other_features) -> path features`.
        head: `name -> (path features, features) -> logits [B, R, R, 1]`.
    """

    features: int
    trunk: Callable[[], Block]
    paths: Mapping[str, Callable[[], Path]]
    head: Callable[[str], Head]
