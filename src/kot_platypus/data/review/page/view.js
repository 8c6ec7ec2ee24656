// What a row looks like. Texts of the data only ever become text nodes.

import { markText } from "./marks.js";

export const FIELD_NAMES = { source: "질문", input: "입력", rationale: "풀이", target: "답" };
// A turn of a conversation is "messages.3", its thoughts "messages.3.reasoning_content".
export function nameField(name) {
  const turn = /^messages\.(\d+)(\.reasoning_content)?$/.exec(name);
  return turn ? `${Number(turn[1]) + 1}번째 말${turn[2] ? " (생각)" : ""}` : FIELD_NAMES[name];
}

export const ACTION_NAMES = { accept: "받아들임", edit: "고침", drop: "버림" };
const SEVERITY_NAMES = { error: "오류", warning: "주의" };
const CHECK_NAMES = {
  placeholder: "자리표시", code_only: "코드만 남음", code_mixed: "코드", numbers: "숫자",
  math_symbols: "수식", meaning: "뜻", untranslated: "미번역", cut_off: "잘림", repetition: "반복",
  order: "순서", added: "덧붙은 말", markup: "서식",
  mixed_language: "섞인 문자", answer_mismatch: "답 불일치", protection: "보호한 조각",
  glossary: "용어", speech: "말투",
};
const MAX_ROWS = 24;

export const nameCheck = (check) => CHECK_NAMES[check] ?? check;

// An element with attributes and children; texts become text nodes.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const english = (text) => make("small", { lang: "en" }, text);

function makeHead(row, summary) {
  const state = row.action ?? "open";
  const isSample = row.number >= summary.total;
  const about = [row.origin.source, row.origin.id, row.task, row.service].filter(Boolean);
  return make("div", { class: "head" },
    make("h2", {}, `${(row.place + 1).toLocaleString()}`,
      make("span", { class: "of" }, ` / ${row.total.toLocaleString()}`)),
    make("span", { class: `chip ${state}`, id: "state" }, ACTION_NAMES[state] ?? "남음"),
    ...(isSample ? [make("span", { class: "chip" }, "통과한 행 표본")] : []),
    make("span", { class: "origin" }, about.join(" · ")));
}

function makeFindings(row, select) {
  const list = make("ol", { class: "findings" });
  row.findings.forEach((finding, index) => {
    const button = make("button", { type: "button", class: finding.severity, "data-finding": index },
      make("span", { class: "badge" }, SEVERITY_NAMES[finding.severity] ?? finding.severity),
      make("span", { class: "what" },
        make("b", {}, finding.name), " ", english(finding.check),
        finding.field ? make("span", { class: "where" }, ` · ${nameField(finding.field)}`) : ""),
      make("span", { class: "detail ko" }, finding.korean),
      make("span", { class: "detail en", lang: "en" }, finding.detail));
    button.addEventListener("focus", () => select(index, true));
    button.addEventListener("click", () => select(index, true));
    button.addEventListener("pointerenter", () => select(index, false));
    list.append(make("li", {}, button));
  });
  const title = make("h3", {}, "걸린 검사 ", english("Failed checks"));
  const none = make("p", { class: "none" }, "남은 지적이 없습니다. ", english("Nothing found."));
  return make("aside", { class: "checks", "aria-label": "걸린 검사 (failed checks)" },
    title, row.findings.length ? list : none);
}

// Whether a number chooses one of the decisions shown.
export const canSettle = (row) => row.is_disputed || row.votes.some((vote) => vote.is_settlement);

