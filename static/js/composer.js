// The composer: Ctrl/Cmd+Enter sends, the field grows with its text, and a failed post keeps the text.

import { DraftKeeper } from "./draft-keeper.js";
import { MentionList } from "./mentions.js";
import { Preview } from "./preview.js";
import { ask, NOT_YOURS } from "./requests.js";

const MAX_SHARE_OF_WINDOW = 0.4;

/** A random UUID; crypto.randomUUID exists only on https pages. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class Composer {
  /**
   * `onPosted(html)` receives the rendered messages. `onReplaced()` is called when the form was replaced by another.
   * `lastSequence()` returns the sequence number of the last message on the page.
   * `onTrouble(what)` is called with "gone" (no access any more), "signed-out" or "away" (no usable response).
   */
  constructor(form, { onPosted, onReplaced, lastSequence, onTrouble }) {
    this.onPosted = onPosted;
    this.onReplaced = onReplaced;
    this.lastSequence = lastSequence;
    this.onTrouble = onTrouble;
    this.#adopt(form);
  }

  #adopt(form) {
    this.form = form;
    this.body = form.querySelector("textarea");
    this.preview = new Preview(form, {
      ask: (address) => this.#ask(address),
      onRefused: (answer) => (answer ? this.#take(answer) : this.onTrouble("away")),
    });
    new MentionList(form);
    this.body.addEventListener("input", () => {
      this.preview.close();
      this.#grow();
    });
    this.draft?.release();
    this.draft = new DraftKeeper(form, () => this.#grow());
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter === this.preview.button) this.preview.toggle();
      else this.#send();
    });
  }

  async #send() {
    const button = this.form.querySelector("[data-send]");
    if (button.disabled) return;
    button.disabled = true;
    this.body.readOnly = true; // text typed now would be cleared together with the text that is sent
    try {
      await this.#take(await this.#post(this.form.action));
    } catch {
      this.onTrouble("away"); // text and client id stay, so that sending again can't create a second message
    } finally {
      button.disabled = false;
      this.body.readOnly = false;
      // The stream may have shown the message before this response, and its author may have moved on.
      if (document.activeElement === document.body || this.form.contains(document.activeElement)) this.body.focus();
    }
  }

  /** The response; null if there is none. */
  #ask(address) {
    return this.#post(address).catch(() => null);
  }

  async #post(address) {
    const answer = await this.#postOnce(address);
    if (answer.status !== 403) return answer;
    await this.#renewToken(); // the user may have signed in again in another tab
    return this.#postOnce(address);
  }

  #postOnce(address) {
    const data = new FormData(this.form);
    data.set("after", this.lastSequence());
    return ask(address, { method: "POST", body: data });
  }

  async #renewToken() {
    const page = new DOMParser().parseFromString(await (await ask(location.href)).text(), "text/html");
    const fresh = page.querySelector("[data-composer] [name=csrfmiddlewaretoken]");
    if (fresh) this.form.querySelector("[name=csrfmiddlewaretoken]").value = fresh.value;
  }

  async #take(answer) {
    if (answer.status === 201) {
      this.body.value = "";
      this.draft.forget();
      this.preview.close();
      this.form.querySelector("[name=client_id]").value = newId();
      this.form.querySelector(".composer-error")?.remove();
      this.#grow();
      this.onPosted(await answer.text());
    } else if (answer.status === 422) {
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      const form = holder.content.querySelector("form");
      this.form.replaceWith(form);
      this.#adopt(form);
      this.onReplaced();
    } else if (answer.status === NOT_YOURS) {
      this.onTrouble("not-yours"); // the text stays, and the page says who is signed in
    } else if (answer.status === 404) {
      this.onTrouble("gone");
    } else if (answer.redirected || answer.status === 403) {
      this.onTrouble("signed-out");
    } else {
      this.onTrouble("away");
    }
  }

  #grow() {
    this.body.style.height = "auto";
    const most = window.innerHeight * MAX_SHARE_OF_WINDOW;
    this.body.style.height = `${Math.min(this.body.scrollHeight + 2, most)}px`;
  }
}
