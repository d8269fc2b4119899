// The record of a message opens in a dialog over the thread; without this module, as a page of its own.

export function openRecords(list) {
  list.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-record]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const answer = await fetch(link.href, { headers: { "X-Requested-With": "fetch" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return location.assign(link.href);
    show(await answer.text(), link);
  });
}

function show(html, link) {
  const dialog = document.createElement("dialog");
  dialog.className = "record-dialog";
  dialog.setAttribute("aria-labelledby", "record-title");
  dialog.innerHTML = html;
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}
