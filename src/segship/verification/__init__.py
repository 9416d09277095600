"""One comparison of an engine with the network it was made of, and the gates that a comparison has to pass."""
