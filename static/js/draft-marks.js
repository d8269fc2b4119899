// Marks the topics in the list that have a draft on this device.

import { readDraft } from "./drafts.js";

export function markDrafts() {
  const prefix = document.querySelector("[data-drafts]")?.dataset.drafts;
  for (const place of document.querySelectorAll("[data-draft-of]")) {
    place.hidden = !readDraft(prefix + place.dataset.draftOf)?.text;
  }
}

addEventListener("storage", markDrafts); // written in another tab
addEventListener("pageshow", markDrafts); // back from the thread
