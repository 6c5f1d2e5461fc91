"""What every visit runs: page configuration, navigation, and the sidebar that all pages share."""

import streamlit as st

from neuronlab.widgets import links, sidebar, state
from neuronlab.widgets.guard import guard

# A neuron: a cell body, its dendrites and its axon.
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#0072B2"
stroke-width="2" stroke-linecap="round"><circle cx="9" cy="9" r="4" fill="#0072B2"/>
<path d="M9 5V2M5 9H2M6 6 4 4M12 6l2-2M6 12l-2 2M12 12l7 7M19 19v3M19 19h3"/></svg>"""

# Until the first run of this file, Streamlit takes every file in pages/ for a page at the address
# of its name, and would open it there without the sidebar. So no address equals a file's name.
PAGES = {
    "": [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page(
            "pages/attribution.py",
            title="Which neurons made it say that?",
            icon=":material/neurology:",
            url_path="neurons",
        ),
        st.Page(
            "pages/value_query.py",
            title="Value and query neurons",
            icon=":material/account_tree:",
            url_path="writers",
        ),
        st.Page(
            "pages/methods.py",
            title="Which method finds the neurons?",
            icon=":material/compare:",
            url_path="compare",
        ),
        st.Page(
            "pages/knowledge.py",
            title="Where does each kind of knowledge live?",
            icon=":material/category:",
            url_path="kinds",
        ),
        st.Page(
            "pages/languages.py",
            title="One fact, many languages",
            icon=":material/translate:",
            url_path="tongues",
        ),
        st.Page(
            "pages/backup.py",
            title="Backup neurons",
            icon=":material/backup:",
            url_path="pairs",
        ),
        st.Page(
            "pages/classifier.py",
            title="Knowledge neurons of a protein classifier",
            icon=":material/biotech:",
            url_path="enzymes",
        ),
        st.Page(
            "pages/labels.py",
            title="What does each neuron know?",
            icon=":material/label:",
            url_path="known",
        ),
        st.Page(
            "pages/steering.py",
            title="Steer a protein",
            icon=":material/tune:",
            url_path="steer",
        ),
    ],
    "Manage": [
        st.Page("pages/runs.py", title="Runs", icon=":material/history:", url_path="history"),
        st.Page(
            "pages/models.py", title="Models", icon=":material/deployed_code:", url_path="catalogue"
        ),
    ],
}

# First of all: until there is an icon, a browser fetches that of the page from another host.
st.set_page_config(page_icon=ICON, layout="wide")
page = st.navigation(PAGES)
st.set_page_config(page_title="NeuronLab" if page.url_path == "" else f"{page.title} · NeuronLab")
# What a new run will replace is greyed all at once: to fade it keeps a core busy for a second, and
# the run it makes way for needs that core.
st.html("<style>.stMain * { transition-duration: 0s !important; }</style>")
state.start()
with guard():
    links.follow()
with guard():
    sidebar.draw()
with guard():
    page.run()
