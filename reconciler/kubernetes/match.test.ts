import { describe, expect, test } from "bun:test";
import { objectOf } from "../../test/world/part.ts";
import fc from "fast-check";
import type { NodeId } from "../../schema/id.ts";
import { identityOf, parseProviderId, parseSystemUuid } from "../core/kubernetes/identity.ts";
import { claims, matchNodes, speaksAgainst } from "../core/kubernetes/match.ts";
import type { MatchSubject } from "../core/kubernetes/match.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";

const subject = (id: string, part: Partial<MatchSubject> = {}): MatchSubject => ({
  id: id as NodeId,
  provider: null,
  instanceId: null,
  region: null,
  zone: null,
  internalIp: null,
  externalIp: null,
  agentHostname: null,
  agentName: null,
  providerIds: [],
  origin: { address: `at-${id}`, vouched: false, pod: null },
  silent: false,
  live: true,
  ...part,
});

const object = (name: string, part: Partial<KubeNode> = {}): KubeNode =>
  objectOf({ name, uid: `uid-${name}`, gpus: null, ...part });

/** Every agent reports from the last object: what is tried here are identities, not proofs. */
const fromLast = (ours: readonly MatchSubject[], objects: readonly KubeNode[]) =>
  new Map(ours.map(({ id }) => [`at-${id}`, objects.at(-1)?.name ?? ""]));

const told = (ours: MatchSubject[], objects: KubeNode[], hosts = fromLast(ours, objects)) =>
  [...matchNodes(ours, objects, hosts).pairs].map(
    ([id, { object, by }]) => `${id}=${object.name} ${by}`,
  );

const UUID = "00112233-4455-6677-8899-aabbccddeeff";
const SWAPPED = "33221100-5544-7766-8899-AABBCCDDEEFF";

