import { describe, expect, test } from "bun:test";
import type { Credential } from "../../schema/credential.ts";
import type { InstanceFact, Node, Phase } from "../../schema/node.ts";
import { newNode, strayNode } from "../fold/new-node.ts";
import { FIRST_KEY } from "./key.ts";
import { nodeCredential } from "./keys.ts";
import { judgePlace, plainAddress } from "./place.ts";

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
    remote?: string;
    bound?: string;
    ids?: string[];
    credential?: Credential;
    createdAt?: number;
  },
): string {
  const { nodes = [], remote = "", bound = null, ids = [], credential, createdAt = 0 } = from;
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
    remote,
    sight: {
      node: (id) => nodes.find((node) => node.id === id) ?? null,
      nodes: () => nodes,
      nodeOfProviderId: (id) => nodes.flatMap((n) => (n.instance?.id === id ? [n.id] : [])),
      nodeOfObject: (name) => nodes.flatMap((n) => (n.kube?.name === name ? [n.id] : [])),
      isOwnName: (id) => /^f-.*-\d+-\d+$/.test(id),
    },
    credentialOf: (id) => (credential?.node === id ? credential : null),
  });
  return place.kind === "ok" ? place.node : `${place.why}: ${place.message}`;
}

const ELSEWHERE = "other: node f-p-0-1 is a machine of ours with another address";

test("judgePlace() gives nobody the name that another machine has at its provider", () => {
  const machine = { ...bought("n-1", {}, { kind: "serving", since: 0 }), agent: {} as never };
  expect(judge("i-1", { nodes: [machine] })).toContain("node n-1 is known already");
});

describe("judgePlace()", () => {
  test("a bought machine that is silent joins from its own address, and from no other", () => {
    const one = bought("f-p-0-1");
    const nodes = [one, bought("f-p-1-1", { id: "i-2" as never, internalIp: null })];
    for (const remote of ["10.0.0.7", "::ffff:10.0.0.7", "203.0.113.7"]) {
      expect(judge("f-p-0-1", { nodes: [one], remote })).toBe("f-p-0-1");
      expect(judge("vm", { nodes: [one], remote, ids: ["i-1"] })).toBe("f-p-0-1");
    }
    const others = ["10.0.0.8", "127.0.0.1", "", "10.0.0.7, 10.0.0.8", "::1", "x"];
    for (const remote of others) {
      expect(judge("f-p-0-1", { nodes: [one], remote })).toStartWith(ELSEWHERE);
      expect(judge("vm", { nodes: [one], remote, ids: ["i-1"] })).toStartWith(ELSEWHERE);
    }
    // Two of ours behind one public address: it proves neither.
    expect(judge("f-p-0-1", { nodes, remote: "203.0.113.7" })).toStartWith(ELSEWHERE);
    expect(judge("f-p-0-1", { nodes, remote: "10.0.0.7" })).toBe("f-p-0-1");
  });

  test("IPv6 addresses are compared as addresses, not as texts", () => {
    const nodes = [bought("f-p-0-1", { internalIp: "2001:DB8:0:0::7", externalIp: null })];
    expect(judge("f-p-0-1", { nodes, remote: "2001:db8::7" })).toBe("f-p-0-1");
    expect(judge("f-p-0-1", { nodes, remote: "2001:db8::8" })).toStartWith(ELSEWHERE);
  });

  test("an address that may be somebody else's by now proves nothing", () => {
    const remote = "10.0.0.7";
    const since = { since: 0, purpose: "replace", accepted: null, notBefore: 0 } as const;
    const gone: Node[] = [
      bought("f-p-0-1", { absentSince: 5 }),
      bought("f-p-0-1", { state: "stopped" }),
      bought("f-p-0-1", {}, { kind: "terminating", ...since }),
      bought("f-p-0-1", { internalIp: "127.0.0.1", externalIp: null }),
      { ...bought("f-p-0-1"), instance: null },
    ];
    for (const node of gone) {
      expect(judge("f-p-0-1", { nodes: [node], remote })).toStartWith(ELSEWHERE);
    }
    const loopback = [bought("f-p-0-1", { internalIp: "127.0.0.1", externalIp: null })];
    expect(judge("f-p-0-1", { nodes: loopback, remote: "127.0.0.1" })).toStartWith(ELSEWHERE);
  });

  test("a name that may yet be given to a bought machine is kept for it", () => {
    expect(judge("f-p-8-4", {})).toContain("is what machines are called that are bought here");
    expect(judge("f-p-8-4", { bound: "f-p-8-4" })).toBe("f-p-8-4");
    expect(judge("rack-8-4", {})).toBe("rack-8-4");
    expect(judge("f-host", {})).toBe("f-host");
  });

  test("a stranger's own machine joins from anywhere, once", () => {
    const stray = strayNode("rack-1" as never, 0);
    expect(judge("rack-1", { nodes: [stray], remote: "10.9.9.9" })).toBe("rack-1");
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
    expect(judge("vm", { nodes, bound: "vm", ids: ["i-1"] })).toStartWith(ELSEWHERE);
    const own = { nodes, bound: "vm", ids: ["i-1"], remote: "10.0.0.7" };
    expect(judge("vm", own)).toBe("f-p-0-1");
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
    expect(judge("vm", { nodes, ids: ["i-1", "i-2"], remote: "10.0.0.7" })).toBe(both);
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
    const spoke = { ...strayNode("rack" as never, 0), agent: {} as never };
    expect(judge("rack", { nodes: [spoke] })).toBe(
      `other: node rack is known already: ${hint("rack")}`,
    );
    // Adopted by its tags: it has an instance and no pool.
    const adopted = { ...bought("f-p-0-1"), pool: null };
    const elsewhere = `${ELSEWHERE}: ${hint("f-p-0-1")}`;
    expect(judge("f-p-0-1", { nodes: [adopted], remote: "10.9.9.9" })).toBe(elsewhere);
    expect(judge("f-p-0-1", { nodes: [adopted], remote: "10.0.0.7" })).toBe("f-p-0-1");
    const ordered = { ...bought("f-p-0-1"), instance: null };
    expect(judge("f-p-0-1", { nodes: [ordered], remote: "10.0.0.7" })).toBe(elsewhere);
    expect(judge("f-p-8-4", {})).toBe(
      `other: f-p-8-4 is what machines are called that are bought here: ${hint("f-p-8-4")}`,
    );
  });

  test.each<[InstanceFact["state"], boolean]>([
    ["provisioning", true],
    ["running", true],
    ["stopped", false],
    ["terminating", false],
    ["terminated", false],
  ])("an instance that is %s has its address: %p", (state, has) => {
    const nodes = [bought("f-p-0-1", { state })];
    const place = judge("f-p-0-1", { nodes, remote: "203.0.113.7" });
    if (has) expect(place).toBe("f-p-0-1");
    else expect(place).toStartWith(ELSEWHERE);
    // What another one has had proves nothing against this one either.
    const other = bought("f-p-1-1", { id: "i-2" as never, state });
    const both = judge("f-p-0-1", { nodes: [bought("f-p-0-1"), other], remote: "10.0.0.7" });
    if (has) expect(both).toStartWith(ELSEWHERE);
    else expect(both).toBe("f-p-0-1");
  });

  test("an instance without an address, whoever calls from nowhere", () => {
    const nodes = [bought("f-p-0-1", { internalIp: null, externalIp: null })];
    expect(judge("f-p-0-1", { nodes, remote: "" })).toStartWith(ELSEWHERE);
    expect(judge("f-p-0-1", { nodes, remote: "10.0.0.7" })).toStartWith(ELSEWHERE);
  });
});
