// Saves the text of a composer as its draft, and restores it when the composer opens.

import { forgetOldDrafts, keepDraft, readDraft, removeDraft } from "./drafts.js";

export class DraftKeeper {
  /** `form` is the composer; `onRestored()` is called whenever its text was set from a draft. */
  constructor(form, onRestored) {
    this.key = form.dataset.draft;
    this.body = form.querySelector("textarea");
    this.clientId = form.querySelector("[name=client_id]");
    this.hint = form.querySelector("[data-draft-hint]");
    this.onRestored = onRestored;
    this.known = "";
    forgetOldDrafts();
    this.#restore();
    this.body.addEventListener("input", () => this.#keep());
    this.heard = (event) => event.key === this.key && this.#follow();
    addEventListener("storage", this.heard);
  }

  /** The text was sent: delete the draft. */
  forget() {
    removeDraft(this.key);
    this.known = "";
    this.hint.hidden = true;
  }

  /** The composer is replaced by another one: stop following its draft. */
  release() {
    removeEventListener("storage", this.heard);
  }

  #keep() {
    this.known = this.body.value;
    if (!this.known) return this.forget();
    this.hint.hidden = !keepDraft(this.key, this.known, this.clientId.value);
  }

  #restore() {
    const draft = readDraft(this.key);
    const brought = this.body.value; // from the server: a quote, or a text that it refused
    if (draft?.text && !brought) {
      this.#put(draft);
    } else if (brought && draft?.text && !brought.includes(draft.text)) {
      this.body.value = draft.text.includes(brought.trim()) ? draft.text : `${draft.text.trimEnd()}\n\n${brought}`;
    }
    if (this.body.value) this.#keep();
    if (brought) dropQuoteFromAddress();
    this.onRestored();
  }

  // Another tab changed the same draft, sent it, or signed out. Text typed here since then stays.
  #follow() {
    if (this.body.value !== this.known || this.body.readOnly) return;
    const draft = readDraft(this.key);
    if (draft) this.#put(draft);
    else this.body.value = "";
    this.known = this.body.value;
    this.hint.hidden = !draft;
    this.onRestored();
  }

  // With the client id: a message whose response was lost is then sent again as the same message.
  #put(draft) {
    this.body.value = draft.text;
    this.clientId.value = draft.clientId;
  }
}

/** The quote is part of the draft now; reloading the page should not add it again. */
function dropQuoteFromAddress() {
  const address = new URL(location.href);
  address.searchParams.delete("quote");
  history.replaceState(history.state, "", address);
}
