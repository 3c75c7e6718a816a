"""Tasks of :mod:`benchmarks.head_to_head`, with known answers.

A task is called with the method, the seed, the seconds of training, the weights behind the terms of
this library and the learning rate; it returns its score (higher is better), what it says, and the
steps made.

* bottleneck: jointly Gaussian x, y in 4 columns, z = W x + e, minimise I(z; x) - beta I(z; y); the
  score is minus the excess of that objective, computed exactly from W, over the analytic optimum
  (Chechik et al. 2005).
* disentangle: two factors behind a nonlinear mixture, one code for each; minimise the errors of
  both plus the MI of the codes. Score: R^2 of the right factor minus that of the wrong one, by
  fresh probes.
* fairness: diabetes (scikit-learn); predict the progression, hide the sex. Score: area over the
  trade-off, the mean over weights of task R^2 minus the probe's accuracy above chance.
* infomax: two views of a digit (scikit-learn), maximise the MI of their codes. Score: accuracy of a
  linear probe.

``VIB`` (bottleneck only) bounds I(z; x) by the divergence from a standard normal and I(z; y) by a
decoder (Alemi et al. 2017).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judges import mlp, probe_accuracy, probe_r2
from benchmarks.modality_data import move_images
from benchmarks.rivals import Term, make_term

__all__ = ["TASKS", "bottleneck", "disentangle", "fairness", "infomax"]

_Three = tuple[Tensor, Tensor, Tensor]
_RAMP = 0.1  # share of the time in which the weight of the term grows


def _train(
    parameters: Iterable[Tensor], loss: Callable[[float], Tensor], learn: list[Callable[[], None]],
    seconds: float, rate: float,
) -> int:  # fmt: skip
    """Adam with a cosine over the seconds; ``loss`` gets the weight's ramp. Returns the steps."""
    optimizer = torch.optim.Adam(parameters, rate)
    start, steps = time.process_time(), 0
    while (share := (time.process_time() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for call in learn:
            call()
        value = loss(min(1.0, share / _RAMP))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        steps += 1
    return steps


def _learner(term: Term, draw: Callable[[], tuple[Tensor, Tensor]]) -> list[Callable[[], None]]:
    def call() -> None:
        with torch.no_grad():
            z, y = draw()
        term.learn(z, y)

    return [call] * term.inner


def bottleneck(
    method: str, seed: int, seconds: float, model: str, rate: float
) -> tuple[float, str, int]:  # fmt: skip
    """The Gaussian information bottleneck at beta = 4."""
    d, beta = 4, 4.0
    rho = torch.tensor([0.95, 0.8, 0.6, 0.3])
    torch.manual_seed(seed)
    weight = nn.Parameter(0.5 * torch.randn(d, d))

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        x = torch.randn(256, d)
        y = rho * x + (1 - rho.square()).sqrt() * torch.randn(256, d)
        return x, y, x @ weight.T + torch.randn(256, d)

    learned: list[Tensor]
    learn: list[Callable[[], None]]
    if method == "VIB":
        decoder, scale = nn.Linear(d, d), nn.Parameter(torch.zeros(d))

        def loss(ramp: float) -> Tensor:
            x, y, z = draw()
            divergence = 0.5 * (x @ weight.T).square().sum(-1).mean()
            error: Tensor = ((y - decoder(z)).square() * (-scale).exp() + scale).sum(-1).mean()
            return divergence + beta * 0.5 * error

        learned, learn = [weight, scale, *decoder.parameters()], []
    else:
        with_x, with_y = make_term(method, d, d, model), make_term(method, d, d, model)

        def loss(ramp: float) -> Tensor:
            x, y, z = draw()
            return with_x.term(z, x) - beta * with_y.term(z, y)

        learned = [weight, *with_x.host]
        learn = _learner(with_x, lambda: draw()[::-2]) + _learner(with_y, lambda: draw()[:0:-1])
    steps = _train(learned, loss, learn, seconds, 10 * rate)  # few weights, no network

    def objective(w: Tensor) -> Tensor:
        eye = torch.eye(d)
        given_y = w @ torch.diag(1 - rho.square()) @ w.T + eye
        whole = torch.logdet(w @ w.T + eye)
        return 0.5 * whole - beta * 0.5 * (whole - torch.logdet(given_y))

    best = 0.0
    for r in rho.tolist():
        free = 1 - r * r
        if beta > 1 / (r * r):
            gain = ((beta * (1 - free) - 1) / free) + 0  # squared weight of the eigenvector
            best += 0.5 * math.log1p(gain) * (1 - beta) + beta * 0.5 * math.log1p(free * gain)
    excess = float(objective(weight.detach())) - best
    return -excess, f"excess {excess:.3f} nats over {best:.3f}", steps


def disentangle(
    method: str, seed: int, seconds: float, model: str, rate: float
) -> tuple[float, str, int]:  # fmt: skip
    """Two factors, one code for each."""
    torch.manual_seed(seed)
    mix = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 10)).requires_grad_(False)
    for p in mix.parameters():
        p.mul_(2)
    first, second = mlp(10, 4), mlp(10, 4)
    heads = nn.Linear(4, 1), nn.Linear(4, 1)
    term = make_term(method, 4, 4, model)

    def draw(n: int = 256) -> tuple[Tensor, Tensor, Tensor]:
        f = torch.randn(n, 2)
        x = mix(f) + 0.05 * torch.randn(n, 10)
        return f, first(x) + 0.1 * torch.randn(n, 4), second(x) + 0.1 * torch.randn(n, 4)

    def loss(ramp: float) -> Tensor:
        f, a, b = draw()
        errors = heads[0](a) - f[:, :1], heads[1](b) - f[:, 1:]
        own: Tensor = errors[0].square().mean() + errors[1].square().mean()
        return own + 0.3 * ramp * term.term(a, b)

    learn = _learner(term, lambda: draw()[1:])
    modules = (first, second, *heads)
    learned = [p for m in modules for p in m.parameters()] + term.host
    steps = _train(learned, loss, learn, seconds, rate)
    right: list[float] = []
    wrong: list[float] = []
    for k in (0, 1):
        for own in (True, False):

            def view(n: int, k: int = k, own: bool = own) -> tuple[Tensor, Tensor]:
                f, *codes = draw(n)
                return codes[k], f[:, [k if own else 1 - k]]

            (right if own else wrong).append(probe_r2(view, steps=500))
    detail = f"right {np.mean(right):.3f}, wrong {np.mean(wrong):.3f}"
    return float(np.mean(right) - np.mean(wrong)), detail, steps


