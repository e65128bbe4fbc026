"""Ridge regression of all widths and ridges in PyTorch, as a user would write it."""

import torch

train, test, labels, targets, widths, ridges, noise = (
    torch.from_numpy(DATA[name]) for name in ("train", "test", "labels", "targets", "widths", "ridges", "noise")
)


def eager():
    """Population risks, [instances, widths, ridges]: one eigendecomposition per width serves all ridges."""
    errors = torch.empty(len(train), len(widths), len(ridges), dtype=torch.float64)
    for row, (phi, psi, y, target) in enumerate(zip(train, test, labels, targets, strict=True)):
        for column, width in enumerate(widths.tolist()):
            scale = (phi.shape[1] / width) ** 0.5
            features, modes = scale * phi[:, :width], scale * psi[:, :width]
            if width < len(y):
                s, vectors = torch.linalg.eigh(features.T @ features)
                theta = vectors @ ((vectors.T @ (features.T @ y))[:, None] / (s[:, None] + ridges))
            else:
                s, vectors = torch.linalg.eigh(features @ features.T)
                theta = features.T @ (vectors @ ((vectors.T @ y)[:, None] / (s[:, None] + ridges)))
            errors[row, column] = ((modes @ theta - target[:, None]) ** 2).sum(0) + noise
    return errors
