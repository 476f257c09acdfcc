r"""Weights to and from PyTorch, Keras 3, flax (linen), equinox and haiku, as plain dictionaries of NumPy arrays.

The dictionaries carry each library's own names, so that the library itself reads and writes them; none of them is
imported here. What comes in is anything that ``np.asarray`` takes; what goes out is always a copy. dtypes stay.

A cell is named like its module in minirnn: ``"rnn"``, ``"lstm"``, ``"gru"`` (resets after the product),
``"gru_reset_before"``. No library has the other cells; ``LSTMParams`` are taken for those of ``lstm``.
An RNN's activation is not a weight: torch's ``nonlinearity``, Keras's ``activation`` and flax's ``activation_fn`` are
tanh unless told otherwise, haiku's is always relu (``forward(..., activation="relu")`` here).

What differs between the libraries, apart from names and orientation:

- *Order and sign of the gates.* The table :data:`BLOCKS`. PyTorch, Keras, flax and equinox compute the GRU as
  ``h = z h' + (1-z) n``, minirnn and haiku as ``h = (1-z) h' + z n``. Since sigma(-a) = 1 - sigma(a), negating the z
  columns of Wx, Wh and b turns one into the other exactly.
- *Two biases where one would do* (torch; Keras's GRU with ``reset_after=True``; haiku's VanillaRNN). Both are only ever
  added, so they cannot be told apart: on the way in they are merged into their sum, on the way out the first (the
  input's) carries the sum and the second is zero. The second bias of a GRU's candidate is no such case: it is ``b_hn``.
- *haiku's LSTM adds 1 to the forget gate* in every step; here that 1 is stored in ``b``. Adding and subtracting it
  rounds: the forget bias comes back to within a rounding of the larger of 1 and itself. Every other array comes back
  bit for bit.
- *No bias* is read as a bias of zeros; written it is with ``bias=False``, which refuses biases that are not zero.

*Gradients.* Weights in are w = A v (+ 1), weights out v = B w (- 1), with A and B linear and A B = 1. For a loss of v
the gradients are dv = A^T dw and dw = B^T dv. Where nothing is merged, A and B only reorder and change signs, so that
A^T = B and B^T = A: gradients go through the same functions as weights. Of two merged biases each has the whole
gradient db, which their sum would count twice; and haiku's 1 has no gradient. ``gradients=True`` minds both on the way
in. On the way out the second bias has the gradient of the first (but in a GRU's candidate), where these functions put
zero; and ``to_haiku`` has taken 1 off the LSTM's forget gate.

Dimension letters: D input size, H hidden size, G gates.
"""

from minirnn.convert.blocks import BLOCKS
from minirnn.convert.equinox import from_equinox, to_equinox
from minirnn.convert.flax import from_flax, to_flax
from minirnn.convert.haiku import from_haiku, to_haiku
from minirnn.convert.keras import from_keras, to_keras
from minirnn.convert.torch import from_torch, to_torch

__all__ = [
    "BLOCKS",
    "from_equinox",
    "from_flax",
    "from_haiku",
    "from_keras",
    "from_torch",
    "to_equinox",
    "to_flax",
    "to_haiku",
    "to_keras",
    "to_torch",
]
