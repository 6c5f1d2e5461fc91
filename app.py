"""The door: the web server, which runs dashboard.py for whoever it lets in."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from neuronlab.widgets.server import Doorkeeper, opened

# Streamlit finds this object by reading the file: see its `app_discovery`.
app = st.App(
    Path(__file__).with_name("dashboard.py"), lifespan=opened, middleware=[Middleware(Doorkeeper)]
)
