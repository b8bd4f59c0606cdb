import { describe, expect, test } from "bun:test";
import type { Credential } from "../../../schema/credential.ts";
import type { InstanceFact, Node, Phase } from "../../../schema/node.ts";
import { newNode, unmanagedNode } from "../../core/fold/new-node.ts";
import { FIRST_KEY } from "../key.ts";
import { nodeCredential } from "./keys.ts";
import { judgePlace } from "./place.ts";
import { plainAddress } from "../../core/address.ts";

const INSTANCE: InstanceFact = {
  id: "i-1" as never,
  provider: "cloud" as never,
  state: "running",
  region: null,
  zone: null,
  instanceType: "t",
  internalIp: "10.0.0.7",
  externalIp: "203.0.113.7",
  pricePerHour: null,
  boundAt: 0,
  absentSince: null,
  absentListings: 0,
};
const SETTING_UP: Phase = { kind: "bootstrapping", since: 0, attempt: 1 };

function bought(id: string, more: Partial<InstanceFact> = {}, phase: Phase = SETTING_UP): Node {
  const node = newNode({
    id: id as never,
    pool: "p" as never,
    slot: 0,
    gen: 1,
    at: 0,
    replaces: null,
  });
  return { ...node, phase, instance: { ...INSTANCE, ...more } };
}

/** What comes of it: the node, or the reason. */
function judge(
  asked: string,
  from: {
    nodes?: Node[];
    bound?: string;
    ids?: string[];
    credential?: Credential;
    createdAt?: number;
  },
): string {
  const { nodes = [], bound = null, ids = [], credential, createdAt = 0 } = from;
  const place = judgePlace({
    request: {
      token: "",
      node_id: asked as never,
      nonce: "",
      agent_version: null,
      hostname: null,
      provider_ids: ids,
    },
    token: {
      id: "t",
      hash: "",
      pool: "p" as never,
      node: bound as never,
      label: "",
      usesMax: 9,
      createdAt,
      createdBy: "",
      expiresAt: 9,
      revokedAt: null,
    },
    sight: {
      node: (id) => nodes.find((node) => node.id === id) ?? null,
      nodeOfProviderId: (id) => nodes.flatMap((n) => (n.instance?.id === id ? [n.id] : [])),
      nodeOfObject: (name) => nodes.flatMap((n) => (n.kube?.name === name ? [n.id] : [])),
      isOwnName: (id) => /^f-.*-\d+-\d+$/i.test(id),
      nodeLike: (id) => nodes.find((n) => n.id.toLowerCase() === id.toLowerCase())?.id ?? null,
    },
    credentialOf: (id) => (credential?.node === id ? credential : null),
  });
  return place.kind === "ok" ? place.node : `${place.why}: ${place.message}`;
}

const OURS = "other: node f-p-0-1 was bought here and has its own credential";

test("judgePlace() gives nobody the name that another machine has at its provider", () => {
  const machine = { ...bought("n-1", {}, { kind: "serving", since: 0 }), agent: {} as never };
  expect(judge("i-1", { nodes: [machine] })).toContain("node n-1 is known already");
});

describe("judgePlace()", () => {
  test("a bought machine joins by no pool's token, whatever is said and from wherever", () => {
    const leaving = { since: 0, purpose: "replace", accepted: null, notBefore: 0 } as const;
    const silent: Node[] = [
      bought("f-p-0-1"),
      bought("f-p-0-1", { state: "provisioning" }),
      bought("f-p-0-1", { state: "stopped" }),
      bought("f-p-0-1", { absentSince: 5 }),
      bought("f-p-0-1", {}, { kind: "terminating", ...leaving }),
      // Ordered and not bound yet; and one that a listing brought back, of no pool.
      { ...bought("f-p-0-1"), instance: null },
      { ...bought("f-p-0-1"), pool: null },
    ];
    for (const node of silent) {
      expect(judge("f-p-0-1", { nodes: [node] })).toStartWith(OURS);
      const ids = ["i-1"];
      const said = judge("vm", { nodes: [node], ids });
      if (node.instance !== null) expect(said).toStartWith(OURS);
      expect(judge("f-p-0-1", { nodes: [node], bound: "f-p-0-1" })).toBe("f-p-0-1");
    }
  });

  test("a name that differs from a node's in case only, or from an object's, is no other's", () => {
    const rack = { ...unmanagedNode("rack-1" as never, 0), agent: {} as never };
    const said = "other: node RACK-1 differs from node rack-1 only in case: give it another name";
    expect(judge("RACK-1", { nodes: [rack] })).toStartWith(said);
    expect(judge("RACK-1", { nodes: [rack], bound: "RACK-1" })).toStartWith(said);
    expect(judge("F-P-0-1", { nodes: [bought("f-p-0-1")] })).toContain("only in case");
    const kube = { name: "gpu-1" } as never;
    expect(judge("GPU-1", { nodes: [{ ...bought("f-p-0-1"), kube }] })).toStartWith(OURS);
  });

  test("a name that may yet be given to a bought machine is kept for it", () => {
    expect(judge("f-p-8-4", {})).toContain("is a name for machines that are bought here");
    expect(judge("F-P-8-4", {})).toContain("is a name for machines that are bought here");
    expect(judge("f-p-8-4", { bound: "f-p-8-4" })).toBe("f-p-8-4");
    expect(judge("rack-8-4", {})).toBe("rack-8-4");
    expect(judge("f-host", {})).toBe("f-host");
  });

  test("a stranger's own machine joins from anywhere, once", () => {
    const stray = unmanagedNode("rack-1" as never, 0);
    expect(judge("rack-1", { nodes: [stray] })).toBe("rack-1");
    const from = { now: 0, by: "x", key: FIRST_KEY };
    const credential = nodeCredential("rack-1" as never, from);
    expect(judge("rack-1", { credential })).toContain("is known already");
    expect(judge("rack-1", { credential, bound: "rack-1" })).toBe("rack-1");
    const revoked = { ...credential, revokedAt: 5 };
    expect(judge("rack-1", { credential: revoked, bound: "rack-1" })).toContain("was revoked");
  });

  test("a token for one node opens that one from anywhere, and no other by its identity", () => {
    const nodes = [bought("f-p-0-1")];
    expect(judge("f-p-0-1", { nodes, bound: "f-p-0-1" })).toBe("f-p-0-1");
    expect(judge("vm", { nodes, bound: "f-p-0-1", ids: ["i-1"] })).toBe("f-p-0-1");
    expect(judge("f-p-0-1", { nodes, bound: "vm" })).toContain("is for node vm");
    // It names the token's node and shows the identity of another one.
    expect(judge("vm", { nodes, bound: "vm", ids: ["i-1"] })).toBe(
      "other: this join token is for node vm, and this machine is node f-p-0-1: " +
        "make a join token with --node f-p-0-1 if it is the same machine",
    );
    const stray = unmanagedNode("vm" as never, 0);
    const both = { nodes: [...nodes, stray], bound: "vm" };
    expect(judge("vm", { ...both, ids: ["i-1"] })).toContain("this machine is node f-p-0-1");
    expect(judge("vm", both)).toBe("vm");
  });
});

