// What was answered in this tab of the browser: loading the page anew begins another session, which
// gets it back. See pages/learn/classroom.py.

const KEPT = "neuronlab-answers";

export default function ({ data, setTriggerValue }) {
  try {
    const kept = sessionStorage.getItem(KEPT);
    if (!data.fresh) sessionStorage.setItem(KEPT, JSON.stringify(data.answers));
    else if (kept) setTriggerValue("kept", JSON.parse(kept));
  } catch {
    // No storage, or what is no answer: nothing is remembered.
  }
}
