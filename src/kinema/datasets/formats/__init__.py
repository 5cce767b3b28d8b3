"""The layouts of data sets, one module each. A module defines `FORMAT`, see `kinema.datasets.format`."""
