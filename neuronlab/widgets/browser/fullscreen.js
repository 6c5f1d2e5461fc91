// Has the page fill the screen, and begins it from above. See exports.presenting.

export default function ({ parentElement }) {
  const root = parentElement.querySelector(".fullscreen");
  if (root.firstChild || !document.fullscreenEnabled) return;
  document.querySelector('[data-testid="stMain"]').scrollTo(0, 0);
  const button = added("button", "", root, "Full screen");
  button.type = "button";
  button.addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()
  );
  return () => document.fullscreenElement && document.exitFullscreen();
}
