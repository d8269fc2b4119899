// An open topic list: its order and counts are updated live, without reloading the page.

import { markDrafts } from "./draft-marks.js";
import { ask, NOT_YOURS, openStream } from "./requests.js";

const REST = 700; // milliseconds between two updates, so that a busy tenancy does not keep the page busy
const LOOK_ANYWAY = 60_000; // milliseconds: events can be lost, and reading elsewhere causes none

const list = document.querySelector("[data-topics]");
let stream = null;
let comeBack = null;
let resting = null;
let isOver = false;

/** While the list is in use, nothing may move away under the pointer or the focus. */
const isInUse = () => list.querySelector("details[open]") || list.contains(document.activeElement);

async function look() {
  if (isOver || document.hidden || isInUse()) return;
  const answer = await ask(location.href).catch(() => null);
  if (answer?.status === 404 || answer?.status === NOT_YOURS || answer?.redirected) return leave();
  if (!answer?.ok || isInUse()) return;
  list.innerHTML = await answer.text();
  markDrafts();
  const unread = Number(list.querySelector("[data-unread]").dataset.unread);
  const badge = document.querySelector("[data-unread-topics]");
  badge.hidden = unread === 0;
  badge.querySelector("[data-count]").textContent = unread > 99 ? "99+" : unread;
}

function lookSoon() {
  resting ??= setTimeout(() => {
    resting = null;
    look();
  }, REST);
}

function leave() {
  isOver = true;
  stream?.close();
  location.reload(); // the new page shows that there is no access to Messenger any more, or who is signed in now
}

function listen() {
  stream?.close();
  clearTimeout(comeBack);
  if (isOver || document.hidden) return;
  stream = openStream(list.dataset.streamUrl);
  stream.addEventListener("open", lookSoon);
  stream.addEventListener("changed", lookSoon);
  stream.addEventListener("gone", leave);
  stream.addEventListener("error", () => {
    if (stream.readyState !== EventSource.CLOSED) return;
    lookSoon(); // the answer to a question says why
    comeBack = setTimeout(listen, 5000);
  });
}

markDrafts();
listen();
document.addEventListener("visibilitychange", listen);
setInterval(look, LOOK_ANYWAY);
