/** C12, C77: runs of pipelines, reported with a signature and read by administrators. */
import { afterEach, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ANY_ROW } from "../../../schema/audit.ts";
import type { Pipeline, PipelineReport } from "../../../schema/console/pipeline.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { SIGNATURE } from "./pipeline.ts";

const folders: string[] = [];
afterEach(async () => {
  await closeWorlds();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const SECRET = "a shared secret of a build server";

async function open(secret: string | null = SECRET) {
  const world = await fleet(1);
  const a = openWorldApp(world);
  const folder = mkdtempSync(join(tmpdir(), "navarch-pipeline-"));
  folders.push(folder);
  const path = join(folder, "secret");
  writeFileSync(path, `${secret ?? ""}\n`);
  const { server } = world.reconciler.activeConfig();
  server.console.pipelineSecretFile = secret === null ? null : path;
  const now = world.clock.wallMs();
  const at = (ms: number): string => new Date(now + ms).toISOString();
  return { a, at, path };
}

const report = (id: string, startTime: string, change: object = {}): PipelineReport => ({
  ...{ id, name: "deploy coordinator", status: "running", branch: "main", commit: "0123abcd" },
  ...{ commitMessage: "Fix it\n\nWhy", author: "ann", startTime, endTime: null, stages: [] },
  ...change,
});

async function send(a: WorldApp, body: unknown, secret = SECRET, more = "") {
  const text = JSON.stringify(body);
  const mac = createHmac("sha256", secret).update(`${text}${more}`).digest("hex");
  const headers = { [SIGNATURE]: `sha256=${mac}`, "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: text };
  const answer = await a.app.request("/api/pipelines", init, { remote: "203.0.113.9" });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function list(a: WorldApp, query = ""): Promise<Pipeline[]> {
  const headers = { Authorization: "Bearer root" };
  const answer = await a.app.request(`/api/pipelines${query}`, { headers }, { remote: "10.0.0.1" });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Pipeline[];
}

test("C77: a signed report is kept, with its stages, errors and suggestions", async () => {
  const { a, at } = await open();
  const stages = [
    { name: "build image", status: "success", duration: 61.5 },
    { name: "unit tests", status: "failed", duration: 12, error: "1 of 9 failed" },
  ];
  const failed = { status: "failed", endTime: at(-1_000), stages };
  const done = await send(a, report("run-7", at(-60_000), failed));
  expect(done).toEqual({ status: 202, body: { id: "run-7", accepted: true } });
  const [run] = await list(a);
  expect(run).toMatchObject({ id: "run-7", status: "failed", commit: "0123abcd" });
  expect(run?.stages[1]).toMatchObject({ error: "1 of 9 failed" });
  expect(run?.suggestions.map(({ resolution }) => resolution).join()).toContain("test results");
  expect(run?.suggestions).toHaveLength(1);
  const [row] = await a.admission.audit.read({ ...ANY_ROW, who: ["pipeline"], limit: 9 });
  expect(row).toMatchObject({ verb: "report", kind: "pipeline", target: "run-7", code: "ok" });
});

test("C77: without the secret, or with another body than was signed, nothing is kept", async () => {
  const { a, at } = await open();
  const body = report("run-1", at(0));
  expect((await send(a, body, "another secret of somebody")).status).toBe(401);
  expect((await send(a, body, SECRET, " ")).status).toBe(401);
  const init = { method: "POST", body: JSON.stringify(body) };
  expect((await a.app.request("/api/pipelines", init)).status).toBe(401);
  expect(await list(a)).toEqual([]);
  const rows = await a.admission.audit.read({ ...ANY_ROW, refused: true, limit: 9 });
  expect(rows.map(({ who, code }) => [who, code])[0]).toEqual(["anonymous", "unauthenticated"]);
});

test("C77: a fleet without a secret accepts none, and a short secret is no secret", async () => {
  const none = await open(null);
  expect((await send(none.a, report("x", none.at(0)))).status).toBe(404);
  const short = await open("short");
  expect((await send(short.a, report("x", short.at(0)), "short")).status).toBe(503);
  writeFileSync(short.path, SECRET);
  expect((await send(short.a, report("x", short.at(0)))).status).toBe(202);
});

test("C77: what is not a run is refused with the field and what it expects", async () => {
  const { a, at } = await open();
  const good = report("x", at(0));
  const bad: [object, string][] = [
    [{ ...good, status: "green" }, "status: expected success, running"],
    [{ ...good, id: "" }, "id"],
    [{ ...good, startTime: "yesterday" }, "startTime: must be an RFC 3339 time"],
    [{ ...good, startTime: "2026-11-25T00:00:00+01" }, "startTime: must be an RFC 3339 time"],
    [{ ...good, startTime: at(2 * 3_600_000) }, "more than an hour ahead"],
    [{ ...good, stages: [{ name: "a", status: "success", duration: -1 }] }, "stages.0.duration"],
    [{ ...good, stages: [{ name: "a", status: "success", duration: "Infinity" }] }, "duration"],
    [{ ...good, commitMessage: "x".repeat(5_000) }, "commitMessage"],
    [{ ...good, stages: Array.from({ length: 101 }, () => good) }, "stages"],
  ];
  for (const [body, text] of bad) {
    const { status, body: said } = await send(a, body);
    expect([text, status, `${said["error"]}`.includes(text)]).toEqual([text, 400, true]);
  }
  expect(await list(a)).toEqual([]);
});

test("C77: late and repeated reports of a run change nothing; a run again does", async () => {
  const { a, at } = await open();
  const start = at(-60_000);
  const end = report("run-1", start, { status: "success", endTime: at(0) });
  expect((await send(a, end)).body["accepted"]).toBe(true);
  expect((await send(a, report("run-1", start))).body["accepted"]).toBe(false);
  expect((await send(a, report("run-1", at(-90_000)))).body["accepted"]).toBe(false);
  expect((await send(a, end)).body["accepted"]).toBe(true);
  expect((await list(a)).map(({ status }) => status)).toEqual(["success"]);
  expect((await send(a, report("run-1", at(-1_000)))).body["accepted"]).toBe(true);
  expect((await list(a)).map(({ status }) => status)).toEqual(["running"]);
});

test("C12: the newest runs come first, are read by administrators inside, and are bounded", async () => {
  const { a, at } = await open();
  const table = a.ports.store.pipelineTable();
  for (let i = 0; i < LIMIT.pipelinesKeptMax + 20; i++) {
    await table.save({ report: report(`run-${i}`, at(i * 10 - 600_000)), receivedAt: 1 });
  }
  const newest = `run-${LIMIT.pipelinesKeptMax + 19}`;
  expect((await list(a, "?limit=1")).map(({ id }) => id)).toEqual([newest]);
  const all = await list(a, "?limit=9999");
  expect([all.length, all.at(-1)?.id]).toEqual([LIMIT.pipelinesKeptMax, "run-20"]);
  expect(await list(a)).toHaveLength(100);
  const outside = { headers: { Authorization: "Bearer root" } };
  const refused = await a.app.request("/api/pipelines", outside, { remote: "203.0.113.9" });
  expect(refused.status).toBe(403);
  expect((await a.app.request("/api/pipelines", {}, { remote: "10.0.0.1" })).status).toBe(401);
}, 30_000);
