/** Which machines are set up over SSH, and exactly how. */
import { describe, expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import { alike } from "../../../test/world/alike.ts";
import { poolOf, providerSightOf, sightOf, type View } from "../../../test/world/ask.ts";
import { instanceOf, nodeOf } from "../../../test/world/part.ts";
import { addressOf, bootstrapPayload, comesBare, hindranceOf, setUpOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";

const SET_UP = {
  ...poolOf().bootstrap,
  setupCommands: ["one", "two"],
  sshUser: "u",
  sshPrivateKeyPath: "/k",
  sshHostKey: "provider",
  become: "always",
  pushAgent: true,
  sshPort: 2222,
  sshJump: "j@h:1",
  sshTimeoutMs: 1,
  sshConnectTimeoutMs: 2,
  commandTimeoutMs: 3,
} as const;
const bootstrap = { ...SET_UP, setupCommands: [...SET_UP.setupCommands] };
const pool = poolOf({ bootstrap });
const plain = poolOf({ bootstrap: { ...bootstrap, setupCommands: [], pushAgent: false } });
const scopeOf = (of: Scope["pool"], view: View = {}): Scope =>
  ({ pool: of, sight: sightOf({ fake: { bringsAgent: false }, ...view }) }) as Scope;

test("setUpOf() is how a bare machine of the pool becomes a node", () => {
  const node = nodeOf("n");
  expect(setUpOf(node, scopeOf(pool))).toBe(pool.bootstrap);
  expect(setUpOf(node, scopeOf(null))).toBeNull();
  expect(setUpOf({ ...node, instance: null }, scopeOf(pool))).toBeNull();
  expect(setUpOf(node, scopeOf(pool, { fake: { bringsAgent: true } }))).toBeNull();
  expect(setUpOf(node, scopeOf(pool, { providers: new Map() }))).toBe(pool.bootstrap);
  expect(setUpOf(node, scopeOf(plain))).toBeNull();
  const push = poolOf({ bootstrap: { ...bootstrap, setupCommands: [] } });
  const run = poolOf({ bootstrap: { ...bootstrap, pushAgent: false } });
  expect(setUpOf(node, scopeOf(push))).toBe(push.bootstrap);
  expect(setUpOf(node, scopeOf(run))).toBe(run.bootstrap);
});

describe("hindranceOf()", () => {
  const problem = (said: string | null | undefined, view: View = {}) =>
    sightOf({ fake: { bringsAgent: false }, keys: alike(said), ...view });

  test("is the key that cannot be used", () => {
    expect(hindranceOf(pool, problem("/k: no"))).toEqual({
      why: { code: "key_unusable", said: "/k: no" },
      known: true,
      total: true,
    });
    expect(hindranceOf(pool, problem(undefined))).toEqual({
      why: { code: "key_unread", path: "/k" },
      known: false,
      total: true,
    });
    expect(hindranceOf(pool, problem(null))).toBeNull();
    expect(hindranceOf(pool, sightOf({ fake: { bringsAgent: false } }))).toBeNull();
    expect(hindranceOf(plain, problem("/k: no"))).toBeNull();
    const keyless = poolOf({ bootstrap: { ...bootstrap, sshPrivateKeyPath: null } });
    expect(hindranceOf(keyless, problem("/k: no"))).toBeNull();
    expect(hindranceOf(pool, problem("/k: no", { fake: { bringsAgent: true } }))).toBeNull();
  });

  test("is not total where another provider brings its agents", () => {
    const [ref] = pool.providers;
    if (ref === undefined) throw new Error("no provider");
    const two = { ...pool, providers: [ref, { ...ref, name: "own" as never }] };
    const providers = new Map([
      ["fake", providerSightOf({ bringsAgent: false })],
      ["own", providerSightOf({ bringsAgent: true })],
    ]);
    expect(hindranceOf(two, problem("/k: no", { providers }))?.total).toBe(false);
    expect(hindranceOf(two, problem("/k: no"))?.total).toBe(true);
  });

  test("asks about the pool's own key", () => {
    const keys = new Map([
      ["/other", "/other: no"],
      ["/k", "/k: no"],
    ]);
    const sight = sightOf({ fake: { bringsAgent: false }, keys });
    expect(hindranceOf(pool, sight)?.why).toEqual({ code: "key_unusable", said: "/k: no" });
  });
});

test("comesBare() is what is not known to bring an agent", () => {
  expect(comesBare("fake", sightOf())).toBe(false);
  expect(comesBare("fake", sightOf({ fake: { bringsAgent: false } }))).toBe(true);
  expect(comesBare("other", sightOf())).toBe(true);
});

test("addressOf() is the public one first", () => {
  const at = (externalIp: string | null, internalIp: string | null) =>
    addressOf(nodeOf("n", { instance: instanceOf({ externalIp, internalIp }) }));
  expect(at("1.2.3.4", "10.0.0.1")).toBe("1.2.3.4");
  expect(at(null, "10.0.0.1")).toBe("10.0.0.1");
  expect(at(null, null)).toBeNull();
  expect(addressOf(nodeOf("n", { instance: null }))).toBeNull();
});

describe("bootstrapPayload()", () => {
  const past = (over: Partial<NonNullable<Node["bootstrap"]>> = {}) => ({
    bootstrap: { attempts: 2, doneAt: null, error: null, final: false, hostKey: "seen", ...over },
  });
  type SetUp = Parameters<typeof bootstrapPayload>[3];
  const payload = (
    node: Node,
    over: Parameters<typeof instanceOf>[0] = {},
    setUp: SetUp = bootstrap,
  ) => bootstrapPayload(node, instanceOf({ region: "r", zone: "z", ...over }), "1.2.3.4", setUp);

  test("freezes everything that the plan can know", () => {
    expect(payload(nodeOf("n"))).toEqual({
      kind: "bootstrap",
      attempt: 1,
      instanceId: instanceOf().id,
      address: "1.2.3.4",
      port: 2222,
      user: "u",
      keyPath: "/k",
      hostKey: "provider",
      hostKeys: [],
      jump: "j@h:1",
      become: "always",
      pushAgent: true,
      commands: ["one", "two"],
      values: {
        Pool: "p",
        NodeID: "n",
        Provider: "fake",
        Region: "r",
        Zone: "z",
        InstanceType: "h100-8x",
        InstanceID: "i-1",
        IPAddress: "1.2.3.4",
      },
      sshTimeoutMs: 1,
      sshConnectTimeoutMs: 2,
      commandTimeoutMs: 3,
    });
    const bare = payload(nodeOf("n", { pool: null, ...past() }), { region: null, zone: null });
    expect(bare.attempt).toBe(3);
    expect(bare.values).toMatchObject({ Pool: "", Region: "", Zone: "" });
  });

  test("S45: a pool with NodeNames joins static nodes, under no name that is not theirs yet", () => {
    const named = poolOf({ slurm: { ...poolOf().slurm, nodes: "n[0-7]" } });
    const valuesOf = (node: Node, pool = named) =>
      bootstrapPayload(node, instanceOf(), "a", bootstrap, pool).values;
    const fact = { name: "n3", by: "slot" } as NonNullable<Node["slurm"]>;
    const bound = { SlurmDynamic: "false", SlurmNodeName: "n3" };
    expect(valuesOf(nodeOf("n", { slurm: fact }))).toMatchObject(bound);
    const waiting = valuesOf(nodeOf("n"));
    expect([waiting["SlurmDynamic"], waiting["SlurmNodeName"]]).toEqual(["false", undefined]);
    expect(valuesOf(nodeOf("n", { slurm: fact }), poolOf())["SlurmDynamic"]).toBeUndefined();
  });

  test("takes the provider's word for the host keys, else the one seen first", () => {
    const hostKeys = ["ssh-ed25519 AAAA root@x", " ecdsa  BBBB ", "CCCC"];
    expect(payload(nodeOf("n", past()), { hostKeys }).hostKeys).toEqual(["AAAA", "BBBB", "CCCC"]);
    const first = { ...bootstrap, sshHostKey: "first-use" };
    expect(payload(nodeOf("n", past()), { hostKeys: [] }, first).hostKeys).toEqual(["seen"]);
    expect(payload(nodeOf("n", past()), {}, first).hostKeys).toEqual(["seen"]);
    expect(payload(nodeOf("n", past({ hostKey: null })), {}, first).hostKeys).toEqual([]);
    // It may have been trusted at first use, before the policy was changed.
    expect(payload(nodeOf("n", past())).hostKeys).toEqual([]);
  });
});
