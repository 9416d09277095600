"""One file for each data set's layout: class names, colours, label conventions."""
