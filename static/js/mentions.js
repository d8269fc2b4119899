// Suggests the people of the group after an @. Arrow keys, Enter or Tab choose, Escape closes.

import { fold } from "./folding.js";
import { ask } from "./requests.js";

const MOST_SHOWN = 8;
// The character before the @ must not make it part of an address or a word. The text after it is part of a name.
const BEGUN = /(?:^|[^\p{L}\p{N}\p{M}/.@+\-%=#&?])@([^\s@][^\n@]{0,119}|)$/u;

export class MentionList {
  #people = null;
  #found = [];
  #chosen = 0;
  #dismissedAt = -1;

  constructor(form) {
    this.form = form;
    this.body = form.querySelector("textarea");
    this.list = form.querySelector("[data-people]");
    this.status = form.querySelector("[data-people-status]");
    // A text field with a list of suggestions: ARIA has no combobox with several lines.
    this.body.setAttribute("aria-autocomplete", "list");
    this.body.setAttribute("aria-haspopup", "listbox");
    this.body.addEventListener("input", () => this.#look());
    this.body.addEventListener("click", () => this.#look());
    this.body.addEventListener("blur", () => this.#close());
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // leaves the focus in the field
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...this.list.children].indexOf(option));
    });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  /** The text between an @ and the cursor; null if there is none. */
  #begun() {
    if (this.body.selectionStart !== this.body.selectionEnd) return null;
    return this.body.value.slice(0, this.body.selectionStart).match(BEGUN)?.[1] ?? null;
  }

  async #look() {
    const begun = this.#begun();
    if (begun === null) this.#dismissedAt = -1;
    if (begun === null || this.#place(begun) === this.#dismissedAt) return this.#close();
    this.#people ??= this.#fetch();
    const people = await this.#people;
    if (this.#begun() !== begun) return; // the text has changed since
    const wanted = fold(` ${begun}`);
    this.#found = people.filter(({ name }) => fold(` ${name}`).includes(wanted)).slice(0, MOST_SHOWN);
    if (this.#found.length) this.#open();
    else this.#close();
  }

  #place(begun) {
    return this.body.selectionStart - begun.length;
  }

  async #fetch() {
    try {
      const answer = await ask(this.form.dataset.peopleUrl);
      if (answer.ok && !answer.redirected) return (await answer.json()).people;
    } catch {
      // Offline: the name can still be typed in full.
    }
    this.#people = null; // fetched again at the next letter
    return [];
  }

  #open() {
    this.list.replaceChildren(...this.#found.map((person, index) => this.#option(person, index)));
    this.list.hidden = false;
    this.body.setAttribute("aria-controls", this.list.id);
    this.#choose(0);
    this.status.textContent = this.status.dataset.words.replace("%n", this.#found.length);
  }

  #option({ name, count }, index) {
    const option = document.createElement("li");
    option.id = `composer-person-${index}`;
    option.setAttribute("role", "option");
    const shown = document.createElement("bdi");
    shown.textContent = name;
    option.append(shown);
    if (count > 1) {
      const note = document.createElement("small");
      note.textContent = this.list.dataset.namesakes.replace("%n", count);
      option.append(" ", note);
    }
    return option;
  }

  #choose(index) {
    this.#chosen = (index + this.#found.length) % this.#found.length;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", at === this.#chosen));
    this.list.children[this.#chosen].scrollIntoView({ block: "nearest" });
    this.body.setAttribute("aria-activedescendant", `composer-person-${this.#chosen}`);
  }

  #close() {
    if (!this.isOpen) return;
    this.list.hidden = true;
    this.list.replaceChildren();
    this.status.textContent = "";
    this.body.removeAttribute("aria-controls");
    this.body.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    if (!this.isOpen || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      ArrowDown: () => this.#choose(this.#chosen + 1),
      ArrowUp: () => this.#choose(this.#chosen - 1),
      Enter: () => this.#take(this.#chosen),
      Tab: () => this.#take(this.#chosen),
      Escape: () => this.#dismiss(),
    };
    if (!(event.key in keys) || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  }

  #dismiss() {
    this.#dismissedAt = this.#place(this.#begun() ?? "");
    this.#close();
  }

  #take(index) {
    const begun = this.#begun();
    if (begun === null) return this.#close();
    const { name } = this.#found[index];
    this.body.setRangeText(`${name} `, this.#place(begun), this.body.selectionStart, "end");
    this.#close();
    this.body.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
