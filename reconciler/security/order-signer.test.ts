/** How orders and the key that signs them leave the control plane. */
import { afterEach, describe, expect, test } from "bun:test";
import { KeyTrust } from "../../agent/report/key-trust.ts";
import { openStateFiles } from "../../agent/spool/state-file.ts";
import type { CommandId, NodeId } from "../../schema/id.ts";
import type { AgentCommand, Report } from "../../schema/report.ts";
import { newAgent, reportOf } from "../../test/world/agent.ts";
import type { World } from "../../test/world/world.ts";
import { makeKey } from "../../test/agent/test-key.ts";
import { joined, nameOf } from "../../test/world/cluster.ts";
import { closeWorlds } from "../../test/world/story.ts";
import { openOrderSigner } from "./order-signer.ts";

afterEach(closeWorlds);

const KEY = makeKey();
const NOW = Date.parse("2026-11-22T10:00:00Z");
const REBOOT: AgentCommand = {
  command_id: "c1" as CommandId,
  type: "reboot",
  parameters: {},
  fence: 3,
};

/** An agent on that machine; its clock is the system's. */
function agentOf(nodeId: string): KeyTrust {
  return new KeyTrust({
    nodeId,
    base: "http://c:1",
    enrolled: [{ fingerprint: KEY.fingerprint, source: "enrolment" }],
    files: openStateFiles(null),
    now: () => NOW,
    log: () => undefined,
  });
}

/** A world whose ingest signs with the key, by a system clock of its own, and orders a reboot. */
async function signing(): Promise<{ w: World; id: NodeId; name: string }> {
  const w = await joined(1);
  const [node] = w.nodes();
  if (node === undefined) throw new Error("there is no node");
  const target = w.ingest["target"];
  target.signer = openOrderSigner(KEY, () => NOW);
  target.upgrade = () => ({ command: REBOOT });
  return { w, id: node.id, name: nameOf(w, node.id) };
}

async function replyTo(w: World, report: Report) {
  const pending = w.ingest.accept(report, null);
  await w.clock.pass(10);
  const answer = await pending;
  await w.turn();
  if (answer.kind !== "reply") throw new Error(JSON.stringify(answer));
  return answer.reply;
}

describe("Ingest", () => {
  test("signs for the name under which an agent reports, whatever its node is called", async () => {
    const { w, id, name } = await signing();
    const agent = { ...newAgent("other"), boot: 1 };
    const reply = await replyTo(w, reportOf(name, agent, w.clock.wallMs()));
    expect([reply.node_id, reply.node_id === (name as NodeId)]).toEqual([id, false]);
    const [order = REBOOT] = reply.commands;
    expect(agentOf(name).judge(order)).toBe(null);
    expect(agentOf(id).judge(order)).toContain("not that of this order to this node");
  });

  test("signs by the system's clock, which its own may follow slowly", async () => {
    const { w, id } = await signing();
    expect(Math.abs(w.clock.wallMs() - NOW)).toBeGreaterThan(24 * 3_600_000);
    const reply = await replyTo(w, reportOf(id, newAgent("m"), w.clock.wallMs()));
    expect(agentOf(id).judge(reply.commands[0] ?? REBOOT)).toBe(null);
  });

  test("shows the key until the agent reports that very key", async () => {
    const { w, id } = await signing();
    const plain = reportOf(id, newAgent("m"), w.clock.wallMs());
    expect((await replyTo(w, plain)).order_key).toEqual(KEY.shown);
    const inventory = plain.inventory ?? null;
    if (inventory === null) throw new Error("it has an inventory");
    const trust = { ...agentOf(id).view(), key: makeKey().fingerprint };
    const other = await replyTo(w, { ...plain, inventory: { ...inventory, trust } });
    expect(other.order_key).toEqual(KEY.shown);
    const own = { ...inventory, trust: agentOf(id).view() };
    expect((await replyTo(w, { ...plain, inventory: own })).order_key).toBe(undefined);
    // And as long as that is what it last said.
    expect((await replyTo(w, { ...plain, inventory: null })).order_key).toBe(undefined);
  });

  test("asks for the inventory of an agent that has refused orders since, and tells why once", async () => {
    const { w, id } = await signing();
    const plain = reportOf(id, newAgent("m"), w.clock.wallMs());
    const inventory = plain.inventory ?? null;
    if (inventory === null) throw new Error("it has an inventory");
    const said = { ...agentOf(id).view(), refused: 2, last_refusal: "reboot c9: forged" };
    const quiet = { ...plain, inventory: null, refused_orders: 2 };
    expect((await replyTo(w, quiet)).want_inventory).toBe(true);
    const told = { ...quiet, inventory: { ...inventory, trust: said } };
    expect((await replyTo(w, told)).want_inventory).toBe(false);
    expect((await replyTo(w, quiet)).want_inventory).toBe(false);
    await replyTo(w, told);
    const events = w.events.filter(({ message }) => message.includes("refused"));
    expect(events.map(({ node, message }) => [node, message])).toEqual([
      [id, "the agent refused 2 orders: reboot c9: forged"],
    ]);
  });
});
