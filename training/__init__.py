"""Reproduces the meta-dataset, the training and the evaluation of the shipped weights."""
