"""Batch jobs: what the command line and ``spark-submit`` run. Importing this starts nothing."""
