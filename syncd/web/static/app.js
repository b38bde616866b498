// The page of `syncd ui`: asks, draws, and listens.  Everything that comes from a card is set as text, never as markup.
"use strict";

const STATES = ["ready", "claimed", "blocked", "done"];
const SHOWN = 60;
const EVENTS_MAX = 100;
const STATUS_MS = 5000;
const SETTLE_MS = 120;

let cards = [];
let fresh = new Set();
let isAway = false;

const find = (selector) => document.querySelector(selector);

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

async function ask(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (answer.status === 401) throw new Error("The token is not known any more: open the address that syncd ui prints.");
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error ? value.error.message : `The server answers ${answer.status}.`);
  return value;
}

// Many calls in a row are one; while one runs, one more waits.
function gathered(work) {
  let timer = null, isRunning = false, isWanted = false;
  const run = async () => {
    timer = null;
    isRunning = true;
    try { await work(); showAway(null); } catch (error) { showAway(error); }
    isRunning = false;
    if (isWanted) { isWanted = false; later(); }
  };
  const later = () => {
    if (isRunning) isWanted = true;
    else if (timer === null) timer = setTimeout(run, SETTLE_MS);
  };
  return later;
}

function showAway(error) {
  isAway = error !== null;
  if (isAway) {
    const message = error instanceof TypeError ? "The server is away: syncd ui starts it again." : error.message;
    find("#headline").replaceChildren(made("span", { class: "bad", text: message }));
  }
}

// --- status ---------------------------------------------------------------------------------------

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function drawStatus(status) {
  document.title = `${status.inSync ? "" : "• "}${status.project} – syncd`;
  find("#project").textContent = status.project;
  const waiting = status.drift.filter((entry) => entry.direction !== "held").length;
  const open = status.conflicts.filter((conflict) => !conflict.settled);
  const why = [];
  if (!status.store.reachable) why.push("the store does not answer");
  if (waiting) why.push(`${plural(waiting, "difference")} between file and store`);
  if (status.held.length) why.push(`${status.held.length} held`);
  if (status.problems.length) why.push(plural(status.problems.length, "problem"));
  if (open.length) why.push(plural(open.length, "conflict"));
  find("#headline").replaceChildren(
    made("span", { class: status.inSync ? "good" : "bad", text: status.inSync ? "In sync" : "Not in sync" }),
    why.length ? `: ${why.join(", ")}` : "");
  const daemon = status.daemon.running ? `daemon ${status.daemon.pid}, ${status.mode}` : "no daemon: syncd run";
  find("#place").textContent = `${status.workspace} · ${status.store.kind} · ${daemon}`;
  drawHands(status, open);
  drawMissions(status.missions);
}

// A word as a shell takes it: ids and headers are whatever their authors wrote.
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function drawHands(status, open) {
  const place = (entry) => [entry.path, entry.line, entry.column].filter((part) => part).join(":");
  const items = [
    ...(status.store.reachable ? [] : [["Store", status.store.error || "it does not answer", status.store.hint]]),
    ...status.held.map((hold) => [hold.id, `${hold.guard}: ${hold.reason}`, hold.release]),
    ...status.problems.map((problem) => [place(problem), problem.message, problem.hint]),
    ...open.map((conflict) => [conflict.id, `${conflict.field}: ${said(conflict.local)} against ${said(conflict.remote)}`,
      `syncd resolve ${quoted(conflict.id)} --field ${quoted(conflict.field)} --use local|remote`]),
    ...status.drift.slice(0, 20).map((entry) => [entry.id, `${entry.field || "card"}, ${entry.direction}: ${said(entry.local)} | ${said(entry.remote)}`,
      status.daemon.running ? null : "syncd sync"]),
  ];
  find("#hands").hidden = items.length === 0;
  find("#hands ul").replaceChildren(...items.map(([name, message, hint]) =>
    made("li", {}, made("b", { text: name }), message, hint ? made("small", { text: hint }) : null)));
}

function drawMissions(missions) {
  find("#missions").hidden = missions.length === 0;
  find("#missions div").replaceChildren(...missions.flatMap((mission) => [
    missions.length > 1 ? made("h3", { text: mission.id }) : null,
    ...mission.milestones.map((milestone) => made("div", { class: "milestone" },
      made("span", {}, made("span", { class: "id", text: milestone.id }), milestone.status || "—"),
      made("progress", { max: milestone.cards.total || 1, value: milestone.cards.done, "aria-label": `${milestone.id} done` }),
      made("span", { text: `${milestone.cards.done} of ${milestone.cards.total}` }),
      milestone.agrees ? null : made("span", { class: "warn",
        text: `It says ${milestone.status || "nothing"}, but ${milestone.cards.done} of ${milestone.cards.total} cards are done.` }))),
  ]).filter((element) => element !== null));
}

