"""WebSocket endpoints and the sessions behind them."""
