"""Does the tree show the true pedigrees?  Pairs and groups of a zoo against its cards, beside the trees of peers.

Truth is a directed graph. Its groups are each model that has descendants, together with them; a pair is related if it has
an ancestor in common.
"""
