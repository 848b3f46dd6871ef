"""The engines, siblings behind one protocol."""
