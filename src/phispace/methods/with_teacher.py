"""What the methods share whose target is a momentum teacher: a copy that follows encoder and projector slowly.

The teacher is moved at the beginning of a training step, by the weights that the step before has left. That is the
sequence of moving it at the end of a step; but so the teacher, the weights and the optimiser that lie in a checkpoint
between two steps belong together.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from phispace.encoders.base import Encoder
from phispace.methods.base import Batch, MethodConfig, Task
from phispace.methods.teacher import Teacher, momentum_at
from phispace.methods.two_views import TwoViews, TwoViewsConfig


class WithTeacherConfig(TwoViewsConfig):
    """Options of all methods with a teacher."""

    teacher_momentum: float = Field(0.99, ge=0, le=1, description="share that the teacher keeps of itself in a step")
    teacher_schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="whether that share rises to 1 at the last step"
    )


class WithTeacher(TwoViews):
    """Base of these methods: `self.teacher` gives the targets. See the module."""

    comparable: ClassVar[bool] = False
    Config: ClassVar[type[MethodConfig]] = WithTeacherConfig

    def __init__(self, encoder: Encoder, config: Any, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.teacher = Teacher(self.encoder, self.projector)

    def on_fit_start(self) -> None:
        """Lightning's hook, also of a run that goes on: the teacher of a run that begins copies what was measured on
        the images, or loaded, since it was made."""
        if self.trainer.ckpt_path is None:
            self.teacher.begin(self.encoder, self.projector)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        self.teacher.follow(self.encoder, self.projector, self.teacher_momentum())
        return super().training_step(batch, batch_idx)

    def teacher_momentum(self) -> float:
        """m of the step that begins."""
        total = self.config.epochs * self.task.steps_per_epoch
        cosine = self.config.teacher_schedule == "cosine"
        return momentum_at(self.global_step, total, self.config.teacher_momentum, cosine=cosine)
