// Puts a message into the composer as a quote. Without JavaScript `?quote=` in the thread's URL does it.

import { ask, NOT_YOURS } from "./requests.js";

export async function quote(sequence) {
  const { messagesUrl } = document.querySelector("[data-thread]").dataset;
  const answer = await ask(`${messagesUrl}${sequence}/quotation/`).catch(() => null);
  if (answer?.status === NOT_YOURS) return; // the page says so
  if (!answer?.ok || answer.redirected) return location.assign(`?quote=${sequence}#id_body`);
  const body = document.querySelector("[data-composer] textarea");
  const before = body.value.trimEnd();
  body.value = (before ? `${before}\n\n` : "") + (await answer.text());
  body.dispatchEvent(new Event("input", { bubbles: true }));
  body.focus();
  body.setSelectionRange(body.value.length, body.value.length);
  body.scrollTop = body.scrollHeight;
}
