import { beforeEach, describe, expect, test } from "bun:test";
import { openFakeKube, type FakeKube } from "../../../simulator/cluster/fake.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { kwokSubject, NO_AGENTS } from "../../../test/port/kwok-subject.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { CreateRequest, Instance, Provider } from "../../core/provider.ts";
import { matchNodes } from "../../core/kubernetes/match.ts";
import { gpusOfType } from "../../core/instance-type.ts";
import { readNode } from "../../kubernetes/read-node.ts";
import { GPU_RESOURCE, PRESET_TYPES } from "./catalog.ts";
import { BOOT, bootOf, BoughtNode, FENCE, folderOf, SIM_NOTICE } from "./instance.ts";
import { openKwok } from "./kwok.ts";
import { resourcesOf, typesOf } from "./type.ts";
import * as v from "valibot";

function openServer(): { kube: FakeKube; clock: VirtualClock } {
  const clock = new VirtualClock();
  const kube = openFakeKube({ clock });
  kube.denied.delete("create nodes");
  return { kube, clock };
}

providerContract(
  "openKwok() on a server in memory",
  () => {
    const { kube, clock } = openServer();
    return Promise.resolve(kwokSubject(kube, clock, () => Promise.resolve(kube.close())));
  },
  ["name"],
);

let kube: FakeKube;
let clock: VirtualClock;
let prepared: [string, string][];
let provider: Provider;
const open = (name = "virtual") =>
  openKwok({
    ...{ name, fleetId: contractFleetId, api: kube, clock, isTainted: true },
    types: typesOf("h100x8=8,gb200-4x=4"),
    agents: { ...NO_AGENTS, prepare: (...one) => void prepared.push(one) },
  });
beforeEach(() => {
  ({ kube, clock } = openServer());
  prepared = [];
  provider = open();
});

const request = (change: Partial<CreateRequest> = {}): CreateRequest =>
  contractRequest("n1", { instanceType: "dgxh100.80g", zone: "r1-a", ...change });
const fence = (value = 1) => ({ nodeId: "n1", fence: value, sessionId: null });

async function made(change: Partial<CreateRequest> = {}, by = provider): Promise<Instance> {
  const answer = await by.create(request(change), fence(), "secret");
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instance;
}

const nodeOf = (name: string) => kube.get("nodes", "", name) as Record<string, never> | undefined;
const readBought = (name: string) => v.parse(BoughtNode, nodeOf(name));

describe("W41: a purchase", () => {
  test("W41: is a virtual Node of the type, with its GPUs, place and provider id", async () => {
    const { name } = await made();
    expect(nodeOf(name)).toMatchObject({
      metadata: {
        labels: {
          type: "kwok",
          "kubernetes.io/hostname": name,
          "node.kubernetes.io/instance-type": "dgxh100.80g",
          "topology.kubernetes.io/zone": "r1-a",
        },
        annotations: { "kwok.x-k8s.io/node": "fake" },
      },
      spec: {
        providerID: `kwok://${name}`,
        taints: [{ key: "kwok.x-k8s.io/node", effect: "NoSchedule" }],
      },
      status: { capacity: { "nvidia.com/gpu": 8, memory: "2Ti" } },
    });
  });

  test("W41: counts the GPUs that the catalogue has", () => {
    for (const type of PRESET_TYPES) {
      const gpus = resourcesOf(type, new Map())[GPU_RESOURCE];
      expect(gpusOfType(type, "kwok")).toBe(Number(gpus));
    }
    expect(gpusOfType("h100-8x", "kwok")).toBe(8);
    expect(resourcesOf("gb200-4x", typesOf("gb200-4x=4"))[GPU_RESOURCE]).toBe(4);
  });

  test("is refused for a type that is not sold, and says which one is meant", async () => {
    const answer = await provider.create(request({ instanceType: "dgxh100.80" }), fence(), null);
    expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
    expect(answer.kind === "refused" && answer.message).toContain("did you mean dgxh100.80g?");
    expect(kube.list("nodes")).toEqual([]);
  });

  test("hands the credential over before the Node exists, and never shows it", async () => {
    const { name } = await made();
    expect(prepared).toEqual([[folderOf(request().token), "secret"]]);
    expect(JSON.stringify(nodeOf(name))).not.toContain("secret");
  });

  test("is matched with its Node by its provider id, and the pair is proven", async () => {
    const { id, name } = await made();
    const object = readNode(nodeOf(name));
    if (object === null) throw new Error("no Node");
    const subject = {
      ...{ id: "n1" as never, provider: "virtual", instanceId: id, region: "r1", zone: "r1-a" },
      ...{ internalIp: null, externalIp: null, agentHostname: null, agentName: "n1" },
      ...{ providerIds: [], origin: null, silent: false, live: true },
    };
    const { pairs } = matchNodes([subject], [object]);
    expect([...pairs]).toMatchObject([["n1", { by: "provider_id", proof: "instance" }]]);
  });

  test("of another provider of the same fleet is not listed", async () => {
    await made();
    expect(await open("other").list()).toEqual({ kind: "ok", instances: [] });
    expect(await provider.list()).toMatchObject({ instances: [{ name: "f-train-n1-1" }] });
  });
});

