"""The cells of this half by name."""

from __future__ import annotations

from types import ModuleType

from minirnn.readable import gru, gru_reset_before, gru_two_state, lstm, lstm_single_state, mingru, minlstm, rnn

CELLS: dict[str, ModuleType] = {
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "lstm_single_state": lstm_single_state,
    "gru_reset_before": gru_reset_before,
    "gru_two_state": gru_two_state,
    "mingru": mingru,
    "minlstm": minlstm,
}
