"""Compute a network with torch, OpenVINO or an exported file; write and check such files."""
