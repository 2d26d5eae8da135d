"""Beans: Spring's container semantics on dependency-injector providers."""
