"""PyTorch's recurrent layers, with our weights carried over: outputs, states and gradients."""

import numpy as np
import parity
import peers
import pytest

pytestmark = pytest.mark.peers

VARIANTS = [variant for variant in parity.VARIANTS if peers.in_torch(*variant)]


@pytest.mark.parametrize(("cell", "options"), VARIANTS, ids=lambda v: str(v or ""))
@pytest.mark.parametrize("lengths", [None, peers.LENGTHS], ids=["full", "packed"])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_torch_gives_the_same_outputs_and_gradients(cell, options, lengths, dtype, bound, request):
    pytest.importorskip("torch")
    if dtype == np.float64:
        request.getfixturevalue("x64")
    peers.torch_error(cell, options, bound, lengths=lengths, dtype=dtype)


@pytest.mark.parametrize("cell", peers.STACKED)
def test_torch_agrees_on_long_sequences(cell):
    pytest.importorskip("torch")
    case = parity.make_case(cell, T=512, D=7, H=16, dtype=np.float32, ragged=False)
    grads = peers.by_torch(case)[1]
    parity.worst(parity.by_hand(case), grads, 1e-5)
    parity.worst(parity.by_jax(case), grads, 1e-5)
