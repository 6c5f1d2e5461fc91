// The page's address as it is when it is looked at, to be copied. See neuronlab/widgets/address.py.

export default function ({ parentElement }) {
  const root = parentElement.querySelector(".address");
  root.replaceChildren();
  const field = Object.assign(document.createElement("input"), { readOnly: true });
  field.setAttribute("aria-label", "Address of what is shown");
  root.append(field);
  const button = added("button", "", root, "Copy");
  button.type = "button";
  const read = () => { field.value = location.href; };
  read();
  root.addEventListener("pointerenter", read);
  root.addEventListener("focusin", read);
  button.addEventListener("click", async () => {
    field.select();
    // Only a page of this machine, or an encrypted one, has the clipboard.
    if (navigator.clipboard) await navigator.clipboard.writeText(field.value);
    else document.execCommand("copy");
    button.textContent = "Copied";
  });
}
