// Figures of one protein share its residues: those that a pointer or the keys are on, else what is
// chosen. Each tells the others, in the app's window, and marks what it hears; 3D views take part
// through the page around them (neuronlab/proteins/viewer.py).

const bus = (window.neuronlabResidues ??= Object.assign(new EventTarget(), { chosen: {} }));

// hear is called with {residues, chosen}: their numbers, from 1, and whether a person chose them.
// What is returned tells the others.
function linked(root, group, hear) {
  root.unlink?.();
  if (!group) return () => {};
  const listen = ({ detail }) => (root.isConnected ? hear(detail) : root.unlink());
  bus.addEventListener(group, listen);
  root.unlink = () => bus.removeEventListener(group, listen);
  return (residues, chosen = false) => {
    const detail = { residues: residues.length ? residues : bus.chosen[group] ?? [], chosen };
    bus.dispatchEvent(new CustomEvent(group, { detail }));
  };
}
