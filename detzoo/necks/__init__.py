"""Feature pyramids and other necks; told the channels of the backbone when built."""
