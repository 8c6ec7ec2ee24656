// The page's state, and what keys and buttons do. A row is left only when the server has said that
// its decision is on disk.

import * as api from "./api.js";
import { canSettle, selectFinding, showNothing, showRow, showSummary } from "./view.js";

const byId = (id) => document.getElementById(id);
const main = byId("main"), notice = byId("notice");
const remark = byId("remark"), reason = byId("reason"), note = byId("note");
const showFilter = byId("filter-show"), checkFilter = byId("filter-check");
const textFilter = byId("filter-text");

const WHY = {
  gone: "서버에 연결할 수 없습니다. kot data review가 실행 중인지 확인하고 다시 시도하세요. (The server cannot be reached.)",
  refused: "서버가 새로 시작되었습니다. 터미널에 나온 새 주소를 이 탭에서 여세요. 쓰던 글은 남아 있습니다. (The server was started anew: open its new address in this tab; what was typed stays.)",
  missing: "이 행은 이제 대기열에 없습니다. 새로 고침하세요. (The queue has changed: reload.)",
  malformed: "저장할 수 없는 문자가 들어 있습니다. (The text has a character that no file can hold.)",
  empty: "번역이 빈 칸이 있습니다. 고치기(e)로 채우거나 행을 버리세요. (A translation is empty: fill it in with e, or drop the row.)",
  disk: "디스크에 쓸 수 없습니다. (The disk cannot be written.)",
  unreadable: "이 행을 읽을 수 없습니다. (This row cannot be read.)",
};

let row = null;          // the row shown, as the server sent it
let summary = null;
let editing = false;
let busy = false;        // a request is under way: what is shown may be about to change
let waiting = null;      // what to do after it
let ahead = new Map();   // rows asked for beforehand, by address
// Texts typed and not saved, by the row's key; they outlast the page, not the tab.
const typed = new Map(JSON.parse(sessionStorage.getItem("kot-typed") ?? "[]"));
// The same of reasons and notes.
const remarks = new Map(JSON.parse(sessionStorage.getItem("kot-remarks") ?? "[]"));
let decidedHere = JSON.parse(sessionStorage.getItem("kot-decided-here") ?? "[]"); // row numbers

// --- showing -----------------------------------------------------------------------------------

function tell(text, kind = "info", button = null) {
  notice.className = `notice ${kind}`;
  notice.setAttribute("role", kind === "error" ? "alert" : "status");
  notice.replaceChildren(text, ...(button ? [button] : []));
  notice.hidden = !text;
  if (kind !== "info") waiting = null; // it is to be read first
}

function show(next, { edit = false } = {}) {
  row = next;
  editing = edit;
  tell("");
  remark.hidden = !row;
  if (row) ({ reason: reason.value, note: note.value } = remarks.get(row.key) ?? row);
  byId("actions").hidden = editing;
  byId("editing").hidden = !editing;
  if (row) {
    const settle = (index) => act(`settle${index + 1}`);
    showRow(main, row, summary, editing ? (typed.get(row.key) ?? {}) : null, { select, settle });
    window.history.replaceState(null, "", `#${row.number + 1}`);
    lookAhead();
  } else {
    showNothing(main, summary, showFilter.value);
  }
  for (const button of document.querySelectorAll("[data-do]")) {
    const needsRow = ["accept", "edit", "drop"].includes(button.dataset.do);
    button.disabled = needsRow && !row;
  }
  if (!editing) {
    window.scrollTo({ top: 0, behavior: "instant" });
    main.focus({ preventScroll: true });
  }
}

const select = (index, scroll) => selectFinding(main, index, scroll);

// --- moving ------------------------------------------------------------------------------------

const address = (start, step, show) =>
  api.findAddress(start, step, show, checkFilter.value, textFilter.value);
// Of what is shown, the rows that are open.
const OPEN = { passed: "passed_open", all: "open" };
const showOpen = () => OPEN[showFilter.value] ?? showFilter.value;
const END = Number.MAX_SAFE_INTEGER; // behind the last row

function fetchRow(number) {
  return api.find(api.findAddress(number, 1, number < summary.total ? "all" : "passed"));
}

function lookAhead() {
  const wanted = [showOpen(), showFilter.value].map((show) => address(row.number + 1, 1, show));
  ahead = new Map(wanted.map((each) => {
    const found = api.find(each);
    found.catch(() => {}); // told when it is needed
    return [each, found];
  }));
}

async function find(where) {
  const found = ahead.get(where);
  ahead.delete(where);
  return (await found?.catch(() => null)) ?? api.find(where);
}

// The next row that fits the filters and is open; from the first on when there is none behind.
async function goToOpen() {
  const start = row ? row.number + 1 : 0, wanted = showOpen();
  show((await find(address(start, 1, wanted))) ?? (start ? await find(address(0, 1, wanted)) : null));
}