describe("matchNodes() by provider id", () => {
  test.each<[string, Partial<MatchSubject>]>([
    ["aws:///us-east-1a/i-0123456789abcdef0", { instanceId: "i-0123456789abcdef0" }],
    [
      "aws:///us-east-1a/i-0123456789abcdef0",
      { instanceId: "i-0123456789abcdef0", provider: "aws" },
    ],
    ["gce://proj/us-central1-a/gpu-17", { instanceId: "gpu-17", zone: "us-central1-a" }],
    ["gce://proj/us-central1-a/gpu-17", { instanceId: "us-central1-a/gpu-17/42" }],
    ["gce://proj/us-central1-a/gpu-17", { instanceId: "gpu-17", provider: "gcp-eu" }],
    [
      "azure:///subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/GPU-1",
      { instanceId: "gpu-1" },
    ],
    [
      "azure:///subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/" +
        "virtualMachineScaleSets/pool/virtualMachines/3",
      { instanceId: "pool_3" },
    ],
    ["k3s://box-1", { instanceId: "box-1" }],
    ["navarch://lab/eu/a/b", { instanceId: "a/b", provider: "lab", region: "eu" }],
    [
      "navarch://gcp/us-central1/us-central1-a/gpu-17/42",
      { instanceId: "us-central1-a/gpu-17/42", provider: "gcp", region: "us-central1" },
    ],
    [`openstack:///${UUID}`, { instanceId: SWAPPED }],
  ])("pairs %s with %j", (providerId, part) => {
    expect(told([subject("n", part)], [object("k", { providerId })])).toEqual(["n=k provider_id"]);
  });

  test.each<[string, Partial<MatchSubject>]>([
    ["aws:///us-east-1a/i-0123456789abcdef0", { instanceId: "i-0123456789abcdef1" }],
    [
      "aws:///us-east-1a/i-0123456789abcdef0",
      { instanceId: "i-0123456789abcdef0", provider: "gcp" },
    ],
    ["gce://proj/us-central1-a/gpu-17", { instanceId: "gpu-17", zone: "us-central1-b" }],
    [
      "gce://proj/us-central1-a/gpu-17",
      { instanceId: "us-central1-b/gpu-17/42", zone: "us-central1-b" },
    ],
    ["gce://proj/us-central1-a/gpu-17", { instanceId: "us-central1-a/gpu-18/42" }],
    ["navarch://lab/eu/a", { instanceId: "a", provider: "other" }],
    ["navarch://lab/eu/a", { instanceId: "a", region: "us" }],
    ["navarch://lab/eu/a", { instanceId: "A" }],
  ])("does not pair %s with %j, nor by anything weaker", (providerId, part) => {
    const weak = { agentName: "k", internalIp: "10.0.0.1" };
    const ours = [subject("n", { ...part, ...weak })];
    const objects = [object("k", { providerId, ips: ["10.0.0.1"] })];
    const { pairs, unmatched, ambiguous } = matchNodes(ours, objects);
    expect(pairs.size).toBe(0);
    expect(unmatched).toEqual(["k"]);
    expect(ambiguous).toEqual([]);
  });

  test.each([
    "navarch://gcp/us-central1/us-central1-a/gpu-17/42",
    "gce://proj/us-central1-a/gpu-17",
  ])("a machine of Compute Engine stays the one of %s", (providerId) => {
    const place = { provider: "gcp", region: "us-central1", zone: "us-central1-a" };
    const ours = subject("n", { ...place, instanceId: "us-central1-a/gpu-17/42", agentName: "k" });
    const node = object("k", { providerId });
    expect(claims(ours, node)).toBe(true);
    for (const by of ["provider_id", "token", "metadata", "agent_name"] as const) {
      expect(speaksAgainst(ours, node, by)).toBe(false);
    }
    const other = subject("m", { ...place, instanceId: "us-central1-a/gpu-18/43" });
    expect(claims(other, node)).toBe(false);
    expect(speaksAgainst(other, node, "agent_name")).toBe(true);
  });

  test.each([
    ["navarch://lab/eu", "eu"],
    ["azure:///subscriptions/s/virtualMachineScaleSets/pool/virtualMachines/3", "3"],
  ])("finds no instance in the end of %s, and nothing against it", (providerId, instanceId) => {
    const ours = [subject("n", { instanceId, agentName: "k" })];
    expect(told(ours, [object("k", { providerId })])).toEqual(["n=k agent_name"]);
  });

  test("goes by the id, whatever the names and addresses say", () => {
    const ours = [
      subject("a", { instanceId: "i-aaaaaaaa", agentName: "y", internalIp: "10.0.0.2" }),
      subject("b", { instanceId: "i-bbbbbbbb", agentName: "x", internalIp: "10.0.0.1" }),
    ];
    const objects = [
      object("x", { providerId: "aws:///z/i-aaaaaaaa", ips: ["10.0.0.1"] }),
      object("y", { providerId: "aws:///z/i-bbbbbbbb", ips: ["10.0.0.2"] }),
    ];
    expect(told(ours, objects)).toEqual(["a=x provider_id", "b=y provider_id"]);
  });

  test("does not give a reused name with a new id to the old instance", () => {
    const old = subject("old", {
      instanceId: "i-aaaaaaaa",
      agentName: "gpu-17",
      agentHostname: "gpu-17",
      internalIp: "10.0.0.1",
    });
    const fresh = object("gpu-17", { providerId: "aws:///z/i-bbbbbbbb", ips: ["10.0.0.1"] });
    expect(matchNodes([old], [fresh])).toEqual({
      pairs: new Map(),
      unproven: new Map(),
      ambiguous: [],
      unmatched: ["gpu-17"],
    });
  });
});

describe("matchNodes() by what the agent read", () => {
  test("takes the metadata's id where the cloud's list speaks of another kind of id", () => {
    const ours = [subject("n", { instanceId: "gpu-17", providerIds: ["4711", UUID] })];
    expect(told(ours, [object("k", { providerId: "openstack:///4711" })])).toEqual([
      "n=k metadata",
    ]);
  });

  test("does not believe an agent on another machine than the one it was bought as", () => {
    const ours = [subject("n", { instanceId: "i-aaaaaaaa", providerIds: ["i-bbbbbbbb"] })];
    expect(told(ours, [object("k", { providerId: "aws:///z/i-bbbbbbbb" })])).toEqual([]);
  });

  test("takes a system UUID in either byte order and case", () => {
    for (const systemUuid of [UUID, UUID.toUpperCase(), SWAPPED]) {
      expect(told([subject("n", { providerIds: [UUID] })], [object("k", { systemUuid })])).toEqual([
        "n=k system_uuid",
      ]);
    }
    const ours = [subject("n", { instanceId: UUID })];
    expect(told(ours, [object("k", { systemUuid: SWAPPED })])).toEqual(["n=k system_uuid"]);
  });

  test("takes no UUID that a board maker left blank", () => {
    const systemUuid = "03000200-0400-0500-0006-000700080009";
    const ours = [subject("n", { providerIds: [systemUuid] })];
    expect(told(ours, [object("k", { systemUuid })])).toEqual([]);
  });

  test("takes the system UUID where the provider id is a bare hostname or another UUID", () => {
    const ours = [subject("n", { instanceId: "i-aaaaaaaa", providerIds: [UUID] })];
    for (const providerId of ["k3s://k", "metal://99999999-0000-4000-8000-000000000000"]) {
      expect(told(ours, [object("k", { providerId, systemUuid: UUID })])).toEqual([
        "n=k system_uuid",
      ]);
    }
  });
});

