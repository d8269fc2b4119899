// Updates the replay (what an interval would have done) while an interval is being typed.

import { drawCharts } from "./charts.js";
import { ask } from "./requests.js";

const PAUSE = 250; // milliseconds without typing before the request is sent

const section = document.querySelector("[data-replay]");
const piece = section.querySelector("[data-replay-piece]");
const status = section.querySelector("[data-replay-status]");
const fields = ["notification_interval_0", "notification_interval_1"].map((name) => document.getElementsByName(name)[0]);

let timer = 0;
let asked = new AbortController();

async function follow() {
  asked.abort(); // a response to the previous input would be outdated
  asked = new AbortController();
  const query = new URLSearchParams(fields.map((field) => [field.name, field.value]));
  try {
    const answer = await ask(`${section.dataset.replay}?${query}`, { signal: asked.signal });
    if (!answer.ok || answer.redirected) return; // signed out, or no longer a manager: saving will show it
    piece.innerHTML = await answer.text();
  } catch {
    return; // aborted, or offline: the table still names the interval that it is about
  }
  drawCharts(piece);
  status.textContent = piece.querySelector(".replay-problem, [data-replay-summary]")?.textContent.trim() ?? "";
}

for (const field of fields) {
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(follow, PAUSE);
  });
}
