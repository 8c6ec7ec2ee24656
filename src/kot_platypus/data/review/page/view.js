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
  math_symbols: "수식", untranslated: "미번역", cut_off: "잘림", repetition: "반복",
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

function makeHead(row, total) {
  const state = row.action ?? "open";
  const about = [row.origin.source, row.origin.id, row.task, row.service].filter(Boolean);
  return make("div", { class: "head" },
    make("h2", {}, `${(row.number + 1).toLocaleString()}`,
      make("span", { class: "of" }, ` / ${total.toLocaleString()}`)),
    make("span", { class: `chip ${state}`, id: "state" }, ACTION_NAMES[state] ?? "남음"),
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
export function showRow(main, row, total, typed, select) {
  main.replaceChildren(
    makeHead(row, total),
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

export function showNothing(main, summary, decided) {
  const all = [
    make("h2", {}, "모두 결정했습니다 ", english("All rows are decided")),
    make("p", {}, "터미널에서 같은 ", make("code", {}, "kot data build"),
      " 명령을 다시 입력하면 결정이 데이터에 반영됩니다."),
    make("p", { lang: "en" }, make("small", {},
      "Run the same kot data build command again: it takes the decisions in.")),
  ];
  const filtered = [
    make("h2", {}, "이 조건에 맞는 행이 없습니다 ", english("No row fits these filters")),
    make("p", {}, "위에서 다른 조건을 고르세요."),
  ];
  main.replaceChildren(make("div", { class: "empty" }, ...(decided === summary.total ? all : filtered)));
}

export function showSummary(summary) {
  const decided = summary.accept + summary.edit + summary.drop;
  const bar = document.getElementById("bar");
  bar.setAttribute("aria-valuemax", summary.total);
  bar.setAttribute("aria-valuenow", decided);
  for (const action of Object.keys(ACTION_NAMES)) {
    const share = summary.total ? summary[action] / summary.total : 0;
    bar.querySelector(`.${action}`).style.width = `${100 * share}%`;
  }
  const counts = Object.entries(ACTION_NAMES).map(([action, name]) =>
    make("span", { class: `count ${action}` }, `${name} `, make("b", {}, summary[action].toLocaleString())));
  document.getElementById("counts").replaceChildren(
    make("span", {}, make("b", {}, decided.toLocaleString()), ` / ${summary.total.toLocaleString()} 결정 `,
      english("decided")), ...counts);
  const select = document.getElementById("filter-check");
  for (const [check, open] of Object.entries(summary.checks)) {
    const known = [...select.options].find((option) => option.value === check);
    const option = known ?? select.appendChild(make("option", { value: check }));
    option.textContent = `${nameCheck(check)} (${check}) · ${open.toLocaleString()}`;
  }
  return decided;
}
