"""Ridge regression of all widths and ridges in PyTorch, as a user would write it."""

import torch

NAMES = ("train", "test", "labels", "targets", "widths", "ridges", "noise")
train, test, labels, targets, widths, ridges, noise = (torch.from_numpy(DATA[name]).to(DEVICE) for name in NAMES)


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


def cholesky():
    """The same: per width, one batch of factorisations over instances and ridges, in the smaller dimension."""
    errors = torch.empty(len(train), len(widths), len(ridges), dtype=torch.float64)
    for column, width in enumerate(widths.tolist()):
        scale = (train.shape[2] / width) ** 0.5
        features, modes = scale * train[:, :, :width], scale * test[:, :, :width]
        wide = width >= labels.shape[1]
        gram = features @ features.mT if wide else features.mT @ features
        right = labels[:, :, None] if wide else features.mT @ labels[:, :, None]
        shifted = gram[:, None] + ridges[None, :, None, None] * torch.eye(gram.shape[-1], dtype=torch.float64)
        solved = torch.cholesky_solve(right[:, None], torch.linalg.cholesky(shifted))[..., 0].mT
        theta = features.mT @ solved if wide else solved
        errors[:, column] = ((modes @ theta - targets[:, :, None]) ** 2).sum(1) + noise
    return errors
