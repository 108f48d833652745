// The page works without this script. With it, the page shows the state of the replicas and the database and the cost
// of each request as they change. The script asks the demo and not the app, so it causes no access to a session.
"use strict";

document.documentElement.classList.add("script");

const everyMillis = 1000;

async function readState() {
  const response = await fetch("/demo/state");
  if (!response.ok) throw new Error(`the demo answered ${response.status}`);
  return response.json();
}

// keepAsking calls f with the state, once a second while the page is visible, until f returns true.
async function keepAsking(f, failed) {
  for (;;) {
    if (document.visibilityState === "visible") {
      try {
        if (f(await readState())) return;
      } catch (err) {
        failed(err);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, everyMillis));
  }
}

const announcement = document.getElementById("announce");

function setStatus(item, down, text, spoken) {
  const status = item.querySelector("[data-status]");
  if (status.textContent !== text) status.textContent = text;
  if (item.classList.toggle("down", down) !== (item.dataset.was === "down")) announcement.textContent = spoken;
  item.dataset.was = down ? "down" : "";
}

function showState(state) {
  for (const replica of state.replicas) {
    const item = document.querySelector(`[data-replica="${replica.name}"]`);
    if (item) setStatus(item, !replica.up, replica.text, `Replica ${replica.name}: ${replica.text}`);
  }
  const database = document.querySelector("[data-database]");
  if (database) setStatus(database, state.awayFor > 0, state.databaseText, `The database: ${state.awayFor > 0 ? "away" : "back"}`);
  showCosts(state.requests);
}

let shown = 0; // the number of the last request in the list

function showCosts(requests) {
  const list = document.getElementById("cost-list");
  const fresh = requests.filter((request) => request.number > shown);
  if (fresh.length === 0) return;
  if (shown === 0) list.replaceChildren();
  for (const request of fresh.toReversed()) {
    const row = costRow(request);
    if (shown > 0) row.classList.add("new");
    list.prepend(row);
  }
  shown = fresh[0].number;
  while (list.children.length > requests.length) list.lastElementChild.remove();
}

function costRow(request) {
  const row = document.getElementById("cost").content.firstElementChild.cloneNode(true);
  row.querySelector("time").textContent = request.time;
  row.querySelector("[data-name]").textContent = request.replica;
  row.querySelector("code").textContent = `${request.method} ${request.path}`;
  row.querySelector(".code").textContent = request.status;
  const ops = row.querySelector(".ops");
  for (const op of request.ops) {
    ops.append(chip(`${op.name} ${op.millis.toFixed(1)} ms${op.outcome ? `, ${op.outcome}` : ""}`, op.failed ? "failed" : ""), " ");
  }
  if (request.ops.length === 0) ops.append(chip("none", "none"));
  return row;
}

function chip(text, kind) {
  const span = document.createElement("span");
  span.className = `op ${kind}`;
  span.textContent = text;
  return span;
}

if (document.body.hasAttribute("data-wait")) {
  // The page goes on when the database and both replicas are up.
  keepAsking(
    (state) => {
      const ready = state.awayFor === 0 && state.replicas.every((replica) => replica.up);
      const operator = location.pathname.startsWith("/console/");
      if (ready) location.replace(operator ? location.href : "/?notice=back#session");
      return ready;
    },
    () => {},
  );
} else if (announcement) {
  for (const item of document.querySelectorAll(".down")) item.dataset.was = "down";
  // A reload must not repeat the notice.
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  keepAsking(
    (state) => {
      showState(state);
      return false;
    },
    () => {
      announcement.textContent = "The demo does not answer. Has it been stopped?";
    },
  );
}
