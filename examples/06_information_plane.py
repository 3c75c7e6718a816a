"""The information plane of a small network on handwritten digits, epoch by epoch.

Two hidden layers of tanh learn ten classes (scikit-learn's digits, 1,797 images of 8 x 8 pixels).
After chosen epochs the plane holds I(X;T) and I(T;Y) of each layer, in nats, on 800 images that
were not trained on. The layers are deterministic, so that noise is added for the measurement; with
``--bins`` the units are binned instead. Needs ``pip install scikit-learn matplotlib``.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from torchmist.planes import InformationPlane


def main(argv: list[str] | None = None) -> None:
    """Train, print the table, write the figure."""
    parser = argparse.ArgumentParser(description="The information plane on digits")
    default = Path(__file__).parent / "output" / "06_information_plane.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=64, help="epochs")
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--bins", type=int, help="bins of every unit, in the place of noise")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    torch.manual_seed(args.seed)

    digits = load_digits()
    order = torch.randperm(len(digits.target))
    x = torch.tensor(digits.data / 16, dtype=torch.float32)[order]
    y = torch.tensor(digits.target)[order]
    x_train, y_train, x_test, y_test = x[:-800], y[:-800], x[-800:], y[-800:]

    model = nn.Sequential(
        nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 10)
    )
    noise = None if args.bins else args.noise
    plane = InformationPlane(model, ["1", "3"], noise=noise, bins=args.bins)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    measured = {0, args.steps, *(2**k for k in range(args.steps.bit_length()))}
    print("epoch layer  I(X;T) (90 %)            I(T;Y) (90 %)         nats")
    for epoch in range(args.steps + 1):
        if epoch in measured:
            plane.observe(x_test, y_test)
            for r in plane.measure(epoch):
                print(
                    f"{epoch:5d} {r.layer:>5}  {r.input:5.2f} ({r.input_low:5.2f} to "
                    f"{r.input_high:5.2f})   {r.target:5.2f} ({r.target_low:4.2f} to "
                    f"{r.target_high:4.2f})"
                )
        for rows in torch.randperm(len(x_train)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x_train[rows]), y_train[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        right = (model(x_test).argmax(1) == y_test).float().mean()
    print(f"right: {100 * right:.1f} % of 800 images; H(Y) is about log 10 = {math.log(10):.2f}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    plane.plot(args.out)
    print(f"figure: {args.out}")


if __name__ == "__main__":
    main()
