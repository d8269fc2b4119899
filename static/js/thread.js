// An open thread: follows the live stream, loads older messages, sends without leaving the page.

import { Composer } from "./composer.js";
import { openDialogs } from "./dialogs.js";
import { Forecast } from "./forecast.js";
import { openMessageMenus } from "./message-menu.js";
import { Reading } from "./reading.js";
import { Rows } from "./rows.js";

const NEAR_THE_END = 120; // pixels
const PAGE_LENGTH = 50;
const ASK_AGAIN_AFTER = 3000; // milliseconds

const thread = document.querySelector("[data-thread]");
const rows = new Rows(thread.querySelector("[data-rows]"));
const newBelow = document.querySelector("[data-new-below]");
const lost = document.querySelector("[data-connection-lost]");
const signedOut = document.querySelector("[data-signed-out]");
const announcement = thread.querySelector("[data-announcement]");
const forecast = new Forecast(() => document.querySelector("[data-forecast]"));
const reading = new Reading(rows, {
  upTo: Number(thread.dataset.readUpTo),
  url: thread.dataset.readUrl,
  token: () => document.querySelector("[data-composer] [name=csrfmiddlewaretoken]").value,
});
// Everything up to this revision is on the page; what changed since is asked for.
let revision = Number(thread.dataset.revision);
// While there are newer messages that the page has not loaded, new ones are not put below those that it has.
let hasTheEnd = rows.last >= Number(thread.dataset.last);

const isNearTheEnd = () =>
  hasTheEnd && window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR_THE_END;
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

/** Put what came on the page; follows to the end where the reader is there. */
function take(html) {
  const wasNear = isNearTheEnd();
  const came = rows.place(html, { from: rows.first, upTo: hasTheEnd ? Infinity : rows.last });
  if (came.added.length) {
    document.querySelector("[data-empty]")?.remove();
    announcement.textContent = announcement.dataset.one;
    if (wasNear && !document.hidden) toTheEnd();
  }
  if (!wasNear && (came.added.length || (!hasTheEnd && came.count))) sayNewBelow();
  reading.watch();
  return came;
}

function sayNewBelow() {
  newBelow.textContent = newBelow.dataset.newWords;
  newBelow.hidden = false;
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
  lost.hidden = true;
}

/** A question was answered: that says more than an event of a stream that was opened long ago. */
function answered() {
  connectionBack();
  signedOut.hidden = true;
}

