// A figure of the page as a picture of its own, with what was asked written above it. Boxes, texts
// and canvases become SVG where they stand; a PNG is that SVG, drawn. For slides the figure stands
// wide, and in the colours of a light page, for a moment. See neuronlab/widgets/exports.py.

const NS = "http://www.w3.org/2000/svg", MARGIN = 16, LINE = 20, SHARP = 2, WIDE = 1100, MOMENT = 700;
const STEPS = 512, FOREIGN = 12;

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".pictures");
  root.replaceChildren();
  // What is asked on this page, for all its figures, whenever they are saved.
  if (data.page) window.neuronlabCaption = data.caption;
  for (const format of data.figure ? ["PNG", "SVG"] : []) {
    const button = added("button", "", root, format);
    button.type = "button";
    button.addEventListener("click", () => save(format));
  }
  const slides = Object.assign(document.createElement("input"), { type: "checkbox" });
  if (data.figure) added("label", "", root).append(slides, "light and wide, for slides");
  // Another view of the page has another run, or none.
  return () => {
    if (data.page && window.neuronlabCaption === data.caption) window.neuronlabCaption = undefined;
  };

  async function save(format) {
    const { svg, width, height } = slides.checked ? await posed() : drawn();
    const source = new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
    const file = format === "SVG" ? source : await raster(source, width, height);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `${data.name}.${format.toLowerCase()}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async function raster(source, width, height) {
    const image = new Image();
    image.src = URL.createObjectURL(source);
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: width * SHARP, height: height * SHARP });
    const pen = canvas.getContext("2d");
    pen.scale(SHARP, SHARP);
    pen.drawImage(image, 0, 0, width, height);
    URL.revokeObjectURL(image.src);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  // Taken while the figure stands as on a slide.
  async function posed() {
    const frame = document.querySelector(`.st-key-${CSS.escape(data.figure)}`);
    const own = ownParts(frame), dark = isDark(root);
    for (const element of [frame, root, ...own])
      for (const [name, colour] of Object.entries(data.light)) element.style.setProperty(name, colour);
    Object.assign(frame.style, { width: `${WIDE}px`, minWidth: `${WIDE}px`, maxWidth: "none" });
    own.forEach((part) => part.redraw());
    await new Promise((done) => setTimeout(done, MOMENT)); // a chart follows its frame in its own time
    const picture = drawn();
    if (dark) await lightened(picture.svg);
    for (const element of [frame, root, ...own]) element.removeAttribute("style");
    own.forEach((part) => part.redraw());
    return picture;
  }

  // Elements of our own, which draw themselves anew when asked.
  function ownParts(element) {
    return [...element.querySelectorAll("*")].flatMap((part) => [
      ...(part.redraw ? [part] : []),
      ...(part.shadowRoot ? ownParts(part.shadowRoot) : []),
    ]);
  }

  function drawn() {
    const frame = document.querySelector(`.st-key-${CSS.escape(data.figure)}`);
    const box = frame.getBoundingClientRect(), styles = getComputedStyle(root);
    const width = Math.ceil(box.width) + 2 * MARGIN;
    const caption = data.caption ?? window.neuronlabCaption ?? [];
    const pen = document.createElement("canvas").getContext("2d");
    const lines = [data.title, ...caption].flatMap((line, at) => {
      const size = at ? 13 : 15, weight = at ? 400 : 700;
      pen.font = `${weight} ${size}px sans-serif`;
      return wrapped(line, width - 2 * MARGIN, pen).map((text) => ({ text, size, weight }));
    });
    const top = 2 * MARGIN + LINE * lines.length, height = Math.ceil(top + box.height) + MARGIN;
    const svg = node("svg", { xmlns: NS, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif" });
    node("rect", { width, height, fill: styles.getPropertyValue("--st-background-color") }, svg);
    lines.forEach(({ text, size, weight }, at) =>
      node("text", {
        x: MARGIN, y: MARGIN + LINE * (at + 0.8), fill: styles.getPropertyValue("--st-text-color"),
        "font-size": size, "font-weight": weight,
      }, svg).append(text)
    );
    const place = { dx: MARGIN - box.left, dy: top - box.top };
    copy(frame, svg, place);
    return { svg, width, height };
  }

  // A chart keeps the dark theme's text, lines and scales of colours.
  async function lightened(svg) {
    svg.querySelectorAll(".main-svg *").forEach(inverted);
    for (const bar of svg.querySelectorAll(".main-svg linearGradient")) {
      const stops = [...bar.children];
      const colours = stops.map((stop) => stop.getAttribute("stop-color").match(/\d+/g).map(Number));
      rescaled(colours).forEach((colour, i) => stops[i].setAttribute("stop-color", `rgb(${colour})`));
    }
    for (const image of svg.querySelectorAll(".main-svg image")) await repainted(image);
  }

  // What has no hue is as dark as it was bright.
  function inverted(part) {
    for (const name of ["fill", "stroke"]) {
      const colour = part.style?.getPropertyValue(name) ?? "";
      const parts = colour.startsWith("rgb") ? colour.match(/[\d.]+/g).map(Number) : [];
      if (parts.length < 3 || Math.max(...parts.slice(0, 3)) - Math.min(...parts.slice(0, 3)) > 30) continue;
      const [r, g, b] = parts.map((value) => 255 - value);
      part.style.setProperty(name, `rgb(${r}, ${g}, ${b})`);
    }
  }

  // The cells of a heat map are an image.
  async function repainted(image) {
    const cells = new Image();
    cells.src = image.href.baseVal;
    await cells.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: cells.width, height: cells.height });
    const pen = canvas.getContext("2d");
    pen.drawImage(cells, 0, 0);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height), { data: values } = pixels;
    const seen = [...values.keys()].filter((at) => at % 4 === 0 && values[at + 3]);
    const colours = rescaled(seen.map((at) => [...values.slice(at, at + 3)]));
    seen.forEach((at, i) => values.set(colours[i], at));
    pen.putImageData(pixels, 0, 0);
    image.removeAttributeNS("http://www.w3.org/1999/xlink", "href");
    image.setAttribute("href", canvas.toDataURL());
  }

  // Colours of one of the dark theme's scales at the same places of the light theme's; others stay.
  function rescaled(colours) {
    const scales = data.scales.map(([dark, light]) => {
      const from = shades(dark), to = shades(light), nearest = new Map();
      let off = 0;
      const become = colours.map((colour) => {
        const name = colour.join();
        if (!nearest.has(name)) {
          const away = from.map((shade) => Math.hypot(...shade.map((part, i) => part - colour[i])));
          const least = Math.min(...away);
          nearest.set(name, { least, shade: to[away.indexOf(least)] });
        }
        off += nearest.get(name).least;
        return nearest.get(name).shade;
      });
      return { off: off / colours.length, become };
    });
    const best = scales.reduce((a, b) => (b.off < a.off ? b : a));
    return best.off < FOREIGN ? best.become : colours;
  }

  // A scale in steps that no eye tells apart.
  function shades(scale) {
    const stops = scale.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    return Array.from({ length: STEPS }, (_, step) => {
      const at = (step / (STEPS - 1)) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
      return stops[i].map((part, k) => Math.round(part + (at - i) * (stops[i + 1][k] - part)));
    });
  }

  function wrapped(text, width, pen) {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      if (lines.at(-1) && pen.measureText(`${lines.at(-1)} ${word}`).width > width) lines.push("");
      lines.push(`${lines.pop()} ${word}`.trim());
    }
    return lines;
  }

  function copy(element, into, place) {
    const box = element.getBoundingClientRect(), styles = getComputedStyle(element);
    const seen = styles.visibility !== "hidden" && styles.display !== "none" && styles.opacity !== "0";
    if (!seen) return;
    const at = { x: box.left + place.dx, y: box.top + place.dy, width: box.width, height: box.height };
    if (element instanceof SVGElement) {
      // Of a chart its drawing; other drawings are buttons.
      if (!element.classList.contains("main-svg")) return;
      const whole = element.cloneNode(true);
      whole.setAttribute("overflow", "visible");
      const leaves = "text:not(:has(tspan)), tspan", copies = whole.querySelectorAll(leaves);
      element.querySelectorAll(leaves).forEach((text, i) => fitted(copies[i], text.getComputedTextLength()));
      for (const [name, value] of Object.entries(at)) whole.setAttribute(name, value);
      return void into.append(whole);
    }
    if (element instanceof HTMLCanvasElement)
      return void node("image", { ...at, href: element.toDataURL() }, into);
    if (box.width >= 2) {  // else around others alone, or for screen readers
      boxed(styles, at, into);
      for (const part of element.childNodes)
        if (part.nodeType === Node.TEXT_NODE && part.data.trim()) written(part, styles, into, place);
    }
    for (const child of [...(element.shadowRoot ?? element).children]) copy(child, into, place);
  }

  function boxed(styles, at, into) {
    const shades = styles.backgroundImage.match(/rgb\([^)]*\)/g);
    let fill = styles.backgroundColor;
    if (shades) {
      const id = `shades${into.childNodes.length}`;
      const gradient = node("linearGradient", { id }, into);
      shades.forEach((shade, i) => node("stop", { offset: i / (shades.length - 1), "stop-color": shade }, gradient));
      fill = `url(#${id})`;
    }
    if (fill !== "rgba(0, 0, 0, 0)") node("rect", { ...at, rx: parseFloat(styles.borderRadius) || 0, fill }, into);
  }

  function written(part, styles, into, place) {
    const range = document.createRange();
    range.selectNodeContents(part);
    const box = range.getBoundingClientRect();
    if (!box.width) return;
    const attributes = {
      x: box.left + place.dx, y: box.top + place.dy + box.height / 2, "dominant-baseline": "central",
      "font-size": styles.fontSize, "font-family": styles.fontFamily, "font-weight": styles.fontWeight, fill: styles.color,
    };
    const text = node("text", attributes, into);
    text.append(part.data.trim());
    if (part.data.trim().length > 2) fitted(text, box.width);
  }

  // The page's font is not everywhere where the picture goes.
  function fitted(text, width) {
    if (width) text.setAttribute("textLength", width);
    text.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }

  function node(tag, attributes, into) {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) if (name !== "xmlns") made.setAttribute(name, value);
    into?.append(made);
    return made;
  }
}
