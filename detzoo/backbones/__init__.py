"""Feature extractors, one file per family; each knows its own channels and strides."""
