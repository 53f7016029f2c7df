"""PaddleDetection models: configs and weights, of its static and dynamic-graph releases."""
