/** The fake cloud's two files: whatever is in them, an answer that names file and place. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { FaultFile } from "../../reconciler/provider/fake/fault-file.ts";
import { FaultBook, parseFaults } from "../../reconciler/provider/fake/fault.ts";
import { Journal, JournalDamaged, readEntries } from "../../reconciler/provider/fake/journal.ts";
import { replay } from "../../reconciler/provider/fake/world.ts";
import { mutate, mutations, odd } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-fuzz-fault-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FAULTS = {
  stockOut: { untilMs: 5, regions: ["r"], zones: ["z"], instanceTypes: ["t"] },
  refuse: { class: "capacity", times: 2, message: "m", retryAfterMs: 5 },
  refuseTerminate: { class: "auth", times: 1 },
  loseReply: { create: 0.5, terminate: { times: 1 } },
  loseAsk: { create: { times: 1 } },
  lateLandingMs: 5,
  lateLanding: 0.5,
  listFails: 1,
  listFailsWith: "auth",
  emptyList: false,
  partial: 0.5,
  wrongState: "running",
  prices: { t: 1.5 },
};
const REQUEST = { instanceType: "t", region: "r", zone: null };

test(
  "parseFaults() names the path of what is wrong, and its faults can be asked",
  () => {
    fc.assert(
      fc.property(
        fc.oneof(
          mutations.map((all) => mutate(FAULTS, all)),
          odd,
        ),
        (document) => {
          const parsed = parseFaults(document);
          if (parsed.kind === "bad") {
            return expect(parsed.message).toMatch(/^faults\b.*: expected .+, found /s);
          }
          const book = new FaultBook(parsed.faults, () => 0.3);
          for (const nowMs of [0, 1e15]) {
            const fate = book.create(REQUEST as never, nowMs);
            expect(fate.landDelayMs >= 0 && fate.answerDelayMs >= 0).toBe(true);
            expect(book.terminate().answerDelayMs >= 0).toBe(true);
            expect(book.list().leftOut >= 0).toBe(true);
          }
        },
      ),
      runs(2_500),
    );
  },
  PATIENCE_MS,
);

test(
  "FaultFile keeps the faults it has when the file is nonsense, and says which file",
  () => {
    const path = join(folder, "faults.json");
    const text = fc.oneof(
      mutations.map((all) => JSON.stringify(mutate(FAULTS, all)) ?? ""),
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom("", "[".repeat(100_000), "\uFEFF{}", "null", "{} {}"),
    );
    fc.assert(
      fc.property(text, (given) => {
        writeFileSync(path, given);
        const file = new FaultFile(path);
        const faults = file.read();
        expect(faults === null).toBe(file.problem !== null);
        if (file.problem !== null) expect(file.problem).toStartWith(`${path}: `);
        expect(file.read()).toBeNull();
      }),
      runs(300),
    );
  },
  PATIENCE_MS,
);

const REQ = {
  token: "t1",
  name: "n1",
  instanceType: "t",
  region: "r",
  zone: null,
  tags: { "navarch-node": "n1" },
};
const INSTANCE = {
  id: "i-1",
  name: "n1",
  state: "provisioning",
  createdAtMs: 2,
  instanceType: "t",
  region: "r",
  zone: null,
  tags: REQ.tags,
};
const JOURNAL = [
  { kind: "opened", atMs: 1, salt: "s" },
  {
    kind: "create.accepted",
    atMs: 1,
    id: "i-1",
    request: REQ,
    nodeId: "n1",
    fence: 1,
    landAtMs: 2,
    bootMs: 3,
    pricePerHour: null,
    reply: "sent",
  },
  { kind: "landed", atMs: 2, instance: INSTANCE, runningAtMs: 5 },
  { kind: "running", atMs: 5, id: "i-1", internalIp: "10.0.0.1" },
  {
    kind: "terminate.accepted",
    atMs: 6,
    id: "i-1",
    nodeId: "n1",
    fence: 2,
    terminatedAtMs: 7,
    vanishAtMs: 8,
    forgetAtMs: 9,
    reply: "sent",
  },
  { kind: "terminated", atMs: 7, id: "i-1" },
];

test(
  "replay() reads a journal, or refuses it with an error",
  () => {
    const path = join(folder, "journal.jsonl");
    const lines = JOURNAL.map((entry) => JSON.stringify(entry));
    writeFileSync(path, `${lines.join("\n")}\n`);
    expect(replay(readEntries(path)).instances.size).toBe(1);
    const spoil = fc.tuple(
      fc.nat(JOURNAL.length - 1),
      fc.oneof(
        mutations.map((all) => (line: number) => JSON.stringify(mutate(JOURNAL[line], all)) ?? ""),
        fc.string({ unit: "binary", maxLength: 40 }).map((text) => () => text),
        fc.nat(60).map((length) => (line: number) => (lines[line] ?? "").slice(0, length)),
      ),
    );
    fc.assert(
      fc.property(spoil, fc.boolean(), ([line, make], ended) => {
        const spoiled = lines.map((text, i) => (i === line ? make(line) : text));
        writeFileSync(path, spoiled.join("\n") + (ended ? "\n" : ""));
        try {
          replay(readEntries(path));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          if (error instanceof JournalDamaged) expect(error.message).toMatch(/jsonl:\d+: /);
        }
      }),
      runs(800),
    );
  },
  PATIENCE_MS,
);

test(
  "Journal cuts off a line that was cut short, wherever it was cut, and nothing else",
  () => {
    const whole = `${JOURNAL.map((entry) => JSON.stringify(entry)).join("\n")}\n`;
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(1_000_000), (length, serial) => {
        const place = join(folder, `j${serial}`);
        const first = new Journal(place);
        writeFileSync(first.path, whole.slice(0, length));
        const kept = whole.slice(0, length).split("\n").length - 1;
        const seen = first.exclusive((others) => others.length);
        first.close();
        expect(seen).toEqual({ kind: "ok", value: kept });
        const left = whole
          .split("\n")
          .slice(0, kept)
          .map((line) => `${line}\n`)
          .join("");
        expect(readFileSync(first.path, "utf8")).toBe(left);
        rmSync(place, { recursive: true, force: true });
      }),
      runs(25),
    );
  },
  PATIENCE_MS,
);
