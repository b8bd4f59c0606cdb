/**
 * A machine that we bought and that is still being set up has its first credential already. Until
 * it speaks nobody has heard it, so who holds the pool's join token could say to be that machine.
 */
import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import type { JoinTokenView } from "../../schema/join.ts";
import type { AuditView } from "../../schema/audit.ts";
import { poolYaml, type World } from "../world/world.ts";
import { type Json, openWorldApp, type WorldApp } from "../world/app.ts";
import { closeWorlds, open } from "../world/story.ts";

afterEach(closeWorlds);

const COMMANDS = `    setup_commands: ["true"]
    ssh_private_key_path: /nowhere/key
`;

type Story = { world: World; a: WorldApp; node: string; token: string };

/** One bare machine whose set-up does not end, and a join token of its pool. */
async function settingUp(): Promise<Story> {
  const world = await open(poolYaml(1, COMMANDS), { terms: { bringsAgent: false } });
  world.say = async () => undefined;
  world.setUp = () => new Promise(() => undefined);
  const phase = (): string | undefined => world.nodes()[0]?.phase.kind;
  expect(await world.advance(() => phase() === "bootstrapping", 120_000)).toBe(true);
  const a = openWorldApp(world);
  // The world's own secrets are too long for a join token.
  a.ports.newSecret = () => `nvt.${"k".repeat(43)}`;
  const made = await a.call("POST", "/v1/join-tokens", { pool: "p", uses: 5 });
  const { token } = made.body as unknown as JoinTokenView & { token: string };
  return { world, a, node: world.nodes()[0]?.id ?? "", token };
}

async function call(
  { world, a }: Story,
  path: string,
  body: Record<string, unknown>,
  how: { remote?: string; bearer?: string } = {},
): Promise<{ status: number; body: Json }> {
  const { remote = "192.0.2.66", bearer } = how;
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const request = { method: "POST", headers, body: JSON.stringify(body) };
  const pending = Promise.resolve(a.app.request(`/v1/agent${path}`, request, { remote }));
  let done = false;
  void pending.then(() => (done = true));
  for (let i = 0; i < 50 && !done; i++) await world.clock.pass(1);
  const answer = await pending;
  return { status: answer.status, body: (await answer.json()) as Json };
}

const join = (story: Story, asked: string, more: object = {}, remote?: string) => {
  const body = { token: story.token, node_id: asked, nonce: "n".repeat(22), ...more };
  return call(story, "/join", body, remote === undefined ? {} : { remote });
};

function report({ world, node }: Story): Record<string, unknown> {
  return {
    version: 1,
    node_id: node,
    boot_id: "b",
    stream: "s",
    agent_version: "x",
    simulated: false,
    sent_at: new Date(world.clock.wallMs()).toISOString(),
    inventory: { hostname: node, gpus: [] },
  };
}

test("a stranger with the pool's token is not the machine that is being set up", async () => {
  const story = await settingUp();
  const { world, a, node } = story;
  const first = nodeToken("s", node);
  const instance = world.node(node).instance?.id ?? "";
  const desired: [string, object][] = [
    [node, {}],
    [node, { provider_ids: [instance] }],
    ["a-host", { provider_ids: [instance] }],
  ];
  for (const [asked, more] of desired) {
    const answer = await join(story, asked, more);
    expect([answer.status, String(answer.body["error"]?.["code"])]).toEqual([
      403,
      "permission_denied",
    ]);
    expect(String(answer.body["error"]?.["message"])).toContain("--node");
  }
  const log = await a.call("GET", "/v1/audit?refused=true");
  const rows = (log.body as unknown as { audit: AuditView[] }).audit;
  expect(rows).toMatchObject([
    { target: "a-host", code: "permission_denied", count: 1, remote: "192.0.2.66" },
    { target: node, code: "permission_denied", count: 2, remote: "192.0.2.66" },
  ]);
  expect(a.authority.ofNode(node)).toBeNull();
  const said = await call(story, "/report", report(story), { bearer: first });
  expect(said.status).toBe(202);
});

test("a neighbour that has taken the machine's address is not the machine either", async () => {
  const story = await settingUp();
  const { world, a, node } = story;
  const { instance } = world.node(node);
  const remote = instance?.internalIp ?? instance?.externalIp ?? "";
  expect(remote).not.toBe("");
  // As its address is seen where it is no loopback.
  const own = "198.51.100.7";
  if (instance !== null) instance.internalIp = own;
  a.ports.newSecret = () => `nvt.${"m".repeat(43)}`;
  const made = await a.call("POST", "/v1/join-tokens", { pool: "p", node: "other" });
  const named = { ...story, token: String(made.body["token"]) };
  const ids = { provider_ids: [instance?.id ?? ""] };
  for (const [who, asked, more] of [
    [story, node, {}],
    [story, "a-host", ids],
    [named, "other", ids],
  ] as const) {
    const answer = await join(who, asked, more, own);
    expect([asked, answer.status]).toEqual([asked, 403]);
  }
  expect(a.authority.ofNode(node)).toBeNull();
  const first = nodeToken("s", node);
  expect((await call(story, "/report", report(story), { bearer: first })).status).toBe(202);
});

test("names of machines to come are kept, and everybody else joins as before", async () => {
  const story = await settingUp();
  const { a, node } = story;
  const next = node.replace(/\d+$/, (gen) => String(Number(gen) + 1));
  for (const name of [next, next.toUpperCase(), node.toUpperCase()]) {
    expect([name, (await join(story, name)).status]).toEqual([name, 403]);
    expect(a.authority.ofNode(name)).toBeNull();
  }
  expect((await join(story, "a-host")).status).toBe(201);
});
