"""Swin, ConvNeXt from MMDetection's settings."""
