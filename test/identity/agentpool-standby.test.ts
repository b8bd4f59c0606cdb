/** AgentPools and claims through a replica that does not lead. */
import { afterEach, expect, test } from "bun:test";
import type { ClaimView } from "../../schema/agentpool-view.ts";
import { noAgentPools } from "../../reconciler/core/agentpool/none.ts";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { fakePools } from "../world/agent-pools.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, fleet } from "../world/story.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await closeWorlds();
});

const NOT_LEADER = "this replica does not lead";

async function open() {
  const world = await fleet(1);
  const { authority, ports } = openWorldApp(world, undefined, fakePools(["default/t1"]));
  const serve = (front: Front): string => {
    const server = listen(() => front, world.config, { host: "127.0.0.1", port: 0 }, null);
    closing.push(() => server.stop(true));
    return `http://127.0.0.1:${server.port}`;
  };
  let leads: string | null = serve(new Front(ports, null));
  const sign = (text: string): string => authority.sign(text);
  const forward = new Forward({ clock: world.clock, leader: () => leads, peer: () => null, sign });
  const standby = { ...ports, agentPools: noAgentPools(NOT_LEADER, "unavailable") };
  const url = serve(new Front(standby, { forward, refresh: async () => undefined }));
  const call = async (method: string, path: string, body?: unknown) => {
    const headers = { Authorization: "Bearer root" };
    const text = body === undefined ? null : JSON.stringify(body);
    const answer = await fetch(`${url}${path}`, { method, headers, body: text });
    return { status: answer.status, text: await answer.text() };
  };
  return { call, lose: () => (leads = null) };
}

test("V43: claims and pools through a standby are the leader's, and never invented", async () => {
  const { call, lose } = await open();
  const made = await call("POST", "/v1/pools/default/t1/claims", { id: "c1" });
  expect(made.status).toBe(201);
  const claim = JSON.parse(made.text) as ClaimView;
  expect(JSON.parse((await call("GET", "/v1/claims/c1")).text)).toEqual(claim);
  const paths = [
    ...["/v1/agentpools", "/v1/agentpools/default/t1", "/v1/pools/default/t1", "/rest/pool"],
    ...["/v1/pools/default/t1/claims", "/v1/claims", "/rest/pool/t1", "/api/v1/claims/c1"],
    "/rest/pool/t1/watch",
  ];
  for (const path of paths) {
    expect([path, (await call("GET", path)).status]).toEqual([path, 200]);
  }
  // Served from the standby's own copy, as before.
  expect((await call("GET", "/v1/pools/p/status")).status).toBe(200);
  expect((await call("DELETE", "/v1/claims/c1")).status).toBe(200);
  lose();
  for (const path of paths) {
    const { status, text } = await call("GET", path);
    expect([path, status, text]).toEqual([path, 503, expect.stringContaining(NOT_LEADER)]);
  }
  expect((await call("POST", "/v1/pools/default/t1/claims", {})).status).toBe(503);
});
