"""Gates between the phases of a curriculum: what is checked, on which evidence, and whether a verdict still stands."""
