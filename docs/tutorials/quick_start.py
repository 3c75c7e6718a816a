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
# # Quick start
#
# Estimate the mutual information of a sample with an interval, read what the estimate says, and
# compare it with a truth that is known.

# %%
import numpy as np

import torchmist

rng = np.random.default_rng(0)
x = rng.normal(size=(400, 3))
y = x + rng.normal(size=(400, 3))
result = torchmist.estimate(x, y)
print(result)

# %% [markdown]
# The truth is 3/2 log 2 = 1.04 nats: each of three columns is seen through noise of its own size.

# %%
truth = 1.5 * np.log(2)
low, high = result.interval(0.9)
print(f"truth {truth:.2f}, mean {result.mean:.2f}, 90 % interval {low:.2f} to {high:.2f} nats")

# %%
assert abs(result.mean - truth) < 0.3 and result.quantile(0.02) < truth < result.quantile(0.98)

# %% [markdown]
# Divide by `log 2` for bits. Any quantile can be asked for: a cautious reader who wants to be told
# at most what the sample supports takes a low one.

# %%
print(f"{result.mean / np.log(2):.2f} bits; 5 % quantile {result.quantile(0.05):.2f} nats")

# %% [markdown]
# ## Units, order and scale do not matter
#
# Mutual information is unchanged by increasing maps of single columns, by the order of columns and
# by the swap of both sides, and so is the estimate, exactly.

# %%
warped = np.exp(3 * x[:, ::-1])
moved = torchmist.estimate(y, warped).mean - result.mean
print(f"moved by {abs(moved):.1e} nats")

# %%
assert abs(moved) < 1e-3

# %% [markdown]
# ## Labels
#
# Integers, booleans and categoricals are class labels, on either side. Their entropy bounds the
# estimate.

# %%
labels = rng.integers(3, size=400)
z = rng.normal(size=(400, 2)) + 3 * labels[:, None]
print(torchmist.estimate(z, labels), f"entropy of the labels {np.log(3):.2f}")

# %% [markdown]
# ## More samples, narrower intervals
#
# A wave of several periods under noise. Its truth is an integral on a grid: the entropy of y less
# that of the noise. With 50 samples nothing in the estimate tells that there is a wave: an
# interval says how far the estimates of samples like this one spread, and a sample with a faint
# wave looks like one without. See [what can go wrong](../tutorials/what_can_go_wrong.md).

# %%
grid = np.linspace(-3, 3, 2001)
waves = np.sin(2 * np.pi * rng.normal(size=20000))
density = np.exp(-((grid[:, None] - waves) ** 2) / (2 * 0.5**2)).mean(1)
density /= np.trapezoid(density, grid) if hasattr(np, "trapezoid") else np.trapz(density, grid)
entropy = -(density * np.log(density)).sum() * (grid[1] - grid[0])
print(f"truth {entropy - 0.5 * np.log(2 * np.pi * np.e * 0.5**2):.2f} nats")
for n in (50, 200, 1000, 5000):
    x = rng.normal(size=(n, 1))
    y = np.sin(2 * np.pi * x) + 0.5 * rng.normal(size=(n, 1))
    r = torchmist.estimate(x, y)
    low, high = r.interval(0.9)
    print(f"n = {n:5d}: {r.mean:.2f} nats, {low:.2f} to {high:.2f}")

# %% [markdown]
# ## Many pairs at once
#
# A batch `[B, N, d]` is one call.

# %%
rho = np.linspace(0, 0.9, 7)[:, None, None]
x = rng.normal(size=(7, 500, 1))
y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
found, exact = torchmist.estimate(x, y).mean, -0.5 * np.log(1 - rho[:, 0, 0] ** 2)
for r, f, e in zip(rho[:, 0, 0], found, exact):
    print(f"correlation {r:.2f}: {f:.3f}, exact {e:.3f}")

# %%
assert np.abs(found - exact).max() < 0.15