def fairness(
    method: str, seed: int, seconds: float, model: str, rate: float
) -> tuple[float, str, int]:  # fmt: skip
    """Diabetes: the whole trade-off over four weights, each with a quarter of the seconds."""
    from sklearn.datasets import load_diabetes

    source = load_diabetes()
    data = torch.tensor(source.data).float()
    data = (data - data.mean(0)) / data.std(0)
    sex = (data[:, 1] > 0).float()[:, None]
    target = torch.tensor(source.target).float()[:, None]
    target = (target - target.mean()) / target.std()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    train, test = order[:300], order[300:]
    points, steps = [], 0
    for lam in (0.1, 0.3, 1.0, 3.0):
        torch.manual_seed(seed)
        encoder, head = mlp(10, 4), nn.Linear(4, 1)
        term = make_term(method, 4, 1, model)

        def draw(n: int, rows: Tensor, encoder: nn.Module = encoder) -> _Three:
            chosen = rows[torch.randint(len(rows), (n,))]
            x = data[chosen] + 0.1 * torch.randn(n, 10)
            return encoder(x) + 0.1 * torch.randn(n, 4), sex[chosen], target[chosen]

        def loss(
            ramp: float, lam: float = lam, head: nn.Module = head, term: Term = term,
            draw: Callable[..., _Three] = draw,
        ) -> Tensor:  # fmt: skip
            z, s, t = draw(256, train)
            error: Tensor = (head(z) - t).square().mean()
            return error + lam * ramp * term.term(z, s)

        def codes(draw: Callable[..., _Three] = draw) -> tuple[Tensor, Tensor]:
            return draw(256, train)[:2]

        learn = _learner(term, codes)
        parameters = [*encoder.parameters(), *head.parameters(), *term.host]
        steps += _train(parameters, loss, learn, seconds / 4, rate)
        with torch.no_grad():
            z, _, t = draw(20_000, test)
            r2 = float(1 - (head(z) - t).square().mean() / t.var())

        def probe(
            rows: Tensor, draw: Callable[..., _Three] = draw
        ) -> Callable[[int], tuple[Tensor, Tensor]]:
            def sample(n: int) -> tuple[Tensor, Tensor]:
                z, s, _ = draw(n, rows)
                return z, s[:, 0].long()

            return sample

        found = probe_accuracy(probe(train), 2, test=probe(test), steps=300)
        points.append((lam, r2, found - float(torch.maximum(sex.mean(), 1 - sex.mean()))))
    detail = "; ".join(f"lam {a:g}: R2 {b:.2f}, sex {100 * c:+.0f} points" for a, b, c in points)
    return float(np.mean([b - max(0.0, c) for _, b, c in points])), detail, steps


def infomax(
    method: str, seed: int, seconds: float, model: str, rate: float
) -> tuple[float, str, int]:  # fmt: skip
    """Two views of a digit."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), source.target
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)).numpy()
    train, test = order[:1200], order[1200:]
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8))
    term = make_term(method, 8, 8, model)
    g = torch.Generator().manual_seed(seed)

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.tensor(train)[torch.randint(len(train), (256,))]
        views = []
        for _ in range(2):
            image = move_images(data[rows], g)
            views.append(encoder(image * (torch.rand(256, 64) > 0.2) + 0.1 * torch.randn(256, 64)))
        return views[0], views[1]

    learn = _learner(term, draw)
    learned = list(encoder.parameters())
    steps = _train(learned, lambda ramp: -term.term(*draw()), learn, seconds, rate)
    with torch.no_grad():
        codes = F.normalize(encoder(data) - encoder(data).mean(0), dim=-1).numpy()
    if not np.isfinite(codes).all():
        return math.nan, "diverged", steps
    probe = LogisticRegression(max_iter=2000, C=10.0).fit(codes[train], labels[train])
    score = float(probe.score(codes[test], labels[test]))
    return score, f"linear probe {100 * score:.1f} %", steps


TASKS = {
    "bottleneck": bottleneck,
    "disentangle": disentangle,
    "fairness": fairness,
    "infomax": infomax,
}
