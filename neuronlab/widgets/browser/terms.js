// Explains the glossary's words where they first stand on the page. The page itself stays as it is:
// words are marked by the browser's own highlights, and the pointer is looked up among them. By keys
// they are reached from one place before the page, whose arrow keys go from word to word.
// See neuronlab/widgets/terms.py for what it is given.

const MARKED = "neuronlab-terms"; // its style is the page's: see dashboard.py
const TEXT =
  ':is([data-testid="stMarkdownContainer"], [data-testid="stCaptionContainer"]) :is(p, li)';
const LABEL = ".nl-block b"; // of a figure: explained there, too
const BOLD = "b, strong";
const NOT_TEXT = "button, label, summary, a, code, h1, h2, h3, h4, h5, h6";

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".terms");
  if (root.ranges || !window.Highlight) return;
  root.ranges = [];
  const words = [...Object.keys(data.terms), ...Object.keys(data.bold)].sort((a, b) => b.length - a.length);
  const any = new RegExp(`(?<![\\w-])(${words.join("|")})(s?)(?![\\w-])`, "gi");
  const term = new Map(words.map((word) => [word.toLowerCase(), data.bold[word] ?? word]));
  const tip = document.createElement("div");
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  const keys = document.createElement("button");
  keys.type = "button";
  keys.hidden = true; // until a word is found
  keys.setAttribute("aria-live", "polite");
  root.append(keys, tip);
  let reached = 0, coming; // the word that is explained as soon as scrolling to it has ended
  keys.addEventListener("focus", () => reach(0));
  keys.addEventListener("blur", leave);
  keys.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    reach(step);
    event.preventDefault();
  });

  // After the page has come to rest: it is drawn piece by piece.
  let waiting;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(mark, 400);
  };
  const left = new AbortController();
  const watcher = new MutationObserver(later);
  watcher.observe(document.body, { childList: true, subtree: true });
  for (const [event, does] of Object.entries({
    toggle: later,
    pointermove: point,
    pointerdown: point,
    keydown: ({ key }) => key === "Escape" && leave(),
    scroll: hide,
  }))
    document.addEventListener(event, does, { capture: true, signal: left.signal });
  later();

  function mark() {
    // Another element has taken the place of this one.
    if (!root.isConnected) {
      left.abort();
      watcher.disconnect();
      return;
    }
    const seen = new Set();
    root.ranges = [];
    for (const part of document.querySelectorAll(`[data-testid="stMain"] :is(${TEXT}, ${LABEL})`)) {
      if (part.closest(NOT_TEXT) || !part.checkVisibility()) continue;
      const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const node = texts.currentNode;
        // A glossary's entry explains its own word.
        if (node.parentElement.closest(NOT_TEXT) || /^\.\s/.test(next(node))) continue;
        for (const match of node.data.matchAll(any)) {
          const name = match[1].toLowerCase(), word = term.get(name), within = node.parentElement;
          if (name in data.bold && !within.closest(BOLD)) continue;
          if (seen.has(name) && !within.closest(LABEL)) continue;
          seen.add(name);
          const range = new Range();
          range.setStart(node, match.index);
          range.setEnd(node, match.index + match[0].length);
          root.ranges.push({ range, word });
        }
      }
    }
    CSS.highlights.set(MARKED, new Highlight(...root.ranges.map(({ range }) => range)));
    keys.hidden = !root.ranges.length;
    keys.textContent = `${root.ranges.length} words of this page are explained`;
  }

  function hide() {
    tip.hidden = true;
  }

  function leave() {
    coming = undefined;
    hide();
  }

  // By keys: the word so many further, read out with what it means.
  function reach(step) {
    const count = root.ranges.length;
    if (!count) return;
    reached = (Math.min(reached, count - 1) + step + count) % count;
    const found = (coming = root.ranges[reached]);
    found.range.startContainer.parentElement.scrollIntoView({ block: "center" });
    keys.textContent = `${found.word}: ${data.terms[found.word]} ${reached + 1} of ${count}, arrow keys for others.`;
    // Scrolling, which hides it, comes to its end first.
    requestAnimationFrame(() => requestAnimationFrame(() => coming === found && explain(found)));
  }

  function next(node) {
    const strong = node.parentElement.closest("strong");
    return node.data.endsWith(".") && strong === strong?.parentElement?.firstChild ? ". " : "";
  }

  function point({ clientX, clientY }) {
    const found = root.ranges.find(({ range }) =>
      [...range.getClientRects()].some(
        (box) =>
          clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom
      )
    );
    if (found) explain(found);
    else hide();
  }

  function explain(found) {
    tip.hidden = false;
    const box = found.range.getBoundingClientRect();
    tip.textContent = "";
    const name = document.createElement("b");
    name.textContent = `${found.word}. `;
    tip.append(name, data.terms[found.word]);
    const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(box.left, most))}px`;
    const below = box.bottom + 6 + tip.offsetHeight < window.innerHeight;
    tip.style.top = `${below ? box.bottom + 6 : box.top - 6 - tip.offsetHeight}px`;
  }
}
