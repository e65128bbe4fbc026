"""Random tanh networks in PyTorch, with their matrices; ``DATA`` has width, depth and number of networks."""

import torch

WIDTH, DEPTH, NETWORKS = (int(number) for number in DATA["sizes"])


def forward():
    """Kernels of the last layer."""
    found = []
    with torch.no_grad():
        for _ in range(NETWORKS):
            z = torch.randn(WIDTH)
            for _ in range(DEPTH - 2):
                z = torch.randn(WIDTH, WIDTH) @ torch.tanh(z) / WIDTH**0.5
            found.append(torch.tanh(z).square().mean())
    return torch.stack(found)


def both():
    """Kernels, and tangent kernels of all weights by differentiation."""
    found = []
    for _ in range(NETWORKS):
        inputs = torch.tensor([2.0**0.5, 0.0])
        weights = [torch.randn(WIDTH, 2, requires_grad=True)]
        weights += [torch.randn(WIDTH, WIDTH, requires_grad=True) for _ in range(DEPTH - 2)]
        weights += [torch.randn(WIDTH, requires_grad=True)]
        z = weights[0] @ inputs / 2**0.5
        for matrix in weights[1:]:
            h = torch.tanh(z)
            z = matrix @ h / WIDTH**0.5
        gradients = torch.autograd.grad(z, weights)
        found.append(torch.stack([h.detach().square().mean(), sum(g.square().sum() for g in gradients)]))
    return torch.stack(found).T
