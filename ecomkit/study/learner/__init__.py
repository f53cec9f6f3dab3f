"""A small learner, trained through replay: weights, gradients, and the training loop."""
