// A prompt's tokens or a protein's residues, coloured by a value each; a click or Enter chooses one.
// Residues are those of other figures, too, and have a line for helix or strand below them.
// See neuronlab/widgets/token_strip.py for what it is given.

export default function render({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".tokens");
  root.redraw = () => render({ data, parentElement, setTriggerValue });
  const focused = root.focused;
  root.replaceChildren();
  const line = added("div", "", root);
  line.className = `line ${data.residues ? "residues" : "words"} ${data.large ? "large" : ""}`;
  line.setAttribute("role", "group");
  line.setAttribute("aria-label", data.alt);
  const stops = isDark(root) ? data.dark : data.light;
  const chips = data.tokens.map((token, at) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = token.special ? "special" : token.predicted ? "predicted" : "token";
    chip.disabled = !data.clickable;
    chip.setAttribute("aria-pressed", at === data.chosen);
    chip.setAttribute("aria-label", token.words);
    chip.dataset.words = token.words;
    added("b", "", chip, token.text);
    if (token.number) added("i", "", chip, token.number);
    if (token.below) added("small", "", chip, token.below);
    if (token.space) chip.classList.add("spaced");
    if (token.state) added("u", "", chip).style.background = data.states[token.state][1];
    if (!token.special && token.value !== null) {
      const colour = colourAt(place(token.value, data.limit), stops);
      chip.style.background = css(colour);
      chip.style.color = inkOn(colour);
    }
    // One stop of the tab key; arrow keys move inside.
    chip.tabIndex = at === (data.chosen ?? 0) ? 0 : -1;
    chip.addEventListener("click", () => {
      root.focused = at;
      setTriggerValue("picked", [at]);
    });
    for (const event of ["pointerenter", "focus"])
      chip.addEventListener(event, () => tell(token.residue ? [token.residue] : []));
    chip.addEventListener("pointerleave", () => tell([]));
    chip.addEventListener("blur", () => {
      root.focused = undefined;
      tell([]);
    });
    chip.addEventListener("keydown", (event) => {
      const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      const next = way ? beside(chip, way) : chips[at + { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
      if (!next) return;
      chip.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      event.preventDefault();
    });
    return chip;
  });
  // The chip above or below: the nearest in the next line.
  function beside(chip, way) {
    const others = chips.filter((other) => way * (other.offsetTop - chip.offsetTop) > 4);
    const apart = (other) =>
      100 * Math.abs(other.offsetTop - chip.offsetTop) + Math.abs(other.offsetLeft - chip.offsetLeft);
    return others.reduce((best, other) => (best && apart(best) <= apart(other) ? best : other), null);
  }
  line.append(...chips);
  if (data.states) {
    const key = added("div", "key", root);
    for (const [words, colour] of Object.values(data.states)) {
      added("u", "", key).style.background = colour;
      added("span", "", key, words);
    }
  }
  if (data.legend.length) legend(root, data.limit, stops, data.legend);
  if (data.beyond) added("div", "key", root, `Beyond the scale of the others: ${data.beyond}`);
  const placeOf = (residue) => data.tokens.findIndex((token) => token.residue && token.residue === residue);
  const tell = linked(root, data.linked, ({ residues, chosen }) => {
    chips.forEach((chip, at) => chip.classList.toggle("marked", residues.includes(data.tokens[at].residue)));
    const places = residues.map(placeOf).filter((at) => at >= 0);
    if (chosen && places.length && data.clickable) setTriggerValue("picked", places);
  });
  if (data.linked) {
    bus.chosen[data.linked] = [data.chosen, data.beside].flatMap((at) => data.tokens[at]?.residue || []);
    tell([]);
  }
  if (focused !== undefined && chips[focused]) {
    chips[focused].focus({ preventScroll: true });
    root.focused = focused;
  }
}
