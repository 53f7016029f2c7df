"""Other toolboxes' models brought to ours."""
