"""The numbers of this model's recipe; `training/ag_news/recipe.py` says what they mean."""

from __future__ import annotations

from ag_news.recipe import Recipe

RECIPE = Recipe(family="albert", embedding_dim=64, hidden_dim=128)
