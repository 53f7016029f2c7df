"""From pictures to results and drawings."""
