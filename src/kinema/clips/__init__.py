"""Which frames of a video, and which pixels of a frame: sampling, transforms and mixing."""
