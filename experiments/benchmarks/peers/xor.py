"""Training loops of the XOR-cluster network in PyTorch, as a user would write them."""

import torch
from torch.func import grad, vmap

EVERY, RATE = 10, 0.02
NAMES = ("x", "y", "tests", "truth", "signs", "w")
tensors = {name: torch.from_numpy(DATA[name]).to(DEVICE) for name in NAMES}


def eager(steps):
    """One instance after another. (Loss, test accuracy) of all instances, [instances, records, 2]."""
    curves = []
    for x, y, tests, truth, signs, start in zip(*(tensors[name] for name in NAMES), strict=True):
        a, w, curve = signs / len(signs) ** 0.5, start.clone().requires_grad_(), []
        optimizer = torch.optim.SGD([w], lr=RATE)
        for step in range(steps + 1):
            optimizer.zero_grad()
            loss = torch.nn.functional.softplus(-y * (torch.relu(x @ w.T) @ a)).mean()
            if step % EVERY == 0:
                with torch.no_grad():
                    right = (truth * (torch.relu(tests @ w.T) @ a) > 0).float().mean().item()
                curve.append((loss.item(), right))
            if step < steps:
                loss.backward()
                optimizer.step()
        curves.append(curve)
    return curves


def mapped(steps):
    """All instances at once: torch.func.vmap of the gradient, in a Python loop over steps."""
    x, y, tests, truth, signs, start = (tensors[name] for name in NAMES)
    a, w = signs / signs.shape[1] ** 0.5, start.clone()

    def loss(w, x, y, a):
        return torch.nn.functional.softplus(-y * (torch.relu(x @ w.T) @ a)).mean()

    def accuracy(w, x, y, a):
        return (y * (torch.relu(x @ w.T) @ a) > 0).float().mean()

    slope, value, score = vmap(grad(loss)), vmap(loss), vmap(accuracy)
    curve = []
    for step in range(steps + 1):
        if step % EVERY == 0:
            curve.append(torch.stack([value(w, x, y, a), score(w, tests, truth, a)], -1))
        if step < steps:
            w = w - RATE * slope(w, x, y, a)
    return torch.stack(curve, 1)
