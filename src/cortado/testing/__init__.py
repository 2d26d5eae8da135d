"""A test client on the test's own event loop, and fakes that keep the real promises."""
