"""The OpenAPI document, built from the calls."""
