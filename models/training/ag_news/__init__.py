"""How the two AG News models are made and measured; each model's folder holds its own numbers and scripts."""
