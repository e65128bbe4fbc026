"""Training loops of the grokking network in PyTorch, as a user would write them."""

import torch
from torch.func import grad, vmap

EPS, EVERY = 0.5, 10
NAMES = ("inputs", "labels", "fresh", "fresh_labels", "weights", "scales")
tensors = {name: torch.from_numpy(DATA[name]).to(DEVICE) for name in DATA}


def eager(steps):
    """One run after another. Losses of all runs, [runs, records, 2]."""
    losses = []
    for inputs, labels, test, test_labels, start, alpha in zip(*(tensors[name] for name in NAMES), strict=True):
        w = start.clone().requires_grad_()
        scale = float(alpha)
        optimizer = torch.optim.SGD([w], lr=0.5 * len(start) / scale**2)

        def output(points, w=w, scale=scale):
            h = points @ w.T
            return scale * (h + EPS / 2 * h * h).mean(1)

        curve = []
        for step in range(steps + 1):
            optimizer.zero_grad()
            loss = ((labels - output(inputs)) ** 2).mean()
            if step % EVERY == 0:
                with torch.no_grad():
                    curve.append((loss.item(), ((test_labels - output(test)) ** 2).mean().item()))
            if step < steps:
                loss.backward()
                optimizer.step()
        losses.append(curve)
    return losses


def mapped(steps):
    """All runs at once: torch.func.vmap of the gradient, in a Python loop over steps."""
    w, scales = tensors["weights"].clone(), tensors["scales"]

    def loss(w, points, labels, scale):
        h = points @ w.T
        return ((labels - scale * (h + EPS / 2 * h * h).mean(1)) ** 2).mean()

    slope, value = vmap(grad(loss)), vmap(loss)
    rates = (0.5 * w.shape[1] / scales**2)[:, None, None]
    curve = []
    for step in range(steps + 1):
        if step % EVERY == 0:
            train = value(w, tensors["inputs"], tensors["labels"], scales)
            test = value(w, tensors["fresh"], tensors["fresh_labels"], scales)
            curve.append(torch.stack([train, test], -1))
        if step < steps:
            w = w - rates * slope(w, tensors["inputs"], tensors["labels"], scales)
    return torch.stack(curve, 1)


def products(steps):
    """The matrix products of the steps on moments, all runs at once, and nothing else."""
    points, basis, largest = tensors["inputs"], tensors["basis"], tensors["largest"][:, None, None]
    columns, back = points.mT.contiguous(), basis.mT.contiguous()
    matrix = torch.eye(points.shape[2], device=DEVICE).expand(len(points), -1, -1)
    for _ in range(steps):
        matrix = torch.bmm(torch.bmm(matrix, columns), points) / largest
        matrix = torch.bmm(torch.bmm(matrix, basis), back)
    return matrix
