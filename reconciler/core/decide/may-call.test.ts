/** What may still be called while the fleet is dark, frozen or held. */
import { describe, expect, test } from "bun:test";
import type { InstanceId } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import {
  fleetOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  poolStateOf,
  slurmOf,
} from "../../../test/world/part.ts";
import type { Sight } from "../fleet.ts";
import { REACHES_ANY } from "../reach.ts";
import { mayCall } from "./may-call.ts";

const NOW = 1_000;
const provider = instanceOf().provider;
const instanceId = "i-n" as InstanceId;
const PAYLOADS: Record<string, Payload> = {
  terminate: { kind: "terminate", provider, instanceId },
  reboot: { kind: "reboot", provider, instanceId, bootId: null },
  drain: { kind: "drain", purpose: "replace", deadlineAt: 0, gracePeriodMs: -1, force: false },
  cordon: { kind: "cordon", why: "" },
  mirrored: { kind: "cordon", why: "", mirror: true },
  uncordon: { kind: "uncordon", why: "" },
  create: {
    kind: "create",
    provider,
    offer: "o",
    guard: null,
    pricePerHour: null,
    request: {
      token: "t",
      name: "n",
      nodeId: "n",
      region: null,
      zone: null,
      instanceType: "t",
      tags: {},
      market: "on-demand",
      reservation: null,
      sshKeys: [],
    },
  },
};
const ALL = Object.keys(PAYLOADS);
const order = (force: boolean) =>
  ({ goal: "terminate", by: "ann", why: "", force, at: 0, timeoutMs: null }) as const;

/** Names of what may be called. */
function allowed(over: Partial<Sight>, node: Node | null, pools: PoolState[] = [], poolOf = node) {
  const providers = new Map([[provider, { reach: REACHES_ANY }]]);
  const sight = { now: NOW, blind: [], frozen: null, providers, ...over } as unknown as Sight;
  const fleet = fleetOf(node === null ? [] : [node], [], pools);
  const about = poolOf ?? nodeOf("n");
  return ALL.filter((name) => {
    const payload = PAYLOADS[name];
    return payload !== undefined && mayCall(operationOf(about, payload), fleet, sight);
  });
}

const node = nodeOf("n");
const HARMLESS = ["cordon", "mirrored", "uncordon"];
const SPARING = [...HARMLESS, "create"];

test("while all is clear everything may", () => {
  expect(allowed({}, node)).toEqual(ALL);
  expect(allowed({}, null)).toEqual(ALL);
});

describe("blind", () => {
  const blind = { blind: ["dark"] };
  test("nothing that destroys may, but a person's forced order and what has ended", () => {
    expect(allowed(blind, node)).toEqual(SPARING);
    expect(allowed(blind, null)).toEqual(SPARING);
    expect(allowed(blind, { ...node, order: order(false) })).toEqual(SPARING);
    expect(allowed(blind, { ...node, order: order(true) })).toEqual(ALL);
    expect(allowed(blind, { ...node, instance: instanceOf({ state: "terminated" }) })).toEqual(ALL);
    expect(allowed(blind, { ...node, instance: instanceOf({ state: "terminating" }) })).toEqual(
      SPARING,
    );
    expect(allowed(blind, { ...node, instance: null })).toEqual(SPARING);
  });
});

test("no machine with a NodeName ends while Slurm does not answer, unless it is forced or gone", () => {
  const dark = { slurm: { dark: "no answer" } } as unknown as Partial<Sight>;
  const named = nodeOf("n", { slurm: slurmOf({ name: "n0" }) });
  const kept = ALL.filter((name) => name !== "terminate" && name !== "reboot");
  expect(allowed(dark, named)).toEqual(kept);
  expect(allowed(dark, { ...named, order: order(false) })).toEqual(kept);
  expect(allowed(dark, { ...named, order: order(true) })).toEqual(ALL);
  expect(allowed(dark, { ...named, instance: instanceOf({ state: "terminated" }) })).toEqual(ALL);
  expect(allowed(dark, node)).toEqual(ALL);
  expect(allowed({ slurm: { dark: null } } as unknown as Partial<Sight>, named)).toEqual(ALL);
});

