"""The sub-commands of ``detzoo``: their options, and what each runs."""
