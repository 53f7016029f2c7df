"""Weights files of PyTorch and Paddle read without unpickling: a machine of our own, and what a pickle may name."""
