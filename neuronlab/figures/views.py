"""A view of structures in 3D as a page of its own."""

from __future__ import annotations

import py3Dmol


def page_of(view: py3Dmol.view, start: str, name: str) -> str:
    """A view as a page in which no text can end the script; until it is drawn, words say so.

    Args:
        start: ``view.startjs`` before anything was drawn.
        name: of the view in its page.
    """
    # In a script only JSON strings hold "<", and none may end the script.
    drawn = view.startjs.removeprefix(start).replace("<", r"\u003c")
    view.startjs = start + _VIEWERS + drawn + _CAMERA
    # The same view is the same page, so that a browser that shows it keeps it.
    return _WAITING + view.write_html().replace(view.uniqueid, name)


_WAITING = (
    '<p id="drawing" style="position: fixed; inset: 45% 0 auto; margin: 0; text-align: center; '
    'opacity: 0.7; pointer-events: none">Drawing in 3D &hellip;</p>\n'
)

# All panels of a page, by one name. Those side by side share a person's drags, and nothing else.
_VIEWERS = """
const viewers = typeof viewergrid_UNIQUEID === "undefined"
  ? [viewer_UNIQUEID] : viewergrid_UNIQUEID.flat();
"""
# 3Dmol fits the sphere around a structure to a panel's height. Where the panel is narrower, it is
# seen from `away` times as far, however a person zooms.
# The frame around it may know where a person has turned an earlier view: see `proteins.viewer`.
# Only after its answer does it hear of this one's, which would otherwise take the earlier's place.
_CAMERA = """
let away = 1;
// 3Dmol may put another canvas into the panels' frame, which itself stays.
const frame = document.querySelector("body > div[id]");
const fit = () => {
  const {clientWidth: width, clientHeight: height} = frame;
  const next = width && height && Math.max(1, height * viewers.length / width);
  if (!next || next === away) return;
  const further = next / away;
  away = next;
  for (const viewer of viewers) {
    viewer.setPerceivedDistance(viewer.getPerceivedDistance() * further);
    viewer.show();
  }
};
fit();
// A frame out of sight is not observed until it is seen.
new ResizeObserver(fit).observe(frame);
// The distance, the fourth number of a view, is told and heard as of a panel that is wide enough.
const eye = viewers[0].CAMERA_Z;
const scaled = (view, factor) =>
  view.map((value, at) => at === 3 ? eye - (eye - value) * factor : value);
addEventListener("message", ({data}) => {
  if (!Array.isArray(data)) return;
  viewers.at(-1).setViewChangeCallback(
    () => parent.postMessage(viewers.map((viewer) => scaled(viewer.getView(), 1 / away)), "*"));
  data.forEach((view, at) => viewers[at]?.setView(scaled(view, away)));
});
parent.postMessage("views?", "*");
document.getElementById("drawing").remove();
"""
