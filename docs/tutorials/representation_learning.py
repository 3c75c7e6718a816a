# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An experiment in representation learning
#
# Real images (scikit-learn's 8 x 8 digits). An encoder is trained to tell digits apart, and on the
# way it picks up something it should not: each image was brightened by an amount that says nothing
# of the digit. One line asks the code to forget it. A fresh probe judges, not the estimator that
# was climbed.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import nn

import torchmist

rng = np.random.default_rng(0)
raw = load_digits()
order = rng.permutation(len(raw.target))
labels = torch.tensor(raw.target[order])
style = torch.tensor(rng.uniform(0, 1, size=(len(order), 1))).float()
images = torch.tensor(raw.images[order] / 16).float().flatten(1) + style
train, test = slice(0, 1200), slice(1200, None)

figure, axes = plt.subplots(1, 6, figsize=(8, 1.8))
for axis, image, s in zip(axes, images, style):
    axis.imshow(image.view(8, 8), vmin=0, vmax=2, cmap="gray")
    axis.set(title=f"style {float(s):.2f}", xticks=[], yticks=[])

# %% [markdown]
# The code has 8 columns, with a little noise: the information of a noiseless code about what it
# encodes is infinite. The weight of the term grows over the first tenth of the steps: a code that
# says little of its task yet can lose all it holds to a term at full weight.


# %%
def learn(strength: float, steps: int = 200) -> tuple[torch.Tensor, list[float]]:
    """Codes of all images, and the estimate of I(code; style) along the way, in nats."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 8))
    head = nn.Linear(8, 10)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 2e-3)
    seen, warmup = [], steps // 10
    for step in range(steps):
        batch = torch.randint(1200, (200,))
        code = encoder(images[batch])
        code = code + 0.1 * torch.randn_like(code)
        loss = nn.functional.cross_entropy(head(code), labels[batch])
        information = torchmist.mist_mi(code, style[batch])
        weight = strength * min(1.0, (step + 1) / warmup)
        loss = loss + weight * information
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            seen.append(information.item())
    with torch.no_grad():
        code = encoder(images)
        return code + 0.1 * torch.randn_like(code), seen


plain, seen_plain = learn(0.0)
forgetful, seen_forgetful = learn(0.1)

# %%
figure, axis = plt.subplots(figsize=(5, 3))
axis.plot(range(0, 200, 10), seen_plain, label="without the term")
axis.plot(range(0, 200, 10), seen_forgetful, label="with the term")
axis.set(xlabel="step", ylabel="I(code; style), nats")
axis.legend()

# %% [markdown]
# ## A probe that has not seen the training judges
#
# Nearest neighbours of the code predict the digit (should work) and the style (should not).


# %%
def judge(code: torch.Tensor) -> tuple[float, float]:
    """Accuracy for the digit, and R^2 for the style, on held-out images."""
    digit = KNeighborsClassifier(10).fit(code[train], labels[train])
    look = KNeighborsRegressor(10).fit(code[train], style[train])
    return digit.score(code[test], labels[test]), look.score(code[test], style[test])


scores = {"without the term": judge(plain), "with the term": judge(forgetful)}
for name, (digit, look) in scores.items():
    print(f"{name:17s} digit {digit:.2f}, style R^2 {look:.2f}")

# %% [markdown]
# The estimate on held-out images tells the same, with an interval.

# %%
for name, code in (("without", plain), ("with", forgetful)):
    result = torchmist.estimate(code[test], style[test])
    low, high = result.interval(0.9)
    print(f"{name:8s} I(code; style) = {result.mean:.2f} nats, {low:.2f} to {high:.2f}")

# %%
(digit_plain, style_plain), (digit_with, style_with) = scores.values()
assert style_with < 0.5 * style_plain and digit_with > digit_plain - 0.1

# %% [markdown]
# The digit has no use for the style. Where the task gains by what is removed, a weight is a choice
# between both, and a fresh probe at the end says what is left ([trust](../trust.md)).
