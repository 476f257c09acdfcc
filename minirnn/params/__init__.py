"""Named weights, states, descriptions and initialisers: what the NumPy half and the JAX half have in common."""

from minirnn.params.cells import (
    GRU_GATES,
    GRU_TWO_STATE_GATES,
    LSTM_GATES,
    MINGRU_GATES,
    MINLSTM_GATES,
    Array,
    Directions,
    GRUGates,
    GRUParams,
    GRUResetBeforeParams,
    GRUTwoState,
    GRUTwoStateGates,
    GRUTwoStateParams,
    LSTMGates,
    LSTMParams,
    LSTMSingleStateGates,
    LSTMState,
    MinGRUGates,
    MinGRUParams,
    MinLSTMGates,
    MinLSTMParams,
    Params,
    RNNGates,
    RNNParams,
    State,
    extra,
    gate_block,
    hidden,
    map_state,
    with_hidden,
)
from minirnn.params.checks import (
    check_lengths,
    check_sequence,
    check_state,
    check_states,
    check_step,
)
from minirnn.params.initialisers import (
    INITIALISERS,
    SCHEMES,
    glorot_uniform,
    init_gru,
    init_gru_reset_before,
    init_gru_two_state,
    init_lstm,
    init_mingru,
    init_minlstm,
    init_rnn,
    orthogonal,
    uniform,
)
from minirnn.params.networks import (
    DenseParams,
    Network,
    NetworkParams,
    init_dense,
    init_network,
)

__all__ = [name for name in dir() if not name.startswith("_")]
