// The notification interval can be changed only while notifications are on; the server keeps it meanwhile.

const isOn = document.getElementsByName("notifications_enabled")[0];
const fields = document.querySelectorAll(".interval input, .interval select");

function follow() {
  for (const field of fields) field.disabled = !isOn.checked;
}

isOn.addEventListener("change", follow);
window.addEventListener("pageshow", follow); // a page from the browser's history restores the check mark
follow();
