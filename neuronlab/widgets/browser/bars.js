// Bars of probabilities that move when what they show changes. See neuronlab/widgets/bars.py.

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".bars");
  root.setAttribute("role", "list");
  root.setAttribute("aria-label", data.alt);
  const names = data.rows.map((row) => row.name).join("\n");
  // The same rows keep their elements, so that a change is a movement.
  if (root.names !== names) {
    root.replaceChildren(...data.rows.map(made));
    root.names = names;
    void root.offsetWidth;
  }
  data.rows.forEach((row, at) => {
    const line = root.children[at];
    line.className = `row ${row.marked ? "marked" : ""}`;
    line.querySelector(".bar").style.width = `${100 * row.value}%`;
    line.querySelector(".value").textContent = row.shown;
    line.title = row.words;
    line.setAttribute("aria-label", row.words);
  });

  function made(row) {
    const line = document.createElement("div");
    line.setAttribute("role", "listitem");
    for (const name of ["name", "track", "value"]) {
      const part = document.createElement("span");
      part.className = name;
      line.append(part);
    }
    line.querySelector(".name").textContent = row.name;
    const bar = document.createElement("span");
    bar.className = "bar";
    line.querySelector(".track").append(bar);
    return line;
  }
}
