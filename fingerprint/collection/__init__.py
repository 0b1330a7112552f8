"""From a model to a recording: a plan, a store that loses nothing, and the loop between them."""
