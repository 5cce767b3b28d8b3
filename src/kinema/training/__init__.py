"""Training: the visible loop, transfer learning, losses, optimisers, and a state that survives being killed."""
