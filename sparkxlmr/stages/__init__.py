"""The Spark ML stages, one file a stage: declarations and column arithmetic."""
