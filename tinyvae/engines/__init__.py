"""How `fit` takes a step: in one process, in several, on ranks, on a GPU."""
