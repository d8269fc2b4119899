// What intervals would have done follows the interval that is being typed.

import { drawCharts } from "./charts.js";

const PAUSE = 250; // milliseconds without a key, before the server is asked

const section = document.querySelector("[data-replay]");
const piece = section.querySelector("[data-replay-piece]");
const status = section.querySelector("[data-replay-status]");
const fields = ["notification_interval_0", "notification_interval_1"].map((name) => document.getElementsByName(name)[0]);

let timer = 0;
let asked = new AbortController();

async function follow() {
  asked.abort(); // an answer to what was typed before would come too late
  asked = new AbortController();
  const query = new URLSearchParams(fields.map((field) => [field.name, field.value]));
  try {
    const answer = await fetch(`${section.dataset.replay}?${query}`, { signal: asked.signal });
    if (!answer.ok || answer.redirected) return; // signed out, or no manager any more: saving will say so
    piece.innerHTML = await answer.text();
  } catch {
    return; // overtaken, or offline: the table keeps saying which interval it is about
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
