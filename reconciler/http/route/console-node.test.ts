/** C9 over a fleet in a virtual cluster: orders by the name of a Node, and cordons of others. */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp } from "../../../test/world/app.ts";
import { clusterOf, joined } from "../../../test/world/cluster.ts";
import { closeWorlds } from "../../../test/world/story.ts";
import type { World } from "../../../test/world/world.ts";

afterEach(closeWorlds);

const BASE = "/api/admin/kubernetes/nodes";

type Answer = { status: number; body: Record<string, unknown> };

async function open() {
  const w: World = await joined(2);
  const a = openWorldApp(w);
  const nameOf = (id: string): string => w.node(id).kube?.name ?? "";
  const call = async (
    method: string,
    path: string,
    body: unknown,
    token = "root",
    more: Record<string, string> = {},
  ): Promise<Answer> => {
    const headers = { ...more, Authorization: `Bearer ${token}` };
    const init = { method, headers, ...(body === null ? {} : { body: JSON.stringify(body) }) };
    const pending = Promise.resolve(a.app.request(path, init, { remote: "10.0.0.1" }));
    let done = false;
    void pending.then(() => (done = true));
    for (let i = 0; i < 10 && !done; i++) await w.turn();
    const answer = await pending;
    return { status: answer.status, body: (await answer.json()) as Answer["body"] };
  };
  const post = (name: string, verb: string, body: unknown = { reason: "look" }): Promise<Answer> =>
    call("POST", `${BASE}/${name}/${verb}`, body);
  return { w, a, nameOf, post, call };
}

test("C9: an order by the Node's name answers 202 with an id, and is audited", async () => {
  const { w, nameOf, post, call } = await open();
  const [id = ""] = w.serving();
  const answer = await post(nameOf(id), "cordon");
  expect(answer.status).toBe(202);
  expect(answer.body).toMatchObject({ node: id, status: "applied" });
  expect(`${answer.body["repair"]}`).not.toBe("");
  expect(w.node(id).cordon.human?.why).toBe("look");
  const rows = await call("GET", "/api/admin/audit?verb=cordon&limit=1", null);
  expect(rows.body["0"]).toMatchObject({ kind: "node", name: id, result: "ok" });
  expect((await post(nameOf(id), "uncordon")).status).toBe(202);
  expect(w.node(id).cordon.human).toBeNull();
});

test("C9: the same Idempotency-Key acts once", async () => {
  const { w, a, nameOf, call } = await open();
  const [id = ""] = w.serving();
  const key = { "Idempotency-Key": "k1" };
  const drain = (): Promise<Answer> =>
    call("POST", `${BASE}/${nameOf(id)}/drain`, { reason: "r" }, "root", key);
  const [first, second] = [await drain(), await drain()];
  expect([first.status, second.status]).toEqual([202, 202]);
  expect(second.body["command"]).toBe(first.body["command"]);
  const given = await a.ports.store.commands({ node: id, limit: 10 });
  expect(given).toHaveLength(1);
});

test("C9: uncordon refuses a cordon of others and names its owner", async () => {
  const { w, nameOf, post } = await open();
  const [id = ""] = w.serving();
  const name = nameOf(id);
  clusterOf(w).kube.person.cordon(name);
  await w.live(20);
  const refused = await post(name, "uncordon");
  expect([refused.status, refused.body["code"]]).toEqual([409, "conflict"]);
  expect(`${refused.body["error"]}`).toContain(`Node ${name} is cordoned by kubectl,`);
  // Of both cordons Navarch lifts its own, and says that the other stays.
  await post(name, "cordon");
  const own = await post(name, "uncordon");
  expect(own.status).toBe(202);
  expect(`${own.body["message"]}`).toContain("by kubectl stays");
});

test("C9: a reason is required, a stranger's Node is left alone, and viewers are refused", async () => {
  const { w, a, nameOf, post, call } = await open();
  const [id = ""] = w.serving();
  expect((await post(nameOf(id), "cordon", {})).status).toBe(400);
  expect((await post(nameOf(id), "cordon", { reason: " " })).status).toBe(400);
  expect((await post("no-such-node", "drain")).status).toBe(404);
  const viewer = String((await a.call("POST", "/v1/tokens", { role: "viewer" })).body["token"]);
  const path = `${BASE}/${nameOf(id)}/cordon`;
  expect((await call("POST", path, { reason: "r" }, viewer)).status).toBe(403);
  expect(w.node(id).cordon.human).toBeNull();
});