const said = (value) => value === null || value === undefined || value === "" ? "—" : typeof value === "string" ? value : JSON.stringify(value);

// --- cards ----------------------------------------------------------------------------------------

function drawBoard() {
  const wanted = find("#find").value.trim().toLowerCase();
  const fits = (card) => !wanted || `${card.id} ${card.title} ${card.phase || ""} ${card.claimOwner || ""}`.toLowerCase().includes(wanted);
  const chosen = cards.filter(fits);
  find("#board").replaceChildren(...STATES.map((state) => {
    const column = chosen.filter((card) => card.status === state);
    if (state === "done") column.sort((one, other) => other.updatedAt.localeCompare(one.updatedAt));
    const left = column.length - SHOWN;
    return made("div", { class: `column ${state}` },
      made("h3", { text: `${state} ${column.length}` }),
      ...column.slice(0, SHOWN).map(cardButton),
      left > 0 ? made("p", { class: "more", text: `and ${left} more` }) : null);
  }));
  fresh = new Set();
}

function cardButton(card) {
  const facts = [];
  if (card.priority) facts.push(`priority ${card.priority}`);
  if (card.phase) facts.push(card.phase);
  if (card.claimOwner) facts.push(card.claimOwner);
  if (card.status === "ready" && card.unmet) facts.push(`waits for ${card.unmet}`);
  if (card.lastError) facts.push(card.lastError);
  return made("button", { type: "button", class: fresh.has(card.id) ? "fresh" : false, onclick: () => showCard(card.id) },
    made("span", { class: "id", text: card.id }), card.title,
    facts.length ? made("span", { class: "facts", text: facts.join(" · ") }) : null);
}

async function showCard(id) {
  const dialog = find("#card");
  try {
    const card = await ask(`/api/coord/tasks/${encodeURIComponent(id)}`);
    find("#card-title").textContent = `${card.id}  ${card.title}`;
    const facts = [
      ["status", card.status], ["phase", card.phase], ["priority", card.priority], ["depends on", card.dependsOn.join(", ")],
      ["owner", card.claimOwner], ["stands in", card.path && card.line ? `${card.path}:${card.line}` : card.path],
      ["cannot be claimed", card.reasons.map((reason) => reason.message).join("\n")], ["body", card.body],
      ...Object.entries(card.extra).map(([name, value]) => [name, said(value)]),
      ...card.history.slice(-8).reverse().map((entry) => [when(entry.at),
        `${entry.actor}: ${entry.changes.map((change) => `${change.field} ${said(change.from)} → ${said(change.to)}`).join(", ") || entry.op}`]),
    ].filter(([, value]) => value !== null && value !== "" && value !== undefined);
    dialog.querySelector("div").replaceChildren(made("dl", {}, ...facts.flatMap(([name, value]) =>
      [made("dt", { text: name }), made("dd", { text: String(value) })])));
  } catch (error) {
    find("#card-title").textContent = id;
    dialog.querySelector("div").replaceChildren(made("p", { text: error.message }));
  }
  if (!dialog.open) dialog.showModal();
}

// --- events ---------------------------------------------------------------------------------------

const when = (instant) => new Date(instant).toLocaleTimeString();

function tell(event) {
  const change = event.from && event.to ? `${event.from} → ${event.to}` : Object.keys(event.data).join(", ");
  const list = find("#events");
  list.prepend(made("li", {}, made("time", { datetime: event.at, text: when(event.at) }),
    made("span", { text: event.type.replace("task.", "") }),
    made("span", {}, made("span", { class: "id", text: event.id }), `${change}  ${event.actor}`)));
  while (list.children.length > EVENTS_MAX) list.lastChild.remove();
}

const refreshCards = gathered(async () => { cards = await ask("/api/coord/tasks"); drawBoard(); });
const refreshStatus = gathered(async () => drawStatus(await ask("/api/coord/status")));

function listen() {
  const source = new EventSource("/api/events");
  source.addEventListener("task", (message) => {
    const event = JSON.parse(message.data);
    fresh.add(event.id);
    tell(event);
    refreshCards();
    refreshStatus();
  });
  source.addEventListener("open", () => { refreshCards(); refreshStatus(); });
  // A browser gives up where the server answered with an error; a new one is tried.
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000); });
}

find("#find").addEventListener("input", drawBoard);
setInterval(() => { if (!document.hidden) refreshStatus(); if (isAway) refreshCards(); }, STATUS_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { refreshCards(); refreshStatus(); } });
refreshCards();
refreshStatus();
listen();
