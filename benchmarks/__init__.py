"""Measured comparisons; each module writes its numbers to ``results/``."""
