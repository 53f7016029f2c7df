"""PaddleDetection's models -> ours."""
