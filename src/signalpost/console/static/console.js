// The little that pages need of a script: copying, rows of a map, the mark of an open call, a question before what can't
// be undone, and the form token of htmx's requests. Everything else works without it.
"use strict";

const formToken = document.body.dataset.formToken;

document.addEventListener("htmx:configRequest", (event) => {
  if (formToken) event.detail.headers["X-CSRF-Token"] = formToken;
});

document.addEventListener("htmx:beforeRequest", (event) => {
  // Nobody looks: what is read again and again can wait.
  if (document.hidden && event.detail.requestConfig.verb === "get") event.preventDefault();
});

document.addEventListener("htmx:responseError", ({ detail }) => {
  // The session has ended: the page asks for a sign-in.
  if (detail.xhr.status === 401) window.location.reload();
  else tellRefusal(detail.requestConfig.path, detail.xhr.responseText);
});

// What a button or a live part was refused is told on top of the page, until the same succeeds.
function tellRefusal(path, text) {
  let message = "That did not work. Load the page again.";
  try {
    message = JSON.parse(text).message ?? message;
  } catch {
    // No JSON: something between the gateway and here has answered.
  }
  const told = document.getElementById("refusal") ?? document.createElement("div");
  told.id = "refusal";
  told.className = "flash bad";
  told.dataset.path = path;
  told.setAttribute("role", "alert");
  told.textContent = message;
  document.getElementById("main").prepend(told);
}

document.addEventListener("htmx:afterOnLoad", ({ detail }) => {
  const told = document.getElementById("refusal");
  if (told && detail.successful && told.dataset.path === detail.requestConfig.path) told.remove();
});

// A live page tells when the gateway does not answer.
for (const [name, isOffline] of [["htmx:sendError", true], ["htmx:beforeOnLoad", false]]) {
  document.addEventListener(name, () => document.body.classList.toggle("is-offline", isOffline));
}

// The call that is open beside the list is marked in it.
function markOpenCall() {
  const open = document.querySelector("#call [data-number]")?.dataset.number;
  for (const row of document.querySelectorAll("#feed .feed-row")) {
    if (row.id === `call-${open}`) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}
markOpenCall();
document.addEventListener("htmx:afterSettle", markOpenCall);

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], [data-add-row], [data-remove-row]");
  if (!target) return;
  if ("copy" in target.dataset) {
    await navigator.clipboard.writeText(target.dataset.copy);
    target.classList.add("is-done");
    const words = target.querySelector("span");
    if (words) words.textContent = "Copied";
    setTimeout(() => {
      target.classList.remove("is-done");
      if (words) words.textContent = "Copy";
    }, 1600);
  } else if ("addRow" in target.dataset) {
    const map = target.closest("fieldset");
    const row = map.querySelector("template").content.cloneNode(true);
    const rows = map.querySelector("[data-map-rows]");
    rows.append(row);
    rows.lastElementChild.querySelector("input").focus();
  } else {
    const row = target.closest(".map-row");
    const neighbour = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    (neighbour?.querySelector("input") ?? document.querySelector("[data-add-row]"))?.focus();
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
