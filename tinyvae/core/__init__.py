"""The derivation, in reading order: arrays, layers (with parameters: all weights as one vector θ,
their gradient as one vector g), latent, likelihood, model, optim; columns and iwae beside them."""