async function step(by) {
  if (!row) return show(await find(address(by > 0 ? 0 : END, by, showFilter.value)));
  const next = await find(address(row.number + by, by, showFilter.value));
  if (next) show(next);
  else tell(by > 0 ? "마지막 행입니다. (Last row.)" : "첫 행입니다. (First row.)");
}

// --- deciding ----------------------------------------------------------------------------------

async function send(target, action, texts = {}) {
  const { key, version } = target;
  const said = action === "undo" ? {} : { reason: reason.value, note: note.value };
  const answer = await api.decide({ key, version, action, texts, ...said });
  if (answer.outcome !== "conflict") storeRemark(key);
  summary = answer.summary;
  showSummary(summary, showFilter.value);
  ahead.clear(); // they may hold this row
  return answer;
}

function remember(number) {
  decidedHere = [...decidedHere.filter((each) => each !== number), number];
  sessionStorage.setItem("kot-decided-here", JSON.stringify(decidedHere));
}

async function decide(action, texts = {}) {
  if (!row) return;
  const answer = await send(row, action, texts);
  if (answer.outcome === "conflict") return showConflict(answer.row);
  storeTyped(row.key);
  remember(row.number);
  await goOn(answer);
}

async function goOn(answer) {
  if (showFilter.value !== "disputed" || !answer.row.is_disputed) return goToOpen();
  show(answer.row); // now they may see what others decided
  tell("다른 검토자와 의견이 다릅니다. 의견을 읽고 최종 결정을 내리세요. (Others disagree: read them, and settle it.)");
}

// Make one of the decisions shown the final one.
async function settle(index) {
  const vote = row?.votes[index];
  if (!vote || !canSettle(row)) return;
  const texts = row.fields.map(({ name, translation }) => [name, vote.fields[name] ?? translation]);
  await decide(vote.action, vote.action === "edit" ? Object.fromEntries(texts) : {});
}

function showConflict(fresh) {
  show(fresh);
  tell("그사이 다른 창이나 다른 사람이 결정한 행입니다. 지금 상태를 보고 다시 결정하세요. (Decided elsewhere meanwhile.)", "error");
}

async function undo() {
  let target = row?.action ? row : null;
  while (!target && decidedHere.length) {
    const last = await fetchRow(decidedHere.at(-1));
    if (last?.action) target = last;
    else decidedHere.pop(); // undone elsewhere
  }
  if (!target) return tell("되돌릴 결정이 없습니다. (Nothing to undo.)");
  const answer = await send(target, "undo");
  if (answer.outcome === "conflict") return showConflict(answer.row);
  decidedHere = decidedHere.filter((each) => each !== target.number);
  sessionStorage.setItem("kot-decided-here", JSON.stringify(decidedHere));
  show(answer.row);
  tell("결정을 되돌렸습니다. (Undone.)");
}

// --- editing -----------------------------------------------------------------------------------

function startEdit() {
  if (!row) return;
  const wanted = row.findings.find((finding) => finding.field)?.field ?? "";
  show(row, { edit: true });
  const area = main.querySelector(`textarea[data-field="${wanted}"]`) ?? main.querySelector("textarea");
  area.focus();
  area.setSelectionRange(0, 0);
}

function storeTyped(key, texts = null) {
  if (texts) typed.set(key, texts);
  else typed.delete(key);
  sessionStorage.setItem("kot-typed", JSON.stringify([...typed]));
}

function storeRemark(key, said = null) {
  if (said) remarks.set(key, said);
  else remarks.delete(key);
  sessionStorage.setItem("kot-remarks", JSON.stringify([...remarks]));
}

function keepRemark() {
  const said = { reason: reason.value, note: note.value };
  const isSame = said.reason === row.reason && said.note === row.note;
  storeRemark(row.key, isSame ? null : said);
}

function keepTyped() {
  const areas = [...main.querySelectorAll("textarea")];
  const texts = Object.fromEntries(areas.map((area) => [area.dataset.field, area.value]));
  const isSame = row.fields.every((field) => texts[field.name] === field.text.replace(/\r\n?/g, "\n"));
  if (isSame) storeTyped(row.key);
  else storeTyped(row.key, texts);
}

function leaveEdit() {
  const isKept = typed.has(row.key);
  show(row);
  if (isKept) tell("쓰던 글은 저장되지 않았습니다. e를 누르면 이어서 고칩니다. (Not saved; e goes on.)");
}

