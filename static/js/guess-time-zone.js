// Offers the device's time zone where nobody has chosen one yet.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const select of document.querySelectorAll("select[data-guess-time-zone]")) {
  const isKnown = [...select.options].some((option) => option.value === zone);
  if (select.value === "UTC" && isKnown) select.value = zone;
}
