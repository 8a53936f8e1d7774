"""Forecasts of waits: the published pace of a line, and how good the forecasts were."""
