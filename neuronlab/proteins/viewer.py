"""The JavaScript that draws structures: kept on this machine, and all that a 3D view needs."""

import base64
import hashlib
import json
from html import escape
from pathlib import Path

from neuronlab import home, npm
from neuronlab.errors import UserError

PACKAGE, VERSION = "3dmol", "2.5.5"
MEMBER = "build/3Dmol-min.js"
SHA256 = "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"


def viewer_file() -> Path:
    """Where the viewer is kept, whether or not it is there yet."""
    return home.folder() / "assets" / "3Dmol-min.js"


def fetch_viewer() -> Path:
    """Get the viewer unless it is here, with npm or else from the web; its file.

    Raises:
        UserError: it cannot be downloaded or written, or is not the file that was tested.
    """
    path = viewer_file()
    if _intact(path):
        return path
    data = npm.files(PACKAGE, VERSION, {MEMBER: SHA256}, "The 3D viewer")[MEMBER]
    try:
        with home.publish(path) as made:
            made.write_bytes(data)
    except OSError as error:
        raise UserError(f"The 3D viewer cannot be written to {path}: {error.strerror}.") from error
    return path


def viewer_url() -> str:
    """What `py3Dmol.view(js=…)` takes: a `data:` address that holds the viewer (0.7 MB).

    A page that is served may not open a file, and an exported view goes on working anywhere.

    Raises:
        UserError: the viewer is not on this machine, or not whole; no page gets it from the web.
    """
    path = viewer_file()
    if not _intact(path):
        raise UserError(
            "3D views need a viewer that is not on this machine: run python -m neuronlab setup "
            "with a connection, then reload."
        )
    return "data:text/javascript;base64," + base64.b64encode(path.read_bytes()).decode()


def framed(page: str, title: str = "3D view", camera: str = "", linked: str = "") -> str:
    """A page for `st.iframe` that shows another, whose scripts reach nothing but that page.

    What Streamlit frames acts as the app itself; a sandbox inside has an origin of its own.

    Args:
        title: what it shows, for those who do not see it.
        camera: pages of one name are looked at from one side: the next begins where a person has
            turned the last. "" keeps nothing.
        linked: the name that the figures of one protein share: a residue under the pointer is
            marked in all of them. "" shares nothing.
    """
    keeper = _KEEPER
    for place, name in {"CAMERA": camera, "LINKED": linked}.items():
        keeper = keeper.replace(place, json.dumps(name).replace("<", r"\u003c"))
    return (
        "<style>body { margin: 0; } iframe { display: block; border: 0; width: 100%; "
        "height: 100vh; }</style>"
        f"{keeper if camera or linked else ''}"
        f'<iframe sandbox="allow-scripts" title="{escape(title)}" '
        f'srcdoc="{escape(page)}"></iframe>'
    )


# Where views were turned to is kept in the app's own window, and residues that a pointer is on pass
# through it (widgets/browser/residues.js), as the sandbox inside tells them: numbers, which is all
# that is taken from there.
_KEEPER = """<script>
const camera = CAMERA, linked = LINKED;
const views = (parent.neuronlabViews ??= {});
const bus = (parent.neuronlabResidues ??= Object.assign(new parent.EventTarget(), {chosen: {}}));
const inside = () => document.querySelector("iframe")?.contentWindow;
const others = (residues) => residues.length ? residues : bus.chosen[linked] ?? [];
addEventListener("message", ({data, source}) => {
  if (source !== inside()) return;
  if (data === "views?") {
    source.postMessage(views[camera] ?? [], "*");
    source.postMessage({residues: others([])}, "*");
  } else if (camera && Array.isArray(data) && data.every((view) => view.every?.(Number.isFinite)))
    views[camera] = data;
  else if (linked && Array.isArray(data?.residues) && data.residues.every(Number.isInteger)) {
    const detail = {residues: others(data.residues), chosen: data.chosen === true};
    bus.dispatchEvent(new parent.CustomEvent(linked, {detail}));
  }
});
if (linked) {
  const hear = ({detail}) => inside()?.postMessage({residues: detail.residues}, "*");
  bus.addEventListener(linked, hear);
  addEventListener("pagehide", () => bus.removeEventListener(linked, hear));
}
</script>"""


def _intact(path: Path) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError:
        return False
