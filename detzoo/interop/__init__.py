"""Other toolboxes' weights brought to ours."""
