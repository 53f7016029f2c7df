"""Readers, transforms, samplers and the loader."""
