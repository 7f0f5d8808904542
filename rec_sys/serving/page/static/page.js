// Makes the page quicker than its forms: products that appear while one types, answers without a new page.
// Without it every button does the same by loading the page again.

const POLL_MS = 1000;
const KEEP_MS = 300;
const WRITTEN = "written"; // by a visitor in this tab

/** Asks for a page; leads to the sign-in where the session is over, and throws what cannot be shown. */
async function load(address, options = {}) {
  const response = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  const text = await response.text();
  const isPage = (response.headers.get("Content-Type") ?? "").startsWith("text/html");
  if (response.redirected && isPage && new URL(response.url).pathname === "/sign-in") {
    location.assign(`/sign-in?${new URLSearchParams({ next: location.pathname + location.search })}`);
  }
  if (!isPage) {
    const said = JSON.parse(text);
    throw new Error(`${said.error}. ${said.remedy}`);
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  if (!response.ok && !page.querySelector("[data-part]")) {
    const said = [...page.querySelectorAll("[data-fault] p")].slice(0, 2).map((one) => one.textContent);
    throw new Error(said.join(". ") || `The service answered ${response.status}.`);
  }
  return { page, address: response.url, redirected: response.redirected };
}

/** Shows a fault above the answer, as text. */
function complain(error) {
  document.querySelector("[data-complaint]")?.remove();
  const banner = document.createElement("div");
  banner.setAttribute("role", "alert");
  banner.dataset.fault = banner.dataset.complaint = "";
  banner.textContent = error instanceof TypeError ? "The service does not answer. Try again in a moment." : error.message;
  document.getElementById("main").prepend(banner);
}

/** Puts the parts of another page in place of those with the same id; false where it has none of them. */
function replaceParts(page) {
  const parts = [...document.querySelectorAll("[data-part]")].map((old) => [old, page.getElementById(old.id)]);
  if (!parts.length || parts.some(([, fresh]) => fresh === null)) return false;
  for (const [old, fresh] of parts) old.replaceWith(document.importNode(fresh, true));
  document.querySelector("[data-focus]")?.focus();
  return true;
}

async function send(address, fields) {
  document.body.setAttribute("aria-busy", "true");
  try {
    const options = { method: "POST", body: new URLSearchParams(fields) };
    const { page, address: shown, redirected } = await load(address, options);
    document.querySelector("[data-complaint]")?.remove();
    if (!replaceParts(page)) complain(new Error(page.querySelector("[data-fault]")?.textContent ?? "Nothing came back."));
    if (redirected) history.replaceState(null, "", shown);
    keep();
  } catch (error) {
    complain(error);
  } finally {
    document.body.removeAttribute("aria-busy");
  }
}

const live = () => document.querySelector("form[data-live]");

/** Keeps what is written in the tab's own history, so that Back and Reload show it again; a visitor's also beside it,
 * for whoever comes back from another view by its link. */
function keep() {
  const form = live();
  if (!form) return;
  const fields = [...new FormData(form)].filter(([name]) => name !== "customer");
  const isAny = fields.some(([name, value]) => value && name !== "user_id");
  if (isAny || history.state) history.replaceState(isAny ? { fields } : null, "");
  if (!new FormData(form).get("user_id")) sessionStorage.setItem(WRITTEN, JSON.stringify(isAny ? fields : null));
}

/** What was written where this view was left. */
function written() {
  if (history.state?.fields) return history.state.fields;
  return location.search ? null : JSON.parse(sessionStorage.getItem(WRITTEN));
}

let keeping;

/** The same a little later: browsers take few such notes a second. */
function keepSoon() {
  clearTimeout(keeping);
  keeping = setTimeout(keep, KEEP_MS);
}

let isAsking = false, wanted = null;

/** Shows what is found for the words, asked at once; while an answer is awaited only the latest words are kept. */
async function suggest(words) {
  wanted = words;
  if (isAsking) return;
  isAsking = true;
  try {
    while (wanted !== null) {
      const find = wanted;
      wanted = null;
      const { page } = await load(`/suggestions?${new URLSearchParams({ find })}`);
      const chosen = live()?.elements.new_asin?.value;
      document.getElementById("suggestions")?.replaceChildren(...page.body.childNodes);
      for (const one of document.querySelectorAll("#suggestions input")) one.checked ||= one.value === chosen;
      document.querySelector("[data-complaint]")?.remove();
    }
  } catch (error) {
    wanted = null;
    complain(error);
  } finally {
    isAsking = false;
  }
}

/** Looks again at a page whose part changes by itself, until it does not. */
async function poll() {
  if (!document.querySelector("[data-poll]")) return;
  try {
    const { page } = await load(location.href);
    const [shown, fresh] = [document, page].map((one) => one.querySelector("[data-progress]"));
    // While it goes on, the buttons stay, and with them the focus.
    if (shown && fresh && page.querySelector("[data-poll]")) shown.replaceChildren(...fresh.childNodes);
    else replaceParts(page);
    document.querySelector("[data-complaint]")?.remove();
  } catch (error) {
    complain(error);
  }
  setTimeout(poll, POLL_MS);
}

setTimeout(poll, POLL_MS);

document.addEventListener("submit", (event) => {
  const form = event.target;
  keep();
  if (form.matches("[action='/sign-out']")) sessionStorage.clear();
  if (!form.matches("form[data-live]")) return;
  const fields = new FormData(form, event.submitter);
  // Somebody else's view is a page of its own, from which Back leads here.
  if (fields.get("do") === "show" && fields.get("customer").trim() !== fields.get("user_id")) return;
  event.preventDefault();
  send(form.action, fields);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("a[href]")) keep();
});

if (live() && written()) send(live().action, written());

document.addEventListener("input", (event) => {
  if (event.target.form === live()) keepSoon();
  if (event.target.id === "find" && document.getElementById("suggestions")) suggest(event.target.value);
});
