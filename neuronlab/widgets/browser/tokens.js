// A prompt's tokens or a protein's residues, coloured by a value each; a click or Enter chooses one.
// See neuronlab/widgets/token_strip.py for what it is given.

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".tokens");
  const focused = root.focused;
  root.replaceChildren();
  root.className = `tokens ${data.residues ? "residues" : "words"} ${data.large ? "large" : ""}`;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", data.alt);
  const stops = isDark(root) ? data.dark : data.light;
  const chips = data.tokens.map((token, at) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = token.special ? "special" : token.predicted ? "predicted" : "token";
    chip.disabled = !data.clickable;
    chip.setAttribute("aria-pressed", at === data.chosen);
    chip.setAttribute("aria-label", token.words);
    chip.dataset.words = token.words;
    chip.append(part("b", token.text));
    if (token.number) chip.append(part("i", token.number));
    if (token.below) chip.append(part("small", token.below));
    if (token.space) chip.classList.add("spaced");
    if (!token.special && token.value !== null) {
      const colour = colourAt(place(token.value, data.limit), stops);
      chip.style.background = css(colour);
      chip.style.color = inkOn(colour);
    }
    // One stop of the tab key; arrow keys move inside.
    chip.tabIndex = at === (data.chosen ?? 0) ? 0 : -1;
    chip.addEventListener("click", () => {
      root.focused = at;
      setTriggerValue("picked", at);
    });
    chip.addEventListener("blur", () => (root.focused = undefined));
    chip.addEventListener("keydown", (event) => {
      const next = chips[at + { ArrowLeft: -1, ArrowRight: 1 }[event.key]];
      if (!next) return;
      chip.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      event.preventDefault();
    });
    return chip;
  });
  root.append(...chips);
  if (focused !== undefined && chips[focused]) {
    chips[focused].focus({ preventScroll: true });
    root.focused = focused;
  }

  function part(tag, text) {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  }
}
