"""One binder for requests, handshakes and messages: signatures compiled to binding plans."""
