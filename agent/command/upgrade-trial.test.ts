/** A new binary on trial: heard it stays, unheard or crashing it makes room for the one before. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock, SendAnswer, Sender } from "../port/port.ts";
import { openStateFiles } from "../spool/state-file.ts";
import type { Report } from "../../schema/report.ts";
import { openTrial, replacedBy, TRIAL_FILE, type TrialNote } from "./upgrade-trial.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-trial-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

/** A start of version `version` after an upgrade to 1.1.0. */
function setUp() {
  const folder = mkdtempSync(join(FOLDER, "node-"));
  const binary = join(folder, "navarch-node");
  writeFileSync(binary, "new");
  writeFileSync(`${binary}.previous`, "old");
  const files = openStateFiles(folder);
  const note: TrialNote = { from: "1.0.0", to: "1.1.0", at: 0, confirm_ms: 1_000, starts: 0 };
  files.save(TRIAL_FILE, JSON.stringify(note));
  let due: (() => void) | null = null;
  let left = 0;
  const clock: Clock = {
    wallMs: () => 0,
    monoMs: () => 0,
    after: (_ms, work) => {
      due = work;
      return () => (due = null);
    },
  };
  const start = (version = "1.1.0") =>
    openTrial({ binary, version, files, clock, leave: () => left++, log: () => undefined });
  return {
    start,
    pass: () => due?.(),
    forget: () => rmSync(`${binary}.previous`),
    left: () => left,
    content: () => readFileSync(binary, "utf8"),
    note: () => files.load(TRIAL_FILE),
    replaced: (version: string) => replacedBy(files, version),
  };
}

function senderOf(answer: SendAnswer): Sender {
  return {
    send: async () => answer,
    listen: () => undefined,
    connected: () => true,
    close: () => undefined,
  };
}

const REPLY = { kind: "reply", reply: {} } as SendAnswer;
const AWAY: SendAnswer = { kind: "unreachable", message: "" };
const REPORT = {} as Report;

test("openTrial() ends with the first reply, and the new binary stays", async () => {
  const node = setUp();
  await node.start().follow(senderOf(REPLY)).send(REPORT);
  node.pass();
  expect([node.content(), node.left(), node.note()]).toEqual(["new", 0, "null"]);
  // The next start is an ordinary one.
  node.start();
  node.pass();
  expect(node.content()).toBe("new");
});

test("openTrial() puts the previous binary back when nobody answers in time", async () => {
  const node = setUp();
  await node.start().follow(senderOf(AWAY)).send(REPORT);
  expect(node.content()).toBe("new");
  node.pass();
  expect([node.content(), node.left()]).toEqual(["old", 1]);
});

test("openTrial() puts the previous binary back after a few starts without a word", () => {
  const node = setUp();
  const starts = Array.from({ length: 6 }, () => node.start().over);
  expect(starts).toEqual([false, false, false, false, false, true]);
  expect(node.content()).toBe("old");
});

test("openTrial() forgets the trial once the old version runs again", () => {
  const node = setUp();
  expect(node.start("1.0.0").over).toBe(false);
  expect([node.content(), node.note()]).toEqual(["new", "null"]);
});

test("openTrial() goes on where there is no way back", () => {
  const node = setUp();
  node.forget();
  node.start();
  node.pass();
  expect([node.content(), node.left(), node.note()]).toEqual(["new", 0, "null"]);
});

test("replacedBy() knows what the running version replaced, also after its trial, and no other", async () => {
  const node = setUp();
  expect(node.replaced("1.1.0")).toBe(null);
  await node.start().follow(senderOf(REPLY)).send(REPORT);
  expect([node.replaced("1.1.0"), node.replaced("1.0.0")]).toEqual(["1.0.0", null]);
});
