"""Losses as Keras Loss classes and as plain functions; computed in float32."""
