"""What computes a network: torch, OpenVINO, exported files; and what writes and checks these files."""