function shutOut() {
  isOver = true;
  stream?.close();
  answered();
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
let askAgain = null;
let missedSince = Infinity; // a revision from which on something may be missing after all

/** Ask for what changed; for nothing where the page has come as far as `wanted` by the time of asking. */
function catchUp(wanted = Infinity) {
  // One at a time, and once more if there was news meanwhile.
  catchingUp = catchingUp.then(async () => {
    if (isOver || wanted <= revision) return;
    revision = Math.min(revision, missedSince);
    missedSince = Infinity;
    try {
      let came;
      do {
        came = take(await fetchRows(`since=${revision}&from=${rows.first}`));
        revision = Math.max(revision, came.revision);
      } while (came.count === PAGE_LENGTH);
      reach(Number(came.now.dataset.revision), () => forecast.show(came.now.innerHTML));
      answered();
    } catch (error) {
      explain(error);
      // The stream may be alive while the question failed: nobody else would ask again.
      clearTimeout(askAgain);
      if (!isOver) askAgain = setTimeout(() => catchUp(), ASK_AGAIN_AFTER);
    }
  });
  return catchingUp;
}

/** The page has come as far as this revision, at which the forecast is so. */
function reach(reached, showForecast) {
  if (reached >= revision) showForecast();
  revision = Math.max(revision, reached);
}

/** An event brings along what changed since another revision; what does not follow on from the page is asked for. */
function hear(news) {
  if (news.html === undefined || news.since > revision) return catchUp(news.revision);
  if (isOver || news.revision <= revision) return;
  take(news.html);
  reach(news.revision, () => forecast.tell(news.forecast));
  connectionBack();
}

function listen() {
  stream?.close();
  clearTimeout(comeBack);
  if (isOver || document.hidden) return;
  stream = new EventSource(thread.dataset.streamUrl);
  stream.addEventListener("open", () => catchUp());
  stream.addEventListener("changed", (event) => hear(JSON.parse(event.data)));
  stream.addEventListener("gone", shutOut);
  stream.addEventListener("error", () => {
    connectionLost();
    if (stream.readyState !== EventSource.CLOSED) return; // EventSource comes back by itself
    catchUp(); // an answer that is no stream: the same question in plain says why
    comeBack = setTimeout(listen, 5000);
  });
}

listen();
// A browser has six connections to a host: a tab in the background gives its own back.
document.addEventListener("visibilitychange", listen);
window.addEventListener("online", () => catchUp());

newBelow.addEventListener("click", (event) => {
  if (!hasTheEnd) return; // the link leads to the newest
  event.preventDefault();
  toTheEnd();
  newBelow.hidden = true;
});
let staysAtTheEnd = false;
document.addEventListener("scroll", () => {
  staysAtTheEnd = isNearTheEnd();
  if (staysAtTheEnd) newBelow.hidden = true;
});
// A keyboard that opens, or a window made smaller, does not take the newest message off the screen.
window.addEventListener("resize", () => staysAtTheEnd && toTheEnd());

// What is scrolled to stands below the head, however high that is.
const head = document.querySelector(".page-top");
new ResizeObserver(() =>
  document.documentElement.style.setProperty("--head", `${head.offsetHeight + parseFloat(getComputedStyle(head).top)}px`),
).observe(head);

// -- where the page opens ------------------------------------------------------------------------

const target = location.hash && document.getElementById(location.hash.slice(1));
const firstUnread = document.getElementById("new");
if (target || firstUnread) (target || firstUnread).scrollIntoView({ block: target ? "center" : "start" });
else if (hasTheEnd) toTheEnd();
if (!hasTheEnd) {
  newBelow.textContent = newBelow.dataset.words;
  newBelow.hidden = false;
}
reading.watch();

// -- older and newer messages ----------------------------------------------------------------------

/** Load on reaching the link, and on pressing it; `load` says whether that was all. */
function loadOnReaching(link, load) {
  if (!link) return;
  let loading = null;
  const loadOnce = () =>
    (loading ??= load()
      .then((isAll) => isAll && link.parentElement.remove())
      .catch(explain)
      .finally(() => (loading = null)));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    loadOnce();
  });
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) loadOnce();
  }).observe(link);
}

/** Put a page of messages above or below those that are there. */
async function load(query) {
  const before = revision;
  const html = await fetchRows(query);
  const came = rows.place(html);
  // What changed meanwhile was not on this page yet when it was told: it is asked for again.
  if (revision > before) {
    missedSince = Math.min(missedSince, before);
    catchUp();
  }
  return came;
}

loadOnReaching(thread.querySelector("[data-older]"), async () => {
  const heightBefore = document.documentElement.scrollHeight;
  await load(`before=${rows.first}`);
  window.scrollBy(0, document.documentElement.scrollHeight - heightBefore);
  return rows.first === 1;
});

loadOnReaching(thread.querySelector("[data-newer]"), async () => {
  const came = await load(`after=${rows.last}`);
  hasTheEnd = came.count < PAGE_LENGTH;
  if (hasTheEnd) newBelow.hidden = true;
  reading.watch();
  return hasTheEnd;
});

openMessageMenus(rows.list);
openDialogs(() => catchUp());

// -- posting -------------------------------------------------------------------------------------

new Composer(document.querySelector("[data-composer]"), {
  lastSequence: () => rows.last,
  onPosted: (html) => {
    if (!hasTheEnd) return location.assign(`${location.pathname}?latest`);
    take(html);
    answered();
    catchUp(); // what posting has changed; without waiting for the stream to say so
    toTheEnd();
    newBelow.hidden = true;
  },
  onReplaced: () => forecast.start(),
  onTrouble: (what) => {
    if (what === "gone") shutOut();
    else if (what === "signed-out") signedOut.hidden = false;
    else lost.hidden = false; // one's own message did not go out: that is said at once
  },
});
