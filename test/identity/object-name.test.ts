/** A machine in a cluster has two names; neither is anybody else's to speak under. */
import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { newAgent, reportOf } from "../world/agent.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { joined, nameOf } from "../world/cluster.ts";
import { closeWorlds } from "../world/story.ts";

afterEach(closeWorlds);

/** A fleet of one in a cluster, and what its Node is called there. */
async function open() {
  const w = await joined(1);
  const [node] = w.nodes();
  if (node === undefined) throw new Error("there is no node");
  const name = nameOf(w, node.id);
  expect(name).not.toBe(node.id);
  return { w, a: openWorldApp(w), id: node.id, name, boot: String(node.agent?.bootId) };
}

async function join(a: WorldApp, name: string) {
  const made = await a.call("POST", "/v1/join-tokens", { pool: "p", uses: 9 });
  const token = String(made.body["token"]);
  const body = { token, node_id: name, nonce: "n".repeat(24) };
  return a.call("POST", "/v1/agent/join", body, null);
}

test("a pool's token does not open the place of a machine by its Node's name", async () => {
  const { w, a, id, name, boot } = await open();
  const answer = await join(a, name);
  if (answer.status === 201) {
    // What it would be good for: everybody in the cluster can read the boot's id.
    const report = { ...reportOf(name, newAgent("x"), w.clock.wallMs()), boot_id: boot };
    const credential = String(answer.body["credential"]);
    const spoke = await a.call("POST", "/v1/agent/report", report, credential);
    expect([spoke.status, String(spoke.body["node_id"])]).not.toEqual([202, id]);
  }
  expect([answer.status, answer.text]).toEqual([403, expect.stringContaining(`--node ${id}`)]);
});

test("a machine whose credentials are revoked is not heard under its Node's name either", async () => {
  const { w, a, id, name, boot } = await open();
  const report = { ...reportOf(name, newAgent("x"), w.clock.wallMs()), boot_id: boot };
  const say = (token: string) => a.call("POST", "/v1/agent/report", report, token);
  for (const token of [nodeToken("s", name), "both"]) {
    expect([(await say(token)).status, token]).toEqual([202, token]);
  }
  expect((await a.call("DELETE", `/v1/tokens/node:${id}`)).status).toBe(200);
  for (const token of [nodeToken("s", name), "both"]) {
    const answer = await say(token);
    expect([answer.status, token]).toEqual([403, token]);
    expect(answer.text).toContain(`the credentials of ${id} are revoked`);
  }
});
