"""Activation functions in JAX; their derivatives come from JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sigmoid(z):
    """1 / (1 + exp(-z)), written with tanh so that it never overflows and all gates share one kind of function."""
    return 0.5 * (1.0 + jnp.tanh(0.5 * z))


def tanh_blocks(z, scales):
    """Tanh of equal blocks of columns, each scaled first: z (..., GH) -> tanh(scales[k] * z_k) (..., H) for each k.

    One elementwise pass over the whole array, before it is split: on a CPU that is faster than one for each block.
    """
    factors = jnp.repeat(jnp.array(scales, z.dtype), z.shape[-1] // len(scales))  # (GH,)
    return jnp.split(jnp.tanh(z * factors), len(scales), axis=-1)


# Name -> phi.
ACTIVATIONS = {"identity": lambda z: z, "tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": sigmoid}
