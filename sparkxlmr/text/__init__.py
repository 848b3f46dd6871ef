"""Text to ids and back, and every pure text rule. Needs numpy and sentencepiece, nothing else."""
