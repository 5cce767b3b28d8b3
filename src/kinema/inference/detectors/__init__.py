"""Find persons in frames: detectors of torchvision by name, ONNX files, Python functions, and boxes from files."""
