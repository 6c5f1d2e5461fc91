// A figure of the page as a picture of its own, with what was asked written above it. Boxes, texts
// and canvases become SVG where they stand; a PNG is that SVG, drawn. For slides the figure stands
// wide, and in the colours of a light page, for a moment. See neuronlab/widgets/exports.py.

const NS = "http://www.w3.org/2000/svg", MARGIN = 16, LINE = 20, SHARP = 2, WIDE = 1100, MOMENT = 700;

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
    const { svg, width, height } = await (slides.checked ? posed(drawn) : drawn());
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

  // What is taken while the figure stands as on a slide.
  async function posed(take) {
    const frame = document.querySelector(`.st-key-${CSS.escape(data.figure)}`);
    const own = ownParts(frame), dark = isDark(root);
    for (const element of [frame, root, ...own])
      for (const [name, colour] of Object.entries(data.light)) element.style.setProperty(name, colour);
    Object.assign(frame.style, { width: `${WIDE}px`, minWidth: `${WIDE}px`, maxWidth: "none" });
    own.forEach((part) => part.redraw());
    await new Promise((done) => setTimeout(done, MOMENT)); // a chart follows its frame in its own time
    const picture = take(dark);
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

  function drawn(dark = false) {
    const frame = document.querySelector(`.st-key-${CSS.escape(data.figure)}`);
    const box = frame.getBoundingClientRect(), styles = getComputedStyle(root);
    const width = Math.ceil(box.width) + 2 * MARGIN;
    const caption = data.caption ?? window.neuronlabCaption ?? [];
    const lines = [data.title, ...caption].flatMap((line, at) =>
      wrapped(line, width / 8.5).map((text) => ({ text, bold: !at }))
    );
    const top = 2 * MARGIN + LINE * lines.length, height = Math.ceil(top + box.height) + MARGIN;
    const svg = node("svg", { xmlns: NS, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif" });
    node("rect", { width, height, fill: styles.getPropertyValue("--st-background-color") }, svg);
    lines.forEach(({ text, bold }, at) =>
      node("text", {
        x: MARGIN, y: MARGIN + LINE * (at + 0.8), fill: styles.getPropertyValue("--st-text-color"),
        "font-size": bold ? 15 : 13, "font-weight": bold ? 700 : 400,
      }, svg).append(text)
    );
    const place = { dx: MARGIN - box.left, dy: top - box.top };
    copy(frame, svg, place);
    if (dark) svg.querySelectorAll(".main-svg *").forEach(lightened);
    return { svg, width, height };
  }

  // A chart keeps the theme's text and lines: what has no hue is as dark as it was bright.
  function lightened(part) {
    for (const name of ["fill", "stroke"]) {
      const parts = part.style?.getPropertyValue(name).match(/[\d.]+/g)?.map(Number);
      if (!parts || parts.length < 3 || Math.max(...parts.slice(0, 3)) - Math.min(...parts.slice(0, 3)) > 30) continue;
      const [r, g, b] = parts.map((value) => 255 - value);
      part.style.setProperty(name, `rgb(${r}, ${g}, ${b})`);
    }
  }

  function wrapped(text, most) {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      if (lines.at(-1) && lines.at(-1).length + word.length >= most) lines.push("");
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