describe("the Node's own fence", () => {
  test("refuses what an earlier process sends late", async () => {
    const { id, name } = await made();
    expect(await provider.reboot(id, fence(5))).toEqual({ kind: "accepted" });
    // It has seen no newer fence itself.
    const earlier = open();
    const late = await earlier.terminate(id, fence(4));
    expect(late).toMatchObject({ kind: "refused", class: "stale_fence" });
    expect(await earlier.reboot(id, fence(4))).toMatchObject({ class: "stale_fence" });
    expect(await earlier.create(request(), fence(4), null)).toMatchObject({ class: "stale_fence" });
    expect(readBought(name).metadata.annotations[FENCE]).toBe("5");
  });

  test("is the newest one of a repeated purchase", async () => {
    const { name } = await made();
    await open().create(request(), fence(7), null);
    expect(readBought(name).metadata.annotations[FENCE]).toBe("7");
  });

  test("an order that raced with another one is not done, and a repeat is", async () => {
    const { id, name } = await made();
    const racing = openKwok({
      ...{ name: "virtual", fleetId: contractFleetId, clock, isTainted: false },
      ...{ types: new Map(), agents: NO_AGENTS },
      api: {
        call: async (ask) => {
          const answer = await kube.call(ask);
          if (ask.verb === "get") await open().reboot(id, fence(9));
          return answer;
        },
        watch: (...given) => kube.watch(...given),
        close: () => undefined,
      },
    });
    expect(await racing.terminate(id, fence(2))).toMatchObject({ kind: "ambiguous" });
    expect(await racing.terminate(id, fence(3))).toMatchObject({ class: "stale_fence" });
    expect(nodeOf(name)).toBeDefined();
  });
});

describe("reboot()", () => {
  test("counts a boot once, whatever became of its answer", async () => {
    const { id, name } = await made();
    expect(bootOf(readBought(name)).count).toBe(1);
    await clock.pass(60_000);
    expect(await provider.reboot(id, fence(2))).toEqual({ kind: "accepted" });
    expect(await provider.reboot(id, fence(2))).toEqual({ kind: "accepted" });
    const first = bootOf(readBought(name));
    expect(first).toEqual({ count: 2, atMs: clock.wallMs(), fence: 2 });
    expect(await provider.reboot(id, fence(3))).toEqual({ kind: "accepted" });
    expect(bootOf(readBought(name)).count).toBe(3);
  });

  test("finds no machine that is gone, or that is another of this name", async () => {
    const { id } = await made();
    await provider.terminate(id, fence(2));
    expect(await provider.reboot(id, fence(3))).toEqual({ kind: "not_found" });
    await made({ token: "token-n1-2" }, open());
    expect(await provider.reboot(id, fence(4))).toEqual({ kind: "not_found" });
    expect(await provider.terminate(id, fence(4))).toEqual({ kind: "not_found" });
    expect(kube.list("nodes")).toHaveLength(1);
    const odd = ["virtual/x", "virtual//u", "virtual/a/b/c", "i-1"] as InstanceId[];
    for (const one of odd) {
      expect(await provider.terminate(one, fence(4))).toEqual({ kind: "not_found" });
    }
  });

  test("reads an annotation that is not a boot as the first boot", async () => {
    const { name } = await made();
    kube.person.annotate("nodes", "", name, { [BOOT]: "{" });
    expect(bootOf(readBought(name)).count).toBe(1);
  });

  test("is announced to end by an annotation, and by no other text", async () => {
    const { name } = await made({ market: "spot" });
    const announced = async (text: string | null) => {
      kube.person.annotate("nodes", "", name, { [SIM_NOTICE]: text });
      const answer = await provider.list();
      return answer.kind === "ok" ? answer.instances[0]?.notice : answer;
    };
    const bare = { kind: "preemption", atMs: null, message: "" } as const;
    expect(await announced('{"kind": "preemption"}')).toEqual(bare);
    const full = { kind: "preemption", atMs: 60_000, message: "capacity is needed" } as const;
    expect(await announced(JSON.stringify(full))).toEqual(full);
    for (const odd of [
      "",
      "{",
      "[]",
      '{"kind": "end"}',
      '{"kind": "preemption", "atMs": -1}',
      null,
    ]) {
      expect(await announced(odd)).toBeNull();
    }
  });
});
