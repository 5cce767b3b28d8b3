"""Choose frames of a video and pixels of a frame: sampling, transforms and mixing."""
