"""The OpenAPI document, made from the calls."""
