"""Multinomial logistic regression along a path of L2 strengths.

The objective is sklearn's with C = 1 / (n l2):

    mean_i [ -log softmax(x_i W + b)_{y_i} ] + l2/2 ||W||_F^2,   x standardised on the training part, b not penalised.

It is solved by L-BFGS in float32 (line search and curvature pairs in float64) in the eigenbasis of the features, each
axis scaled by 1/sqrt(curvature + l2): the bound on the Hessian of Böhning (Ann. Inst. Stat. Math. 1992) is diagonal
there, which takes an order of magnitude off the iterations when features are correlated, as embeddings are. The
rotation changes neither the penalty nor the optimum. Strengths go from strong to weak, each from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from phispace.evaluation.standardise import Scaling
from phispace.metrics.eigen import eigenvectors

_ROTATED_DIMS = 4096  # above, the eigenbasis costs more than it saves
_ROWS = 8192


class Standardised:
    """Features as the probe sees them: mean 0, deviation 1 on the training part, in their own eigenbasis.

    A dimension that does not vary in training becomes 0. With more dimensions than items the basis spans the items:
    an L2-penalised solution lies in there.

    Args:
        x: float32 (n, D), the training part.

    Attributes:
        train: float32 (n, r), r <= min(n, D).
        curvature: float64 (r,), mean square along each axis.
        varying: number of dimensions that vary.
    """

    def __init__(self, x: np.ndarray) -> None:
        self._scaling = Scaling(x)
        self.varying = self._scaling.varying
        self._basis: Tensor | None = None
        self.train = torch.from_numpy(self._scaling(x))
        n, d = self.train.shape
        if min(n, d) > _ROTATED_DIMS:
            self.curvature = np.ones(d)
            return
        self.curvature, self._basis = _eigenbasis(self.train)
        self.train = self._rotate(self.train)

    def _rotate(self, z: Tensor) -> Tensor:
        if self._basis is None:
            return z
        if self._basis.shape[0] != self._basis.shape[1]:
            return z @ self._basis
        for block in torch.split(z, _ROWS):  # in place: of many pixels a second copy is large
            block.copy_(block @ self._basis)
        return z

    def __call__(self, x: np.ndarray) -> Tensor:
        """Other items, float32 (m, D) -> (m, r)."""
        return self._rotate(torch.from_numpy(self._scaling(x)))


def _eigenbasis(x: Tensor) -> tuple[np.ndarray, Tensor]:
    """Eigenvalues of x'x/n, float64 (r,), and orthonormal directions, float32 (D, r), that span the rows of x."""
    n, d = x.shape
    if n >= d:
        # All directions are kept: whatever rounding does to the small eigenvalues, the basis is orthonormal.
        gram = np.zeros((d, d))
        for block in torch.split(x, _ROWS):
            gram += (block.T @ block).double().numpy()
        values, basis = eigenvectors(gram)
        return values.clip(0) / n, torch.from_numpy(basis).float()
    wide = x.double()
    values, left = eigenvectors((wide @ wide.T).numpy())
    keep = values > 1e-10 * max(float(values[-1]), 1e-300)
    basis = wide.T.numpy() @ (left[:, keep] / np.sqrt(values[keep]))
    return values[keep] / n, torch.from_numpy(basis).float()


@dataclass(frozen=True)
class Solution:
    """A fitted classifier in the coordinates of `Standardised`.

    Attributes:
        l2: the strength it belongs to.
        weight: float32 (r, C).
        bias: float32 (C,).
        loss: objective at the end.
        iterations: of L-BFGS.
        converged: whether it stopped by itself.
    """

    l2: float
    weight: Tensor
    bias: Tensor
    loss: float
    iterations: int
    converged: bool

    def log_probability(self, z: Tensor) -> Tensor:
        """(m, r) -> float32 (m, C)."""
        return torch.log_softmax(torch.addmm(self.bias, z, self.weight), dim=1)


class Features(Protocol):
    """Features of a training part, float32 (n, r), and the mean square along each of their axes, float64 (r,)."""

    train: Tensor
    curvature: np.ndarray


def solve_path(
    features: Features,
    y: np.ndarray,
    n_classes: int,
    strengths: Sequence[float],
    max_iterations: int = 500,
    tolerance: float = 1e-6,
) -> Iterator[Solution]:
    """Solutions for each strength, in descending order of strength, each from the one before; see `solve`."""
    found: Solution | None = None
    for l2 in sorted(strengths, reverse=True):
        found = solve(features, y, n_classes, l2, found, max_iterations, tolerance)
        yield found


def solve(
    features: Features,
    y: np.ndarray,
    n_classes: int,
    l2: float,
    start: Solution | None = None,
    max_iterations: int = 500,
    tolerance: float = 1e-6,
) -> Solution:
    """The solution for one strength.

    Args:
        features: of the training part, (n, r).
        y: int64 (n,), 0 .. C-1.
        start: where to begin; None = all weights 0.
        tolerance: stop when an iteration lowers the objective by less than this times max(objective, 1).
    """
    from scipy.optimize import minimize

    z, target = features.train, torch.from_numpy(y)
    (n, r), c = z.shape, n_classes
    rows = torch.arange(n)
    spread = (1 - 1 / c) / c
    scale = 1 / np.sqrt(np.append(spread * features.curvature, spread) + l2)[:, None]
    scale_t = torch.from_numpy(scale).float()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = torch.from_numpy(flat.reshape(r + 1, c)).float() * scale_t
        logits = torch.addmm(weight[-1], z, weight[:-1])
        log_z = torch.logsumexp(logits, 1)
        loss = (log_z - logits[rows, target]).mean(dtype=torch.float64)
        # Below exp(-60) a share changes nothing, but as a denormal number it slows the product a hundredfold.
        share = logits.sub_(log_z[:, None]).clamp_min_(-60).exp_()
        share[rows, target] -= 1
        gradient = torch.empty_like(weight)
        torch.mm(z.T, share, out=gradient[:-1])
        gradient[-1] = share.sum(0)
        gradient /= n
        gradient[:-1] += l2 * weight[:-1]
        value = float(loss) + l2 / 2 * float((weight[:-1].double() ** 2).sum())
        return value, (gradient * scale_t).double().numpy().ravel()

    theta = np.zeros((r + 1, c)) if start is None else torch.cat([start.weight, start.bias[None]]).double().numpy()
    found = minimize(
        objective,
        (theta / scale).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations, "maxfun": 2 * max_iterations, "ftol": tolerance, "gtol": 1e-7},
    )
    weight = torch.from_numpy(found.x.reshape(r + 1, c) * scale).float()
    return Solution(l2, weight[:-1], weight[-1], float(found.fun), int(found.nit), bool(found.status != 1))
