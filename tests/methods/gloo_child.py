"""One of two processes: its share of each loss and of the gradient, averaged over both as DistributedDataParallel does.

python gloo_child.py RANK STORE OUT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pairs
import torch
from torch import distributed as dist
from torch.nn import functional as F

from phispace.methods.barlow_twins import barlow_terms
from phispace.methods.lejepa import distance_to_centre, epps_pulley, unit_directions
from phispace.methods.moco import against_batch
from phispace.methods.processes import mean_over_all, rows_of_all
from phispace.methods.simclr import nt_xent
from phispace.methods.supcon import supcon_loss
from phispace.methods.vicreg import vicreg_terms

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, bool], torch.Tensor]

ITEMS, WIDTH, WORLD = 10, 6, 2
LABELS = torch.tensor([0, 1, 0, 2, -1, 1, 0, -1, 2, 0])


def whole() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A batch of two views, (ITEMS, WIDTH) each, and the matrix (WIDTH, WIDTH) that stands for the network."""
    first, second = (x.detach() for x in pairs.projections(ITEMS, WIDTH))
    matrix = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(5)).requires_grad_()
    return first, second, matrix


def moco(first: torch.Tensor, second: torch.Tensor, everywhere: bool) -> torch.Tensor:
    """Queries against the keys of all."""
    queries, keys = F.normalize(first, dim=1), F.normalize(second.detach(), dim=1)
    if not everywhere:
        return against_batch(queries, keys, 0.2)[0]
    return against_batch(queries, rows_of_all(keys), 0.2, dist.get_rank() * len(keys))[0]


def of_all(loss_of: Callable[[list[torch.Tensor]], torch.Tensor]) -> Loss:
    """A loss that is a statistic of the whole batch."""
    return lambda a, b, labels, every: loss_of([rows_of_all(x) if every else x for x in (a, b)])


DIRECTIONS = unit_directions(WIDTH, 5, torch.Generator().manual_seed(1))
LOSSES: dict[str, Loss] = {
    "simclr": lambda a, b, labels, every: nt_xent(a, b, 0.2, everywhere=every)[0],
    "supcon": lambda a, b, labels, every: supcon_loss(a, b, labels, 0.2, everywhere=every),
    "moco": lambda a, b, labels, every: moco(a, b, every),
    "barlow-twins": of_all(lambda z: barlow_terms(z[0], z[1], 5e-3)[0]),
    "vicreg": of_all(lambda z: sum(vicreg_terms(z[0], z[1]))),
    "lejepa": of_all(lambda z: epps_pulley(torch.stack(z) @ DIRECTIONS).mean() + distance_to_centre(torch.stack(z), 2)),
}


def main(rank: int, store: str, out: Path) -> None:
    dist.init_process_group("gloo", store=dist.FileStore(store, WORLD), rank=rank, world_size=WORLD)
    found: dict[str, torch.Tensor] = {}
    for name, loss_of in LOSSES.items():
        first, second, matrix = whole()
        mine = slice(rank * ITEMS // WORLD, (rank + 1) * ITEMS // WORLD)
        loss = loss_of(first[mine] @ matrix, second[mine] @ matrix, LABELS[mine], True)
        loss.backward()
        found[name] = mean_over_all(loss)
        found[f"{name} gradient"] = mean_over_all(matrix.grad)
    found["rows"] = rows_of_all(torch.full((2, 3), float(rank)))
    torch.save(found, out / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
