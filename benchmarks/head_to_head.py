r"""Terms against each other at equal wall-clock: ``python -m benchmarks.head_to_head``.

Four tasks with known answers. Every method gets the same seconds of processor time of one thread,
its inner loop included; judges are independent of all of them. Higher scores are better. How fast a
host may learn depends on the term (a critic has to keep up with it), so each method first chooses
its learning rate, of four, by the mean score on two seeds that are not reported.

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
decoder (Alemi et al. 2017). Writes ``benchmarks/results/head_to_head.csv`` row by row, the rows of
the choice (seeds from 100) as well; a killed run goes on.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.judges import mlp, probe_accuracy, probe_r2
from benchmarks.modality import _move
from benchmarks.records import Records, exact_name
from benchmarks.rivals import Term, is_ours, make_term

__all__ = ["CHOICE", "TASKS", "main", "summary"]

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("task", "method", "seed", "model", "seconds", "rate", "score", "detail", "steps")
_KEYS = 6
CHOICE = (100, 101)
"""Seeds on which the learning rate is chosen."""
_RATES = (0.001, 0.002, 0.005, 0.01)
_RAMP = 0.1  # share of the time in which the weight of the term grows


def _train(
    parameters: list[Tensor], loss: Callable[[float], Tensor], learn: list[Callable[[], None]],
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

    if method == "VIB":
        decoder, scale = nn.Linear(d, d), nn.Parameter(torch.zeros(d))

        def loss(ramp: float) -> Tensor:
            x, y, z = draw()
            divergence = 0.5 * (x @ weight.T).square().sum(-1).mean()
            error = ((y - decoder(z)).square() * (-scale).exp() + scale).sum(-1).mean()
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
        own = (heads[0](a) - f[:, :1]).square().mean() + (heads[1](b) - f[:, 1:]).square().mean()
        return own + 0.3 * ramp * term.term(a, b)

    learn = _learner(term, lambda: draw()[1:])
    modules = (first, second, *heads)
    learned = [p for m in modules for p in m.parameters()] + term.host
    steps = _train(learned, loss, learn, seconds, rate)
    right, wrong = [], []
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
        parameters = [*encoder.parameters(), *head.parameters(), *term.host]
        steps += _train(parameters, loss, learn, seconds / 4, rate)
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
            image = _move(data[rows], g)
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
METHODS = {
    "bottleneck": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "adversary", "VIB"),
    "disentangle": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "fairness": ("mist", "mist-lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "adversary"),
    "infomax": ("mist", "MINE", "InfoNCE", "HSIC", "dCor"),
}


class _Runs:
    """Runs of one method at one task, recorded; those of an earlier call are not made again."""

    def __init__(
        self, records: Records, task: str, method: str, seconds: int, model: str
    ) -> None:  # fmt: skip
        self.records, self.task, self.method = records, task, method
        self.seconds, self.model = seconds, model
        self.name = exact_name(model) if is_ours(method) else "-"

    def score(self, seed: int, rate: float) -> float:
        """The score at this learning rate."""
        key = (self.task, self.method, seed, self.name, self.seconds, rate)
        if not self.records.has(*key):
            found = TASKS[self.task](self.method, seed, self.seconds, self.model, rate)
            self.records.add(*key, *found)
        return float(self.records.row(*key)["score"])

    def best_rate(self) -> float:
        """Of the learning rates, the one with the best mean score on the seeds of the choice.

        A run that diverged has no score, and its rate is not chosen.
        """
        means = [np.mean([self.score(seed, rate) for seed in CHOICE]) for rate in _RATES]
        return _RATES[int(np.nanargmax(means))]


def summary(records: Records) -> list[str]:
    """Mean and spread of the scores over the seeds that are reported, best first."""
    lines = []
    for task in TASKS:
        cells: dict[str, list[float]] = {}
        for row in records:
            if row["task"] == task and int(row["seed"]) not in CHOICE:
                label = f"{row['method']:<12} {row['model']:<13} {row['seconds']:>3} s"
                cells.setdefault(label, []).append(float(row["score"]))
        lines += [task] * bool(cells)
        lines += [
            f"  {label}  {np.mean(scores):7.3f} +- {np.std(scores):.3f}"
            for label, scores in sorted(cells.items(), key=lambda c: -np.mean(c[1]))
        ]
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mist-fast", help="name or path of the weights")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of training, for each method")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message="torchmist: ")
    torch.set_num_threads(1)
    records = Records(options.out / "head_to_head.csv", COLUMNS, _KEYS)
    for task in options.tasks:
        for method in options.methods or METHODS[task]:
            if method in METHODS[task]:
                runs = _Runs(records, task, method, options.seconds, options.model)
                rate = runs.best_rate()
                for seed in range(options.seeds):
                    runs.score(seed, rate)
    print("\n".join(summary(records)))


if __name__ == "__main__":
    main()
