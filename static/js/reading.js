// Reports to the server how far the user has read: the last message that was on the screen without a gap before it.

import { ask } from "./requests.js";

const REPORT_AFTER = 400; // milliseconds, so that scrolling causes one report, not one for each message

export class Reading {
  #upTo;
  #reported;
  #timer = null;

  constructor(rows, { upTo, url, token }) {
    this.rows = rows;
    this.#upTo = this.#reported = upTo;
    this.url = url;
    this.token = token;
    this.observer = new IntersectionObserver((entries) => this.#see(entries), { threshold: 0.6 });
    // Of a message that is higher than the window, 60 % are never visible: its end counts as well.
    this.ends = new IntersectionObserver((entries) => this.#see(entries));
    document.addEventListener("visibilitychange", () => this.#lookAgain());
    window.addEventListener("pagehide", () => this.#report());
  }

  /** Observe the messages on the page. To be called again after messages were added. */
  watch() {
    for (const row of this.rows.all) {
      if (Number(row.dataset.sequence) <= this.#upTo) continue;
      this.observer.observe(row);
      this.ends.observe(row.querySelector(".message-outcome"));
    }
  }

  #lookAgain() {
    if (document.hidden) return this.#report();
    this.observer.disconnect();
    this.ends.disconnect();
    this.watch();
  }

  #see(entries) {
    if (document.hidden) return;
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      const sequence = Number(entry.target.closest("[data-sequence]")?.dataset.sequence ?? 0);
      // If messages before it are missing on the page, they have not been on the screen.
      if (sequence > this.#upTo && this.rows.first <= this.#upTo + 1) this.#upTo = sequence;
    }
    if (this.#upTo > this.#reported) this.#timer ??= setTimeout(() => this.#report(), REPORT_AFTER);
  }

  #report() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#upTo <= this.#reported) return;
    const data = new URLSearchParams({ up_to: this.#upTo, csrfmiddlewaretoken: this.token() });
    this.#reported = this.#upTo;
    ask(this.url, { method: "POST", body: data, keepalive: true, redirect: "manual" }).catch(() => {
      this.#reported = 0; // repeat the report with the next message
    });
  }
}
