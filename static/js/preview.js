// Shows a preview of the message in place of the text field; the server renders it.

export class Preview {
  /** `ask(address)` posts the composer's form to it; `onRefused(answer)` receives every response except a preview. */
  constructor(form, { ask, onRefused }) {
    this.pane = form.querySelector("[data-preview]");
    this.body = form.querySelector("textarea");
    this.button = form.querySelector("[data-preview-button]");
    this.words = [this.button.textContent, this.button.dataset.write];
    this.ask = ask;
    this.onRefused = onRefused;
    this.close();
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.isOpen) return;
      this.close();
      this.body.focus();
    });
  }

  get isOpen() {
    return !this.pane.hidden;
  }

  async toggle() {
    if (this.isOpen) {
      this.close();
      return this.body.focus();
    }
    const answer = await this.ask(this.button.formAction);
    if (answer?.status !== 200 || answer.redirected) return this.onRefused(answer);
    this.pane.innerHTML = await answer.text();
    this.#show(true);
    this.pane.focus();
  }

  close() {
    this.#show(false);
    this.pane.replaceChildren();
  }

  #show(isOpen) {
    this.pane.hidden = !isOpen;
    this.body.hidden = isOpen;
    this.button.textContent = this.words[isOpen ? 1 : 0];
  }
}
