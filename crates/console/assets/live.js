// Keeps a page up to date: follows the stream of changes, asks for the same address again, and replaces the parts of the
// page that have the attribute data-live. Copies to the clipboard; asks before a form with data-confirm is sent.
"use strict";

const REFRESH_MIN_MS = 1000; // between two reads of the page
const REFRESH_MAX_MS = 15000; // without a change: Redis may be down, and ages grow
const parts = () => document.querySelectorAll("[data-live][id]");
const sign = document.getElementById("live");
let stream = null;
let refreshedAt = 0;
let planned = 0;

// The browser opens at most six connections to a host: hidden tabs give theirs back.
function follow() {
  if (document.hidden || stream || !sign || parts().length === 0) return;
  stream = new EventSource("/api/v1/events/stream");
  stream.onopen = () => show(true);
  stream.onerror = () => show(false);
  stream.onmessage = plan;
  stream.addEventListener("gap", plan);
}

function pause() {
  if (stream) stream.close();
  stream = null;
  clearTimeout(planned);
  planned = 0;
  show(false);
}

function show(isLive) {
  sign.hidden = false;
  sign.classList.toggle("off", !isLive);
  sign.lastElementChild.textContent = isLive ? "live" : "paused";
}

function plan() {
  if (planned) return;
  planned = setTimeout(refresh, Math.max(0, refreshedAt + REFRESH_MIN_MS - Date.now()));
}

async function refresh() {
  planned = 0;
  refreshedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // The worst finding is kept up to date with the page, but is no reason to follow.
    for (const part of document.querySelectorAll("[data-live][id], #worst")) {
      const fresh = page.getElementById(part.id);
      // The page has another form now.
      if (!fresh) return location.reload();
      // A part that somebody types in or has selected text in stays as it is.
      if (!part.contains(document.activeElement) && fresh.innerHTML !== part.innerHTML) {
        part.replaceWith(document.adoptNode(fresh));
      }
    }
  } catch {
    show(false);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return pause();
  follow();
  plan();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copyFrom);
  await navigator.clipboard.writeText(source ? source.textContent : button.dataset.copy);
  const text = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = text), 1200);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// Without this script they would do nothing.
for (const button of document.querySelectorAll("[data-copy], [data-copy-from]")) button.hidden = false;

addEventListener("pagehide", pause);
setInterval(() => {
  if (stream && Date.now() - refreshedAt > REFRESH_MAX_MS) plan();
}, REFRESH_MAX_MS / 3);
follow();
