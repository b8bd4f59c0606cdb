/**
 * Who owns `spec.unschedulable`: the rules of docs/reference/kubernetes.md#cordon against a real
 * API server, with real `kubectl` as the person and the product's own account as the product. The
 * README of this folder records what was observed.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { openCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { inParallel } from "./fleet.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: ownership of the cordon: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("a Kubernetes API server is here to test ownership with", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const MANAGER = "navarch-cordon";
const MANAGERS_MAX = 10;

type Entry = {
  manager: string;
  operation: string;
  subresource?: string;
  fieldsV1?: Record<string, unknown>;
};
type Node = {
  metadata: {
    name: string;
    uid: string;
    resourceVersion: string;
    annotations?: Record<string, string>;
    labels?: Record<string, string>;
    managedFields?: Entry[];
  };
  spec: { unschedulable?: boolean; taints?: { key: string; effect: string }[] };
};
type Status = {
  kind: string;
  reason?: string;
  message?: string;
  details?: { causes?: { field: string }[] };
};
type Answer = { status: number; body: Status };

/** What an apply may be told to claim in place of what the live object says. */
type Claim = { uid?: string | null; resourceVersion?: string | null; as?: "admin" | "product" };

describe.skipIf(missing !== null)("ownership of spec.unschedulable on a real server", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    // KWOK keeps the nodes alive; nothing has to be scheduled.
    cluster = await openCluster({ parts: { scheduler: false } });
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  const pathOf = (name: string): string => `/api/v1/nodes/${name}`;
  const read = (name: string): Promise<Node> => cluster.json<Node>(pathOf(name));

  async function clean(name: string): Promise<Node> {
    await cluster.addNodes(1, { name: () => name });
    // The controller adds a label to a new node and takes a taint away; then the node stays still.
    return until("the controller has seen it", 20_000, async () => {
      const node = await read(name);
      const { labels = {} } = node.metadata;
      return node.spec.taints === undefined && "beta.kubernetes.io/os" in labels ? node : null;
    });
  }

  async function send(node: Node, intent: object, claim: Claim): Promise<Answer> {
    const { name, uid, resourceVersion } = node.metadata;
    const id = claim.uid === undefined ? uid : claim.uid;
    const version = claim.resourceVersion === undefined ? resourceVersion : claim.resourceVersion;
    const answer = await cluster.request(`${pathOf(name)}?fieldManager=${MANAGER}&force=true`, {
      method: "PATCH",
      contentType: "application/apply-patch+yaml",
      as: claim.as ?? "product",
      body: merged(intent, {
        apiVersion: "v1",
        kind: "Node",
        metadata: {
          name,
          ...(id === null ? {} : { uid: id }),
          ...(version === null ? {} : { resourceVersion: version }),
        },
      }),
    });
    return { status: answer.status, body: (await answer.json()) as Status };
  }

  const CORDON = {
    metadata: {
      annotations: {
        "navarch.dev/session": "s-1",
        "navarch.dev/reason": "xid79 gpu3",
        "navarch.dev/cordon-preexisting": "false",
      },
    },
    spec: { unschedulable: true },
  };

  function merged<T extends { metadata: object }>(intent: object, head: T): object {
    const more = "metadata" in intent ? (intent.metadata as object) : {};
    return { ...head, ...intent, metadata: { ...head.metadata, ...more } };
  }

  /** As the product does it: read, apply what was read, and again if somebody was faster. */
  async function settle(name: string, intent: object): Promise<void> {
    await until("the apply is accepted", 10_000, async () => {
      const { status } = await send(await read(name), intent, {});
      expect([200, 409]).toContain(status);
      return status === 200 ? true : null;
    });
  }
  const cordon = (name: string): Promise<void> => settle(name, CORDON);
  const release = (name: string): Promise<void> => settle(name, {});

  async function person(verb: "cordon" | "uncordon", name: string): Promise<string> {
    const ran = await cluster.kubectlAs("human", verb, name);
    expect(ran).toMatchObject({ code: 0, err: "" });
    return ran.out.trim();
  }

  /** `manager/operation` of every entry that owns the field. */
  const owners = (node: Node): string[] =>
    (node.metadata.managedFields ?? [])
      .filter(({ fieldsV1 }) => {
        const spec = fieldsV1?.["f:spec"];
        return typeof spec === "object" && spec !== null && "f:unschedulable" in spec;
      })
      .map(({ manager, operation }) => `${manager}/${operation}`)
      .sort();

  const entryOf = (node: Node): Entry | undefined =>
    node.metadata.managedFields?.find(({ manager }) => manager === MANAGER);

  const ours = (node: Node): string[] =>
    Object.keys(node.metadata.annotations ?? {}).filter((key) => key.startsWith("navarch.dev/"));

  const OWN = `${MANAGER}/Apply`;
  /** `kubectl cordon` names no manager: the server takes the program's name off the user agent. */
  const PERSON = "kubectl/Update";

  test("V1: an apply on a clean node cordons, as one owner", async () => {
    await clean("v1");
    await cordon("v1");
    const node = await read("v1");
    expect([node.spec.unschedulable, owners(node)]).toEqual([true, [OWN]]);
    expect(entryOf(node)).toMatchObject({
      manager: MANAGER,
      operation: "Apply",
      fieldsV1: { "f:spec": { "f:unschedulable": {} } },
    });
    expect(node.metadata.managedFields?.filter(({ manager }) => manager === MANAGER)).toHaveLength(
      1,
    );
    expect(ours(node)).toHaveLength(3);
  });

  test("V2: a release takes field, annotations and entry away", async () => {
    await clean("v2");
    await cordon("v2");
    await release("v2");
    const node = await read("v2");
    expect([node.spec.unschedulable, owners(node), ours(node)]).toEqual([undefined, [], []]);
    expect(entryOf(node)).toBeUndefined();
  });

  test("V3: a person's cordon outlives ours", async () => {
    await clean("v3");
    expect(await person("cordon", "v3")).toBe("node/v3 cordoned");
    expect(owners(await read("v3"))).toEqual([PERSON]);
    await cordon("v3");
    expect(owners(await read("v3"))).toEqual([PERSON, OWN]);
    await release("v3");
    const node = await read("v3");
    expect([node.spec.unschedulable, owners(node), ours(node)]).toEqual([true, [PERSON], []]);
  });

  test("V4: a person's cordon after ours leaves no trace (the blind spot)", async () => {
    await clean("v4");
    await cordon("v4");
    expect(await person("cordon", "v4")).toBe("node/v4 already cordoned");
    expect(owners(await read("v4"))).toEqual([OWN]);
    const writes = cluster.audit().filter(({ objectRef, verb, user }) => {
      return objectRef?.name === "v4" && verb !== "get" && user.username.startsWith("human");
    });
    expect(writes).toEqual([]);
    await release("v4");
    expect((await read("v4")).spec.unschedulable).toBeUndefined();
  });

  test("V5: a person's uncordon ends our share too", async () => {
    await clean("v5");
    await cordon("v5");
    expect(await person("uncordon", "v5")).toBe("node/v5 uncordoned");
    const node = await read("v5");
    expect([node.spec.unschedulable, owners(node)]).toEqual([undefined, []]);
    // The entry itself stays: it still owns the annotations.
    expect([entryOf(node) !== undefined, ours(node).length]).toEqual([true, 3]);
    await release("v5");
    const after = await read("v5");
    expect([after.spec.unschedulable, owners(after), ours(after)]).toEqual([undefined, [], []]);
  });

  test("V6: a person's uncordon ends both shares", async () => {
    await clean("v6");
    await person("cordon", "v6");
    await cordon("v6");
    await person("uncordon", "v6");
    const node = await read("v6");
    expect([node.spec.unschedulable, owners(node)]).toEqual([undefined, []]);
  });

  test("V7: a tool that wipes ownership makes a release do nothing, and it shows", async () => {
    await clean("v7");
    await cordon("v7");
    const wiped = await until("the update is accepted", 10_000, async () => {
      const node = await read("v7");
      const body = { ...node, metadata: { ...node.metadata, managedFields: [{}] } };
      const answer = await cluster.request(pathOf("v7"), { method: "PUT", body });
      return answer.ok ? ((await answer.json()) as Node) : null;
    });
    expect([wiped.spec.unschedulable, owners(wiped)]).toEqual([true, []]);
    await release("v7");
    const node = await read("v7");
    expect([node.spec.unschedulable, entryOf(node)]).toEqual([true, undefined]);
    expect(ours(node)).toHaveLength(3);
    // Owning it again is no way out: for an object without owners the server first books what is
    // there on a manager of its own making, which then holds the field after our release.
    await cordon("v7");
    expect(owners(await read("v7"))).toEqual(["before-first-apply/Update", OWN]);
    await release("v7");
    const held = await read("v7");
    expect([held.spec.unschedulable, owners(held)]).toEqual([true, ["before-first-apply/Update"]]);
    // What a person does is one.
    await person("uncordon", "v7");
    expect((await read("v7")).spec.unschedulable).toBeUndefined();
  });

  test("V8: a node that is not the one we mean is not touched, and none is made", async () => {
    const other = "00000000-0000-4000-8000-000000000000";
    const node = await clean("v8");
    // The reference expected 409. A live object refuses another UID as a change of an immutable
    // field; the resource version is looked at first.
    for (const resourceVersion of [node.metadata.resourceVersion, null]) {
      const { status, body } = await send(node, CORDON, { uid: other, resourceVersion });
      expect([status, body.reason]).toEqual([422, "Invalid"]);
      expect(body.details?.causes?.map(({ field }) => field)).toEqual(["metadata.uid"]);
    }
    const stale = await send(node, CORDON, { uid: other, resourceVersion: "1" });
    expect([stale.status, stale.body.reason]).toEqual([409, "Conflict"]);
    expect((await read("v8")).spec.unschedulable).toBeUndefined();

    await cluster.json(pathOf("v8"), { method: "DELETE" });
    // Refused for who may create nodes as well, with a resource version and without.
    for (const as of ["product", "admin"] as const) {
      for (const claim of [{ as }, { as, resourceVersion: null }]) {
        const { status, body } = await send(node, CORDON, claim);
        expect([status, body.reason]).toEqual([409, "Conflict"]);
        expect(body.message).toContain("uid mismatch");
        expect(body.message).toContain("no existing object was found");
      }
    }
    for (const claim of [{ uid: null }, { uid: null, resourceVersion: null }]) {
      const { status, body } = await send(node, CORDON, claim);
      expect([status, body.reason]).toEqual([403, "Forbidden"]);
      expect(body.message).toContain('cannot create resource "nodes"');
    }
    expect((await cluster.request(pathOf("v8"))).status).toBe(404);
    // Why the UID is always sent: with that right and without it a ghost appears, and a resource
    // version does not prevent it.
    const ghost = await send(node, CORDON, { uid: null, as: "admin" });
    expect([ghost.status, (await read("v8")).metadata.uid === node.metadata.uid]).toEqual([
      201,
      false,
    ]);
  });

  test("V9: old knowledge is refused", async () => {
    const old = await clean("v9");
    await cluster.kubectl("label", "node", "v9", "a=b");
    const late = await send(old, CORDON, {});
    expect([late.status, late.body.reason]).toEqual([409, "Conflict"]);
    expect(late.body.message).toContain("the object has been modified");
    expect((await read("v9")).spec.unschedulable).toBeUndefined();
  });

  /** Eleven different writers: one more than the server keeps apart. */
  async function crowd(name: string): Promise<void> {
    // Entries are merged oldest first, and their times are whole seconds.
    const second = Math.floor(Date.now() / 1_000);
    const isNext = (): true | null => (Math.floor(Date.now() / 1_000) > second ? true : null);
    await until("the next second", 5_000, isNext);
    await inParallel(MANAGERS_MAX + 1, async (i) => {
      await cluster.json(`${pathOf(name)}?fieldManager=updater-${i}`, {
        method: "PATCH",
        contentType: "application/merge-patch+json",
        body: { metadata: { labels: { [`example.test/l${i}`]: "1" } } },
      });
    });
    const updates = (await read(name)).metadata.managedFields?.filter(
      ({ operation, subresource }) => operation === "Update" && subresource === undefined,
    );
    expect(updates).toHaveLength(MANAGERS_MAX);
  }

  test("V10: the server's merging of old entries keeps a person's share", async () => {
    await clean("v10");
    await person("cordon", "v10");
    await crowd("v10");
    const ANCIENT = "ancient-changes/Update";
    expect(owners(await read("v10"))).toEqual([ANCIENT]);
    await cordon("v10");
    expect(owners(await read("v10"))).toEqual([ANCIENT, OWN]);
    await release("v10");
    const node = await read("v10");
    expect([node.spec.unschedulable, owners(node)]).toEqual([true, [ANCIENT]]);
  });

  test("V10, the other way: the crowd does not take our share", async () => {
    await clean("v10b");
    await cordon("v10b");
    await crowd("v10b");
    expect(owners(await read("v10b"))).toEqual([OWN]);
    await release("v10b");
    expect((await read("v10b")).spec.unschedulable).toBeUndefined();
  });

  test("V11: the node controller's taint follows the field", async () => {
    await clean("v11");
    const tainted = async (): Promise<string[]> =>
      ((await read("v11")).spec.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);
    await cordon("v11");
    await until("the taint", 20_000, async () =>
      (await tainted()).includes("node.kubernetes.io/unschedulable:NoSchedule") ? true : null,
    );
    // The controller has written since the cordon: its share of the field must not have changed.
    expect(owners(await read("v11"))).toEqual([OWN]);
    await release("v11");
    await until("no taint", 20_000, async () => ((await tainted()).length === 0 ? true : null));
    expect(owners(await read("v11"))).toEqual([]);
  }, 45_000);

  test("V12: this is the only version that the steps are proven on", async () => {
    const { gitVersion } = await cluster.json<{ gitVersion: string }>("/version");
    expect(gitVersion).toBe("v1.37.1");
  });

  test("a literal false is an uncordon, and owns nothing", async () => {
    await clean("f");
    await cordon("f");
    await cluster.json(pathOf("f"), {
      method: "PATCH",
      as: "human",
      contentType: "application/merge-patch+json",
      body: { spec: { unschedulable: false } },
    });
    const node = await read("f");
    expect([node.spec.unschedulable, owners(node)]).toEqual([undefined, []]);
  });

  test("an apply needs no force where a person has cordoned", async () => {
    await clean("p");
    await person("cordon", "p");
    const { name, uid } = (await read("p")).metadata;
    const answer = await cluster.request(`${pathOf(name)}?fieldManager=${MANAGER}`, {
      method: "PATCH",
      contentType: "application/apply-patch+yaml",
      as: "product",
      body: { apiVersion: "v1", kind: "Node", metadata: { name, uid }, spec: CORDON.spec },
    });
    expect(answer.status).toBe(200);
    expect(owners(await read("p"))).toEqual([PERSON, OWN]);
  });
});
