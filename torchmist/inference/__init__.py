"""From a sample to its quantiles: what is left out, sizes beyond training, views, bounds."""
