"""XLM-RoBERTa and ALBERT over DataFrames of any size, in pure Python."""

__version__ = "0.1.0"
