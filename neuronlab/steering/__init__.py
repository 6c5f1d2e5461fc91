"""Steer protein generation through neurons: choose them, generate, and see what it cost."""
