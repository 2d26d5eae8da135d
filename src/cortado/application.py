"""The application."""


class Cortado:
    """Placeholder."""
