"""The published tables: name, model, schedule, data, published numbers and weights."""
