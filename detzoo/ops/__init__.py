"""Tensors in, tensors out: no parameters, no settings."""
