"""Run trained networks on files of any length and on live streams."""
