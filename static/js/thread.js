// An open thread: follows the live stream, loads older messages, sends without leaving the page.

import { Composer } from "./composer.js";
import { Forecast } from "./forecast.js";
import { openRecords } from "./record.js";
import { Rows } from "./rows.js";

const NEAR_THE_END = 120; // pixels
const PAGE_LENGTH = 50;

const thread = document.querySelector("[data-thread]");
const rows = new Rows(thread.querySelector("[data-rows]"));
const newBelow = document.querySelector("[data-new-below]");
const lost = document.querySelector("[data-connection-lost]");
const signedOut = document.querySelector("[data-signed-out]");
const announcement = thread.querySelector("[data-announcement]");
// A page of older messages is for reading; it neither jumps nor grows at its end.
const follows = thread.dataset.follows === "yes";

const forecast = new Forecast(() => document.querySelector("[data-forecast]"));
openRecords(rows.list);

const isNearTheEnd = () =>
  window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR_THE_END;
const toTheEnd = () => window.scrollTo({ top: document.documentElement.scrollHeight });
class Gone extends Error {}
class SignedOut extends Error {}

async function fetchRows(query) {
  const answer = await fetch(`${thread.dataset.messagesUrl}?${query}`);
  if (answer.status === 404) throw new Gone();
  if (answer.redirected) throw new SignedOut();
  if (!answer.ok) throw new Error(answer.status);
  return answer.text();
}

function show(html, { stay = false } = {}) {
  const wasNear = isNearTheEnd();
  const added = rows.add(html);
  if (!added) return 0;
  document.querySelector("[data-empty]")?.remove();
  if (wasNear && !stay) toTheEnd();
  else if (!stay) newBelow.hidden = false;
  return added;
}

// -- trouble -------------------------------------------------------------------------------------

let isOver = false;
let lostTimer = null;

/** A stream ends every few minutes and is back at once: only a longer break is worth a word. */
function connectionLost() {
  lostTimer ??= setTimeout(() => (lost.hidden = isOver), 4000);
}

function connectionBack() {
  clearTimeout(lostTimer);
  lostTimer = null;
  lost.hidden = signedOut.hidden = true;
}

function shutOut() {
  isOver = true;
  stream?.close();
  connectionBack();
  document.querySelector("[data-shut-out]").hidden = false;
  document.querySelector("[data-composer]")?.setAttribute("inert", "");
  rows.list.replaceChildren(); // what may not be read any more is not left standing
}

function explain(error) {
  if (error instanceof Gone) shutOut();
  else if (error instanceof SignedOut) signedOut.hidden = false;
  else connectionLost();
}

// -- new messages --------------------------------------------------------------------------------

let stream = null;
let comeBack = null;
let catchingUp = Promise.resolve();

function take(html) {
  const added = show(html);
  if (added) announcement.textContent = announcement.dataset.one;
  return added;
}

function catchUp() {
  // One at a time, and once more if there was news meanwhile.
  catchingUp = catchingUp.then(async () => {
    if (isOver) return;
    try {
      // From each message on whose mails are on their way: what is said about them may have changed. A mail server
      // can put one off for a day, with any number of messages between it and the end.
      let seen = 0;
      for (let next; (next = rows.onItsWayAfter(seen)) !== null; ) {
        take(await fetchRows(`after=${next - 1}`));
        seen = next - 1 + PAGE_LENGTH;
      }
      if (seen <= rows.last) while (take(await fetchRows(`after=${rows.last}`)) === PAGE_LENGTH);
      await forecast.refresh();
      connectionBack();
    } catch (error) {
      explain(error);
    }
  });
}

function listen() {
  stream?.close();
  clearTimeout(comeBack);
  if (isOver || document.hidden) return;
  stream = new EventSource(thread.dataset.streamUrl);
  stream.addEventListener("open", catchUp);
  stream.addEventListener("changed", catchUp);
  stream.addEventListener("gone", shutOut);
  stream.addEventListener("error", () => {
    connectionLost();
    if (stream.readyState !== EventSource.CLOSED) return; // EventSource comes back by itself
    catchUp(); // an answer that is no stream: the same question in plain says why
    comeBack = setTimeout(listen, 5000);
  });
}

if (follows) {
  listen();
  // A browser has six connections to a host: a tab in the background gives its own back.
  document.addEventListener("visibilitychange", listen);
  if (!location.hash) toTheEnd();
}

newBelow.addEventListener("click", () => {
  toTheEnd();
  newBelow.hidden = true;
});
document.addEventListener("scroll", () => {
  if (isNearTheEnd()) newBelow.hidden = true;
});

// -- older messages ------------------------------------------------------------------------------

const older = thread.querySelector("[data-older]");
if (older) {
  const load = async () => {
    const heightBefore = document.documentElement.scrollHeight;
    show(await fetchRows(`before=${rows.first}`), { stay: true });
    window.scrollBy(0, document.documentElement.scrollHeight - heightBefore);
    if (rows.first === 1) older.parentElement.remove();
  };
  let loading = null;
  const loadOnce = () => (loading ??= load().catch(explain).finally(() => (loading = null)));
  older.addEventListener("click", (event) => {
    event.preventDefault();
    loadOnce();
  });
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) loadOnce();
  }).observe(older);
}

// -- posting -------------------------------------------------------------------------------------

new Composer(document.querySelector("[data-composer]"), {
  lastSequence: () => rows.last,
  onPosted: (html) => {
    if (!follows) return location.assign(location.pathname);
    show(html);
    forecast.refresh();
    connectionBack();
    toTheEnd();
  },
  onTrouble: (what) => {
    if (what === "gone") shutOut();
    else if (what === "signed-out") signedOut.hidden = false;
    else lost.hidden = false; // one's own message did not go out: that is said at once
  },
});
