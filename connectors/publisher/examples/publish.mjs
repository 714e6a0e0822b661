/* State facts with Node's own fetch: open a case, then hand it over to another body.
 *
 *   RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… node publish.mjs viriat PC-0001 grand-bourg
 *
 * Sending the same events again is safe: the same source, subject and id are the same fact. So whoever got no answer sends again.
 */
import { createHash } from "node:crypto";

const URL_ = process.env.RELAIS_URL ?? "http://127.0.0.1:8400";
const TRIES = 5;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/** Send a batch, all or nothing; wait and send again while the bus cannot take it. */
async function send(events) {
  const request = {
    method: "POST",
    headers: {
      Authorization: `Bearer ${process.env.RELAIS_TOKEN}`,
      "Content-Type": "application/cloudevents-batch+json",
      Prefer: "wait=20",
    },
    body: JSON.stringify(events),
    redirect: "error", // the token goes nowhere else
  };
  for (let tries = 0; tries < TRIES; tries++) {
    let answer;
    try {
      answer = await fetch(`${URL_}/v1/events`, { ...request, signal: AbortSignal.timeout(60_000) });
    } catch {
      await sleep(1);
      continue;
    }
    if (answer.status === 429 || answer.status >= 500) {
      await sleep(Number(answer.headers.get("retry-after") ?? 1));
    } else if (!answer.ok) {
      throw new Error(explain(await answer.json()));
    } else {
      return answer.json();
    }
  }
  throw new Error("the bus does not answer: send the same events later");
}

/** What is to be mended, one line each. */
function explain(problem) {
  const lines = (problem.problems ?? []).map(
    ({ index = 0, field, mend, code }) => `event ${index}, ${field}: ${mend} (${code})`,
  );
  return [`${problem.title}: ${problem.detail}`, ...lines].join("\n");
}

const [body, number, to] = process.argv.slice(2);
const today = new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Paris" }).format(new Date()); // a legal date is a local one
// The reference of a handoff is drawn by its sender, once, and kept: here it follows from the number.
const handoff = `handoff:${body}:${createHash("sha256").update(`${body}/${number}>${to}`).digest("hex").slice(0, 32)}`;
const shared = { specversion: "1.0", source: `${body}/example`, subject: `case:${body}/${number}` };
const opened = { occurred_on: today, procedure: "urbanisme.pc-maison" };
const sent = { occurred_on: today, handoff, to, kind: "transfer" };
try {
  const answer = await send([
    { ...shared, type: "fr.relais.case.opened", id: `${number}-opened`, data: opened },
    { ...shared, type: "fr.relais.handoff.sent", id: `${number}-sent-${to}`, data: sent },
  ]);
  for (const receipt of answer.accepted) console.log(receipt.id, URL_ + receipt.journey);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
