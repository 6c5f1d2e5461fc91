// Which residues of a protein touch, as a square map with a value of each residue at its edges. A
// pointer or the arrow keys read a pair, a click or Enter chooses it; the lines through it are those
// of other figures' residues. See neuronlab/widgets/contacts.py.

const EDGE = 12, GAP = 4, ROOM = 34, LARGEST = 560;

export default function render({ data, parentElement }) {
  const root = parentElement.querySelector(".contacts");
  root.redraw = () => render({ data, parentElement });
  root.watcher?.disconnect();
  // Drawn again, it goes on where the keys were.
  const focused = root.canvas && root.getRootNode().activeElement === root.canvas;
  root.replaceChildren();
  const dark = isDark(root), stops = dark ? data.dark : data.light;
  const styles = getComputedStyle(root);
  const ink = styles.getPropertyValue("--st-text-color"), accent = styles.getPropertyValue("--st-primary-color");
  const count = data.letters.length;
  const percents = Uint8Array.from(atob(data.percents), (letter) => letter.charCodeAt(0));
  const tip = added("div", "tip", root);
  const spoken = added("div", "spoken", root);
  spoken.setAttribute("aria-live", "polite");
  const canvas = (root.canvas = added("canvas", "", root));
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "contact map");
  canvas.setAttribute("aria-label", `${data.alt} Arrow keys move from pair to pair, Enter chooses.`);
  const picture = painted();
  let cursor = root.cursor?.letters === data.letters ? root.cursor : at(0, 0);
  let marked = bus.chosen[data.linked] ?? [], side = 0;
  const tell = linked(root, data.linked, ({ residues }) => {
    marked = residues;
    draw();
  });
  root.watcher = new ResizeObserver(draw);
  root.watcher.observe(root);
  ramp();
  if (focused) canvas.focus({ preventScroll: true });

  function at(row, column) {
    return (root.cursor = { row, column, letters: data.letters });
  }

  // One pixel a pair: the browser scales it.
  function painted() {
    const made = document.createElement("canvas");
    made.width = made.height = count;
    const pen = made.getContext("2d"), image = pen.createImageData(count, count);
    const [none, all] = [stops[2], stops[4]].map(rgb);
    percents.forEach((percent, pair) => {
      none.forEach((value, part) => (image.data[4 * pair + part] = value + (percent / 100) * (all[part] - value)));
      image.data[4 * pair + 3] = 255;
    });
    pen.putImageData(image, 0, 0);
    return made;
  }

  function draw() {
    const wide = Math.min(root.clientWidth, LARGEST);
    if (!wide) return;
    const start = ROOM + EDGE + GAP, top = EDGE + GAP;
    side = wide - start;
    const tall = top + side + 18, ratio = window.devicePixelRatio || 1, cell = side / count;
    Object.assign(canvas.dataset, { start, top, side });
    canvas.width = wide * ratio;
    canvas.height = tall * ratio;
    Object.assign(canvas.style, { width: `${wide}px`, height: `${tall}px` });
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, start, top, side, side);
    data.values.forEach((value, at) => {
      pen.fillStyle = css(colourAt(place(value, data.limit), stops));
      pen.fillRect(start + at * cell, 0, cell, EDGE);
      pen.fillRect(ROOM, top + at * cell, EDGE, cell);
    });
    pen.fillStyle = ink;
    pen.font = "11px sans-serif";
    pen.textBaseline = "middle";
    const step = [10, 20, 50, 100, 200, 500].find((size) => size * cell > 34) ?? 1000;
    for (let number = step; number <= count; number += step) {
      const middle = (number - 0.5) * cell;
      pen.textAlign = "right";
      pen.fillText(number, ROOM - 4, top + middle);
      pen.textAlign = "center";
      pen.fillText(number, start + middle, top + side + 10);
    }
    pen.strokeStyle = accent;
    pen.lineWidth = Math.max(1.5, Math.min(cell, 3));
    for (const number of marked) {
      const middle = (number - 0.5) * cell;
      pen.beginPath();
      pen.moveTo(ROOM, top + middle);
      pen.lineTo(start + side, top + middle);
      pen.moveTo(start + middle, 0);
      pen.lineTo(start + middle, top + side);
      pen.stroke();
    }
  }

  function ramp() {
    const line = added("div", "legend", root);
    added("span", "", line, "0 %");
    added("div", "ramp", line).style.cssText =
      `width: 140px; margin-top: 3px; background: linear-gradient(to right, ${stops[2]}, ${stops[4]})`;
    added("span", "", line, "100 % likely in contact");
  }

  const residues = ({ row, column }) => [...new Set([row + 1, column + 1])];
  const name = (at) => `${data.letters[at]}${at + 1}`;
  const words = ({ row, column }) =>
    row === column
      ? `${name(row)}: ${data.what} ${signed(data.values[row])}`
      : `${name(row)} and ${name(column)}: ${percents[row * count + column]} % likely in contact`;

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const inside = (at) => Math.max(0, Math.min(count - 1, Math.floor((at * count) / side)));
    const x = event.clientX - box.left - ROOM, y = event.clientY - box.top;
    if (x < 0 || y > EDGE + GAP + side) return null;
    // At an edge there is one residue.
    const column = inside(x - EDGE - GAP), row = inside(y - EDGE - GAP);
    if (y < EDGE + GAP) return { row: column, column };
    return x < EDGE + GAP ? { row, column: row } : { row, column };
  }

  function read(where, keys = false) {
    if (!where) {
      tip.style.display = "none";
      return void tell([]);
    }
    tell(residues(where));
    tip.textContent = words(where);
    if (keys) spoken.textContent = tip.textContent;
    tip.style.display = "block";
    const x = ROOM + EDGE + GAP + ((where.column + 0.5) * side) / count;
    tip.style.left = `${Math.max(0, Math.min(x - tip.offsetWidth / 2, root.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${EDGE + GAP + (where.row * side) / count - tip.offsetHeight - 8}px`;
  }

  canvas.addEventListener("pointermove", (event) => read(under(event)));
  canvas.addEventListener("pointerleave", () => read(null));
  canvas.addEventListener("click", (event) => {
    const where = under(event);
    if (where) tell(residues((cursor = at(where.row, where.column))), true);
  });
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && read(cursor, true));
  canvas.addEventListener("blur", () => read(null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") tell(residues(cursor), true);
    else if (event.key === "Escape") read(null);
    else if (step) {
      const within = (at) => Math.max(0, Math.min(count - 1, at));
      cursor = at(within(cursor.row + step[0]), within(cursor.column + step[1]));
      read(cursor, true);
    } else return;
    event.preventDefault();
  });
}
