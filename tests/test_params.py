"""The small helpers of params.py. Initialisers: test_initialisers.py; descriptions of networks: test_network.py."""

import numpy as np
import pytest

from minirnn import fast, params, readable


def test_network_layers_read_each_other():
    network = params.stack("lstm", hidden_size=6, num_layers=3, output_size=2, dropout=0.1)
    p = readable.network.init(0, network, input_size=4)
    assert [layer.weights.Wx.shape for layer in p.layers if layer] == [(4, 24), (6, 24), (6, 24)]
    assert (p.head.W.shape, p.head.b.shape) == ((6, 2), (2,))
    both = params.stack("lstm", hidden_size=6, num_layers=2, bidirectional=True)
    p = readable.network.init(0, both, input_size=4)
    assert [layer.weights.backward.Wx.shape for layer in p.layers] == [(4, 24), (12, 24)]
    assert p.head.W.shape == (12, 1)


def test_step_checks_shapes():
    p = readable.lstm.init(0, 3, 5)
    state = readable.lstm.initial_state(p, 2)
    for half in (readable, fast):
        with pytest.raises(ValueError, match=r"x has shape \(2, 4\); expected \(B, D\) with D = 3"):
            half.lstm.step(p, np.zeros((2, 4), np.float32), state)
        with pytest.raises(ValueError, match=r"state.h has shape \(2, 5\); expected \(B, H\) = \(3, 5\)"):
            half.lstm.step(p, np.zeros((3, 3), np.float32), state)
