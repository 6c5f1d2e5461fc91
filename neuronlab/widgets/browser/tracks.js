// A chart along a sequence, whose residues are those of other figures, too: the one under the pointer
// is told to them, and a line stands at those that they tell of. See neuronlab/widgets/exports.py.

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".tracks");
  const frame = document.querySelector(`.st-key-${CSS.escape(data.figure)}`);
  const chart = () => frame?.querySelector(".js-plotly-plot");
  const left = new AbortController();
  const tell = linked(root, data.linked, ({ residues }) => {
    root.replaceChildren();
    residues.forEach(draw);
  });

  // Where the chart has its axes, as plotly keeps it.
  function drawing() {
    const layout = chart()?._fullLayout;
    return layout && { axis: layout.xaxis, size: layout._size, box: chart().getBoundingClientRect() };
  }

  function draw(residue) {
    const at = drawing();
    if (!at) return;
    const x = at.axis.d2p(residue), ground = root.getBoundingClientRect();
    if (x < 0 || x > at.size.w) return;
    Object.assign(added("div", "", root).style, {
      left: `${at.box.left - ground.left + at.size.l + x}px`,
      top: `${at.box.top - ground.top + at.size.t}px`,
      height: `${at.size.h}px`,
    });
  }

  function under({ clientX, clientY }) {
    const at = drawing();
    if (!at) return [];
    const x = clientX - at.box.left - at.size.l, y = clientY - at.box.top - at.size.t;
    if (x < 0 || y < 0 || x > at.size.w || y > at.size.h) return [];
    const residue = Math.round(at.axis.p2d(x));
    return residue > 0 ? [residue] : [];
  }

  let told = "";
  function tellOnce(residues) {
    if (told === `${residues}`) return;
    told = `${residues}`;
    tell(residues);
  }

  const { signal } = left;
  frame?.addEventListener("pointermove", (event) => tellOnce(under(event)), { signal });
  frame?.addEventListener("pointerleave", () => tellOnce([]), { signal });
  return () => left.abort();
}
