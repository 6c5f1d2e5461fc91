// Shared by the scripts beside it: colours of signed values, their scale, and the theme they stand on.

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function isDark(element) {
  const parts = getComputedStyle(element).getPropertyValue("--st-background-color").trim();
  const [r, g, b] = parts.startsWith("#") ? rgb(parts) : (parts.match(/\d+/g) || [255, 255, 255]).map(Number);
  return 0.3 * r + 0.59 * g + 0.11 * b < 128;
}

// Where a value stands between -1 and 1: by the square root, so that weaker ones are seen beside
// the strongest. Legends have the same scale.
const place = (value, limit) => Math.sign(value) * Math.sqrt(Math.min(Math.abs(value) / limit, 1));

// stops: five colours, from -1 over nothing to 1.
function colourAt(at, stops) {
  const x = (at + 1) * 2, i = Math.min(Math.floor(x), 3), part = x - i;
  const [a, b] = [rgb(stops[i]), rgb(stops[i + 1])];
  return a.map((v, k) => Math.round(v + part * (b[k] - v)));
}

const css = ([r, g, b]) => `rgb(${r}, ${g}, ${b})`;
const inkOn = ([r, g, b]) => (0.3 * r + 0.59 * g + 0.11 * b < 140 ? "#FFFFFF" : "#16181D");
const signed = (value, digits = 3) => {
  const size = Math.abs(value);
  return (value < 0 ? "−" : "+") + (size < 100 ? size.toPrecision(digits) : size.toFixed(0));
};

// The scale of signed values, below a figure, and what its ends mean.
function legend(root, limit, stops, [below, above]) {
  const line = added("div", "legend", root);
  added("span", "", line, below);
  const scale = added("div", "scale", line);
  const shades = Array.from({ length: 21 }, (_, i) => css(colourAt(i / 10 - 1, stops)));
  added("div", "ramp", scale).style.background = `linear-gradient(to right, ${shades.join(", ")})`;
  for (const part of [-1, -0.25, 0, 0.25, 1]) {
    const tick = added("span", "tick", scale, part ? signed(part * limit, 2) : "0");
    tick.style.left = `${50 * (1 + place(part, 1))}%`;
  }
  added("span", "", line, above);
}

function added(tag, name, parent, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  parent.append(made);
  return made;
}