async function save() {
  keepTyped();
  const texts = typed.get(row.key);
  const isNew = texts || row.action === "edit"; // of an edit the remark alone may be another
  const answer = isNew ? await send(row, "edit", texts ?? {}) : { outcome: "unchanged" };
  if (answer.outcome === "unchanged") {
    storeTyped(row.key);
    show(row);
    return tell("바뀐 것이 없어 저장하지 않았습니다. (Nothing changed, nothing stored.)");
  }
  if (answer.outcome === "conflict") {
    row = answer.row; // what is being typed stays
    return tell("그사이 다른 창이나 다른 사람이 결정했습니다. 다시 저장하면 이 글로 바꿉니다. (Decided elsewhere; save again to replace it.)", "error");
  }
  storeTyped(row.key);
  remember(row.number);
  const errors = answer.row.findings.filter((finding) => finding.severity === "error").length;
  if (!errors) return goOn(answer);
  show(answer.row);
  const on = document.createElement("button");
  on.textContent = "그대로 두고 다음 행으로 (Enter)";
  on.addEventListener("click", () => run(goToOpen));
  tell(`저장했습니다. 오류 ${errors}개가 남아 있습니다. (Stored; errors remain: ${errors}.) `, "warning", on);
  on.focus();
}

// --- keys and buttons --------------------------------------------------------------------------

// One thing at a time. When it fails, the page stays where it is and says why.
async function run(action) {
  if (busy) return;
  busy = true;
  try {
    await action();
  } catch (failure) {
    if (!(failure instanceof api.Failure)) throw failure;
    const detail = failure.detail ? ` ${failure.detail}` : "";
    tell(`저장하거나 읽지 못했습니다. ${WHY[failure.code] ?? failure.code}${detail}`, "error");
  } finally {
    busy = false;
  }
  const next = waiting;
  waiting = null;
  if (next) await run(DO[next]);
}

// A key or button. While a request is under way nothing is decided, as the next row has not been
// seen; going on and editing wait for it, lest what is typed for an edit be taken for decisions.
function act(name) {
  if (!busy) run(DO[name]);
  else if (["edit", "next", "previous", "open"].includes(name)) waiting ??= name;
}

const DO = {
  // Of an edited row the edit is what stays.
  accept: () => decide(row?.action === "edit" ? "edit" : "accept"),
  drop: () => decide("drop"), edit: startEdit, undo,
  search: () => textFilter.select(), reason: () => reason.focus(), note: () => note.focus(),
  next: () => step(1), previous: () => step(-1), open: goToOpen, save, leave: leaveEdit,
};
for (let number = 1; number <= 9; number++) DO[`settle${number}`] = () => settle(number - 1);
const KEYS = {
  a: "accept", d: "drop", e: "edit", u: "undo", j: "next", k: "previous", n: "open",
  r: "reason", m: "note", "/": "search",
  ArrowRight: "next", ArrowLeft: "previous",
};

// The letter on the key: with a Korean keyboard layout `key` is ㅁ where `code` is KeyA.
function nameKey(event) {
  const isLatin = /^[a-z]$/i.test(event.key) || event.key.startsWith("Arrow");
  return isLatin ? event.key : event.code.replace(/^Key/, "").toLowerCase();
}

function onKey(event) {
  if (byId("keys").open) return;
  if (event.target === note && event.isComposing) return; // Enter ends a syllable
  const isPlain = !(event.ctrlKey || event.metaKey);
  if (remark.contains(event.target) && isPlain && ["Enter", "Escape"].includes(event.key)) {
    event.preventDefault();
    (main.querySelector("textarea") ?? main).focus({ preventScroll: true });
    return;
  }
  if (editing) {
    const isEnter = event.key === "Enter" || event.code === "Enter";
    if (isEnter && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      act("save");
    } else if (event.key === "Escape" && !event.isComposing) {
      act("leave");
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("select, input, textarea")) return;
  if (event.key === "?") return byId("keys").showModal();
  const digit = /^[1-9]$/.test(event.key) && `settle${event.key}`;
  const name = digit || (KEYS[nameKey(event)] ?? KEYS[event.key]);
  if (!name) return;
  event.preventDefault(); // else the e that starts an edit is typed into it
  act(name);
}

async function changeFilter() {
  showFilter.blur();
  checkFilter.blur();
  textFilter.blur();
  const start = row?.number ?? 0, wanted = showFilter.value;
  const found = await find(address(start, 1, wanted));
  show(found ?? (start ? await find(address(0, 1, wanted)) : null));
  showSummary(summary, wanted);
}

async function begin() {
  summary = await api.readSummary();
  const wanted = Number(location.hash.slice(1));
  const isThere = wanted >= 1 && wanted <= summary.total + summary.passed.total;
  if (isThere && wanted > summary.total) showFilter.value = "passed";
  showSummary(summary, showFilter.value);
  if (isThere) show(await fetchRow(wanted - 1));
  else await goToOpen();
}

document.addEventListener("keydown", onKey);
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => act(button.dataset.do));
}
for (const filter of [showFilter, checkFilter, textFilter]) {
  filter.addEventListener("change", () => run(changeFilter));
}
byId("help").addEventListener("click", () => byId("keys").showModal());
main.addEventListener("input", keepTyped);
remark.addEventListener("input", keepRemark);
main.addEventListener("click", (event) => {
  const mark = event.target.closest("mark");
  if (mark) select(Number(mark.dataset.findings.split(" ")[0]), false);
});
run(begin);
