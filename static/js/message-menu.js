// The menu of a message, behind its "⋯". Without JavaScript it is a page.

import { quote } from "./quote.js";
import { ask, NOT_YOURS } from "./requests.js";

const SHOWN_COPIED = 900; // milliseconds

let open = null;

function close({ focus = false } = {}) {
  if (!open) return;
  const { menu, link } = open;
  open = null;
  menu.remove();
  link.setAttribute("aria-expanded", "false");
  if (focus) link.focus();
}

async function show(link) {
  close();
  const answer = await ask(link.href).catch(() => null);
  if (answer?.status === NOT_YOURS) return; // the page says so
  if (!answer?.ok || answer.redirected) return location.assign(link.href);
  if (!link.isConnected) return; // the message has disappeared, because it may not be read any more
  const menu = document.createElement("div");
  menu.className = "message-menu";
  menu.innerHTML = await answer.text();
  link.after(menu);
  link.setAttribute("aria-expanded", "true");
  open = { menu, link };
  // Not behind the composer, where the menu would be invisible.
  const floor = document.querySelector(".thread-bottom")?.getBoundingClientRect().top ?? window.innerHeight;
  menu.classList.toggle("message-menu-above", menu.getBoundingClientRect().bottom > floor);
  menu.querySelector("a, button").focus();
}

/** Choose the item with this `data-action` from the menu of a message; resolves to whether there is one. */
export async function chooseFromMenu(link, action) {
  await show(link);
  const item = open?.menu.querySelector(`[data-action="${action}"]`);
  if (item) item.click();
  else close();
  return Boolean(item);
}

export function openMessageMenus(list) {
  list.addEventListener("click", (event) => {
    const link = event.target.closest("[data-message-menu]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (open?.link === link) close();
    else show(link);
  });
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy-link]");
    if (copy && navigator.clipboard) {
      event.preventDefault();
      const isCopied = await navigator.clipboard.writeText(copy.href).then(
        () => true,
        () => false,
      );
      if (!isCopied) return location.assign(copy.href);
      copy.querySelector("[data-label]").textContent = copy.dataset.copied;
      const shown = open?.menu;
      setTimeout(() => shown && open?.menu === shown && close({ focus: true }), SHOWN_COPIED);
      return;
    }
    const quoted = event.target.closest(".message-menu [data-quote]");
    if (quoted && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      quote(quoted.dataset.quote);
    }
    // A click on a button submits its form, so the menu must stay until then.
    if (open && !event.target.closest("[data-message-menu], .message-menu button")) close();
  });
  document.addEventListener("keydown", (event) => {
    if (!open) return;
    if (event.key === "Escape") close({ focus: true });
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const items = [...open.menu.querySelectorAll("a, button")];
    const step = event.key === "ArrowDown" ? 1 : -1;
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
}