describe("stopped by a person", () => {
  const held = (until: number) => [poolStateOf(1, { hold: { by: "ann", why: "", until } })];

  test("a freeze leaves what gives a node back, and what is ordered", () => {
    const frozen = { frozen: "move (ann)" };
    expect(allowed(frozen, node)).toEqual(["mirrored", "uncordon"]);
    expect(allowed(frozen, null)).toEqual(["mirrored", "uncordon"]);
    expect(allowed(frozen, { ...node, order: order(false) })).toEqual(ALL);
  });

  test("a hold of the pool leaves isolation too, until it ends", () => {
    expect(allowed({}, node, held(NOW + 1))).toEqual(HARMLESS);
    expect(allowed({}, node, held(NOW))).toEqual(ALL);
    expect(allowed({}, node, [poolStateOf(1)])).toEqual(ALL);
    expect(allowed({}, { ...node, order: order(false) }, held(NOW + 1))).toEqual(ALL);
    expect(allowed({}, { ...node, pool: null }, held(NOW + 1))).toEqual(ALL);
  });

  test("a freeze and darkness together leave the stricter of both", () => {
    const both = { frozen: "move", blind: ["dark"] };
    expect(allowed(both, { ...node, order: order(false) })).toEqual(SPARING);
    expect(allowed(both, node)).toEqual(["mirrored", "uncordon"]);
  });
});

describe("held by others since it was asked", () => {
  const drain = { kind: "drain", by: "alice", why: "new fans" } as const;
  const theirs = { slurm: slurmOf({ held: true, others: [drain] }) };
  const kept = { kube: kubeOf({ hold: true }) };

  test.each([
    ["in Slurm", theirs],
    ["by a hold on its Node", kept],
  ])("%s, nothing that ends it is called or repeated, unless a person orders it", (_, over) => {
    expect(allowed({}, { ...node, ...over })).toEqual(SPARING);
    expect(allowed({}, { ...node, ...over, order: order(false) })).toEqual(ALL);
  });

  test("once they end that, it may be called", () => {
    const over = { slurm: slurmOf(), kube: kubeOf() };
    expect(allowed({}, { ...node, ...over })).toEqual(ALL);
  });

  test("its match with its Node being in doubt, nothing is called either", () => {
    const ambiguous = new Map([[node.id, "two Nodes have its provider id"]]);
    const kube = { kube: { ambiguous } } as unknown as Partial<Sight>;
    expect(allowed(kube, node)).toEqual(SPARING);
  });
});

describe("out of reach", () => {
  const at = (
    reach: Partial<Sight["providers"] extends ReadonlyMap<string, infer P> ? P : never>,
  ) => ({ providers: new Map([[provider, reach]]) }) as unknown as Partial<Sight>;
  const here = { ...node, instance: instanceOf({ account: "a", region: "r", type: "aws" }) };
  const without = ALL.filter((name) => name !== "terminate" && name !== "reboot");

  test("nothing is ended or rebooted through another account, region or type, whoever orders it", () => {
    for (const reach of [
      { ...REACHES_ANY, account: "b" },
      { ...REACHES_ANY, region: "s" },
      { ...REACHES_ANY, type: "gcp" as const },
    ]) {
      expect(allowed(at({ reach }), here)).toEqual(without);
      expect(allowed(at({ reach }), { ...here, order: order(true) })).toEqual(without);
    }
    const same = { type: "aws" as const, account: "a", region: "r" };
    expect(allowed(at({ reach: same }), here)).toEqual(ALL);
  });

  test("nothing is called at a provider that the configuration lacks", () => {
    const none = { providers: new Map() };
    expect(allowed(none, here)).toEqual(without.filter((name) => name !== "create"));
  });
});
