"""When a representation is called collapsed: one rule for the training's log and for the evaluation `health`.

Two numbers say it. `spread`, the mean standard deviation of the dimensions of the vectors scaled to length sqrt(D): 1
for directions spread evenly, 0 for a single one (Chen and He, SimSiam, CVPR 2021, section 4.1). And the effective rank
of the centred vectors, the number of directions in which they vary (dimensional collapse: Jing et al., ICLR 2022, arXiv
2110.09348). The rank is of the centred vectors because a common offset, which all ReLU features have, takes most of the
spectrum without any fault.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

State = Literal["collapsed", "few directions", "healthy", "undefined"]

#: Spread under which the vectors are one point; untrained networks have 0.09 (ResNet-18) to 0.65 on CIFAR-10.
POINT_SPREAD = 0.02
#: Effective rank under which they are a line.
LINE_RANK = 1.1
#: Effective rank, relative to the possible one, under which the directions are few; asked from `LEAST_RANK` on.
FEW_DIRECTIONS = 0.05
LEAST_RANK = 8


class Verdict(NamedTuple):
    """A state and a sentence that says why."""

    state: State
    words: str


def judge(spread: float, rank: float, possible: int) -> Verdict:
    """Whether vectors have collapsed, in words.

    Args:
        spread: see the module.
        rank: effective rank of the centred vectors; `nan` if they do not vary.
        possible: the highest rank that these vectors can have, min(N - 1, D).
    """
    if not np.isfinite(spread):
        return Verdict("undefined", "The representation cannot be measured: its vectors are not finite.")
    if not np.isfinite(rank):
        return Verdict("collapsed", "Collapsed: all images have the same vector.")
    if spread < POINT_SPREAD:
        return Verdict("collapsed", f"Collapsed: nearly all images have the same direction (spread {spread:.3f} of 1).")
    if rank < LINE_RANK and possible > 1:
        return Verdict("collapsed", f"Collapsed to a line: the vectors vary in {rank:.2f} of {possible} directions.")
    if possible >= LEAST_RANK and rank < max(2.0, FEW_DIRECTIONS * possible):
        return Verdict(
            "few directions",
            f"The vectors vary in about {rank:.1f} of {possible} directions. After training with labels that is usual "
            "(one direction a class); otherwise it is a sign of dimensional collapse.",
        )
    return Verdict("healthy", f"No sign of collapse: about {rank:.1f} of {possible} directions are in use.")
