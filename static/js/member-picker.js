// Makes a long list of check boxes searchable, and counts the chosen ones.

import { fold } from "./folding.js";

for (const picker of document.querySelectorAll("[data-picker]")) {
  const search = picker.querySelector("[data-picker-search]");
  const count = picker.querySelector("[data-picker-count]");
  const items = [...picker.querySelectorAll("li")];

  const showCount = () => {
    const chosen = picker.querySelectorAll("input:checked").length;
    count.textContent = count.dataset.words.replace("%n", chosen);
  };

  search.addEventListener("input", () => {
    const wanted = fold(search.value.trim());
    for (const item of items) item.hidden = !fold(item.textContent).includes(wanted);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault(); // in the search field, Enter must not save the form
  });
  picker.addEventListener("change", showCount);

  picker.querySelector("[data-picker-head]").hidden = false;
  showCount();
}
