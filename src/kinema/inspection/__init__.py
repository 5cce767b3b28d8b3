"""What networks cost and see: layers, parameters, multiply-adds, receptive fields."""
