"""Deep links: the address carries a run, view and section, a neuron and the basket.

What a proof changes, and where, it carries too: those widgets are bound to it.
"""

from __future__ import annotations

import re
from contextlib import suppress

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.models.catalogue import entry
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.widgets import prompt_form, services, state
from neuronlab.widgets.address import LONGEST, MISSING
from neuronlab.widgets.guard import complain

# What is drawn of a page: see `sections`.
_PARTS = ("view", "section")
_KEY = re.compile(r"[0-9a-f]{16}")
# Streamlit makes an entry of the browser's history whenever the address changes. Within a page its
# last address takes the place of the one before, so that Back leaves the page at once, or leads to
# the view, section or step of a lesson from which a click turned to this one.
ENTRIES = """<script>
if (!window.neuronlabPush) {
  window.neuronlabPush = history.pushState.bind(history);
  const TURNING = ".st-key-view, .st-key-section, [class*='st-key-lesson_']";
  let turned = false;
  addEventListener("click", ({ target }) => {
    turned = Boolean(target.closest?.(TURNING));
  }, true);
  history.pushState = (state, title, url) => {
    const stays = new URL(url ?? location.href, location.href).pathname === location.pathname;
    if (stays && !turned) return history.replaceState(state, title, url);
    turned = false;
    window.neuronlabPush(state, title, url);
  };
}
</script>"""


def follow(*, runs: bool) -> None:
    """Open what the address names: model, form, result and neuron; or say why it cannot be.

    Args:
        runs: whether the page looks into any; else a run in its address is left over from the way
            to another page (a slow browser gives it that page's before it goes there), and leaves.
    """
    st.html(ENTRIES, unsafe_allow_javascript=True)
    st.session_state["run_shown"] = False
    if not runs:
        for name in ("run", "neuron", *_PARTS):
            carry(name, "")
    key = st.query_params.get("run")
    if key and (key not in _shown().values() or not _is_there(key)):
        try:
            _open(key, st.query_params.get("neuron"))
        except UserError as error:
            # The page goes on with something else, and so does the address.
            del st.query_params["run"]
            st.session_state["shown"] = {s: run for s, run in _shown().items() if run != key}
            st.session_state["link_problem"] = str(error)
    for name in _PARTS:
        if name in st.query_params:
            st.session_state[name] = st.query_params[name]
    if "address_read" not in st.session_state:  # then the session says what the address carries
        st.session_state["address_read"] = True
        if missing := st.query_params.pop(MISSING, ""):
            st.session_state["link_problem"] = f"There is no page “{missing[:60]}” here."
        _take_model(st.query_params.get("model", ""))
        try:
            if runs and not key and "neuron" in st.query_params:
                _ask_for(Neuron.parse(st.query_params["neuron"]))
            _unpack(st.query_params.get("basket", ""))
        except UserError as error:
            st.session_state["link_problem"] = str(error)
    problem = st.session_state.get("link_problem")
    if problem:
        complain(problem)
        st.button("Dismiss", key="dismiss", on_click=st.session_state.pop, args=("link_problem",))


def leave() -> None:
    """The next address is followed even if it names a run that is shown."""
    _shown().clear()


def shown(study: str) -> str | None:
    """The run that the study's page looks at."""
    return _shown().get(study)


def _shown() -> dict[str, str]:
    return st.session_state.setdefault("shown", {})


def _open(key: str, neuron: str | None) -> None:
    spec = _spec(key)
    chosen = Neuron.parse(neuron) if neuron else None
    if "model" in spec:  # some studies are of several
        st.session_state["model"] = spec["model"]
    if "text" in spec:
        prompt_form.fill(spec)
    show(key, spec["study"])
    st.session_state["view"] = spec["study"]
    if chosen:
        _ask_for(chosen)


def _ask_for(neuron: Neuron) -> None:
    """Have the neuron of a link looked at, and its card opened, once there are scores."""
    st.session_state["neuron_asked"] = neuron
    st.session_state["neuron_opened"] = True


def carry_basket() -> None:
    """Have the address carry the basket, and whose neurons they are.

    To be called once the page has its model. A basket of more than ``LONGEST`` is not carried.
    """
    names = [str(neuron) for neuron in state.basket()]
    carried = f"{state.model_name()}:{','.join(names)}"
    carry("basket", carried if 0 < len(names) <= LONGEST else "")


def carry_model() -> None:
    """Have the address carry the model: of a view that shows no run, which would say it."""
    carry("model", state.model_name())


def _unpack(basket: str) -> None:
    if basket:
        model, _, names = basket.rpartition(":")
        neurons = map(Neuron.parse, names.split(",", LONGEST)[:LONGEST])
        state.set_basket(NeuronSet(neurons), model)
        _take_model(model)


def _take_model(name: str) -> None:
    if "run" not in st.query_params and entry(name):  # a link alone fetches no other
        st.session_state["model"] = name


def show(key: str, study: str) -> None:
    """Look at a run; the address follows."""
    _shown()[study] = key
    st.session_state["run_shown"] = True
    carry("run", key)
    carry("model", "")


def drop_others_run() -> None:
    """Have the address carry no run of a model that was left; to be called once the page stands."""
    key = st.query_params.get("run")
    if not key or st.session_state["run_shown"]:
        return
    with suppress(UserError):  # the page has said that it cannot be read
        if model_of(key) not in (None, state.model_name()):
            carry("run", "")
            carry("neuron", "")


def model_of(key: str) -> str | None:
    """The model of a run, under way or stored; None where there is none, or several."""
    return (asked_of(key) or {}).get("model")


def asked_of(key: str) -> dict | None:
    """What a run was asked, under way or stored: its spec's fields; None where there is none."""
    if services.store().has(key):
        return services.result(key)[0]
    run = services.queue().get(key)
    return None if run is None else {"study": run.study, **run.spec.model_dump()}


def neuron() -> Neuron | None:
    """The neuron looked at in the run that the address names: each run has its own.

    That of a link that was followed comes first, until another one is looked at.
    """
    return st.session_state.get("neuron_asked") or _neurons().get(st.query_params.get("run"))


def look_at(neuron: Neuron) -> None:
    """Look at a neuron; the address follows."""
    st.session_state.pop("neuron_asked", None)
    _neurons()[st.query_params.get("run")] = neuron
    carry("neuron", str(neuron))


def asked() -> bool:
    """Whether the neuron of a link is yet to be looked at."""
    return "neuron_asked" in st.session_state


def look_instead(neuron: Neuron, why: str) -> None:
    """Look at a neuron, and say at the top of the page ``why`` it is not the link's."""
    look_at(neuron)
    st.session_state["link_problem"] = why
    st.rerun()


def _neurons() -> dict[str | None, Neuron]:
    return st.session_state.setdefault("neurons", {})


def carry(name: str, value: str, default: str = "") -> None:
    """Have the address carry a setting; the default is not carried, nor sent what is already."""
    if value == st.query_params.get(name, default):
        return
    if value != default:
        st.query_params[name] = value
    else:
        del st.query_params[name]


def _is_there(key: str) -> bool:
    """Whether a run is stored or under way: one that was shown may have been deleted."""
    run = services.queue().get(key)
    return services.store().has(key) or (run is not None and run.status != "done")


def _spec(key: str) -> dict:
    spec = asked_of(key) if _KEY.fullmatch(key) and _is_there(key) else None
    if spec is not None:
        if "study" not in spec:
            raise UserError("The result that the link names is damaged: run the prompt again.")
        return spec
    raise UserError(
        "The link names a run that this server does not have: run the prompt here, or ask for "
        "the exported result."
    )
