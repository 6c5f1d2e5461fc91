// In a box that also takes what is typed, the text stays as it is written. Streamlit takes one that
// holds the chosen text for an addition that is to stand alone: with gpt2 chosen, gpt2-medium would
// become -medium, pasted or typed. See neuronlab/widgets/boxes.py.

let box, chosen; // where a person writes, and the text that stood there
let whole; // whether what is being written is the whole text, though it may hold the chosen one

function begin({ target }) {
  if (!target.closest?.(".stSelectbox")) return;
  const first = target !== box;
  if (first) [box, chosen] = [target, target.value];
  const replaces = target.selectionStart < target.selectionEnd;
  whole = target.value === chosen && (!first || replaces);
}

function write(event) {
  if (event.target !== box || !whole) return;
  whole = false;
  event.stopImmediatePropagation();
  const { value, selectionStart } = box;
  put(""); // behind an empty text, none is an addition
  queueMicrotask(() => { // the page has taken note
    put(value);
    box.setSelectionRange(selectionStart, selectionStart);
  });
}

function put(text) {
  box.setRangeText(text, 0, box.value.length);
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

function end({ type, key, target, isTrusted }) {
  const left = {
    keydown: ["Enter", "Escape"].includes(key),
    pointerdown: target !== box,
    focusout: isTrusted, // choosing among the options pretends that the focus moves
  };
  if (left[type]) box = undefined;
}

export default function () {
  const does = { beforeinput: begin, input: write, keydown: end, pointerdown: end, focusout: end };
  for (const [event, act] of Object.entries(does)) document.addEventListener(event, act, true);
}
