"""Objects drawn on their pictures."""