test("plainAddress() has one text for each address, and none for what is no machine's", () => {
  const cases: [string, string | null][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["::ffff:127.0.0.1", null],
    ["::ffff:7f00:1", null],
    ["127.3.2.1", null],
    ["0.0.0.0", null],
    ["169.254.1.1", null],
    ["::", null],
    ["::1", null],
    ["fe80::1", null],
    ["fe80::1%eth0", null],
    ["host", null],
    ["", null],
    ["10.0.0.1:80", null],
    ["2001:db8::7]:80/[", null],
  ];
  for (const [text, plain] of cases)
    expect(`${text} ${plainAddress(text)}`).toBe(`${text} ${plain}`);
});

describe("judgePlace() refuses", () => {
  test("a machine that is two of ours, and names both", () => {
    const nodes = [bought("f-p-0-1"), bought("f-p-1-1", { id: "i-2" as never })];
    const both = "other: vm matches several instances: f-p-0-1, f-p-1-1";
    expect(judge("vm", { nodes, ids: ["i-1", "i-2"] })).toBe(both);
    expect(judge("vm", { nodes, ids: ["i-1", "i-1"], bound: "f-p-0-1" })).toBe("f-p-0-1");
  });

  test("a node that is gone, even with a token of its own", () => {
    const nodes = [bought("f-p-0-1", {}, { kind: "gone", since: 0 } as never)];
    expect(judge("f-p-0-1", { nodes, bound: "f-p-0-1" })).toBe("gone: node f-p-0-1 is gone");
  });

  test("a node of another pool, but not one of no pool", () => {
    const away = { ...bought("f-p-0-1"), pool: "q" as never };
    const said = "other: node f-p-0-1 is not of pool p";
    expect(judge("f-p-0-1", { nodes: [away], bound: "f-p-0-1" })).toBe(said);
    const none = { ...away, pool: null };
    expect(judge("f-p-0-1", { nodes: [none], bound: "f-p-0-1" })).toBe("f-p-0-1");
  });

  test("a token that names another node", () => {
    expect(judge("vm", { bound: "rack" })).toBe("other: this join token is for node rack");
  });

  test.each([
    [4, "other: node rack was revoked after this join token was made"],
    [5, "rack"],
    [6, "rack"],
  ])("a revoked node's own token made at %d, where 5 is the revocation", (createdAt, said) => {
    const from = { now: 0, by: "x", key: FIRST_KEY };
    const credential = { ...nodeCredential("rack" as never, from), revokedAt: 5 };
    expect(judge("rack", { credential, bound: "rack", createdAt })).toBe(said);
    expect(judge("rack", { credential: { ...credential, revokedAt: null }, bound: "rack" })).toBe(
      "rack",
    );
  });

  test("a pool's token for what is known, with the way out of it", () => {
    const hint = (id: string) => `make a join token with --node ${id} if it is the same machine`;
    const spoke = { ...unmanagedNode("rack" as never, 0), agent: {} as never };
    expect(judge("rack", { nodes: [spoke] })).toBe(
      `other: node rack is known already: ${hint("rack")}`,
    );
    // Adopted by its tags: it has an instance and no pool.
    const adopted = { ...bought("f-p-0-1"), pool: null };
    const elsewhere = `${OURS}: ${hint("f-p-0-1")}`;
    expect(judge("f-p-0-1", { nodes: [adopted] })).toBe(elsewhere);
    expect(judge("f-p-8-4", {})).toBe(
      `other: f-p-8-4 is a name for machines that are bought here: ${hint("f-p-8-4")}`,
    );
  });
});
