"""Sources, generated problems and the rows a model learns from."""
