"""The layouts of data sets that can be listed, one module each."""
