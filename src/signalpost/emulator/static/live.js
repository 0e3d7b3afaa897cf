// Keeps the page fresh: fetches it again and swaps <main> when something arrived. Without this script, reload by hand.
const REFRESH_MS = 1500;
const REDRAW_EVERY = 10; // even when nothing arrived, so that "12 s ago" does not lie for long

const main = document.getElementById("live");
const button = document.querySelector(".live-switch");
let isLive = true;
let rounds = 0;

function isBeingRead() {
  const selection = document.getSelection();
  return document.hidden || (selection && !selection.isCollapsed);
}

function swap(fresh) {
  const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const open = [...main.querySelectorAll("details[open][id]")].map((details) => details.id);
  main.replaceChildren(...fresh.childNodes);
  main.dataset.version = fresh.dataset.version;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) main.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

async function refresh() {
  if (!isLive || isBeingRead()) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    rounds += 1;
    if (fresh && (fresh.dataset.version !== main.dataset.version || rounds % REDRAW_EVERY === 0)) swap(fresh);
    button.classList.remove("offline");
  } catch {
    button.classList.add("offline");
  }
}

function openTarget() {
  document.querySelector(`${location.hash || "#none"} > details`)?.setAttribute("open", "");
}

if (!location.pathname.startsWith("/events/")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    isLive = !isLive;
    button.setAttribute("aria-pressed", String(isLive));
    button.querySelector("span").textContent = isLive ? "Live" : "Paused";
  });
  setInterval(refresh, REFRESH_MS);
}
addEventListener("hashchange", openTarget);
openTarget();
