"""Keras 3 models: encoder layers, backbones, heads, preprocessors, tasks."""
