// Heatmaps side by side on one scale: a pointer or the arrow keys read a cell, a click or Enter
// chooses it. See neuronlab/widgets/heatmaps.py for what they are given.

const EDGE = 46, GAP = 6, TALLEST = 440, LOWER = 260, DIGIT = 6.5, AXIS = 16;

export default function render({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".heatmaps");
  root.redraw = () => render({ data, parentElement, setTriggerValue });
  const focused = root.focused;
  root.watcher?.disconnect();
  root.replaceChildren();
  const dark = isDark(root);
  const stops = dark ? data.dark : data.light;
  const styles = getComputedStyle(root);
  const ink = styles.getPropertyValue("--st-text-color") || (dark ? "#FAFAFA" : "#31333F");
  const accent = styles.getPropertyValue("--st-primary-color") || "#0072B2";
  const tip = added("div", "tip", root);
  const spoken = added("div", "spoken", root);
  spoken.setAttribute("aria-live", "polite");
  const row = added("div", "panels", root);
  const panels = data.panels.map((panel, at) => build(panel, at));
  if (data.legend) legend(root, data.limit, stops, ["against", "for"]);
  arrange();
  root.watcher = new ResizeObserver(arrange);
  root.watcher.observe(row);
  if (focused !== undefined && panels[focused.panel]) panels[focused.panel].focus(focused);

  // All in a row where there is room, else two; panels that stand in several rows are lower.
  function arrange() {
    const wide = row.clientWidth, count = panels.length;
    const across = wide >= 170 * count ? count : wide >= 420 ? 2 : 1;
    row.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    row.tallest = across === count || across === 1 ? TALLEST : LOWER;
    panels.forEach((one) => one.draw());
  }

  function build(panel, at) {
    const figure = added("figure", "panel", row);
    const title = added("figcaption", "", figure);
    added("strong", "", title, panel.title);
    added("span", "", title, panel.note);
    const canvas = added("canvas", "", figure);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "heatmap");
    canvas.setAttribute(
      "aria-label",
      `${panel.title}: ${panel.note}. Arrow keys move from cell to cell, Enter chooses.`
    );
    const chosen = data.chosen?.panel === at ? data.chosen : null;
    let cursor = chosen ? { ...chosen } : { row: 0, column: 0 };
    let reading = null; // the cell under the pointer or the keys
    const { rows, columns, values, size, sums } = panel;
    const edge = sums ? EDGE : 0;
    const left = 10 + DIGIT * Math.max(...[panel.axes.row, ...panel.names].map((name) => name.length));
    let cell, height;

    function draw() {
      const wide = figure.clientWidth;
      if (!wide) return;
      cell = (wide - left - (edge ? edge + GAP : 0)) / columns;
      height = Math.max(6, Math.min(panel.tall, row.tallest / rows));
      const tall = rows * height + 2 + AXIS;
      Object.assign(canvas.dataset, { left, cell, height }); // where its cells are
      const ratio = window.devicePixelRatio || 1;
      canvas.width = wide * ratio;
      canvas.height = tall * ratio;
      canvas.style.height = `${tall}px`;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.font = "11px sans-serif";
      pen.textBaseline = "middle";
      for (let r = 0; r < rows; r++) {
        const y = top(r);
        if (r % Math.ceil(13 / height) === 0) {
          pen.fillStyle = ink;
          pen.globalAlpha = 0.65;
          pen.textAlign = "right";
          pen.fillText(panel.names[r], left - 5, y + height / 2);
          pen.globalAlpha = 1;
        }
        for (let c = 0; c < columns; c++) {
          const value = values[r * columns + c];
          if (value === null || value === undefined) continue;
          pen.fillStyle = css(colourAt(place(value, data.limit), stops));
          pen.fillRect(left + c * cell, y, cell - (cell > 5 ? 0.75 : 0), height - 0.75);
        }
        if (sums) bar(pen, sums[r], y);
      }
      axes(pen, rows * height + 2 + AXIS / 2);
      if (chosen) outline(pen, chosen, ink, 2);
      if (reading) outline(pen, reading, accent, 2.5);
    }

    // What rows and columns are, and the first and the last of these.
    function axes(pen, y) {
      const { row: rowName, column, first, last } = panel.axes, stop = left + columns * cell;
      pen.fillStyle = ink;
      pen.globalAlpha = 0.65;
      for (const [align, x, text] of [
        ["right", left - 5, rowName], ["left", left, first], ["center", (left + stop) / 2, column], ["right", stop, last],
      ]) {
        pen.textAlign = align;
        pen.fillText(text, x, y);
      }
      pen.globalAlpha = 1;
    }

    // Rows count from below where they are layers: the stream rises.
    function top(r) {
      return 1 + (panel.rising ? rows - 1 - r : r) * height;
    }

    function bar(pen, [against, towards], y) {
      const start = left + columns * cell + GAP, middle = start + edge / 2;
      const long = (value) => ((edge / 2) * Math.abs(value)) / data.sum_limit;
      pen.fillStyle = stops[4];
      pen.fillRect(middle, y, long(towards), height - 1);
      pen.fillStyle = stops[0];
      pen.fillRect(middle - long(against), y, long(against), height - 1);
      pen.fillStyle = ink;
      pen.globalAlpha = 0.4;
      pen.fillRect(middle - 0.5, y, 1, height);
      pen.globalAlpha = 1;
    }

    function outline(pen, { row, column }, colour, width) {
      const x = column < 0 ? left + columns * cell + GAP : left + column * cell;
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(x, top(row), column < 0 ? edge : cell, height);
    }

    function under(event) {
      const box = canvas.getBoundingClientRect();
      const x = event.clientX - box.left - left, y = event.clientY - box.top - 1;
      let r = Math.floor(y / height);
      if (r < 0 || r >= rows || x < 0) return null;
      if (panel.rising) r = rows - 1 - r;
      const column = Math.floor(x / cell);
      if (column < columns) return exists(r, column) ? { row: r, column } : null;
      return sums ? { row: r, column: -1 } : null;
    }

    const exists = (r, c) => (values[r * columns + c] ?? null) !== null;

    function words({ row, column }) {
      const where = panel.places[row];
      if (column < 0) {
        const [against, towards] = sums[row];
        return `${where}: ${signed(towards)} for, ${signed(against)} against, in all ${signed(towards + against)}`;
      }
      const at = row * columns + column, start = panel.starts[row] + column * size;
      const stop = Math.min(start + size, panel.stop) - 1;
      const which = size === 1 || start === stop
        ? `neuron ${start}`
        : `neurons ${start} to ${stop}, strongest ${panel.strongest[at]}`;
      return `${where}, ${which}: ${signed(values[at])}`;
    }

    function read(where, keys = false) {
      reading = where;
      draw();
      if (!where) return void (tip.style.display = "none");
      tip.textContent = words(where);
      if (keys) spoken.textContent = tip.textContent;
      tip.style.display = "block";
      const ground = root.getBoundingClientRect(), box = canvas.getBoundingClientRect();
      const x = box.left - ground.left + left + (where.column < 0 ? columns : where.column + 0.5) * cell;
      const y = box.top - ground.top + top(where.row);
      tip.style.left = `${Math.max(0, Math.min(x - tip.offsetWidth / 2, root.clientWidth - tip.offsetWidth))}px`;
      tip.style.top = `${y - tip.offsetHeight - 8}px`;
    }

    function choose(where) {
      root.focused = { panel: at, ...where };
      setTriggerValue("picked", { panel: at, ...where });
    }

    canvas.addEventListener("pointermove", (event) => read(under(event)));
    canvas.addEventListener("pointerleave", () => read(null));
    canvas.addEventListener("click", (event) => {
      const where = under(event);
      if (where) choose((cursor = where));
    });
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && read(cursor, true));
    canvas.addEventListener("blur", () => {
      root.focused = undefined;
      read(null);
    });
    canvas.addEventListener("keydown", (event) => {
      const up = panel.rising ? 1 : -1;
      const step = { ArrowUp: [up, 0], ArrowDown: [-up, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Enter" || event.key === " ") choose(cursor);
      else if (event.key === "Escape") read(null);
      else if (step) {
        const next = { row: cursor.row + step[0], column: cursor.column + step[1] };
        const inside = next.row >= 0 && next.row < rows && next.column >= 0 && next.column < columns;
        if (inside && exists(next.row, next.column)) cursor = next;
        read(cursor, true);
      } else return;
      event.preventDefault();
    });
    return {
      draw,
      focus({ row, column }) {
        cursor = { row, column };
        canvas.focus({ preventScroll: true });
        root.focused = { panel: at, row, column };
      },
    };
  }
}
