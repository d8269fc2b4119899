// Preselects the device's time zone, unless the user has chosen one.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isOf = (option) => option.value === zone || option.dataset.aliases?.split(" ").includes(zone);
for (const select of document.querySelectorAll("select[data-guess-time-zone]")) {
  const found = [...select.options].find(isOf);
  if (select.value === "UTC" && found) select.value = found.value;
}
