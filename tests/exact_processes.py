"""Processes whose stationary density and current are known exactly."""

import numpy as np

import fokkerplanck as fp


def tensor(a, b, c):
    """[[a, b], [b, c]] of fields."""
    b = b + 0 * a
    return np.stack([np.stack([a, b]), np.stack([b, c + 0 * a])])


H1 = np.array([[2.0, 1.0], [1.0, 1.0]])
S1 = np.array([[5 / 6, -2 / 3], [-2 / 3, 7 / 6]])


def linear():
    """Ornstein–Uhlenbeck process whose noise does not commute with its drift."""
    process = fp.DiffusionProcess(lambda x: -np.tensordot(H1, x, 1), np.diag([1.0, 0.5]), dim=2)
    return process, fp.Box([-6, -7], [6, 7])


def swirl(interpretation="ito", eps=0.5, c=0.8):
    """Radial loss, bounded swirl of the noise: a Gaussian in both interpretations, with different currents."""

    def diffusion(x):
        r2 = x[0] ** 2 + x[1] ** 2
        off, along = x[0] ** 2 - x[1] ** 2, 2 * x[0] * x[1]
        return eps * tensor(1 - c * along / (1 + r2), c * off / (1 + r2), 1 + c * along / (1 + r2))

    return fp.DiffusionProcess(lambda x: -x, diffusion, dim=2, interpretation=interpretation), fp.Box([-5, -5], [5, 5])


def swirl_angular(r, interpretation="ito", eps=0.5, c=0.8):
    p = np.exp(-(r**2) / (2 * eps)) / (2 * np.pi * eps)
    if interpretation == "isothermal":
        return c * r**3 / (1 + r**2) * p
    return -c * r * (2 * eps * r**2 + 4 * eps - r**4 - r**2) / (1 + r**2) ** 2 * p


def swirl_current(x, interpretation="ito"):
    r = np.hypot(*x)
    return np.stack([-x[1], x[0]]) / r * swirl_angular(r, interpretation)


def heavy_swirl(eps=0.1, c=0.5, q=0.5):
    """The density decays as r^(−12.5)."""

    def diffusion(x):
        x, y = x
        a, off = 1 + x**2 + q * y**2 - 2 * c * x * y, (1 - q) * x * y + c * (x**2 - y**2)
        return eps * tensor(a, off, 1 + y**2 + q * x**2 + 2 * c * x * y)

    return fp.DiffusionProcess(lambda x: -x, diffusion, dim=2), fp.Box([-20, -20], [20, 20])


def heavy_swirl_current(x, eps=0.1, c=0.5, q=0.5):
    r2 = (x**2).sum(0)
    m = 1 + 1 / (2 * eps) + (1 - q) / 2
    p = (m - 1) / np.pi * (1 + r2) ** -m
    return np.stack([x[1], -x[0]]) * c * (4 * eps - (1 - eps - eps * q) * r2) / (1 + r2) * p


def tangential():
    """The density and current of ``linear`` with noise that depends on position."""

    def diffusion(x):
        v = np.stack([-(4 * x[0] + 5 * x[1]), 7 * x[0] + 4 * x[1]])
        return tensor(1 + 9 * v[0] ** 2 / 361, 9 * v[0] * v[1] / 361, 0.5 + 9 * v[1] ** 2 / 361)

    hessian = np.array([[47 / 19, 1.0], [1.0, 28 / 19]])
    process = fp.DiffusionProcess(lambda x: -np.tensordot(hessian, x, 1), diffusion, dim=2)
    return process, fp.Box([-6, -7], [6, 7])


def linear_current(x):
    p = np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, np.linalg.inv(S1), x)) / (2 * np.pi * np.sqrt(19 / 36))
    return np.stack([4 * x[0] + 5 * x[1], -7 * x[0] - 4 * x[1]]) / 19 * p


def vortices(beta=1.0, delta=0.0, s=1.0):
    """Quartic loss, p = N(0, sI) whatever β and δ; in detailed balance for β = δ."""
    kappa = (delta - beta) / 2

    def drift(x):
        x, y = x
        both = 0.5 * (beta + delta)
        return -np.stack([(1 - s * kappa) * x + both * x * y**2, (1 + s * kappa) * y + both * x**2 * y])

    def diffusion(x):
        return s * tensor(1 + beta * x[1] ** 2, 0.0, 1 + delta * x[0] ** 2)

    reach = 6 * np.sqrt(s)
    return fp.DiffusionProcess(drift, diffusion, dim=2), fp.Box([-reach, -reach], [reach, reach])


def vortices_current(x, beta=1.0, delta=0.0):
    p = np.exp(-0.5 * (x**2).sum(0)) / (2 * np.pi)
    return 0.5 * (delta - beta) * p * np.stack([x[0] * (1 - x[1] ** 2), -x[1] * (1 - x[0] ** 2)])


def vortices_loss(x, beta=1.0, delta=0.0, s=1.0):
    kappa = (delta - beta) / 2
    x, y = x
    return 0.5 * (1 - s * kappa) * x**2 + 0.5 * (1 + s * kappa) * y**2 + 0.25 * (beta + delta) * x**2 * y**2


def ring(interpretation="ito"):
    """Cosine potential on a circle with noise that depends on position."""
    if interpretation == "stratonovich":
        kwargs = {"noise": lambda x: np.sqrt(2 / (1 + 0.5 * np.sin(x) + 0.25 * np.cos(x)))[None]}
    else:
        kwargs = {"diffusion": lambda x: (1 / (1 + 0.5 * np.sin(x) + 0.25 * np.cos(x)))[None]}
    process = fp.DiffusionProcess(np.sin, dim=1, interpretation=interpretation, **kwargs)
    return process, fp.Box([0], [2 * np.pi], boundary="periodic")


def label_noise(a=(1.0, 1.0), eps=0.1):
    """SGD on linear regression with label noise: in detailed balance where the features are alike."""
    a = np.array(a)

    def diffusion(x):
        v = a.reshape(-1, *(1,) * (x.ndim - 1)) * x
        q = (v * x).sum(0) + 1.0
        return eps * tensor(v[0] ** 2 + q * a[0], v[0] * v[1], v[1] ** 2 + q * a[1])

    process = fp.DiffusionProcess(lambda x: -a.reshape(-1, *(1,) * (x.ndim - 1)) * x, diffusion, dim=2)
    return process, fp.Box([-9, -9], [9, 9])
