import { expect, test } from "bun:test";
import { ProblemLog } from "./problem-log.ts";

const failed = (message: string, provider = "lambda") => [
  { message, fields: { provider, class: "unavailable" } },
];

function open() {
  let mono = 0;
  const lines: string[] = [];
  const log = new ProblemLog(
    (_level, message, fields) => lines.push(`${message} ${fields?.["repeats"] ?? 0}`),
    { monoMs: () => mono },
  );
  return { log, lines, pass: (ms: number) => (mono += ms) };
}

test("ProblemLog writes a problem at once, and again after half an hour", () => {
  const { log, lines, pass } = open();
  for (let i = 0; i < 120; i += 1) {
    log.say(failed(`cannot list lambda: no answer to request ${i}`));
    pass(30_000);
  }
  expect(lines).toEqual([
    "cannot list lambda: no answer to request 0 0",
    "cannot list lambda: no answer to request 60 59",
  ]);
});

test("ProblemLog tells other providers apart, and forgets the oldest", () => {
  const { log, lines } = open();
  for (let i = 0; i <= 1_000; i += 1) log.say(failed("cannot list", `p${i}`));
  expect(lines.length).toBe(1_001);
  log.say(failed("cannot list", "p1000"));
  expect(lines.length).toBe(1_001);
  log.say(failed("cannot list", "p0"));
  expect(lines.length).toBe(1_002);
});
