"""A model on disk and where it comes from: names and arrays, no Keras."""
