"""Running trained networks: on data sets, on files of any length, and live."""