describe("matchNodes() by name and address", () => {
  test("takes the name that the agent registered under", () => {
    expect(told([subject("n", { agentName: "k" })], [object("k")])).toEqual(["n=k agent_name"]);
  });

  test("never takes a hostname", () => {
    const ours = [subject("n", { agentHostname: "k", instanceId: "k" })];
    expect(told(ours, [object("k", { hostname: "k" })])).toEqual([]);
  });

  test("takes no name against a UUID that says otherwise", () => {
    const ours = [subject("n", { agentName: "k", providerIds: [UUID] })];
    const systemUuid = "99999999-0000-4000-8000-000000000000";
    expect(told(ours, [object("k", { systemUuid })])).toEqual([]);
  });

  test("takes neither for an instance that is gone", () => {
    const ours = [subject("n", { agentName: "k", internalIp: "10.0.0.1", live: false })];
    expect(told(ours, [object("k", { ips: ["10.0.0.1"] })])).toEqual([]);
    expect(
      told(
        [subject("n", { instanceId: "i-aaaaaaaa", live: false })],
        [object("k", { providerId: "aws:///z/i-aaaaaaaa" })],
      ),
    ).toEqual(["n=k provider_id"]);
  });

  test("takes an address that one node and one object have", () => {
    const one = subject("n", { internalIp: "10.0.0.1" });
    expect(told([one], [object("k", { ips: ["10.0.0.1", "1.2.3.4"] })])).toEqual(["n=k ip"]);
    const paired = subject("m", { internalIp: "10.0.0.1", agentName: "l" });
    expect(told([one, paired], [object("k", { ips: ["10.0.0.1"] }), object("l")])).toEqual([
      "m=l agent_name",
    ]);
    const both = [object("k", { ips: ["10.0.0.1"] }), object("l", { ips: ["10.0.0.1"] })];
    expect(told([one], both)).toEqual([]);
  });

  test("takes no address of an object whose agent says that it is another one", () => {
    const ours = [subject("n", { agentName: "l", internalIp: "10.0.0.1", providerIds: [UUID] })];
    const systemUuid = "99999999-0000-4000-8000-000000000000";
    expect(told(ours, [object("k", { ips: ["10.0.0.1"] }), object("l", { systemUuid })])).toEqual(
      [],
    );
  });
});

