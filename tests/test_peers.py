"""PyTorch's recurrent layers, with our weights carried over: outputs, states and gradients."""

import numpy as np
import parity
import pytest

from minirnn import convert

pytestmark = pytest.mark.peers

# The cells that PyTorch has: not the logistic RNN, not the minimal ones.
TORCH = {"rnn", "lstm", "gru"}
VARIANTS = [v for v in parity.VARIANTS if v[0] in TORCH and v[1] != {"activation": "sigmoid"}]


def torch_layer(torch, case: parity.Case):
    """The torch layer that computes the same."""
    D, H = case.params.Wx.shape[0], case.params.Wh.shape[0]
    if case.cell == "rnn":
        layer = torch.nn.RNN(D, H, nonlinearity=case.options.get("activation", "tanh"))
    else:
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[case.cell](D, H)
    layer = layer.to(torch.float32 if case.params.Wx.dtype == np.float32 else torch.float64)
    layer.load_state_dict({name: torch.from_numpy(a) for name, a in convert.to_torch((case.params,)).items()})
    return layer


def by_torch(torch, case: parity.Case):
    """Outputs, final states and gradients of torch, in our names, orientation and sign of z."""
    layer = torch_layer(torch, case)
    xs = torch.tensor(case.xs, requires_grad=True)
    state = {name: torch.tensor(a[None], requires_grad=True) for name, a in parity.named("", case.state).items()}
    start = tuple(state.values()) if case.cell == "lstm" else state["h"]
    if case.lengths is None:
        ys, final = layer(xs, start)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(case.lengths), enforce_sorted=False)
        ys, final = layer(packed, start)
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=len(case.xs))
    finals = final if case.cell == "lstm" else (final,)
    loss = (ys * torch.tensor(case.dys)).sum()
    loss = loss + sum((f[0] * torch.tensor(d)).sum() for f, d in zip(finals, parity.named("", case.dstate).values()))
    loss.backward()
    outputs = {"ys": ys.detach().numpy(), **dict(zip(state, (f[0].detach().numpy() for f in finals)))}
    theirs = {name: parameter.grad.numpy() for name, parameter in layer.named_parameters()}
    (dparams,) = convert.from_torch(theirs, case.cell, gradients=True)
    grads = {**parity.named("", dparams), "xs": xs.grad.numpy()}
    return outputs, {**grads, **{f"state0.{name}": s.grad.numpy()[0] for name, s in state.items()}}


@pytest.mark.parametrize(("cell", "options"), VARIANTS, ids=lambda v: str(v or ""))
@pytest.mark.parametrize("lengths", [None, [6, 1, 4, 5]], ids=["full", "packed"])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_torch_gives_the_same_outputs_and_gradients(cell, options, lengths, dtype, bound, request):
    torch = pytest.importorskip("torch")
    if dtype == np.float64:
        request.getfixturevalue("x64")
    case = parity.make_case(cell, options, dtype=dtype, ragged=False)
    case.lengths = lengths if lengths is None else np.array(lengths)
    outputs, grads = by_torch(torch, case)
    ys, final = parity.readable_forward(case)[:2]
    parity.worst({"ys": ys, **parity.named("", final)}, outputs, bound)
    parity.worst(parity.by_hand(case), grads, bound)
    parity.worst(parity.by_jax(case), grads, bound)


@pytest.mark.parametrize("cell", sorted(TORCH))
def test_torch_agrees_on_long_sequences(cell):
    torch = pytest.importorskip("torch")
    case = parity.make_case(cell, T=512, D=7, H=16, dtype=np.float32, ragged=False)
    grads = by_torch(torch, case)[1]
    parity.worst(parity.by_hand(case), grads, 1e-5)
    parity.worst(parity.by_jax(case), grads, 1e-5)
