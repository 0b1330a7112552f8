"""Small language models of known lineage: recipes for them, their trainer, and eight that ship with the package.

The population that a lineage method is measured on must contain pairs whose truth is known. Real models are documented
loosely, so this room trains its own: teachers, students, fine-tunes and, above all, the twins that look like students
because they read the same data.
"""

from __future__ import annotations

from fingerprint.zoo.card import Card, read_card
from fingerprint.zoo.recipe import Recipe, RecipeError, load_recipe, parse_recipe, shipped_recipes

__all__ = ["Card", "Recipe", "RecipeError", "load_recipe", "parse_recipe", "read_card", "shipped_recipes"]
