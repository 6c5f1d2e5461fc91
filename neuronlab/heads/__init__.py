"""Heads on the fetched ESM-2 trunk that come with the project, and what trained them.

Each file is a script (``python -m neuronlab.heads.masked``); what it wrote is in ``models/data``
and ``proteins/data``, beside a card with its data, settings and metrics.
"""
