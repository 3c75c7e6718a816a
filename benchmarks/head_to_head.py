r"""Terms against each other at equal wall-clock: ``python -m benchmarks.head_to_head``.

Four tasks with known answers. Every method gets the same seconds, its inner loop included; judges
are independent of all of them. Higher scores are better.

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

Writes ``benchmarks/results/head_to_head.csv``.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchmist
from benchmarks.judges import mlp, probe_accuracy, probe_r2
from benchmarks.modality import _move
from benchmarks.rivals import RIVALS, Term

__all__ = ["TASKS", "main"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("task", "method", "seed", "score", "detail", "steps")
_RAMP = 0.1  # share of the time in which the weight of the term grows


def _train(
    parameters: list[Tensor], loss: Callable[[float], Tensor], learn: list[Callable[[], None]],
    seconds: float, rate: float = 2e-3,
) -> int:  # fmt: skip
    """Adam with a cosine over the seconds; ``loss`` gets the weight's ramp. Returns the steps."""
    optimizer = torch.optim.Adam(parameters, rate)
    start, steps = time.perf_counter(), 0
    while (share := (time.perf_counter() - start) / seconds) < 1:
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


def _term(method: str, dz: int, dy: int, lift: bool = False) -> tuple[Term, list[Tensor]]:
    """The term and parameters that it hands to the host's optimizer."""
    term = RIVALS["mist" if method == "mist-lift" else method](dz, dy)
    if method == "mist-lift":
        regularizer = torchmist.MIRegularizer(lift=dz)
        term.regularizer = regularizer  # type: ignore[attr-defined]
        return term, list(regularizer.parameters())
    return term, []


def _learner(term: Term, draw: Callable[[], tuple[Tensor, Tensor]]) -> list[Callable[[], None]]:
    def call() -> None:
        with torch.no_grad():
            z, y = draw()
        term.learn(z, y)

    return [call] * term.inner


def bottleneck(method: str, seed: int, seconds: float) -> tuple[float, str, int]:
    """The Gaussian information bottleneck at beta = 4."""
    d, beta = 4, 4.0
    rho = torch.tensor([0.95, 0.8, 0.6, 0.3])
    torch.manual_seed(seed)
    weight = nn.Parameter(0.5 * torch.randn(d, d))
    with_x, more = _term(method, d, d)
    with_y, _ = _term(method, d, d)

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        x = torch.randn(256, d)
        y = rho * x + (1 - rho.square()).sqrt() * torch.randn(256, d)
        return x, y, x @ weight.T + torch.randn(256, d)

    def loss(ramp: float) -> Tensor:
        x, y, z = draw()
        return with_x.term(z, x) - beta * with_y.term(z, y)

    learn = _learner(with_x, lambda: draw()[::-2]) + _learner(with_y, lambda: draw()[:0:-1])
    steps = _train([weight, *more], loss, learn, seconds, rate=2e-2)

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


def disentangle(method: str, seed: int, seconds: float) -> tuple[float, str, int]:
    """Two factors, one code for each."""
    torch.manual_seed(seed)
    mix = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 10)).requires_grad_(False)
    for p in mix.parameters():
        p.mul_(2)
    first, second = mlp(10, 4), mlp(10, 4)
    heads = nn.Linear(4, 1), nn.Linear(4, 1)
    term, more = _term(method, 4, 4)

    def draw(n: int = 256) -> tuple[Tensor, Tensor, Tensor]:
        f = torch.randn(n, 2)
        x = mix(f) + 0.05 * torch.randn(n, 10)
        return f, first(x) + 0.1 * torch.randn(n, 4), second(x) + 0.1 * torch.randn(n, 4)

    def loss(ramp: float) -> Tensor:
        f, a, b = draw()
        own = (heads[0](a) - f[:, :1]).square().mean() + (heads[1](b) - f[:, 1:]).square().mean()
        return own + 0.3 * ramp * term.term(a, b)

    learn = _learner(term, lambda: draw()[1:])
    modules = (first, second, *heads)
    steps = _train([p for m in modules for p in m.parameters()] + more, loss, learn, seconds)
    right, wrong = [], []
    for k in (0, 1):
        for own in (True, False):

            def view(n: int, k: int = k, own: bool = own) -> tuple[Tensor, Tensor]:
                f, *codes = draw(n)
                return codes[k], f[:, [k if own else 1 - k]]

            (right if own else wrong).append(probe_r2(view, steps=500))
    detail = f"right {np.mean(right):.3f}, wrong {np.mean(wrong):.3f}"
    return float(np.mean(right) - np.mean(wrong)), detail, steps


