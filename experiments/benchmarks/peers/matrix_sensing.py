"""Training loops of symmetric matrix sensing in PyTorch, in matrix form, as a user would write them."""

import torch
from torch.func import grad, vmap

EVERY = 10
sensing, unit, target = (torch.from_numpy(DATA[name]).to(DEVICE) for name in ("matrices", "unit", "target"))
rows = sensing.flatten(1)
RATE = float(DATA["rate"])


def measured(matrix):
    """<A_i, E> for all i. ``(sensing * matrix).sum((1, 2))`` does the same in four times the time.

    So does ``torch.einsum("mij,ij->m", sensing, matrix)`` under vmap, in six times.
    """
    return rows @ matrix.flatten()


labels = measured(target)


def starts():
    """Initialisations of all runs: the first columns of one matrix, scaled."""
    return [scale * unit[:, :rank] for rank in DATA["ranks"] for scale in DATA["scales"]]


def eager(steps):
    """One run after another, by autograd; all entries of all final states."""
    finals = []
    for start in starts():
        x = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([x], lr=RATE)
        for step in range(steps):
            optimizer.zero_grad()
            product = x @ x.T
            loss = 0.25 * ((measured(product) - labels) ** 2).sum()
            loss.backward()
            optimizer.step()
            if step % EVERY == 0:
                torch.linalg.norm(product.detach() - target).item()
        finals.append(x.detach().flatten())
    return torch.cat(finals)


def mapped(steps):
    """All runs at once, padded with zero columns: torch.func.vmap of the gradient, in a Python loop over steps."""
    width = max(start.shape[1] for start in starts())
    x = torch.stack([torch.nn.functional.pad(start, (0, width - start.shape[1])) for start in starts()])

    def loss(x):
        return 0.25 * ((measured(x @ x.T) - labels) ** 2).sum()

    slope = vmap(grad(loss))
    errors = vmap(lambda x: torch.linalg.norm(x @ x.T - target))
    for step in range(steps):
        if step % EVERY == 0:
            errors(x)
        x = x - RATE * slope(x)
    return torch.cat([run[:, : start.shape[1]].flatten() for run, start in zip(x, starts(), strict=True)])
