// The topic list says which topics have a draft on this device.

import { readDraft } from "./drafts.js";

const prefix = document.querySelector("[data-drafts]")?.dataset.drafts;

function mark() {
  for (const place of document.querySelectorAll("[data-draft-of]")) {
    place.hidden = !readDraft(prefix + place.dataset.draftOf)?.text;
  }
}

if (prefix) {
  mark();
  addEventListener("storage", mark); // written in another tab
  addEventListener("pageshow", mark); // back from the thread
}
