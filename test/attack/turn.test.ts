/**
 * Checks how much work one node's flood of findings causes in one turn of the event loop, in which
 * no other node is answered. Work is counted, not timed: times depend on the machine.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@libsql/client";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { judgeReport } from "../../health/policy/judge.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { openNoScheduler } from "../../reconciler/runtime/no-scheduler.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import type { Finding } from "../../schema/finding.ts";
import type { PastFinding } from "../../schema/held.ts";
import type { BootId, NodeId, StreamId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { REPORT_VERSION, type Report } from "../../schema/report.ts";
import { aloneOn } from "../../simulator/engine/process.ts";
import { configOf, poolYaml } from "../world/setting.ts";
import { applicationFinding, inventoryOf } from "../bench/report.ts";
import { unadapted } from "../../reconciler/core/adapter.ts";
import { compose } from "../../reconciler/server/compose.ts";

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const AT = new Date(0).toISOString();
const FULL = LIMIT.findingsPerReportMax;

function reportOf(node: string, from: number, count: number): Report {
  const finding = applicationFinding(0, `boot-${node}`, AT) as Finding;
  return {
    version: REPORT_VERSION,
    node_id: node as NodeId,
    boot_id: `boot-${node}` as BootId,
    stream: "s" as StreamId,
    agent_version: "x",
    simulated: true,
    sent_at: AT,
    inventory: inventoryOf(0, node),
    findings: Array.from({ length: count }, (_, i) => ({ seq: from + i, finding })),
  } as Report;
}

/** Opens loop and ingest on a real file and the real clock; `said` logs the steps in order. */
async function open(historyMax = 10_000) {
  const folder = mkdtempSync(join(tmpdir(), "navarch-turn-"));
  const said: string[] = [];
  const clock: Clock = {
    wallMs: () => Date.now(),
    monoMs: () => performance.now(),
    after(ms, work) {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
  };
  const turn = async () => {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    said.push("turn");
  };
  const limits = { all: 10 * historyMax, node: historyMax };
  const base = await openLibsqlStore({
    url: `file:${join(folder, "navarch.db")}`,
    now: clock.wallMs(),
    turn,
    history: { finding: limits, event: limits },
    wrap: (client) => watch(client, said),
  });
  const store = base.led(base.epoch ?? 1, () => undefined);
  const config = configOf(poolYaml(1));
  const life = await compose({
    ...aloneOn(clock),
    turn,
    store,
    log: () => undefined,
    scheduler: openNoScheduler(),
    providers: new Map(),
    unavailable: unadapted(config.providers),
    config,
    policy: compiledBuiltin,
    fleetId: "fleet",
    cursors: [],
  });
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  closing.push(() => store.close());
  return { ...life, said, store };
}

/** Logs what each transaction writes or deletes. */
function watch(client: Client, said: string[]): Client {
  const batch = client.batch.bind(client);
  client.batch = async (statements, mode) => {
    const texts = statements.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
    const answers = await batch(statements, mode);
    const rows = answers.map(({ rowsAffected }) => rowsAffected);
    const of = (pattern: RegExp): number =>
      texts.reduce((sum, text, at) => sum + (pattern.test(text) ? (rows[at] ?? 0) : 0), 0);
    const trimmed = of(/DELETE FROM (finding|event)/);
    if (trimmed > 0) said.push(`trim ${trimmed}`);
    else if (texts.some((text) => /INSERT INTO inbox/.test(text))) said.push("written");
    else if (texts.some((text) => /DELETE FROM inbox/.test(text))) {
      said.push(`folded ${of(/INSERT INTO finding/)}`);
    }
    return answers;
  };
  return client;
}

const until = async (look: () => boolean): Promise<void> => {
  while (!look()) await Bun.sleep(1);
};

test("a report is answered before the loop folds it", async () => {
  const { reconciler, ingest, said } = await open();
  reconciler.start();
  closing.push(() => reconciler.stop(0));
  // The loop sleeps until something wakes it.
  await Bun.sleep(100);
  said.length = 0;
  const answer = ingest.accept(reportOf("n-1", 1, 3), null).then(() => said.push("answered"));
  await until(() => said.some((one) => one.startsWith("folded")));
  await answer;
  expect(said.filter((one) => one !== "turn")).toEqual(["written", "answered", "folded 3"]);
  expect(said.slice(said.indexOf("answered"), said.indexOf("folded 3"))).toContain("turn");
});

test("a flood is written and folded in parts, and no neighbour waits for all of it", async () => {
  const { reconciler, ingest, said } = await open();
  const flood = Array.from({ length: 20 }, (_, i) => reportOf("noisy", 1 + i * FULL, FULL));
  const answers = flood.map((report) => ingest.accept(report, null));
  const neighbour = ingest.accept(reportOf("quiet", 1, 1), null).then(() => said.push("neighbour"));
  await Promise.all(answers);
  await neighbour;
  expect(said.slice(0, 2)).toEqual(["written", "neighbour"]);
  // At most two full reports a transaction, and other work between two of them.
  const writes = said.filter((one) => one === "written").length;
  expect(writes).toBeGreaterThanOrEqual(flood.length / 2);
  expect(said.join(" ")).not.toContain("written written");
  said.length = 0;
  // The first activation also takes the neighbour's finding, so one more is needed.
  for (let i = 0; i <= flood.length; i++) await reconciler.activate();
  const folded = countsOf(said, "folded");
  expect(Math.max(...folded)).toBeLessThanOrEqual(FULL + 1);
  expect(folded.reduce((sum, count) => sum + count, 0)).toBe(flood.length * FULL + 1);
});

/** The counts in log lines such as `folded 200`. */
function countsOf(said: readonly string[], what: string): number[] {
  return said.flatMap((one) => {
    const [word, count] = one.split(" ");
    return word === what && count !== undefined ? [Number(count)] : [];
  });
}

test("history is trimmed a few rows at a time, with other work between", async () => {
  const { reconciler, ingest, said } = await open(1_000);
  for (let i = 0; i < 15; i++) {
    await ingest.accept(reportOf("noisy", 1 + i * FULL, FULL), null);
    await reconciler.activate();
  }
  const trims = countsOf(said, "trim");
  expect(trims.length).toBeGreaterThan(5);
  expect(Math.max(...trims)).toBeLessThanOrEqual(250);
  expect(said.join(" ")).not.toMatch(/(trim \d+|folded \d+) trim/);
});

test("what judging a full report costs grows with its findings, not with their square", () => {
  const node = {
    id: "n-1",
    pool: "p",
    labels: {},
    gpu_count: 8,
    driver_version: "570",
    fake: false,
  };
  const finding = applicationFinding(0, "b", AT) as Finding;
  let read = 0;
  const counted = (n: number): PastFinding => {
    const at = Date.parse(AT) - 60_000 * n;
    const entry = { rule: "x", kind: "xid", code: n, gpu: "g", link: null, fromAt: at, toAt: at };
    return new Proxy({ ...entry, count: 1 } as PastFinding, {
      get: (target, key) => (read++, Reflect.get(target, key)),
    });
  };
  const history = Array.from({ length: 256 }, (_, n) => counted(n));
  const reads = (findings: number): number => {
    read = 0;
    // Codes without a rule: rules that count repeats or look for a cause read the history too.
    const many = Array.from({ length: findings }, (_, n) => ({ ...finding, code: 1_000 + n }));
    judgeReport(many, compiledBuiltin, node, history);
    return read;
  };
  const few = reads(10);
  expect(few).toBeGreaterThan(256);
  expect(reads(FULL)).toBeLessThan(2 * few);
});
