"""MMDetection 2.x and 3.x models brought to ours: their config files, their weights files, their settings."""
