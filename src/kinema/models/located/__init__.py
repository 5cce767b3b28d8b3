"""Networks that locate actions in the time of a video, on features of any other network."""
