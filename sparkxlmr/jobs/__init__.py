"""Batch jobs for spark-submit."""
