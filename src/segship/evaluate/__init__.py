"""A Segmentor over a data set."""
