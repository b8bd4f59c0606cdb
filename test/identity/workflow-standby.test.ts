/** Workflows and the audit through a replica that does not lead. */
import { afterEach, expect, test } from "bun:test";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { actOfCall as actOf } from "../../reconciler/http/route/table.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { StaleEpoch } from "../../reconciler/core/store.ts";
import { Audit } from "../../reconciler/security/audit/audit.ts";
import type { AuditRecord } from "../../schema/audit.ts";
import type { WorkflowRunView } from "../../schema/workflow.ts";
import { openWorldApp } from "../world/app.ts";
import { openHandRunner } from "../world/rehearsal.ts";
import { closeWorlds, fleet } from "../world/story.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await closeWorlds();
});

async function open() {
  const world = await fleet(1, "simulation: { enabled: true }\n");
  const runner = openHandRunner();
  const leader = openWorldApp(world, runner);
  const { authority, admission, ports } = leader;
  const serve = (front: Front): string => {
    const server = listen(() => front, world.config, { host: "127.0.0.1", port: 0 }, null);
    closing.push(() => server.stop(true));
    return `http://127.0.0.1:${server.port}`;
  };
  const base = serve(new Front(ports, null));
  const sign = (text: string): string => authority.sign(text);
  const forward = new Forward({ clock: world.clock, leader: () => base, peer: () => null, sign });
  const { clock, log, store } = ports;
  const append = () => Promise.reject(new StaleEpoch("standby"));
  const audit = new Audit({ table: { ...store.auditTable(), append }, clock, log, actOf });
  const own = openWorldApp(world).ports.workflows;
  const standby = { ...ports, admission: { ...admission, audit }, workflows: own };
  const url = serve(new Front(standby, { forward, refresh: async () => undefined }));
  const call = (path: string, init: RequestInit = {}, token = "root") =>
    fetch(`${url}${path}`, {
      ...init,
      headers: { Authorization: `Bearer ${token}`, ...init.headers },
    });
  return { world, runner, leader, call };
}

test("W54: submit, watch and cancel through a standby are the leader's", async () => {
  const { world, runner, call } = await open();
  const posted = await call("/v1/workflows", { method: "POST", body: "Sleep a" });
  expect(posted.status).toBe(202);
  const { id } = (await posted.json()) as WorkflowRunView;
  await world.clock.pass(1);
  expect(runner.begun).toHaveLength(1);
  const seen = (await (await call(`/v1/workflows/${id}`)).json()) as WorkflowRunView;
  expect(seen).toMatchObject({ id, state: "running" });
  const listed = (await (await call("/v1/workflows")).json()) as { workflows: { id: string }[] };
  expect(listed.workflows.map((run) => run.id)).toEqual([id]);
  const path = `/v1/workflows/${id}/events`;
  const stream = await call(path, { headers: { Accept: "text/event-stream" } });
  expect(stream.headers.get("content-type")).toContain("text/event-stream");
  expect(await stream.text()).toContain('"state":"running"');
  expect((await call(`/v1/workflows/${id}/cancel`, { method: "POST" })).status).toBe(202);
  await world.clock.pass(1);
  const ended = (await (await call(`/v1/workflows/${id}`)).json()) as WorkflowRunView;
  expect(ended.state).toBe("cancelled");
});

test("C11: a read that a standby refuses has its row, with the caller's address", async () => {
  const { leader, call } = await open();
  const { body } = await leader.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
  const viewer = `${body["token"]}`;
  for (const _ of [1, 2]) expect((await call("/v1/audit", {}, viewer)).status).toBe(403);
  expect((await call("/api/admin/audit", {}, viewer)).status).toBe(403);
  const answer = await call("/api/admin/audit?verb=get");
  const rows = (await answer.json()) as AuditRecord[];
  const refused = { role: "viewer", kind: "audit", result: "permission_denied", ip: "127.0.0.1" };
  expect(rows).toMatchObject([refused, refused]);
  expect(rows[1]?.detail).toContain("2 such calls");
});
