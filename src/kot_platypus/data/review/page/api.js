// Requests to the server that sent this page. Addresses are relative: it lies below a secret.

const TIMEOUT_MS = 30_000;

// An answer that is no success: `code` says why ("gone": there was no answer).
export class Failure extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
    this.detail = detail;
  }
}

async function send(address, options) {
  let response, body;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(address, { cache: "no-store", signal, ...options });
    body = await response.json();
  } catch {
    throw new Failure("gone");
  }
  if (!response.ok) throw new Failure(body.error ?? "gone", body.detail);
  return body;
}

export const readSummary = () => send("api/summary");

// The first row from `start` on that is `show`n: see Show in store.py.
export function findAddress(start, step, show, check = "", text = "") {
  return "api/find?" + new URLSearchParams({ start, step, show, check, text });
}

export const find = async (address) => (await send(address)).row;

export function decide(choice) {
  const headers = { "Content-Type": "application/json" };
  return send("api/decide", { method: "POST", headers, body: JSON.stringify(choice) });
}