describe("matchNodes() of what an agent says of itself", () => {
  const claim = { providerIds: ["i-aaaaaaaa", UUID], agentName: "k" };
  const its = object("k", {
    providerId: "aws:///z/i-aaaaaaaa",
    systemUuid: UUID,
    ips: ["10.0.0.1"],
  });
  const from = (address: string | null, more: Partial<MatchSubject["origin"]> = {}) => ({
    origin: { address, vouched: false, pod: null, ...more },
  });
  const judge = (part: Partial<MatchSubject>, hosts = new Map<string, string>()) => {
    const { pairs, unproven } = matchNodes([subject("k", { ...claim, ...part })], [its], hosts);
    const [pair] = pairs.values();
    return pair === undefined ? [...unproven.values()] : `${pair.by} by ${pair.proof}`;
  };

  const LOOPBACK =
    "its reports come from loopback or a link-local address, as through a proxy or service mesh";

  test("is a claim, however much of it agrees", () => {
    expect(judge(from("10.0.0.9"))).toEqual([
      { object: "k", message: "its reports come from 10.0.0.9" },
    ]);
    expect(judge(from(null))).toEqual([{ object: "k", message: LOOPBACK }]);
    expect(judge({ origin: null })).toHaveLength(1);
  });

  test("names the Node from which the claim comes", () => {
    const other = object("z", { ips: ["10.0.0.9"] });
    const { pairs, unproven } = matchNodes(
      [subject("x", { ...claim, ...from("10.0.0.9") })],
      [its, other],
    );
    expect(pairs.size).toBe(0);
    expect([...unproven.values()][0]?.message).toContain("10.0.0.9, which belongs to Node z");
  });

  test("counts from the Node's own address, and from a DaemonSet's pod on it", () => {
    expect(judge(from("10.0.0.1"))).toBe("metadata by address");
    expect(judge(from("10.244.1.7"), new Map([["10.244.1.7", "k"]]))).toBe("metadata by address");
    expect(judge(from("10.244.1.7"), new Map([["10.244.1.7", "z"]]))).toHaveLength(1);
  });

  test("counts in IPv6, however the two sides write the address", () => {
    const six = object("k", { systemUuid: UUID, ips: ["2001:DB8:0::0:1"] });
    const { pairs } = matchNodes([subject("k", { ...claim, ...from("2001:db8::1") })], [six]);
    expect([...pairs.values()].map(({ proof }) => proof)).toEqual(["address"]);
  });

  test("counts with a token that is bound to a pod on the Node, whatever was read there", () => {
    const pod = { node: "k", uid: "uid-k" };
    expect(judge({ agentName: "x", providerIds: [], ...from(null, { pod }) })).toBe(
      "token by token",
    );
    expect(judge(from(null, { pod: { node: "k", uid: "another" } }))).toHaveLength(1);
  });

  test("counts where a person named the node, and for that name alone", () => {
    const vouched = from(null, { vouched: true });
    expect(judge({ ...vouched, providerIds: [] })).toBe("agent_name by operator");
    expect(judge({ ...vouched, agentName: "i-aaaaaaaa" })).toBe("metadata by operator");
    expect(judge({ ...vouched, agentName: "x" })).toHaveLength(1);
  });

  test("does not count from where several agents report, as through a proxy", () => {
    const shared = from("10.0.0.1");
    const ours = [subject("k", { agentName: "k", ...shared }), subject("x", shared)];
    const { pairs, unproven } = matchNodes(ours, [its]);
    expect(pairs.size).toBe(0);
    expect([...unproven.values()][0]?.message).toContain("2 agents share the address 10.0.0.1");
    const [mine, other] = ours;
    if (mine === undefined || other === undefined) throw new Error("two were made");
    // What was renamed has fallen silent, and stands in nobody's way.
    expect(matchNodes([mine, { ...other, silent: true }], [its]).pairs.size).toBe(1);
  });

  test("makes nobody ambiguous with a claim that is not proven", () => {
    const thief = subject("x", { ...claim, ...from("10.0.0.9") });
    const owner = subject("k", { ...claim, ...from("10.0.0.1") });
    const { pairs, ambiguous } = matchNodes([thief, owner], [its]);
    expect([...pairs.keys()]).toEqual(["k" as NodeId]);
    expect(ambiguous).toEqual([]);
  });
});

describe("matchNodes() in doubt", () => {
  test("pairs nobody when two objects claim one node", () => {
    const providerId = "aws:///z/i-aaaaaaaa";
    const ours = [subject("n", { instanceId: "i-aaaaaaaa", agentName: "k2" })];
    const found = matchNodes(ours, [object("k2", { providerId }), object("k1", { providerId })]);
    expect(found.pairs.size).toBe(0);
    expect(found.unmatched).toEqual([]);
    expect(found.ambiguous).toEqual([
      {
        nodes: ["n" as NodeId],
        objects: ["k1", "k2"],
        message:
          "1 node (n) and 2 Kubernetes Node objects (k1, k2) claim each other by provider_id; " +
          "none of them is paired",
      },
    ]);
  });

  test("pairs nobody when two nodes claim one object", () => {
    const ours = [subject("b", { agentName: "k" }), subject("a", { agentName: "k" })];
    const found = matchNodes(ours, [object("k")], fromLast(ours, [object("k")]));
    expect(found.pairs.size).toBe(0);
    expect(found.ambiguous).toMatchObject([{ nodes: ["a", "b"], objects: ["k"] }]);
    expect(found.ambiguous[0]?.message).toContain("2 nodes (a, b)");
  });

  test("is linear in nodes that all claim each other", () => {
    const ours = Array.from({ length: 5_000 }, (_, i) =>
      subject(`n${i}`, { instanceId: `i-${String(i).padStart(8, "0")}`, providerIds: [UUID] }),
    );
    const objects = ours.map((_, i) =>
      object(`k${i}`, { providerId: `aws:///z/i-${String(i).padStart(8, "0")}` }),
    );
    const from = performance.now();
    expect(matchNodes(ours, objects).pairs.size).toBe(5_000);
    expect(performance.now() - from).toBeLessThan(5_000);
  });
});

