/**
 * A thousand sockets without a credential that send a head and a part of a body, and then nothing:
 * what the compiled control plane holds of them, and that it still answers.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildStale, Plane } from "../fixture/plane/plane.ts";
import { Target } from "./longest/target.ts";
import { type Caller, headOf, openCaller } from "./socket.ts";

const SOCKETS = 1_000;
const PEAK_MIB = 300;
const ANSWER_MS = 500;
const MIB = 1024 * 1024;
const FORM = "application/x-www-form-urlencoded";

/** Each way that `listen.ts` takes, and heads that say less than they should. */
const SIGNATURE = `X-Hub-Signature-256: sha256=${"0".repeat(64)}`;
const ROUTES: [what: string, head: string][] = [
  ["join", headOf("/v1/agent/join", null, 16_000)],
  ["join of undeclared length", headOf("/v1/agent/join", null, null)],
  ["log-in", headOf("/login", null, 60_000).replace("application/json", FORM)],
  ["link", headOf("/login/once", null, 60_000).replace("application/json", FORM)],
  ["pipeline report", headOf("/api/pipelines", null, MIB)],
  ["signed report", headOf("/api/pipelines", null, MIB).replace("\r\n", `\r\n${SIGNATURE}\r\n`)],
  ["report", headOf("/v1/agent/report", null, 200_000)],
  ["report with a guess", headOf("/v1/agent/report", "nvn.bi0x.guess", 200_000)],
  ["order with a guess", headOf("/v1/nodes/n/cordon", "nvt.guess", MIB)],
  ["workflow", headOf("/v1/workflows", null, MIB)],
  ["queue", headOf("/api/queue/tasks", null, MIB)],
  ["pools of the guide", headOf("/rest/pool", null, MIB)],
  ["metrics with a body", headOf("/metrics", null, MIB).replace("POST", "GET")],
  ["health with a body", headOf("/healthz", null, MIB).replace("POST", "GET")],
  ["no route", headOf("/nosuch", null, MIB)],
  ["half a head", "POST /v1/agent/join HTTP/1.1\r\nHost: navarch\r\nX-More: "],
];

let plane: Plane;
const folder = mkdtempSync(join(tmpdir(), "navarch-slow-"));
const secret = join(folder, "pipeline-secret");
beforeAll(async () => {
  await buildStale();
  writeFileSync(secret, "a shared secret of a build server");
  const signed = `  console: { pipeline_secret_file: ${secret} }\n`;
  plane = new Plane(`server:\n  address: 127.0.0.1:0\n${signed}`);
  await plane.start(60_000);
}, 300_000);
afterAll(async () => {
  await plane.destroy();
  rmSync(folder, { recursive: true });
});

/** The most that the process has held at once (proc(5)). */
const peakMiB = (): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${plane.pid}/status`, "utf8"))?.[1]) /
  1_024;

test.each(ROUTES)("a thousand slow bodies: %s", (_what, head) => attack(head), 60_000);

test("a thousand slow bodies, of every route and page in turn", async () => {
  const target = await Target.open();
  const routes = target.routes();
  await target.close();
  expect(routes.length).toBeGreaterThan(150);
  for (const { method, path, page } of routes) {
    const to = path.replace(/:\w+/g, "x");
    const head = page
      ? headOf(to, null, 60_000).replace("application/json", FORM)
      : headOf(to, null, to === "/v1/agent/join" ? 16_000 : 200_000);
    await attack(head.replace("POST", method));
  }
}, 180_000);

/** The most that the process has held at once stays low, and it answers meanwhile. */
async function attack(head: string): Promise<void> {
  // From here on (proc(5), clear_refs).
  writeFileSync(`/proc/${plane.pid}/clear_refs`, "5");
  const callers: Caller[] = [];
  for (let at = 0; at < SOCKETS; at++) {
    const caller = openCaller(plane.url);
    callers.push(caller);
    caller.write(head);
    caller.write(head.includes("chunked") ? `2000\r\n${"x".repeat(8_192)}\r\n` : "x".repeat(8_192));
    if (at % 100 === 99) await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  const times: number[] = [];
  for (let at = 0; at < 5; at++) {
    const begun = performance.now();
    expect((await plane.fetch("/healthz", { token: null })).status).toBe(200);
    times.push(performance.now() - begun);
  }
  for (const caller of callers) caller.end();
  // The sockets' heads are read between two answers: the median is what a probe waits.
  const median = times.sort((a, b) => a - b)[2] ?? Infinity;
  const [first = ""] = head.split(" HTTP");
  expect({ first, isSlow: median >= ANSWER_MS, median }).toMatchObject({ first, isSlow: false });
  expect(peakMiB()).toBeLessThan(PEAK_MIB);
}
