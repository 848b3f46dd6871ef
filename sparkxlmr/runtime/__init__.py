"""Running a saved model: bundle, engines, batch planning, predictor. Knows no Spark."""
