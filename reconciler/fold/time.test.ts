/** Which records are forgotten, and which are not although somebody could take them for others. */
import { describe, expect, test } from "bun:test";
import type { Config } from "../../schema/config.ts";
import type { BootId, InstanceId, NodeId, PoolName, StreamId } from "../../schema/id.ts";
import type { AgentFact, KubeFact, Node } from "../../schema/node.ts";
import { readConfig } from "../config/read.ts";
import { Draft, newMirror } from "../draft.ts";
import { newHealth, newNode, strayNode } from "./new-node.ts";
import { foldTime } from "./time.ts";

const NOW = 10_000_000;
const NAME = "gpu-a";

function read(text: string): Config {
  const { config } = readConfig([{ name: "f", text }]);
  if (config === null) throw new Error("the configuration cannot be read");
  return config;
}

const CONFIG = read("server: { heartbeat_interval: 10s }\n");

const agent = (boot: string, providerIds: string[] = []): AgentFact => ({
  bootId: boot as BootId,
  stream: "s" as StreamId,
  version: "1",
  simulated: true,
  registeredAt: 1,
  lastHeartbeatAt: 1,
  inventory: {
    hostname: "h",
    gpus: [],
    provider_ids: providerIds,
  } as unknown as AgentFact["inventory"],
});

const onObject = { name: NAME } as unknown as KubeFact;

/** A machine of ours, as the cluster and its agent show it. */
function bought(more: Partial<Node> = {}): Node {
  const id = "n1" as NodeId;
  const pool = "p" as PoolName;
  return {
    ...newNode({ id, pool, slot: 0, gen: 1, at: 0, replaces: null }),
    phase: { kind: "serving", since: 1 },
    agent: agent("boot-a"),
    kube: onObject,
    instance: { id: "i-1" as InstanceId } as unknown as Node["instance"],
    ...more,
  };
}

/** What spoke under the Node's name before anybody knew whose it is. */
const early = (more: Partial<Node> = {}): Node => ({
  ...strayNode(NAME as NodeId, 1),
  agent: agent("boot-a"),
  ...more,
});

function forgotten(nodes: Node[], silentMs: number | null = 20_000): string[] {
  const mirror = newMirror();
  for (const one of nodes) mirror.nodes.set(one.id, one);
  const { pools, operations, facts } = mirror;
  const fleet = { fleetId: "f", nodes: mirror.nodes, pools, operations, facts };
  const draft = new Draft(mirror);
  const silent = (id: NodeId): number | null => (id === NAME ? silentMs : 0);
  const input = { fleet, config: CONFIG, now: NOW, silentMs: silent, heard: () => true };
  const ids = foldTime(input, draft);
  expect(draft.change.removedNodes).toEqual(ids);
  return ids;
}

describe("a record under a Node's name", () => {
  test("goes once the same boot speaks as the machine's node", () => {
    expect(forgotten([early(), bought()])).toEqual([NAME]);
    const told = early({ agent: agent("boot-a", ["x", "i-1"]) });
    expect(forgotten([told, bought({ kube: null })])).toEqual([NAME]);
  });

  const by = { by: "somebody", why: "x", at: 1 };
  test.each<[string, Node[], number | null]>([
    ["it still speaks", [early(), bought()], 19_999],
    ["nobody knows when it spoke", [early(), bought()], null],
    ["another boot has the Node's name", [early(), bought({ agent: agent("boot-b") })], 20_000],
    ["the boot is another Node's", [early(), bought({ kube: null })], 20_000],
    ["the Node's is a machine of nobody's", [early(), bought({ instance: null })], 20_000],
    ["it has never said what it is", [early({ agent: null }), bought()], 20_000],
    ["it counts as silent: somebody was told", [silent(), bought()], 20_000],
    ["there is evidence", [sick(), bought()], 20_000],
    ["a person cordoned it", [early({ cordon: { human: by, product: null } }), bought()], 20_000],
    ["it is marked", [early({ cordon: { human: null, product: by } }), bought()], 20_000],
    ["it has a place", [early({ pool: "p" as PoolName, slot: 0 }), bought()], 20_000],
  ])("stays if %s", (_why, nodes, silentMs) => {
    expect(forgotten(nodes, silentMs)).toEqual([]);
  });
});

function silent(): Node {
  return early({ health: { ...newHealth(), silentSince: NOW - 1_000 } });
}

function sick(): Node {
  const judgement = { definitive: false, result: "degraded" };
  const held = [{ key: "xid:79", judgement }] as unknown as Node["health"]["held"];
  return early({ health: { ...newHealth(), held } });
}
