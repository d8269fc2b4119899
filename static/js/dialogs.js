// Pages about a message open in a dialog over the thread. Without JavaScript they are ordinary pages.

import { ask, NOT_YOURS } from "./requests.js";

/** Links with `data-record` open in a dialog; `onDone()` is called after a form in it was accepted. */
export function openDialogs(onDone) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-record]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const answer = await ask(link.href).catch(() => null);
    if (answer?.status === NOT_YOURS) return; // the page says so
    if (!answer?.ok || answer.redirected) return location.assign(link.href);
    show(await answer.text(), link, onDone);
  });
}

function show(html, link, onDone) {
  const dialog = document.createElement("dialog");
  const cameFrom = link.closest("[data-sequence]")?.id;
  dialog.className = "record-dialog";
  dialog.setAttribute("aria-labelledby", "record-title");
  dialog.innerHTML = html;
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  dialog.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-in-dialog]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    const answer = await ask(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
    button.disabled = false;
    if (answer?.status === 204) {
      dialog.close();
      onDone();
    } else if (answer?.status === 422) {
      dialog.innerHTML = await answer.text();
      dialog.querySelector("[autofocus]")?.focus();
    } else if (answer?.status === NOT_YOURS) {
      refuse(form, await answer.text());
    } else {
      form.submit(); // the full page explains the problem
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    const row = document.getElementById(cameFrom); // an update may have replaced it
    (link.isConnected ? link : row?.querySelector("[data-record], [data-message-menu]"))?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Say why in the dialog; what was typed stays there. */
function refuse(form, sentence) {
  const summary = form.querySelector("[data-refusal]") ?? document.createElement("p");
  summary.className = "composer-error";
  summary.dataset.refusal = "";
  summary.setAttribute("role", "alert");
  summary.textContent = sentence;
  form.prepend(summary);
}
