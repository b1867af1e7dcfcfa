"""Stateless tensor maths."""
