"""Activation functions in JAX; their derivatives come from JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sigmoid(z):
    """1 / (1 + exp(-z)), written with tanh so that it never overflows and all gates share one kind of function."""
    return 0.5 * (1.0 + jnp.tanh(0.5 * z))


def scale_blocks(z, *factors):
    """Multiplies equal blocks of columns of z (..., GH), one factor for each: z_1 * f_1, z_2 * f_2, ..."""
    return z * jnp.repeat(jnp.array(factors, z.dtype), z.shape[-1] // len(factors))


# Name -> phi.
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": sigmoid}
