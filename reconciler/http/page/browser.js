// Keeps a page of the console current: ages of instants, rows that change, and the state of the
// connection. The page is complete without it.

const { body } = document;
const blocks = document.getElementById("blocks");
const state = document.getElementById("live");
const readAt = document.getElementById("read-at");

// ── Ages: counted from the server's clock, as the reader's may be wrong.
const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
let offset = Number(body.dataset.now) - Date.now();

function spanOf(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [unit, size] = UNITS.find(([, each]) => s >= each) ?? ["s", 1];
  return `${Math.floor(s / size)} ${unit}`;
}

function writeAges() {
  for (const one of document.querySelectorAll("time.age")) {
    const at = Date.parse(one.dateTime);
    if (Number.isNaN(at)) continue;
    const ms = Date.now() + offset - at;
    const text = ms < -1000 ? `in ${spanOf(-ms)}` : `${spanOf(ms)} ago`;
    if (one.textContent === text) continue;
    if (one.title === "") one.title = one.textContent;
    one.textContent = text;
  }
}

// ── Changes in place: what has not changed keeps focus, selection and open details.
function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.localName === "time" && from.dateTime === to.dateTime) return;
  if (from.localName === "time") from.title = "";
  for (const { name } of [...from.attributes]) {
    if (name === "open" || name === "title") continue;
    if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (name !== "open" && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  // A field holds what its reader has typed.
  if (from === document.activeElement && /^(input|select|textarea)$/.test(from.localName)) return;
  morphChildren(from, [...to.childNodes]);
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id !== "" ? node.id : null);

function morphChildren(parent, wanted) {
  const known = new Map();
  for (const child of parent.childNodes) {
    const key = keyOf(child);
    if (key !== null) known.set(key, child);
  }
  const names = new Set(wanted.map(keyOf));
  let at = parent.firstChild;
  for (const next of wanted) {
    const key = keyOf(next);
    // A keyed child that is not wanted any more makes way.
    while (at !== null && keyOf(at) !== null && !names.has(keyOf(at))) at = dropped(at);
    const old = key === null ? (at !== null && keyOf(at) === null ? at : null) : known.get(key);
    if (old === null || old === undefined) {
      parent.insertBefore(next, at);
      continue;
    }
    if (old === at) at = at.nextSibling;
    else place(parent, old, at);
    morph(old, next);
  }
  while (at !== null) at = dropped(at);
}

function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// Moving an element takes the focus from it.
function place(parent, node, before) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, before);
  if (focused !== null) focused.focus({ preventScroll: true });
}

const parse = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

function mark(element) {
  element.classList.add("arrived");
  element.addEventListener("animationend", () => element.classList.remove("arrived"), {
    once: true,
  });
}

function writePage({ title, html }) {
  writeTitle(title);
  morphChildren(blocks, [...parse(html).childNodes]);
}

function writeTitle(title) {
  if (title === undefined) return;
  document.title = `${title} – Navarch`;
  const heading = document.querySelector("h1");
  if (heading.textContent !== title) heading.textContent = title;
}

function writePatch(patch) {
  writeTitle(patch.title);
  for (const block of patch.blocks) {
    const old = document.getElementById(block.id);
    if (old === null) throw new Error("an unknown block");
    if (block.html !== undefined) morph(old, parse(block.html).firstElementChild);
    else writeRows(document.getElementById(`${block.id}-rows`), block);
  }
}

function writeRows(list, { rows, order }) {
  for (const html of rows) {
    const next = parse(html).firstElementChild;
    const old = document.getElementById(next.id);
    if (old === null) list.append(next);
    else morph(old, next);
    mark(document.getElementById(next.id));
  }
  if (order === null) return;
  const wanted = new Set(order);
  for (const row of [...list.children]) if (!wanted.has(row.id)) row.remove();
  let at = list.firstElementChild;
  for (const id of order) {
    const row = document.getElementById(id);
    if (row === null) throw new Error("an unknown row");
    if (row === at) at = at.nextElementSibling;
    else place(list, row, at);
  }
}

// ── The connection: a stream, or the page again each 10 s where there is none.
const SILENCE_MS = 40_000;
const POLL_MS = 10_000;
const RETRY_MS_MAX = 60_000;
let version = body.dataset.version;
// The server's time of what is shown.
let shownAt = body.dataset.now;
let source = null;
let retryMs = 1_000;
let heardAt = Date.now();
let timer = null;

function tell(text) {
  if (state.textContent !== text) state.textContent = text;
  state.hidden = text === "";
}

function heard(now) {
  heardAt = Date.now();
  if (Number.isFinite(now)) {
    offset = now - heardAt;
    shownAt = now;
  }
  const text = new Date(heardAt + offset).toISOString();
  readAt.textContent = `${text.slice(0, 10)} ${text.slice(11, 19)}Z`;
  tell("");
  writeAges();
}

function listen() {
  stop();
  const have = encodeURIComponent(version);
  const own = new EventSource(`${body.dataset.live}&have=${have}&at=${shownAt}`);
  source = own;
  const on = (name, act) =>
    own.addEventListener(name, (event) => {
      if (own !== source) return;
      const data = JSON.parse(event.data);
      try {
        act(data);
        if (data.version !== undefined) version = data.version;
        heard(data.now);
        retryMs = 1_000;
      } catch {
        // What is shown is not what the server believes: ask for all of it.
        version = "";
        later(1_000);
      }
    });
  on("page", writePage);
  on("patch", writePatch);
  on("beat", () => undefined);
  on("bye", ({ reload }) => {
    if (reload === true) location.reload();
    else later(500);
  });
  own.addEventListener("error", () => {
    if (own === source) void poll();
  });
}

function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
  timer = null;
}

function later(ms) {
  stop();
  timer = setTimeout(listen, ms * (1 + Math.random() / 4));
}

// The page as a reload would give it, then the stream again.
async function poll() {
  stop();
  let waitMs;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(POLL_MS) });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    writeTitle(page.querySelector("h1").textContent);
    morphChildren(blocks, [...page.getElementById("blocks").childNodes]);
    version = page.body.dataset.version;
    heard(Number(page.body.dataset.now));
    // A stream that broke is opened again soon; one that cannot be opened is not.
    waitMs = Math.min(POLL_MS, retryMs);
    retryMs = POLL_MS;
  } catch {
    tell(
      `Not connected for ${spanOf(Date.now() - heardAt)}: ` +
        "what you see may be old. Trying again.",
    );
    retryMs = Math.min(RETRY_MS_MAX, Math.max(2_000, retryMs * 2));
    waitMs = retryMs;
  }
  if (!document.hidden) later(waitMs);
}

function check() {
  writeAges();
  const silent = Date.now() - heardAt;
  if (body.dataset.live === undefined || document.hidden || silent < SILENCE_MS) return;
  tell(`Nothing heard for ${spanOf(silent)}: what you see may be old.`);
  if (source !== null) void poll();
}

// Browsers open six connections to a host: a page that is not seen gives its own back.
function watch() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return stop();
    heardAt = Date.now();
    listen();
  });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", ({ persisted }) => persisted && listen());
  addEventListener("online", () => void poll());
  if (!document.hidden) listen();
}

writeAges();
setInterval(check, 1_000);
if (body.dataset.live !== undefined) watch();