def fairness(method: str, seed: int, seconds: float) -> tuple[float, str, int]:
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
        term, more = _term(method, 4, 1)

        def draw(n: int, rows: Tensor, encoder: nn.Module = encoder) -> tuple[Tensor, ...]:
            chosen = rows[torch.randint(len(rows), (n,))]
            x = data[chosen] + 0.1 * torch.randn(n, 10)
            return encoder(x) + 0.1 * torch.randn(n, 4), sex[chosen], target[chosen]

        def loss(
            ramp: float, lam: float = lam, head: nn.Module = head, term: Term = term,
            draw: Callable[..., tuple[Tensor, ...]] = draw,
        ) -> Tensor:  # fmt: skip
            z, s, t = draw(256, train)
            return (head(z) - t).square().mean() + lam * ramp * term.term(z, s)

        learn = _learner(term, lambda draw=draw: draw(256, train)[:2])
        parameters = [*encoder.parameters(), *head.parameters(), *more]
        steps += _train(parameters, loss, learn, seconds / 4)
        with torch.no_grad():
            z, _, t = draw(20_000, test)
            r2 = float(1 - (head(z) - t).square().mean() / t.var())

        def probe(
            rows: Tensor, draw: Callable[..., tuple[Tensor, ...]] = draw
        ) -> Callable[[int], tuple[Tensor, Tensor]]:
            def sample(n: int) -> tuple[Tensor, Tensor]:
                z, s, _ = draw(n, rows)
                return z, s[:, 0].long()

            return sample

        found = probe_accuracy(probe(train), 2, test=probe(test), steps=300)
        points.append((lam, r2, found - float(torch.maximum(sex.mean(), 1 - sex.mean()))))
    detail = "; ".join(f"lam {a:g}: R2 {b:.2f}, sex {100 * c:+.0f} points" for a, b, c in points)
    return float(np.mean([b - max(0.0, c) for _, b, c in points])), detail, steps


def infomax(method: str, seed: int, seconds: float) -> tuple[float, str, int]:
    """Two views of a digit."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    source = load_digits()
    data, labels = torch.tensor(source.data / 16).float(), source.target
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)).numpy()
    train, test = order[:1200], order[1200:]
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8))
    term, _ = _term(method, 8, 8)
    g = torch.Generator().manual_seed(seed)

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.tensor(train)[torch.randint(len(train), (256,))]
        views = []
        for _ in range(2):
            image = _move(data[rows], g)
            views.append(encoder(image * (torch.rand(256, 64) > 0.2) + 0.1 * torch.randn(256, 64)))
        return views[0], views[1]

    learn = _learner(term, draw)
    steps = _train(list(encoder.parameters()), lambda ramp: -term.term(*draw()), learn, seconds)
    with torch.no_grad():
        codes = F.normalize(encoder(data) - encoder(data).mean(0), dim=-1).numpy()
    probe = LogisticRegression(max_iter=2000, C=10.0).fit(codes[train], labels[train])
    score = float(probe.score(codes[test], labels[test]))
    return score, f"linear probe {100 * score:.1f} %", steps


TASKS = {
    "bottleneck": bottleneck,
    "disentangle": disentangle,
    "fairness": fairness,
    "infomax": infomax,
}
METHODS = {
    "bottleneck": ("mist", "CLUB", "MINE", "InfoNCE", "HSIC", "adversary"),
    "disentangle": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "fairness": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "infomax": ("mist", "MINE", "InfoNCE", "HSIC", "dCor"),
}


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of training, for each method")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    path = options.out / "head_to_head.csv"
    rows = list(csv.DictReader(path.open(newline=""))) if path.is_file() else []
    done = {tuple(r[c] for c in COLUMNS[:3]) for r in rows}
    for task in options.tasks:
        for method in METHODS[task]:
            for seed in range(options.seeds):
                skipped = options.methods and method not in options.methods
                if skipped or (task, method, str(seed)) in done:
                    continue
                score, detail, steps = TASKS[task](method, seed, options.seconds)
                values = (task, method, str(seed), f"{score:.4f}", detail, str(steps))
                rows.append(dict(zip(COLUMNS, values)))
                print(*values, flush=True)
                with path.open("w", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(rows)
    for task in options.tasks:
        print(task)
        for method in METHODS[task]:
            scores = [
                float(r["score"]) for r in rows if r["task"] == task and r["method"] == method
            ]
            if scores:
                print(f"  {method:<10} {np.mean(scores):8.3f} +- {np.std(scores):.3f}")


if __name__ == "__main__":
    main()