// What others decided about a row; nothing before one has decided oneself.
function makeVotes(row, me, settle) {
  if (!row.votes.some((vote) => vote.reviewer && vote.reviewer !== me)) return [];
  const reasons = document.getElementById("reason");
  const items = row.votes.map((vote, index) => {
    const reason = reasons.querySelector(`option[value="${vote.reason}"]`);
    const said = [vote.reason && reason?.textContent, vote.note].filter(Boolean).join(" · ");
    const who = vote.reviewer || "이름 없음";
    const about = [
      ...(canSettle(row) ? [make("kbd", {}, index + 1), " "] : []),
      make("b", {}, vote.is_settlement ? `최종 (${who})` : who), " ",
      make("span", { class: `chip ${vote.action}` }, ACTION_NAMES[vote.action]), " ", said,
      ...Object.entries(vote.fields).map(([field, text]) => make("span", { class: "edited" },
        make("small", {}, nameField(field)), make("span", { class: "text", lang: "ko", dir: "auto" }, text))),
    ];
    if (!canSettle(row)) return make("li", {}, ...about);
    const button = make("button", { type: "button" }, ...about);
    button.addEventListener("click", () => settle(index));
    return make("li", {}, button);
  });
  const [title, en, hint] = row.is_disputed
    ? ["의견이 엇갈립니다", "Reviewers disagree", "이제 내리는 결정이 이 행의 최종 결정이 됩니다. 의견 하나를 따르려면 그 번호를 누르세요."]
    : canSettle(row)
      ? ["최종 결정이 내려졌습니다", "Settled", "다시 결정하면 최종 결정이 바뀝니다."]
      : ["검토자들의 의견이 같습니다", "Reviewers agree", ""];
  return [make("section", { class: `votes${row.is_disputed ? " disputed" : ""}`, id: "votes", "aria-label": title },
    make("h3", {}, `${title} `, english(en)), ...(hint ? [make("p", {}, hint)] : []), make("ol", {}, ...items))];
}

function listSpans(row, field, side) {
  return row.findings.flatMap((finding, index) =>
    finding.field === field
      ? finding[side].map(([start, end]) =>
          ({ start, end, finding: index, severity: finding.severity }))
      : []);
}

function makeText(text, spans, attributes) {
  return make("div", { class: "text", dir: "auto", ...attributes }, markText(text, spans));
}

function makeEditor(field, text) {
  const lines = text.split("\n").length + Math.floor(text.length / 60);
  const area = make("textarea", {
    "data-field": field.name, "aria-label": `${nameField(field.name)} 번역 고치기 (edit)`,
    rows: Math.min(MAX_ROWS, lines + 1), spellcheck: "false", lang: "ko", dir: "auto",
  });
  area.value = text;
  return area;
}

function makeField(row, field, typed) {
  const left = make("div", { class: "side" },
    make("h4", {}, "원문 ", english("original")),
    makeText(field.source, listSpans(row, field.name, "source_spans"), { lang: "en" }));
  const right = make("div", { class: "side" }, make("h4", {}, "번역 ", english("translation")));
  if (typed) {
    right.append(makeEditor(field, typed[field.name] ?? field.text));
  } else {
    const spans = listSpans(row, field.name, "translation_spans");
    right.append(makeText(field.text, spans, { lang: "ko", "data-text": field.name }));
  }
  if (field.text !== field.translation) {
    right.append(make("details", {},
      make("summary", {}, "고치기 전 ", english("before the edit")),
      makeText(field.translation, [], { lang: "ko" })));
  }
  const id = `field-${field.name}`;
  return make("section", { class: "field", "aria-labelledby": id },
    make("h3", { id }, `${nameField(field.name)} `, english(field.name)),
    make("div", { class: "sides" }, left, right));
}

// Show a row; with `typed` (texts by field) its translation can be edited.
export function showRow(main, row, summary, typed, { select, settle }) {
  main.replaceChildren(
    makeHead(row, summary),
    ...makeVotes(row, summary.reviewer, settle),
    make("div", { class: "row" },
      makeFindings(row, select),
      make("div", { class: "fields" }, ...row.fields.map((field) => makeField(row, field, typed)))));
}

