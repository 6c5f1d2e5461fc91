"""The door: the web server, which runs dashboard.py for whoever it lets in."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from neuronlab.widgets.server import Addresses, Doorkeeper, opened
from pages import HOME, PAGES

# The files in pages/ are no pages of their own. Else a fresh server's first request, where it is a
# link to a page, is told that there is no such page.
PagesManager.uses_pages_directory = False

# Streamlit finds this object by reading the file: see its `app_discovery`.
app = st.App(
    Path(__file__).with_name("dashboard.py"),
    lifespan=opened,
    middleware=[
        Middleware(Doorkeeper),
        Middleware(
            Addresses,
            {page.name for page in PAGES},
            # Of its own name Streamlit's default page knows nothing.
            {HOME.name: ""} | {page.former: page.name for page in PAGES if page.former},
        ),
    ],
)
