// A text with highlighted places, built of text nodes and <mark> elements only.

// Places that count code points, as Python does, in JavaScript's UTF-16 units.
function toUnits(text, places) {
  const sorted = [...new Set(places)].sort((a, b) => a - b);
  if (!/[\ud800-\udbff]/.test(text)) return new Map(sorted.map((place) => [place, place]));
  const units = new Map();
  let unit = 0, point = 0;
  for (const place of sorted) {
    while (point < place && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      point += 1;
    }
    units.set(place, unit);
  }
  return units;
}

// `spans` are {start, end, finding, severity}; `finding` is the finding's place in its list.
// Spans may overlap: a stretch of text belongs to all findings that cover it.
export function markText(text, spans) {
  const units = toUnits(text, spans.flatMap((span) => [span.start, span.end]));
  const begins = new Map(), ends = new Map();
  const add = (map, key, span) => map.set(key, [...(map.get(key) ?? []), span]);
  for (const span of spans) {
    add(begins, units.get(span.start), span);
    add(ends, units.get(span.end), span);
  }
  const cuts = [...new Set([0, ...begins.keys(), ...ends.keys(), text.length])];
  cuts.sort((a, b) => a - b);
  const nodes = new DocumentFragment();
  const covering = new Set();
  cuts.forEach((cut, i) => {
    for (const span of ends.get(cut) ?? []) covering.delete(span);
    for (const span of begins.get(cut) ?? []) covering.add(span);
    const piece = text.slice(cut, cuts[i + 1] ?? text.length);
    if (piece) nodes.append(covering.size ? makeMark(piece, [...covering]) : piece);
  });
  return nodes;
}

function makeMark(piece, spans) {
  const mark = document.createElement("mark");
  mark.textContent = piece;
  mark.className = spans.some((span) => span.severity === "error") ? "error" : "warning";
  mark.dataset.findings = spans.map((span) => span.finding).join(" ");
  return mark;
}
