"""Networks from a sample to quantiles of its information, and the estimators beside them."""
