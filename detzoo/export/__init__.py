"""From detectors to files that run elsewhere, and what runs such a file by the same calls."""
