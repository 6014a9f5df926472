"""The derivation: arrays, layers, latent, likelihood, model, optim, and iwae beside them."""