// Emphasise a finding's places, and scroll to the translation's (else the source's) first.
export function selectFinding(main, index, scroll) {
  for (const button of main.querySelectorAll("[data-finding]")) {
    button.classList.toggle("selected", Number(button.dataset.finding) === index);
  }
  const marks = [...main.querySelectorAll("mark")];
  for (const mark of marks) {
    mark.classList.toggle("selected", mark.dataset.findings.split(" ").includes(String(index)));
  }
  if (!scroll) return;
  const selected = marks.filter((mark) => mark.classList.contains("selected"));
  const target = selected.find((mark) => mark.closest("[data-text]")) ?? selected[0];
  target?.scrollIntoView({ block: "center", inline: "nearest" });
}

export function showNothing(main, summary, show) {
  const isSampleLeft = countDecided(summary.passed) < summary.passed.total;
  const all = [
    summary.total
      ? make("h2", {}, "모두 결정했습니다 ", english("All rows are decided"))
      : make("h2", {}, "검사에 걸린 행이 없습니다 ", english("No row failed a check")),
    ...(summary.disputed ? [make("p", {}, `의견이 엇갈린 행이 ${summary.disputed.toLocaleString()}개 있습니다. 위의 ‘보기’에서 골라 최종 결정을 내리세요.`)] : []),
    ...(isSampleLeft ? [make("p", {}, "위의 ‘보기’에서 ‘통과한 행 표본’을 고르면 검사를 통과한 행도 살펴볼 수 있습니다.")] : []),
    make("p", {}, "터미널에서 같은 ", make("code", {}, "kot data build"),
      " 명령을 다시 입력하면 결정이 데이터에 반영됩니다."),
    make("p", { lang: "en" }, make("small", {},
      "Run the same kot data build command again: it takes the decisions in.")),
  ];
  const filtered = [
    make("h2", {}, "이 조건에 맞는 행이 없습니다 ", english("No row fits these filters")),
    make("p", {}, "위에서 다른 조건을 고르세요."),
  ];
  const part = show === "passed" ? summary.passed : summary;
  const isAll = show !== "disputed" && countDecided(part) === part.total;
  main.replaceChildren(make("div", { class: "empty" }, ...(isAll ? all : filtered)));
}

const countDecided = (part) => part.accept + part.edit + part.drop;

// Of all rows that passed: how many would be dropped, by those of the sample that were.
function describeSample({ passed, interval }) {
  const [low, high] = interval.map((share) => (100 * share).toFixed(1));
  const decided = countDecided(passed);
  return decided ? `${decided.toLocaleString()}개 중 ${passed.drop.toLocaleString()}개 버림: 전체의 ${low}–${high}% (95% 신뢰구간)` : "";
}

export function showSummary(summary, show) {
  const part = show === "passed" ? summary.passed : summary;
  const decided = countDecided(part);
  const bar = document.getElementById("bar");
  bar.setAttribute("aria-valuemax", part.total);
  bar.setAttribute("aria-valuenow", decided);
  for (const action of Object.keys(ACTION_NAMES)) {
    const share = part.total ? part[action] / part.total : 0;
    bar.querySelector(`.${action}`).style.width = `${100 * share}%`;
  }
  const counts = Object.entries(ACTION_NAMES).map(([action, name]) =>
    make("span", { class: `count ${action}` }, `${name} `, make("b", {}, part[action].toLocaleString())));
  const more = [
    show === "passed" && describeSample(summary),
    summary.disputed && `엇갈림 ${summary.disputed.toLocaleString()}`,
    `검토자 ${summary.reviewer}`,
  ];
  document.getElementById("counts").replaceChildren(
    make("span", {}, make("b", {}, decided.toLocaleString()), ` / ${part.total.toLocaleString()} 결정 `,
      english("decided")), ...counts,
    ...more.filter(Boolean).map((text) => make("span", { class: "more" }, text)));
  const select = document.getElementById("filter-check");
  for (const [check, open] of Object.entries(summary.checks)) {
    const known = [...select.options].find((option) => option.value === check);
    const option = known ?? select.appendChild(make("option", { value: check }));
    option.textContent = `${nameCheck(check)} (${check}) · ${open.toLocaleString()}`;
  }
}
