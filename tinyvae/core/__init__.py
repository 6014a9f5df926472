"""The derivation: arrays, layers, latent, likelihood, model, optim; beside them columns, iwae."""