describe("matchNodes() over generated clusters", () => {
  const few = (...texts: string[]) => fc.constantFrom(null, ...texts);
  const ours = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom(..."abcdef").map((id) => id as NodeId),
      provider: few("aws", "lab"),
      instanceId: few("i-aaaaaaaa", "i-bbbbbbbb", "i-cccccccc", "x"),
      region: few("eu"),
      zone: few("z1", "z2"),
      internalIp: few("10.0.0.1", "10.0.0.2", "10.0.0.3"),
      externalIp: few(),
      agentHostname: few("k1"),
      agentName: few("k1", "k2", "k3", "k4", "elsewhere"),
      providerIds: fc.subarray([UUID, SWAPPED, "i-aaaaaaaa", "i-dddddddd"]),
      origin: fc.option(
        fc.record({
          address: few("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.1.0.1"),
          vouched: fc.boolean(),
          pod: few("k1", "k2").map((node) => (node === null ? null : { node, uid: null })),
        }),
      ),
      silent: fc.boolean(),
      live: fc.boolean(),
    }),
    { selector: ({ id }) => id, maxLength: 6 },
  );
  const objects = fc.uniqueArray(fc.constantFrom("k1", "k2", "k3", "k4", "k5")).chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc
          .record({
            providerId: few(
              "aws:///z1/i-aaaaaaaa",
              "aws:///z1/i-bbbbbbbb",
              "aws:///z1/i-eeeeeeee",
              "navarch://lab/eu/x",
              "k3s://k1",
            ),
            systemUuid: few(UUID, "99999999-0000-4000-8000-000000000000"),
            ips: fc.subarray(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
          })
          .map((part) => object(name, part)),
      ),
    ),
  );

  test("gives the same answer in any order", () => {
    const shuffled = <T>(list: fc.Arbitrary<T[]>) =>
      list.chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
      );
    fc.assert(
      fc.property(shuffled(ours), shuffled(objects), ([o1, o2], [k1, k2]) => {
        const one = matchNodes(o1, k1);
        const two = matchNodes(o2, k2);
        expect(new Map([...two.pairs].sort())).toEqual(new Map([...one.pairs].sort()));
        expect(two.ambiguous).toEqual(one.ambiguous);
        expect(two.unmatched).toEqual(one.unmatched);
      }),
      { numRuns: 300 },
    );
  });

  test("pairs no object twice, and tells of each exactly once", () => {
    fc.assert(
      fc.property(ours, objects, (nodes, kube) => {
        const { pairs, ambiguous, unmatched } = matchNodes(nodes, kube);
        const all = [
          ...[...pairs.values()].map(({ object: { name } }) => name),
          ...ambiguous.flatMap(({ objects }) => objects),
          ...unmatched,
        ];
        expect(all.sort()).toEqual(kube.map(({ name }) => name).sort());
      }),
      { numRuns: 300 },
    );
  });

  test("pairs no claim of an agent without a proof", () => {
    fc.assert(
      fc.property(ours, objects, (nodes, kube) => {
        for (const [id, { object: found, by }] of matchNodes(nodes, kube).pairs) {
          const node = nodes.find((one) => one.id === id);
          if (by === "provider_id" || by === "ip" || node === undefined) continue;
          const { origin, instanceId, internalIp, agentName } = node;
          const bought = instanceId !== null && found.ips.includes(internalIp ?? "");
          const pod = origin?.pod?.node === found.name;
          const said = [found.name, parseProviderId(found.providerId ?? "")?.id];
          const named = origin?.vouched === true && said.includes(agentName ?? "");
          const calls = found.ips.includes(origin?.address ?? "");
          expect(bought || pod || named || calls).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("pairs nothing that a stronger identity forbids", () => {
    fc.assert(
      fc.property(ours, objects, (nodes, kube) => {
        for (const [id, { object: found }] of matchNodes(nodes, kube).pairs) {
          const own = nodes.find((node) => node.id === id)?.instanceId ?? null;
          const said = /i-\w+$/.exec(found.providerId ?? "")?.[0];
          if (own?.startsWith("i-") && said !== undefined) expect(said).toBe(own);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("identity", () => {
  test("parseProviderId() takes nothing that names nobody", () => {
    for (const text of ["", "gpu-17", "aws://", "navarch://lab", "://x"]) {
      expect(parseProviderId(text)).toBeNull();
    }
    expect(parseProviderId("k3s://box")).toMatchObject({ id: "box", weak: true });
  });

  test("identityOf() spells both byte orders alike, and leaves other ids alone", () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(identityOf(uuid.toUpperCase())).toBe(identityOf(uuid));
        expect(identityOf(identityOf(uuid))).toBe(identityOf(uuid));
      }),
    );
    expect(identityOf(UUID)).toBe(identityOf(SWAPPED));
    expect(identityOf("I-AbC")).toBe("I-AbC");
    expect(parseSystemUuid("Not Specified")).toBeNull();
  });
});
