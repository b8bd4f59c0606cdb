/** Hardware that failed and comes back: what is remembered of it, how it is known, for how long. */
import { expect, test } from "bun:test";
import type { InstanceId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { FactOf } from "../../../schema/safety.ts";
import {
  agentOf,
  DAY_MS,
  fleetOf,
  gpuOf,
  heldOf,
  instanceOf,
  nodeOf,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import {
  QUARANTINED_MAX,
  quarantinedIn,
  quarantinedOf,
  refusedAgain,
  surplusQuarantined,
} from "./quarantined-hardware.ts";

const NOW = 400 * DAY_MS;
const proof = (gpu_index: number | null, gpu_uuid: string | null = null) =>
  heldOf({ definitive: true }, { gpu_index, gpu_uuid });
const gpus = [gpuOf(0, "GPU-a0", "serial-0"), gpuOf(1, "GPU-b1")];
const dead = (held = [proof(0)], over: Partial<Node> = {}) =>
  sickOf("n", { agent: agentOf({ gpus }), ...over }, held);
const quarantinedFact = (over: Partial<FactOf<"lemon">> = {}): FactOf<"lemon"> => ({
  kind: "lemon",
  uuid: "GPU-a0",
  serial: "serial-0",
  sessions: 1,
  firstAt: NOW,
  lastAt: NOW,
  because: "XID 48 on GPU 0",
  nodes: ["n"],
  instances: ["i-n"],
  provider: "fake",
  place: "",
  refused: 0,
  ...over,
});
const uuids = (node: Node, fleet = fleetOf([node])) =>
  quarantinedOf(node, fleet, NOW).map(({ uuid }) => uuid);

test("quarantinedOf() remembers the GPU with all that is known of it", () => {
  const node = dead([proof(0)], { instance: instanceOf({ zone: "z", region: "r" }) });
  expect(quarantinedOf(node, fleetOf([node]), NOW)).toEqual([
    quarantinedFact({ instances: ["i-1"], place: "z" }),
  ]);
  const regional = { ...node, instance: instanceOf({ region: "r" }) };
  expect(quarantinedOf(regional, fleetOf([regional]), NOW)[0]?.place).toBe("r");
});

test("quarantinedOf() of a machine without instance, session or serial", () => {
  const node = dead([proof(1)], { instance: null, session: null });
  expect(quarantinedOf(node, fleetOf([node]), NOW)).toEqual([
    quarantinedFact({ uuid: "GPU-b1", serial: null, because: "", instances: [], provider: "" }),
  ]);
});

test("quarantinedOf() adds to what is known", () => {
  const known = quarantinedFact({
    serial: "older",
    firstAt: 5,
    lastAt: 6,
    because: "before",
    nodes: ["1", "2", "3", "4", "5", "6", "7", "8"],
    instances: ["1", "2", "3", "4", "5", "6", "7", "8"],
    place: "there",
    refused: 3,
    sessions: 2,
  });
  const node = dead();
  const added = {
    sessions: 3,
    lastAt: NOW,
    nodes: ["2", "3", "4", "5", "6", "7", "8", "n"],
    instances: ["2", "3", "4", "5", "6", "7", "8", "i-n"],
  };
  expect(quarantinedOf(node, fleetOf([node], [known]), NOW)).toEqual([
    { ...known, ...added, serial: "serial-0", because: "XID 48 on GPU 0" },
  ]);
  const bare = dead([proof(null, "GPU-a0")], { agent: null, instance: null, session: null });
  expect(quarantinedOf(bare, fleetOf([bare], [known]), NOW)).toEqual([
    { ...known, ...added, instances: known.instances },
  ]);
});

test("only proof of broken hardware makes a lemon, named by UUID or by index", () => {
  expect(uuids(dead([heldOf({}, { gpu_index: 0 })]))).toEqual([]);
  expect(uuids(dead([heldOf({ definitive: true, result: "degraded" }, { gpu_index: 0 })]))).toEqual(
    [],
  );
  expect(uuids(dead([proof(0, "GPU-b1")]))).toEqual(["GPU-b1"]);
  expect(uuids(dead([proof(null)]))).toEqual([]);
  expect(uuids(dead([proof(7)]))).toEqual([]);
  expect(uuids(dead([proof(0), proof(1), proof(0)]))).toEqual(["GPU-a0", "GPU-b1"]);
});

test.each([
  ["GPU-00000000-0000-0000-0000-000000000000", false],
  ["MIG-00000000", false],
  ["GPU-", false],
  ["GPU-00000000-0000-0000-0000-00000000000f", true],
  ["GPU-0A", true],
  ["00-GPU-00", false],
  ["a", true],
])("the UUID %s names a GPU: %p", (uuid, names) => {
  expect(uuids(dead([proof(null, uuid)]))).toEqual(names ? [uuid] : []);
});

test("a UUID that two machines tell names nothing", () => {
  const node = dead();
  const twin = (over: Partial<Node> = {}) => nodeOf("m", { agent: agentOf({ gpus }), ...over });
  expect(uuids(node, fleetOf([node, twin()]))).toEqual([]);
  expect(uuids(node, fleetOf([node, twin({ agent: null })]))).toEqual(["GPU-a0"]);
  expect(uuids(node, fleetOf([node, twin({ agent: agentOf({ gpus: [gpuOf(9)] }) })]))).toEqual([
    "GPU-a0",
  ]);
  const gone = twin({ phase: { kind: "gone", since: 0, purpose: "replace" } });
  expect(uuids(node, fleetOf([node, gone]))).toEqual(["GPU-a0"]);
  // Twice in one machine as well.
  const double = dead([proof(0)], { agent: agentOf({ gpus: [...gpus, gpuOf(2, "GPU-a0")] }) });
  expect(uuids(double)).toEqual([]);
});

test("quarantinedIn() knows the hardware under another instance", () => {
  const lemon = quarantinedFact();
  const fresh = nodeOf("m", { agent: agentOf({ gpus: [gpuOf(0, "GPU-c"), ...gpus] }) });
  const found = (node: Node, facts = [lemon], others: Node[] = []) =>
    quarantinedIn(node, fleetOf([node, ...others], facts), NOW);
  expect(found(fresh)).toEqual(lemon);
  expect(found(fresh, [])).toBeNull();
  expect(found(nodeOf("m", { agent: null }))).toBeNull();
  expect(found({ ...fresh, instance: instanceOf({ id: "i-n" as InstanceId }) })).toBeNull();
  expect(found({ ...fresh, instance: null })).toEqual(lemon);
  const twin = nodeOf("t", { agent: agentOf({ gpus }) });
  expect(found(fresh, [lemon], [twin])).toBeNull();
  // One that is no lemon any more does not hide the next.
  const second = quarantinedFact({ uuid: "GPU-b1" });
  expect(found(fresh, [quarantinedFact({ lastAt: 0 }), second])).toEqual(second);
});

test.each([
  [1, 60, true],
  [1, 60.01, false],
  [2, 90, true],
  [2, 90.01, false],
  [4, 120, true],
  [1, -500, true],
])("a lemon of %d sessions is one still after %d days: %p", (sessions, days, kept) => {
  const lemon = quarantinedFact({ sessions, lastAt: NOW - days * DAY_MS });
  const node = nodeOf("m", { agent: agentOf({ gpus }) });
  expect(quarantinedIn(node, fleetOf([node], [lemon]), NOW)).toEqual(kept ? lemon : null);
});

test("refusedAgain() counts the return and renews no suspicion", () => {
  const instances = ["1", "2", "3", "4", "5", "6", "7", "8"];
  const lemon = quarantinedFact({ lastAt: 5, refused: 2, instances });
  expect(refusedAgain(lemon, nodeOf("m", { session: sessionOf() }))).toEqual({
    ...lemon,
    refused: 3,
    instances: [...instances.slice(1), "i-m"],
  });
  expect(refusedAgain(lemon, nodeOf("m", { instance: null }))).toEqual({ ...lemon, refused: 3 });
});

test("surplusQuarantined() forgets those not seen for longest", () => {
  const lemons = (count: number) =>
    fleetOf(
      [],
      Array.from({ length: count }, (_, i) =>
        quarantinedFact({ uuid: `u${i}`, lastAt: i < 3 ? 3 - i : 9 }),
      ),
    );
  expect(QUARANTINED_MAX).toBeGreaterThanOrEqual(10_000);
  expect(surplusQuarantined(lemons(QUARANTINED_MAX).facts)).toEqual([]);
  expect(surplusQuarantined(lemons(QUARANTINED_MAX - 1).facts)).toEqual([]);
  expect(surplusQuarantined(lemons(QUARANTINED_MAX + 2).facts)).toEqual(["lemon:u2", "lemon:u1"]);
});
