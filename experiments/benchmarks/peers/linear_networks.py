"""Training loop of two-layer linear networks in PyTorch, as a user would write it."""

import torch

first, last, rates, variances, target = (
    torch.from_numpy(DATA[name]).to(DEVICE) for name in ("first", "last", "rates", "variances", "target")
)
SCALE = float(DATA["scale"])


def loss_of(w, a):
    residual = SCALE * (a @ w) - target
    return 0.5 * (variances * residual**2).sum()


def eager(steps):
    """One run after another, by autograd; the final losses."""
    losses = []
    for rate in rates.tolist():
        w, a = first.clone().requires_grad_(), last.clone().requires_grad_()
        optimizer = torch.optim.SGD([w, a], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(w, a).backward()
            optimizer.step()
        losses.append(loss_of(w, a).detach())
    return [torch.stack(losses).tolist(), 0]
