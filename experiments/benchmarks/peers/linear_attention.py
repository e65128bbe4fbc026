"""In-context training of one linear attention layer in PyTorch, as a user would write it.

Adam with a cosine schedule to zero and clipped gradients, on fresh prompts in every step.
"""

import math

import torch
from torch.func import grad, vmap

DIM, CONTEXT, BATCH, SEEDS = (int(DATA[name]) for name in ("dim", "context", "batch", "seeds"))
RATE, SCALE, CLIP = 0.02, 0.1, 1.0
SHAPES = ((DIM + 1,), *[(DIM + 1, DIM + 1)] * 3)


def prompts(*lead):
    x = torch.randn(*lead, BATCH, CONTEXT + 1, DIM)
    w = torch.randn(*lead, BATCH, DIM)
    return x, torch.einsum("...nd,...d->...n", x, w)


def drawing(steps):
    """The random numbers of one training alone."""
    return [sum(float(x.sum() + y.sum()) for x, y in (prompts() for _ in range(steps))) for _ in range(SEEDS)]


def query_only(params, x, y):
    """Predictions, reading out the query alone."""
    h, value, key, query = params
    u, m = value.T @ h, key.T @ query[:, :DIM] / CONTEXT
    tokens = torch.cat([x[:, :CONTEXT], y[:, :CONTEXT, None]], dim=2)
    weights = ((tokens @ u)[:, None] @ tokens)[:, 0] @ m
    return (weights * x[:, CONTEXT]).sum(1)


def full_map(params, x, y):
    """Predictions from the full attention map of every token, as a transformer does; the readout reads the label."""
    _, value, key, query = params
    labels = torch.cat([y[:, :CONTEXT], torch.zeros(len(x), 1)], dim=1)
    z = torch.cat([x, labels[:, :, None]], dim=2)
    attention = torch.einsum("bis,st,bjt->bij", z, key.T @ query, z)
    shown = z.clone()
    shown[:, CONTEXT] = 0
    return (z + torch.einsum("bij,bis,ts->bjt", attention, shown, value) / CONTEXT)[:, CONTEXT, DIM]


PROGRAMS = {"query_only": query_only, "full_map": full_map}


def loss_of(predict, params, x, y):
    return ((predict(params, x, y) - y[:, CONTEXT]) ** 2).mean()


def given_loss(name):
    """Loss of given parameters on given prompts."""
    params = [torch.from_numpy(DATA[f"param_{i}"]).to(DEVICE) for i in range(4)]
    x, y = (torch.from_numpy(DATA[part]).to(DEVICE) for part in ("x", "y"))
    return float(loss_of(PROGRAMS[name], params, x, y))


def rate(step, steps):
    return RATE * (1 + math.cos(math.pi * step / steps)) / 2


def eager(name, steps):
    """One seed after another; the last losses."""
    losses = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        params = [(torch.randn(shape) * SCALE / math.sqrt(DIM + 1)).requires_grad_() for shape in SHAPES]
        optimizer = torch.optim.Adam(params, lr=RATE)
        for step in range(steps):
            loss = loss_of(PROGRAMS[name], params, *prompts())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, CLIP)
            optimizer.param_groups[0]["lr"] = rate(step, steps)
            optimizer.step()
        losses.append(loss.item())
    return losses


def mapped(steps):
    """All seeds at once: torch.func.vmap of the gradient; Adam works entry by entry on the stacked parameters."""
    torch.manual_seed(0)
    params = [torch.randn(SEEDS, *shape) * SCALE / math.sqrt(DIM + 1) for shape in SHAPES]
    optimizer = torch.optim.Adam(params, lr=RATE)
    slope = vmap(grad(lambda params, x, y: loss_of(query_only, params, x, y)))
    for step in range(steps):
        x, y = prompts(SEEDS)
        slopes = slope(tuple(params), x, y)
        norm = sum((part**2).flatten(1).sum(1) for part in slopes).sqrt()
        shrink = CLIP / norm.clamp(min=CLIP)
        for param, part in zip(params, slopes, strict=True):
            param.grad = part * shrink.reshape(-1, *[1] * (part.dim() - 1))
        optimizer.param_groups[0]["lr"] = rate(step, steps)
        optimizer.step()
    x, y = prompts(SEEDS)
    return vmap(lambda params, x, y: loss_of(query_only, params, x, y))(tuple(params), x, y)
