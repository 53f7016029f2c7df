"""PyTorch's ``.pth`` files read without unpickling: a machine of our own, and a table of what a pickle may name."""
