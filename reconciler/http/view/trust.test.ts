/** What people see of how agents reach the control plane, out of what the agents report. */
import { afterEach, describe, expect, test } from "bun:test";
import { judgeTrust } from "../../../cli/diagnosis-trust.ts";
import { readConfig } from "../../config/read.ts";
import { openShown } from "../../server/open-start.ts";
import type { AgentTrust, TrustView } from "../../../schema/order.ts";
import type { NodeId } from "../../../schema/id.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet, threshold } from "../../../test/world/story.ts";
import { viewTrust } from "./trust.ts";

afterEach(closeWorlds);

const OURS = `sha256:${"a".repeat(64)}`;
const OTHERS = `sha256:${"b".repeat(64)}`;
const known = (more: Partial<AgentTrust>): AgentTrust => ({
  transport: "http",
  key: OURS,
  source: "enrolment",
  refused: 0,
  last_refusal: null,
  ...more,
});

async function fleetWith(said: (AgentTrust | null)[], tls: boolean): Promise<TrustView> {
  const world = await fleet(said.length, threshold(1));
  const nodes = world.serving().sort();
  const changed = nodes.map((id, at) => {
    const node = world.node(id as NodeId);
    const { agent } = node;
    if (agent === null) throw new Error(id);
    const { trust: _, ...inventory } = agent.inventory;
    const trust = said[at];
    const all = trust === null || trust === undefined ? inventory : { ...inventory, trust };
    return { ...node, id: `n${at + 1}` as NodeId, agent: { ...agent, inventory: all } };
  });
  return viewTrust(changed, { key: OURS, tls });
}

describe("viewTrust()", () => {
  test("tells who reports in the clear, who trusts what, and who refused orders", async () => {
    const view = await fleetWith(
      [
        known({ transport: "https" }),
        known({ source: "first use" }),
        known({ transport: "loopback", source: "first use" }),
        known({ transport: "https", key: OTHERS, refused: 2, last_refusal: "reboot c1: forged" }),
        null,
      ],
      false,
    );
    expect(view).toEqual({
      key: OURS,
      tls: false,
      agents: 5,
      // An older agent does not say; a control plane without TLS has no other.
      without_tls: { count: 2, nodes: ["n2", "n5"] },
      unverified: { count: 1, nodes: ["n5"] },
      first_use: { count: 1, nodes: ["n2"] },
      other_key: { count: 1, nodes: ["n4"] },
      refused: { orders: 2, nodes: [{ node_id: "n4", orders: 2, last: "reboot c1: forged" }] },
    });
    const rows = judgeTrust(view).map(({ outcome, check, message }) => [outcome, check, message]);
    expect(rows).toEqual([
      ["warn", "agent transport", "2 agents (n2, n5) report over plain http"],
      ["ok", "release key", `${OURS} (agents: --key-fingerprint)`],
      ["warn", "agent keys", "1 agent (n5) verify no orders: older than signed orders"],
      ["warn", "agent keys", "1 agent (n2) trusted the first key that came over plain http"],
      [
        "fail",
        "agent keys",
        "1 agent (n4) refused this key, and every order: another one is known there",
      ],
      ["warn", "orders", "2 orders were refused by agents; n4: reboot c1: forged"],
    ]);
  });

  test("names a few of many, and is quiet where TLS ends it", async () => {
    const many = await fleetWith(
      Array.from({ length: 8 }, () => known({})),
      false,
    );
    expect(many.without_tls).toEqual({ count: 8, nodes: ["n1", "n2", "n3", "n4", "n5"] });
    expect(judgeTrust(many)[0]?.message).toContain("n4, n5 and 3 more");
    const quiet = await fleetWith([known({ transport: "https", source: "tls" }), null], true);
    expect(quiet.without_tls.count).toBe(0);
    expect(judgeTrust(quiet)[0]).toMatchObject({ outcome: "ok" });
  });
});

test("GET /v1/trust and the metrics count the agents of the fleet", async () => {
  const app = openWorldApp(await fleet(3, threshold(1)));
  const { body } = await app.call("GET", "/v1/trust");
  expect(body).toMatchObject({ agents: 3, tls: false, unverified: { count: 3 } });
  const { text } = await app.call("GET", "/metrics");
  expect(text).toContain("\nnavarch_agents_without_tls 3\n");
  expect(text).toContain("\nnavarch_agents_unverified 3\n");
  expect(text).toContain("\nnavarch_agent_orders_refused 0\n");
});

describe("openShown() warns of plain http", () => {
  const warned = async (server: string, dialled: (string | undefined)[]): Promise<number> => {
    const text = `server: { ${server} }\npools: []\n`;
    const read = { portZero: true, externalAddress: false };
    const { config, problems } = readConfig([{ name: "c", text }], read);
    if (config === null) throw new Error(JSON.stringify(problems));
    const lines: string[] = [];
    await openShown({
      config,
      state: "/none",
      identity: { fleetId: "abc" },
      first: null,
      dialled,
      clock: { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined },
      log: (level, message) => void lines.push(`${level} ${message}`),
    });
    return lines.filter((line) => line.startsWith("warn plain http")).length;
  };
  const cases: [string, (string | undefined)[], number][] = [
    ["address: '0.0.0.0:1'", [undefined, "0.0.0.0", undefined], 1],
    ["address: ':1'", [undefined, "", undefined], 1],
    ["address: '10.0.0.1:1'", ["http://10.0.0.1:1", "10.0.0.1", undefined], 1],
    ["address: '127.0.0.1:1'", [undefined, "127.0.0.1", undefined], 0],
    ["address: '127.0.0.1:1', external_address: 'nav:1'", [undefined, "127.0.0.1"], 1],
    // A proxy in front ends TLS.
    ["address: ':1', external_address: 'https://nav:1'", [undefined, ""], 0],
  ];
  test.each(cases)("%s, reached as %j: %i", async (server, dialled, count) => {
    expect(await warned(server, dialled)).toBe(count);
  });
});
