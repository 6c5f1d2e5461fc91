"""What every visit runs: page configuration, navigation, and the sidebar that all pages share."""

import streamlit as st

from neuronlab.figures.colours import GROUND
from neuronlab.models.catalogue import entry
from neuronlab.widgets import boxes, exports, links, sidebar, state, suited, terms
from neuronlab.widgets.guard import guard
from neuronlab.widgets.page import header
from neuronlab.widgets.suited import Needs
from pages import HOME, PAGES

# A neuron: a cell body, its dendrites and its axon.
DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} 24" fill="none"
stroke="#2B87C8" stroke-width="2" stroke-linecap="round">
<circle cx="9" cy="9" r="4" fill="#2B87C8"/>
<path d="M9 5V2M5 9H2M6 6 4 4M12 6l2-2M6 12l-2 2M12 12l7 7M19 19v3M19 19h3"/>{word}</svg>"""
ICON = DRAWING.format(wide=24, word="")
WORD = """<text x="32" y="18" font-family="sans-serif" font-size="18" font-weight="700"
stroke="none" fill="#2B87C8">NeuronLab</text>"""

# First of all: until there is an icon, a browser fetches that of the page from another host.
st.set_page_config(page_icon=ICON, layout="wide", initial_sidebar_state=260)
# One list: of sections Streamlit makes one that is none to a screen reader.
opened = [
    st.Page(
        entry.path,
        title=entry.title,
        icon=entry.symbol,
        url_path=entry.name,
        default=entry is HOME,
    )
    for entry in PAGES
]
page = st.navigation(opened, expanded=True)
shown = next(entry for entry in PAGES if entry.name == (page.url_path or HOME.name))
st.set_page_config(page_title="NeuronLab" if shown is HOME else f"{shown.title} · NeuronLab")
st.logo(DRAWING.format(wide=150, word=WORD), size="large", icon_image=ICON)
# What a new run will replace is greyed all at once: to fade it keeps a core busy for a second, and
# the run it makes way for needs that core.
STYLE = ".stMain * { transition-duration: 0s !important; }"
# A link to a page has its whole title, on two lines where it must.
STYLE += ".stPageLink p, .stPageLink span { white-space: normal; }"
STYLE += "[data-testid='stSidebarNavLink'] { height: auto; }"
STYLE += "[data-testid='stSidebarNavLink'] * { white-space: normal !important; line-height: 1.3; }"
# A title begins where the page does, and what stands above it is clear of the browser's tool bar.
STYLE += (
    ".stMainBlockContainer { padding-top: 3.5rem; } .stMainBlockContainer h1 { padding-top: 0; }"
)
# Both themes at once, since a person may change theirs while the page stands. The card of a neuron
# stays in view beside what is clicked; on a phone it comes up from below. What is chosen is written
# in the colour of buttons, which on a dark page is too dark to read. Captions and labels, also of
# what is switched off, are as dark as reading them takes. Tables and files behind a figure are a
# quiet word in its corner. Badges have all of their words, on two lines where they must.
(page_light, ink_light), (page_dark, ink_dark) = GROUND[False], GROUND[True]
STYLE += f"""
.stApp {{
  --page: light-dark({page_light}, {page_dark});
  --ink: light-dark({ink_light}, {ink_dark});
}}
[data-selected="true"] p, [data-testid="stSliderThumbValue"] {{
  color: light-dark(#0B6AA8, #6CBBEF);
}}
[data-testid="stCaptionContainer"] *, [data-testid="stWidgetLabel"] p {{
  opacity: 1 !important; color: color-mix(in srgb, var(--ink) 78%, var(--page));
}}
[data-testid="stCaptionContainer"] {{ opacity: 1 !important; }}
[class*="st-key-files_"] {{ margin-top: -1.1rem; }}
[class*="st-key-files_"] button {{ min-height: 1.5rem; padding: 0 0.3rem; }}
[class*="st-key-files_"] button p {{ font-size: 0.8rem; }}
.stMarkdownBadge {{ white-space: normal !important; }}
.st-key-close_neuron {{ display: none; }}
.st-key-boxes, .st-key-terms, .st-key-answers_in_tab {{ position: absolute; width: 0 !important; }}
::highlight(neuronlab-terms) {{
  text-decoration: underline dotted color-mix(in srgb, var(--ink) 55%, var(--page));
}}
@media (min-width: 800px) {{
  .stColumn:has(.st-key-neuron_panel, .st-key-neuron_panel_opened) > div {{
    position: sticky; top: 4rem; max-height: calc(100vh - 5rem); overflow-y: auto;
  }}
}}
@media (max-width: 640px) {{
  .stColumn:has(.st-key-neuron_panel_opened) {{
    position: fixed; inset: auto 0 0 0; z-index: 90; height: 56vh; overflow-y: auto;
    padding: 0.5rem; background: var(--page); box-shadow: 0 -6px 24px #0005;
  }}
  .st-key-close_neuron {{ display: block; }}
}}
"""
if exports.PRESENTED in st.query_params:
    STYLE += """
[data-testid="stSidebar"], [data-testid="stHeader"] { display: none; }
.stMainBlockContainer { padding-top: 1rem; }
.st-key-presentation { position: sticky; top: 0; z-index: 80; background: var(--page); }
"""
    exports.presenting()
st.html(f"<style>{STYLE}</style>")
terms.draw()
boxes.draw()
state.start()
exports.begin(shown.title)
with guard():
    links.follow(runs=bool(shown.studies))
with guard():
    suited.choose(
        shown.name,
        Needs(shown.kinds, shown.alphabet, shown.several_languages, shown.stored),
        shown.models,
    )
links.carry_basket()
with guard():
    sidebar.draw()
with guard():
    if shown is not HOME:
        # Read after the page has its model; an unlisted one is loaded by the page alone.
        listed = entry(state.model_name())
        how_to_read = shown.help_on(listed.alphabet if listed else "")
        header(shown.title, shown.question, shown.paper, how_to_read, shown.terms)
    page.run()
    if note := suited.note():  # no result has told it
        st.caption(note)
links.drop_others_run()
