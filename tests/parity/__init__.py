"""Equality with the original frameworks: stand-in weights in, every step's numbers compared.

``python -m tests.parity`` runs every case in tests/golden and writes results/parity.csv.
"""
