"""Spark plumbing: annotation schema, params, distribution to executors, the base annotator."""
