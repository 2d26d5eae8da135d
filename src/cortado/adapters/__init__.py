"""Where Cortado meets ASGI, Starlette and the servers."""
