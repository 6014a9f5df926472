"""The derivation, in reading order: arrays, layers (with parameters: all weights as one vector θ,
their gradient as one vector g), latent (the noise and the KL), likelihood, model, optim; beside
them columns (tables and missing cells) and iwae."""
