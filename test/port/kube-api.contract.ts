/**
 * What an API server does with the requests of this product, whatever is behind the port: run
 * against the server in memory and against a real one. Only the port is used, plus a way to put
 * objects there, to write as somebody else, and to let time pass.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LANES, PATCH } from "../../reconciler/kubernetes/api.ts";
import type {
  KubeAnswer,
  KubeApi,
  KubeRequest,
  WatchEnd,
  WatchEvent,
} from "../../reconciler/kubernetes/api.ts";
import { MANAGER } from "../../reconciler/core/kubernetes/object.ts";
import type { KubeNode } from "../../reconciler/core/kubernetes/object.ts";
import { readNode } from "../../reconciler/kubernetes/read-node.ts";
import { readPod } from "../../reconciler/kubernetes/read-pod.ts";

type Json = Record<string, unknown>;

/** One server under test, with nothing of ours in it. */
export type KubeSubject = {
  /** As the product's account: it may not create nodes. */
  api: KubeApi;
  /** Puts an object there, with its status, as an administrator. Namespace `default`. */
  seed(plural: string, object: Json): Promise<void>;
  /** A merge patch by somebody else, under that field manager. */
  edit(
    plural: string,
    name: string,
    patch: Json,
    how: { manager: string; sub?: "status" },
  ): Promise<void>;
  /** Lets time pass, virtual or real; a call is a few milliseconds at most. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
};

const PATH: Readonly<Record<string, string>> = {
  nodes: "/api/v1/nodes",
  pods: "/api/v1/namespaces/default/pods",
  budgets: "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
  events: "/apis/events.k8s.io/v1/namespaces/default/events",
  leases: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
  reviews: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
};
const pathOf = (what: string, name = "", sub = ""): string =>
  [PATH[what] ?? what, name, sub].filter((part) => part !== "").join("/");

const OTHER_UID = "6d0c0000-0000-4000-8000-000000000000";
const VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget.";

export function describeKubeApi(name: string, open: () => Promise<KubeSubject>): void {
  describe(name, () => {
    let subject: KubeSubject | undefined;
    let serial = 0;
    /** Names differ, so that no test has to tidy up for another. */
    const next = (prefix: string): string => `${prefix}-${++serial}`;
    const given = (): KubeSubject => {
      if (subject === undefined) throw new Error("not open");
      return subject;
    };
    beforeAll(async () => {
      subject = await open();
    }, 180_000);
    afterAll(async () => subject?.close(), 60_000);

    const ask: Ask = (verb, path, more = {}) =>
      given().api.call({ verb, path, timeoutMs: 20_000, lane: LANES[0], ...more });
    const tools: Tools = { given, next, ask };
    describeOwnership(tools);
    describePatches(tools);
    describeDeletion(tools);
    describeLists(tools);
    describeEvictions(tools);
    describeTheRest(tools);
    describeWatches(tools);
  });
}

type Ask = (
  verb: KubeRequest["verb"],
  path: string,
  more?: Partial<KubeRequest>,
) => Promise<KubeAnswer>;
type Tools = { given: () => KubeSubject; next: (prefix: string) => string; ask: Ask };

function bodyOf(answer: KubeAnswer): Json {
  if (answer.kind !== "ok") throw new Error(`expected ok, got ${JSON.stringify(answer)}`);
  return answer.body as Json;
}

function refusalOf(answer: KubeAnswer) {
  if (answer.kind !== "refused") {
    throw new Error(`expected a refusal, got ${JSON.stringify(answer).slice(0, 300)}`);
  }
  return answer;
}

const metaOf = (object: Json): Json => object["metadata"] as Json;

function nodeTools({ given, next, ask }: Tools) {
  const read = async (name: string): Promise<KubeNode> => {
    const node = readNode(bodyOf(await ask("get", pathOf("nodes", name))));
    if (node === null) throw new Error(`no node ${name}`);
    return node;
  };
  return {
    read,
    seed: async (object: { metadata?: Json; spec?: Json; status?: Json } = {}) => {
      const name = next("node");
      // Of an object that nobody owns anything of, owners are not tracked.
      const labels = { seeded: "true", ...(object.metadata?.["labels"] as Json | undefined) };
      await given().seed("nodes", { ...object, metadata: { ...object.metadata, name, labels } });
      return read(name);
    },
    /** An apply of the whole intent of one manager. */
    apply: (
      name: string,
      metadata: Json,
      spec?: Json,
      query: Record<string, string> = { fieldManager: MANAGER.cordon, force: "true" },
    ) =>
      ask("patch", pathOf("nodes", name), {
        contentType: PATCH.apply,
        query,
        body: {
          apiVersion: "v1",
          kind: "Node",
          metadata: { name, ...metadata },
          ...(spec === undefined ? {} : { spec }),
        },
      }),
    patch: (name: string, contentType: KubeRequest["contentType"], body: unknown, sub = "") =>
      ask("patch", pathOf("nodes", name, sub), {
        ...(contentType === undefined ? {} : { contentType }),
        body,
      }),
    cordonAs: (name: string, manager: string) =>
      given().edit("nodes", name, { spec: { unschedulable: true } }, { manager }),
    uncordonAs: (name: string, manager: string) =>
      given().edit("nodes", name, { spec: { unschedulable: null } }, { manager }),
  };
}

const CORDON = { unschedulable: true };
const SESSION = { "navarch.dev/session": "s-1", "navarch.dev/reason": "xid79" };

function describeOwnership(tools: Tools): void {
  const { given } = tools;
  const { read, seed, apply, cordonAs, uncordonAs } = nodeTools(tools);
  const cordon = (node: KubeNode) =>
    apply(node.name, { uid: node.uid, annotations: SESSION }, CORDON);
  const release = (node: KubeNode) => apply(node.name, { uid: node.uid });

  test("apply owns a cordon, and release takes it away", async () => {
    const node = await seed();
    const body = bodyOf(await cordon(node));
    expect(readNode(body)).toMatchObject({ unschedulable: true, own: true, others: [] });
    expect((await read(node.name)).annotations).toEqual(SESSION);
    expect(readNode(bodyOf(await release(node)))).toMatchObject({
      unschedulable: false,
      own: false,
      others: [],
      annotations: {},
    });
  });

  test("apply of what is there already makes no new version", async () => {
    const node = await seed();
    await cordon(node);
    const { resourceVersion } = await read(node.name);
    await cordon(node);
    expect((await read(node.name)).resourceVersion).toBe(resourceVersion);
  });

  test("apply over a person's cordon shares it, and release leaves it", async () => {
    const node = await seed();
    await cordonAs(node.name, "kubectl");
    expect(await read(node.name)).toMatchObject({ own: false, others: ["kubectl"] });
    await cordon(node);
    expect(await read(node.name)).toMatchObject({ own: true, others: ["kubectl"] });
    await release(node);
    expect(await read(node.name)).toMatchObject({
      unschedulable: true,
      own: false,
      others: ["kubectl"],
    });
  });

  test("an update with the same value owns nothing", async () => {
    const node = await seed();
    await cordon(node);
    const before = await read(node.name);
    await cordonAs(node.name, "kubectl");
    expect(await read(node.name)).toEqual(before);
    await release(node);
    expect((await read(node.name)).unschedulable).toBe(false);
  });

  test("an update that removes the cordon takes it from everybody", async () => {
    const node = await seed();
    await cordonAs(node.name, "kubectl");
    await cordon(node);
    await uncordonAs(node.name, "somebody");
    const expected = { unschedulable: false, own: false, others: [] };
    expect(await read(node.name)).toMatchObject({ ...expected, annotations: SESSION });
    await release(node);
    expect(await read(node.name)).toMatchObject({ ...expected, annotations: {} });
  });

  test("an update to false removes the cordon and owns nothing", async () => {
    const node = await seed();
    await cordon(node);
    const patch = { spec: { unschedulable: false } };
    await given().edit("nodes", node.name, patch, { manager: "kubectl" });
    const expected = { unschedulable: false, own: false, others: [] };
    expect(await read(node.name)).toMatchObject(expected);
  });

  test("release after the ownership was wiped changes nothing", async () => {
    const node = await seed();
    await cordon(node);
    const wipe = { metadata: { managedFields: [{}] } };
    await given().edit("nodes", node.name, wipe, { manager: "tool" });
    expect(await read(node.name)).toMatchObject({ own: false, others: ["unknown"] });
    await release(node);
    expect(await read(node.name)).toMatchObject({ unschedulable: true, own: false });
  });

  test("an apply after the ownership was wiped books what was there on somebody else", async () => {
    const node = await seed();
    await cordon(node);
    const wipe = { metadata: { managedFields: [{}] } };
    await given().edit("nodes", node.name, wipe, { manager: "tool" });
    await cordon(node);
    const others = ["before-first-apply"];
    expect(await read(node.name)).toMatchObject({ own: true, others });
    await release(node);
    expect(await read(node.name)).toMatchObject({ unschedulable: true, own: false, others });
  });

  test("an update of an object that nobody owns anything of is not booked", async () => {
    const node = await seed();
    const wipe = { metadata: { managedFields: [{}] } };
    await given().edit("nodes", node.name, wipe, { manager: "tool" });
    await cordonAs(node.name, "kubectl");
    expect(await read(node.name)).toMatchObject({ unschedulable: true, others: ["unknown"] });
  });

  test("an apply of another value is refused unless it is forced", async () => {
    const node = await seed();
    await cordon(node);
    const off = { unschedulable: false };
    const refused = refusalOf(await apply(node.name, {}, off, { fieldManager: "other" }));
    expect(refused).toMatchObject({ status: 409, reason: "Conflict" });
    expect(refused.message).toBe(
      'Apply failed with 1 conflict: conflict with "navarch-cordon": .spec.unschedulable',
    );
    expect(refused.causes).toEqual([
      {
        reason: "FieldManagerConflict",
        message: 'conflict with "navarch-cordon"',
        field: ".spec.unschedulable",
      },
    ]);
    bodyOf(await apply(node.name, {}, off, { fieldManager: "other", force: "true" }));
    expect(await read(node.name)).toMatchObject({
      unschedulable: false,
      own: false,
      others: ["other"],
    });
    await cordon(node);
    expect(await read(node.name)).toMatchObject({ unschedulable: true, own: true, others: [] });
  });

  test("labels have a manager of their own, and dropping one removes only that", async () => {
    const node = await seed({ metadata: { labels: { kept: "1" } } });
    const query = { fieldManager: MANAGER.labels, force: "true" };
    await cordon(node);
    await apply(node.name, { uid: node.uid, labels: { a: "1", b: "1" } }, undefined, query);
    await given().edit("nodes", node.name, { metadata: { labels: { b: "2" } } }, { manager: "me" });
    const taken = refusalOf(
      await apply(node.name, { labels: { a: "1", b: "1" } }, undefined, {
        fieldManager: MANAGER.labels,
      }),
    );
    expect(taken.causes).toMatchObject([{ field: ".metadata.labels.b" }]);
    await apply(node.name, { uid: node.uid, labels: {} }, undefined, query);
    const after = await read(node.name);
    expect(after.labels).toEqual({ ...node.labels, kept: "1", b: "2" });
    expect(after).toMatchObject({ unschedulable: true, own: true, annotations: SESSION });
  });

  test("many updaters are merged, and a person's share survives that", async () => {
    const node = await seed();
    await cordonAs(node.name, "aaa");
    for (let i = 0; i < 12; i++) {
      const patch = { metadata: { annotations: { [`note-${i}`]: "x" } } };
      await given().edit("nodes", node.name, patch, { manager: `tool-${i}` });
    }
    await cordon(node);
    const body = bodyOf(await ask(tools, node.name));
    const entries = metaOf(body)["managedFields"] as Json[];
    expect(entries.filter(({ operation }) => operation === "Update")).toHaveLength(10);
    expect(readNode(body)).toMatchObject({ own: true, others: ["ancient-changes"] });
    await release(node);
    expect((await read(node.name)).unschedulable).toBe(true);
  });

  test("an apply is fenced by version and identity", async () => {
    const node = await seed();
    const { name, uid, resourceVersion } = node;
    await given().edit("nodes", name, { metadata: { labels: { x: "1" } } }, { manager: "me" });
    const stale = refusalOf(await apply(name, { uid, resourceVersion }, CORDON));
    expect(stale).toMatchObject({ status: 409, reason: "Conflict" });
    expect(stale.message).toContain("the object has been modified");
    const other = refusalOf(await apply(name, { uid: OTHER_UID }, CORDON));
    expect(other).toMatchObject({ status: 422, reason: "Invalid" });
    expect(other.causes).toMatchObject([{ field: "metadata.uid" }]);
    const both = refusalOf(await apply(name, { uid: OTHER_UID, resourceVersion }, CORDON));
    expect(both).toMatchObject({ status: 409, reason: "Conflict" });
    expect((await read(name)).unschedulable).toBe(false);
    const fresh = (await read(name)).resourceVersion;
    bodyOf(await apply(name, { uid, resourceVersion: fresh }, CORDON));
  });

  test("an apply to nothing makes nothing", async () => {
    const gone = tools.next("gone");
    const withUid = refusalOf(await apply(gone, { uid: OTHER_UID }, CORDON));
    expect(withUid).toMatchObject({ status: 409, reason: "Conflict" });
    expect(withUid.message).toContain("no existing object was found");
    const without = refusalOf(await apply(gone, {}, CORDON));
    expect(without).toMatchObject({ status: 403, reason: "Forbidden" });
    expect(without.message).toMatch(
      /cannot create resource "nodes" in API group "" at the cluster/,
    );
    const after = await tools.ask("get", pathOf("nodes", gone));
    expect(refusalOf(after)).toMatchObject({ status: 404, reason: "NotFound" });
  });

  test("an apply to the status of nothing is not found", async () => {
    const gone = tools.next("gone");
    const answer = await tools.ask("patch", pathOf("nodes", gone, "status"), {
      contentType: PATCH.apply,
      query: { fieldManager: MANAGER.cordon, force: "true" },
      body: { apiVersion: "v1", kind: "Node", metadata: { name: gone }, status: {} },
    });
    expect(refusalOf(answer)).toMatchObject({ status: 404, reason: "NotFound" });
    const after = await tools.ask("get", pathOf("nodes", gone));
    expect(refusalOf(after)).toMatchObject({ status: 404, reason: "NotFound" });
  });

  test("an apply that says too little or too much is refused", async () => {
    const { name } = await seed();
    const noManager = refusalOf(await apply(name, {}, CORDON, { force: "true" }));
    expect(noManager).toMatchObject({ status: 422, reason: "Invalid" });
    const misnamed = await apply(name, { name: "another" }, CORDON);
    expect(refusalOf(misnamed)).toMatchObject({ status: 400, reason: "BadRequest" });
    const owned = refusalOf(await apply(name, { managedFields: [{ manager: "x" }] }, CORDON));
    expect(owned).toMatchObject({ status: 400, message: "metadata.managedFields must be nil" });
  });
}

const ask = ({ ask: send }: Tools, name: string) => send("get", pathOf("nodes", name));

const taint = (key: string, value?: string) => ({
  key: `navarch.dev/${key}`,
  ...(value === undefined ? {} : { value }),
  effect: "NoSchedule",
});

function describePatches(tools: Tools): void {
  const { given } = tools;
  const { read, seed, patch } = nodeTools(tools);
  const at = (i: number | string) => `/spec/taints/${i}`;

  /** Taints before, operations, keys of the taints after; `null` = 422 and nothing changed. */
  const cases: [string, object[], object[], string[] | null][] = [
    ["adds a list", [], [{ op: "add", path: "/spec/taints", value: [taint("a")] }], ["a"]],
    [
      "adds to the end",
      [taint("a")],
      [{ op: "add", path: at("-"), value: taint("b") }],
      ["a", "b"],
    ],
    ["adds before", [taint("a")], [{ op: "add", path: at(0), value: taint("b") }], ["b", "a"]],
    ["adds to nothing", [], [{ op: "add", path: at("-"), value: taint("b") }], null],
    ["adds beyond", [taint("a")], [{ op: "add", path: at(2), value: taint("b") }], null],
    ["removes", [taint("a"), taint("b")], [{ op: "remove", path: at(0) }], ["b"]],
    ["removes the last", [taint("a")], [{ op: "remove", path: at(0) }], []],
    ["removes nothing", [], [{ op: "remove", path: at(0) }], null],
    ["removes no list", [], [{ op: "remove", path: "/spec/taints" }], null],
    ["replaces nothing", [], [{ op: "replace", path: "/spec/taints", value: [taint("a")] }], ["a"]],
    ["replaces", [taint("a")], [{ op: "replace", path: at(0), value: taint("b") }], ["b"]],
    ["tests null", [], [{ op: "test", path: "/spec/taints", value: null }], []],
    ["tests an empty list", [], [{ op: "test", path: "/spec/taints", value: [] }], null],
    ["tests in nothing", [], [{ op: "test", path: `${at(0)}/key`, value: "a" }], null],
    [
      "tests and goes on",
      [taint("a", "1")],
      [
        { op: "test", path: at(0), value: { value: "1", ...taint("a") } },
        { op: "remove", path: at(0) },
      ],
      [],
    ],
    [
      "is all or nothing",
      [taint("a")],
      [
        { op: "remove", path: at(0) },
        { op: "test", path: "/spec/unschedulable", value: true },
      ],
      null,
    ],
    ["tests a version", [], [{ op: "test", path: "/metadata/resourceVersion", value: "1" }], null],
    ["tests a UID", [], [{ op: "test", path: "/metadata/uid", value: OTHER_UID }], null],
    ["knows no such thing", [], [{ op: "frob", path: "/spec" }], null],
    [
      "refuses a taint twice",
      [taint("a", "1")],
      [{ op: "add", path: at("-"), value: taint("a", "2") }],
      null,
    ],
    [
      "refuses an unknown effect",
      [],
      [{ op: "add", path: "/spec/taints", value: [{ key: "a", effect: "Never" }] }],
      null,
    ],
  ];
  test.each(cases)("a JSON patch %s", async (_what, taints, operations, keys) => {
    const node = await seed({ spec: taints.length === 0 ? {} : { taints } });
    const answer = await patch(node.name, PATCH.json, operations);
    const after = await read(node.name);
    if (keys === null) {
      expect(refusalOf(answer)).toMatchObject({ status: 422, reason: "Invalid" });
      expect(after).toEqual(node);
    } else {
      bodyOf(answer);
      expect(after.taints.map(({ key }) => key)).toEqual(keys.map((key) => `navarch.dev/${key}`));
    }
  });

  test("a JSON patch passes its tests of version and UID, and escapes a slash", async () => {
    const { name, uid, resourceVersion } = await seed({ metadata: { labels: { "a/b": "1" } } });
    bodyOf(
      await patch(name, PATCH.json, [
        { op: "test", path: "/metadata/resourceVersion", value: resourceVersion },
        { op: "test", path: "/metadata/uid", value: uid },
        { op: "replace", path: "/metadata/labels/a~1b", value: "2" },
      ]),
    );
    expect((await read(name)).labels["a/b"]).toBe("2");
  });

  test("a merge patch is fenced by the version and the UID in it", async () => {
    const { name, uid } = await seed();
    const labels = { x: "1" };
    const stale = await patch(name, PATCH.merge, { metadata: { resourceVersion: "1", labels } });
    expect(refusalOf(stale)).toMatchObject({ status: 409, reason: "Conflict" });
    const other = await patch(name, PATCH.merge, { metadata: { uid: OTHER_UID, labels } });
    expect(refusalOf(other)).toMatchObject({ status: 422, reason: "Invalid" });
    bodyOf(await patch(name, PATCH.merge, { metadata: { uid, labels } }));
    expect((await read(name)).labels["x"]).toBe("1");
  });

  test("a patch of nothing is not found, and one of another kind of body is not read", async () => {
    const gone = await patch(tools.next("gone"), PATCH.merge, {});
    expect(refusalOf(gone)).toMatchObject({ status: 404, reason: "NotFound" });
    const { name } = await seed();
    expect(refusalOf(await patch(name, PATCH.json, {})).status).toBe(400);
  });

  test("a status patch keeps everybody else's conditions and nothing but the status", async () => {
    const ready = { type: "Ready", status: "True", reason: "Kubelet", message: "m" };
    const { name } = await seed({ status: { conditions: [ready] } });
    const ours = { type: "GPUHealthy", status: "False", reason: "Xid", message: "gpu 3" };
    const status = { conditions: [ours] };
    bodyOf(await patch(name, PATCH.strategic, { status, spec: CORDON }, "status"));
    const after = await read(name);
    const sorted = after.conditions.toSorted((a, b) => (a.type < b.type ? -1 : 1));
    expect(sorted).toEqual([ours, ready]);
    expect(after.unschedulable).toBe(false);
    const good = { type: "GPUHealthy", status: "True" };
    bodyOf(await patch(name, PATCH.strategic, { status: { conditions: [good] } }, "status"));
    const changed = (await read(name)).conditions.find(({ type }) => type === "GPUHealthy");
    expect(changed).toEqual({ ...ours, status: "True" });
    const end = { conditions: [{ type: "GPUHealthy", $patch: "delete" }] };
    bodyOf(await patch(name, PATCH.strategic, { status: end }, "status"));
    expect((await read(name)).conditions).toEqual([ready]);
  });

  test("a status patch is fenced too", async () => {
    const { name } = await seed();
    const status = { conditions: [{ type: "GPUHealthy", status: "True" }] };
    const send = (metadata: object) => patch(name, PATCH.strategic, { metadata, status }, "status");
    expect(refusalOf(await send({ uid: OTHER_UID })).status).toBe(422);
    expect(refusalOf(await send({ resourceVersion: "1" })).status).toBe(409);
    expect((await read(name)).conditions).toEqual([]);
  });

  test("a patch of the object leaves its status alone", async () => {
    const { name } = await seed({ status: { conditions: [{ type: "Ready", status: "True" }] } });
    bodyOf(await patch(name, PATCH.merge, { status: { conditions: [] } }));
    expect((await read(name)).conditions).toHaveLength(1);
    await given().edit("nodes", name, { status: { conditions: [] } }, { manager: "me" });
    expect((await read(name)).conditions).toHaveLength(1);
  });
}

function describeDeletion(tools: Tools): void {
  const { ask: send } = tools;
  const { read, seed } = nodeTools(tools);
  const remove = (name: string, preconditions: object) =>
    send("delete", pathOf("nodes", name), {
      body: { apiVersion: "v1", kind: "DeleteOptions", preconditions },
    });

  test("a delete is fenced by UID and version", async () => {
    const { name, uid } = await seed();
    const other = refusalOf(await remove(name, { uid: OTHER_UID }));
    expect(other).toMatchObject({ status: 409, reason: "Conflict" });
    expect(other.message).toContain("the UID in the precondition");
    const stale = refusalOf(await remove(name, { uid, resourceVersion: "1" }));
    expect(stale).toMatchObject({ status: 409, reason: "Conflict" });
    await read(name);
    bodyOf(await remove(name, { uid }));
    expect(refusalOf(await send("get", pathOf("nodes", name))).status).toBe(404);
    expect(refusalOf(await remove(name, { uid }))).toMatchObject({
      status: 404,
      reason: "NotFound",
      message: `nodes "${name}" not found`,
    });
  });
}

function describeLists(tools: Tools): void {
  const { given, next, ask: send } = tools;

  test("a list comes in pages of one moment", async () => {
    const label = next("page");
    const { seed } = nodeTools(tools);
    const nodes = [];
    for (let i = 0; i < 5; i++) nodes.push(await seed({ metadata: { labels: { of: label } } }));
    const query = { limit: "2", labelSelector: `of=${label}` };
    const names: string[] = [];
    let token = "";
    let version = "";
    do {
      const page = bodyOf(
        await send("list", pathOf("nodes"), {
          query: token === "" ? query : { ...query, continue: token },
        }),
      );
      expect(page).toMatchObject({ kind: "NodeList", apiVersion: "v1" });
      for (const item of page["items"] as Json[]) names.push(String(metaOf(item)["name"]));
      const meta = metaOf(page);
      token = String(meta["continue"] ?? "");
      if (version === "") {
        version = String(meta["resourceVersion"]);
        // After the first page nobody sees the changes that come.
        const last = nodes.at(-1)?.name ?? "";
        await given().edit(
          "nodes",
          last,
          { metadata: { labels: { of: null } } },
          { manager: "me" },
        );
      }
      expect(String(meta["resourceVersion"])).toBe(version);
    } while (token !== "");
    expect(names).toEqual(nodes.map(({ name }) => name).sort());
  });

  test("labels select", async () => {
    const { seed } = nodeTools(tools);
    const key = next("key");
    const [a, b] = [
      await seed({ metadata: { labels: { [key]: "a" } } }),
      await seed({ metadata: { labels: { [key]: "b", other: "" } } }),
    ];
    const cases: [string, KubeNode[]][] = [
      [`${key}=a`, [a]],
      [`${key}==b`, [b]],
      [key, [a, b]],
      [`${key},${key}!=a`, [b]],
      [`${key} in (a,c)`, [a]],
      [`${key} notin (a), ${key}`, [b]],
      [`${key}, !other`, [a]],
      [`${key}=a,${key}=b`, []],
    ];
    for (const [labelSelector, nodes] of cases) {
      const body = bodyOf(await send("list", pathOf("nodes"), { query: { labelSelector } }));
      const names = (body["items"] as Json[]).map((item) => metaOf(item)["name"]);
      expect([labelSelector, ...names]).toEqual([labelSelector, ...nodes.map((node) => node.name)]);
    }
    const bad = await send("list", pathOf("nodes"), { query: { labelSelector: "a b" } });
    expect(refusalOf(bad)).toMatchObject({ status: 400, reason: "BadRequest" });
  });

  test("fields select, where they may", async () => {
    const { seed } = nodeTools(tools);
    const [here, there] = [(await seed()).name, (await seed()).name];
    const pod = await podTools(tools).seed({ spec: { nodeName: here } });
    const query = (node: string) => ({ query: { fieldSelector: `spec.nodeName=${node}` } });
    const list = bodyOf(await send("list", "/api/v1/pods", query(here)));
    expect((list["items"] as Json[]).map((item) => metaOf(item)["uid"])).toEqual([pod.uid]);
    expect(bodyOf(await send("list", "/api/v1/pods", query(there)))["items"]).toEqual([]);
    const bad = refusalOf(await send("list", pathOf("nodes"), query(here)));
    expect(bad).toMatchObject({
      status: 400,
      message: "field label not supported: spec.nodeName",
    });
  });

  test("a token that nobody gave is refused", async () => {
    const query = { limit: "1", continue: "zzz" };
    expect(refusalOf(await send("list", pathOf("nodes"), { query })).status).toBe(400);
  });
}

function podTools({ given, next, ask: send }: Tools) {
  const get = async (name: string) => {
    const pod = readPod(bodyOf(await send("get", pathOf("pods", name))));
    if (pod === null) throw new Error(`no pod ${name}`);
    return pod;
  };
  return {
    get,
    /** Bound to a node of its own unless told, with no kubelet near it. */
    seed: async (object: { metadata?: Json; spec?: Json; status?: Json } = {}) => {
      const name = next("pod");
      await given().seed("pods", {
        metadata: { namespace: "default", ...object.metadata, name },
        spec: { nodeName: "nowhere", containers: [{ name: "c", image: "i" }], ...object.spec },
        status: {
          phase: "Running",
          conditions: [{ type: "Ready", status: "True" }],
          ...object.status,
        },
      });
      return get(name);
    },
    evict: (name: string, uid: string | null, options: Json = {}) =>
      send("create", pathOf("pods", name, "eviction"), {
        body: {
          apiVersion: "policy/v1",
          kind: "Eviction",
          metadata: { name, namespace: "default" },
          deleteOptions: { ...(uid === null ? {} : { preconditions: { uid } }), ...options },
        },
      }),
    budget: async (app: string, status: Json, spec: Json = {}) => {
      const name = next("budget");
      await given().seed("poddisruptionbudgets", {
        metadata: { name, namespace: "default" },
        spec: { minAvailable: 1, selector: { matchLabels: { app } }, ...spec },
        status: { currentHealthy: 0, desiredHealthy: 1, expectedPods: 1, ...status },
      });
      return name;
    },
  };
}

function describeEvictions(tools: Tools): void {
  const { ask: send, next, given } = tools;
  const { seed, get, evict, budget } = podTools(tools);
  const statusOf = async (name: string) => {
    const list = bodyOf(await send("list", pathOf("budgets")));
    const found = (list["items"] as Json[]).find((item) => metaOf(item)["name"] === name);
    return (found?.["status"] ?? {}) as Json;
  };
  const app = () => {
    const name = next("app");
    return { name, metadata: { labels: { app: name } } };
  };
  const OPEN = { observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 2 };

  test("an eviction begins a deletion with the pod's own grace", async () => {
    const pod = await seed({ spec: { terminationGracePeriodSeconds: 77 } });
    const answer = await evict(pod.name, pod.uid);
    expect(answer).toMatchObject({ kind: "ok", status: 201 });
    const body = bodyOf(await send("get", pathOf("pods", pod.name)));
    expect(metaOf(body)["deletionGracePeriodSeconds"]).toBe(77);
    expect((body["status"] as Json)["conditions"]).toMatchObject([
      { type: "Ready" },
      { type: "DisruptionTarget", status: "True", reason: "EvictionByEvictionAPI" },
    ]);
    const { deletionAt, resourceVersion } = await get(pod.name);
    expect(deletionAt).not.toBeNull();
    // The second of two changes nothing.
    expect(await evict(pod.name, pod.uid)).toMatchObject({ kind: "ok", status: 201 });
    expect(await get(pod.name)).toMatchObject({ deletionAt, resourceVersion });
  });

  test("an eviction may name a grace of its own", async () => {
    const pod = await seed();
    bodyOf(await evict(pod.name, pod.uid, { gracePeriodSeconds: 1 }));
    const body = bodyOf(await send("get", pathOf("pods", pod.name)));
    expect(metaOf(body)["deletionGracePeriodSeconds"]).toBe(1);
  });

  test("an eviction of nothing, or of another pod under that name, does nothing", async () => {
    const gone = refusalOf(await evict(next("gone"), OTHER_UID));
    expect(gone).toMatchObject({ status: 404, reason: "NotFound" });
    const pod = await seed();
    const other = refusalOf(await evict(pod.name, OTHER_UID));
    expect(other).toMatchObject({ status: 409, reason: "Conflict" });
    expect(other.message).toBe(
      `Operation cannot be fulfilled on Pod "${pod.name}": the UID in the precondition ` +
        `(${OTHER_UID}) does not match the UID in record (${pod.uid}). ` +
        "The object might have been deleted and then recreated",
    );
    expect(await get(pod.name)).toEqual(pod);
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "x" } };
    const misnamed = await send("create", pathOf("pods", pod.name, "eviction"), { body });
    expect(refusalOf(misnamed).status).toBe(400);
  });

  test("an eviction in a namespace that is not there is not found", async () => {
    const path = "/api/v1/namespaces/nowhere/pods/p/eviction";
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "p" } };
    const answer = refusalOf(await send("create", path, { body }));
    expect(answer).toMatchObject({ status: 404, reason: "NotFound" });
    expect(answer.message).toContain('"nowhere" not found');
  });

  const closed: [string, Json, string, number | null][] = [
    ["is used up", { currentHealthy: 1 }, "needs 1 healthy pods and has 1 currently", null],
    [
      "allows nothing for another reason",
      { currentHealthy: 2 },
      "does not allow evicting pods currently",
      null,
    ],
    [
      "was not looked at yet",
      { observedGeneration: 0, disruptionsAllowed: 1 },
      "is still being processed by the server.",
      10_000,
    ],
    [
      "could not be worked out",
      {
        conditions: [
          {
            type: "DisruptionAllowed",
            status: "False",
            reason: "SyncFailed",
            message: "no scale",
            lastTransitionTime: "2026-01-01T00:00:00Z",
          },
        ],
      },
      "does not allow evicting pods currently because it failed sync: no scale",
      null,
    ],
  ];
  test.each(closed)("a budget that %s stops an eviction", async (_why, status, told, after) => {
    const { name, metadata } = app();
    const pod = await seed({ metadata });
    const pdb = await budget(name, { observedGeneration: 1, disruptionsAllowed: 0, ...status });
    const answer = refusalOf(await evict(pod.name, pod.uid));
    expect(answer).toMatchObject({
      status: 429,
      reason: "TooManyRequests",
      message: VIOLATES,
      causes: [{ reason: "DisruptionBudget", message: `The disruption budget ${pdb} ${told}` }],
      retryAfterMs: after,
    });
    expect(await get(pod.name)).toEqual(pod);
  });

  test("a budget is spent by an eviction, and by one that names another pod", async () => {
    const { name, metadata } = app();
    const pod = await seed({ metadata });
    const pdb = await budget(name, { ...OPEN, disruptionsAllowed: 2, currentHealthy: 3 });
    expect(refusalOf(await evict(pod.name, OTHER_UID)).status).toBe(409);
    expect(await statusOf(pdb)).toMatchObject({ disruptionsAllowed: 1 });
    bodyOf(await evict(pod.name, pod.uid));
    const after = await statusOf(pdb);
    expect(after).toMatchObject({ disruptionsAllowed: 0 });
    expect(Object.keys(after["disruptedPods"] as Json)).toEqual([pod.name]);
    // What is leaving already needs no budget.
    expect(await evict(pod.name, pod.uid)).toMatchObject({ kind: "ok", status: 201 });
  });

  test("two budgets over one pod are an error that waiting does not help", async () => {
    const { name, metadata } = app();
    const pod = await seed({ metadata });
    await budget(name, OPEN);
    await budget(name, OPEN);
    expect(refusalOf(await evict(pod.name, pod.uid))).toMatchObject({
      status: 500,
      reason: "",
      message:
        "This pod has more than one PodDisruptionBudget, " +
        "which the eviction subresource does not support.",
    });
  });

  const idle: [string, boolean][] = [
    ["Pending", false],
    ["Succeeded", true],
    ["Failed", true],
  ];
  test.each(idle)("a %s pod needs no budget", async (phase, isGone) => {
    const { name, metadata } = app();
    const pod = await seed({ metadata, status: { phase, conditions: [] } });
    await budget(name, { observedGeneration: 1, disruptionsAllowed: 0, currentHealthy: 1 });
    bodyOf(await evict(pod.name, pod.uid));
    const after = await send("get", pathOf("pods", pod.name));
    if (isGone) expect(refusalOf(after).status).toBe(404);
    else expect(metaOf(bodyOf(after))["deletionTimestamp"]).toBeString();
  });

  const unready: [string, Json, Json, boolean][] = [
    ["with too few healthy", { currentHealthy: 0 }, {}, false],
    ["with enough healthy", { currentHealthy: 1 }, {}, true],
    ["where none is wanted", { currentHealthy: 0, desiredHealthy: 0 }, {}, false],
    ["always", { currentHealthy: 0 }, { unhealthyPodEvictionPolicy: "AlwaysAllow" }, true],
  ];
  test.each(unready)("an unready pod is evicted %s: %#", async (_how, status, spec, isEvicted) => {
    const { name, metadata } = app();
    const conditions = [{ type: "Ready", status: "False" }];
    const pod = await seed({ metadata, status: { conditions } });
    const closedBudget = { observedGeneration: 1, disruptionsAllowed: 0, ...status };
    const pdb = await budget(name, closedBudget, spec);
    const answer = await evict(pod.name, pod.uid);
    if (isEvicted) bodyOf(answer);
    else expect(refusalOf(answer).status).toBe(429);
    expect((await statusOf(pdb))["disruptionsAllowed"]).toBe(0);
  });

  test("a delete of a pod is graceful, shortens, and never lengthens", async () => {
    const pod = await seed();
    const remove = (gracePeriodSeconds?: number) =>
      send("delete", pathOf("pods", pod.name), {
        body: {
          ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
          preconditions: { uid: pod.uid },
        },
      });
    const grace = (answer: KubeAnswer) => metaOf(bodyOf(answer))["deletionGracePeriodSeconds"];
    expect(grace(await remove())).toBe(30);
    expect(grace(await remove(5))).toBe(5);
    expect(grace(await remove(60))).toBe(5);
    const other = { gracePeriodSeconds: 1, preconditions: { uid: OTHER_UID } };
    const refused = await send("delete", pathOf("pods", pod.name), { body: other });
    expect(refusalOf(refused)).toMatchObject({ status: 409, reason: "Conflict" });
    bodyOf(await remove(0));
    expect(refusalOf(await send("get", pathOf("pods", pod.name))).status).toBe(404);
  });

  test("a pod with a finalizer stays until that is gone", async () => {
    const finalizers = ["example.com/save"];
    const pod = await seed({ metadata: { finalizers } });
    const path = pathOf("pods", pod.name);
    bodyOf(await send("delete", path, { query: { gracePeriodSeconds: "0" } }));
    expect(await get(pod.name)).toMatchObject({ finalizers });
    const none = { metadata: { finalizers: null } };
    await given().edit("pods", pod.name, none, { manager: "controller" });
    expect(refusalOf(await send("get", path)).status).toBe(404);
  });

  test("an unbound pod goes at once", async () => {
    const pod = await seed({
      spec: { nodeName: "" },
      status: { phase: "Pending", conditions: [] },
    });
    bodyOf(await evict(pod.name, pod.uid));
    expect(refusalOf(await send("get", pathOf("pods", pod.name))).status).toBe(404);
  });
}

function describeTheRest(tools: Tools): void {
  const { ask: send, next } = tools;

  test("events are created once and counted on", async () => {
    const name = next("event");
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name, namespace: "default" },
      eventTime: "2026-11-21T12:00:00.000000Z",
      reportingController: "navarch.dev/reconciler",
      reportingInstance: "r-1",
      action: "Cordon",
      reason: "Cordoned",
      regarding: { apiVersion: "v1", kind: "Node", name: "n", uid: "u" },
      note: "XID 79 on GPU 3",
      type: "Warning",
    };
    expect(await send("create", pathOf("events"), { body: event })).toMatchObject({
      kind: "ok",
      status: 201,
    });
    const twice = refusalOf(await send("create", pathOf("events"), { body: event }));
    expect(twice).toMatchObject({
      status: 409,
      reason: "AlreadyExists",
      message: `events.events.k8s.io "${name}" already exists`,
    });
    const series = { count: 2, lastObservedTime: "2026-11-21T12:01:00.000000Z" };
    for (const contentType of [PATCH.strategic, PATCH.merge]) {
      const request = { contentType, body: { series } };
      const body = bodyOf(await send("patch", pathOf("events", name), request));
      expect(body["series"]).toEqual(series);
    }
    // Its text changes through the older group alone.
    const texts = { contentType: PATCH.merge, body: { note: "new" } };
    const fixed = refusalOf(await send("patch", pathOf("events", name), texts));
    expect(fixed).toMatchObject({ status: 422, causes: [{ field: "message" }] });
    const rewrite = { contentType: PATCH.merge, body: { message: "new" } };
    const older = `/api/v1/namespaces/default/events/${name}`;
    expect(await send("patch", older, rewrite)).toMatchObject({ kind: "ok" });
    const again = { contentType: PATCH.merge, body: { series: { ...series, count: 3 } } };
    const rewritten = bodyOf(await send("patch", pathOf("events", name), again));
    expect(rewritten).toMatchObject({ note: "new", series: { count: 3 } });
    const bad = { ...event, metadata: { name: next("event"), namespace: "default" }, reason: "" };
    const refused = refusalOf(await send("create", pathOf("events"), { body: bad }));
    expect(refused).toMatchObject({ status: 422, causes: [{ field: "reason" }] });
    const long = { ...bad, reason: "R", note: "n".repeat(1_025) };
    expect(refusalOf(await send("create", pathOf("events"), { body: long })).status).toBe(422);
    const timeless = { ...bad, reason: "R", eventTime: undefined };
    expect(refusalOf(await send("create", pathOf("events"), { body: timeless })).causes).toEqual([
      { reason: "FieldValueRequired", message: "Required value", field: "eventTime" },
    ]);
  });

  test("what is not there is not found, in the words of its group", async () => {
    const daemonset = "/apis/apps/v1/namespaces/default/daemonsets/x";
    expect(refusalOf(await send("get", daemonset)).message).toBe('daemonsets.apps "x" not found');
    expect(refusalOf(await send("get", pathOf("leases", "x"))).message).toBe(
      'leases.coordination.k8s.io "x" not found',
    );
    const list = bodyOf(await send("list", "/apis/storage.k8s.io/v1/volumeattachments"));
    expect(list).toMatchObject({ kind: "VolumeAttachmentList", items: [] });
    // Who may not even ask does not learn that there is no such thing.
    const unknown = refusalOf(await send("list", "/apis/example.com/v1/things"));
    expect(unknown).toMatchObject({ status: 403, reason: "Forbidden" });
    expect(unknown.message).toContain('resource "things" in API group "example.com"');
  });

  test("leases and daemon sets are read", async () => {
    const name = next("thing");
    const spec = { holderIdentity: name, leaseDurationSeconds: 40 };
    await tools.given().seed("leases", {
      metadata: { name, namespace: "kube-node-lease" },
      spec,
    });
    expect(bodyOf(await send("get", pathOf("leases", name)))).toMatchObject({ spec });
    const list = bodyOf(await send("list", pathOf("leases")));
    expect((list["items"] as Json[]).map((item) => metaOf(item)["name"])).toContain(name);
  });

  test("a review tells what the account may do, and a refusal says it", async () => {
    const may = async (verb: string, resource: string, more: Json = {}) => {
      const spec = { resourceAttributes: { verb, resource, ...more } };
      const body = {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec,
      };
      const answer = await send("create", pathOf("reviews"), { body });
      expect(answer).toMatchObject({ kind: "ok", status: 201 });
      return (bodyOf(answer)["status"] as Json)["allowed"];
    };
    expect(await may("patch", "nodes")).toBe(true);
    expect(await may("create", "pods", { subresource: "eviction" })).toBe(true);
    expect(await may("create", "nodes")).toBe(false);
    const body = { apiVersion: "v1", kind: "Node", metadata: { name: next("node") } };
    const refused = refusalOf(await send("create", pathOf("nodes"), { body }));
    expect(refused).toMatchObject({ status: 403, reason: "Forbidden", causes: [] });
    expect(refused.message).toMatch(
      /^nodes is forbidden: User ".+" cannot create resource "nodes" in API group "" at the cluster/,
    );
  });
}

function describeWatches(tools: Tools): void {
  const { given, next, ask: send } = tools;
  const { seed, read } = nodeTools(tools);

  type Heard = { type: string; name: unknown; version: string };
  function listen(query: Record<string, string>, silenceMs = 30_000) {
    const heard: Heard[] = [];
    const stop = new AbortController();
    let end: WatchEnd | null = null;
    const take = ({ type, object }: WatchEvent): void => {
      const { name, resourceVersion } = metaOf(object as Json);
      heard.push({ type, name, version: String(resourceVersion) });
    };
    const options = { signal: stop.signal, silenceMs };
    const ended = given()
      .api.watch(pathOf("nodes"), query, take, options)
      .then((how) => {
        end = how;
        return how;
      });
    const until = async (what: string, isTrue: () => boolean): Promise<void> => {
      for (let i = 0; i < 500 && !isTrue(); i++) await given().pass(20);
      if (!isTrue()) throw new Error(`not in time: ${what}; heard ${JSON.stringify(heard)}`);
    };
    return { heard, stop, ended, isEnded: () => end !== null, until };
  }
  const versionNow = async (): Promise<string> => {
    const list = bodyOf(await send("list", pathOf("nodes"), { query: { limit: "1" } }));
    return String(metaOf(list)["resourceVersion"]);
  };
  const setLabel = (name: string, of: string | null) =>
    given().edit("nodes", name, { metadata: { labels: { of } } }, { manager: "me" });

  test("a watch tells what changes after a version, in order", async () => {
    const of = next("watched");
    const resourceVersion = await versionNow();
    const labelSelector = `of=${of}`;
    const watch = listen({ resourceVersion, labelSelector });
    const { name } = await seed({ metadata: { labels: { of } } });
    await given().edit("nodes", name, { metadata: { labels: { x: "1" } } }, { manager: "me" });
    await setLabel(name, "elsewhere");
    await setLabel(name, of);
    const { uid } = await read(name);
    bodyOf(await send("delete", pathOf("nodes", name), { body: { preconditions: { uid } } }));
    const isOver = (): boolean => watch.heard.filter(({ type }) => type === "DELETED").length === 2;
    await watch.until("two deletions", isOver);
    // A seed may take several writes; what matters is the order of what it ends in.
    const types = watch.heard.map(({ type }) => type);
    expect(types[0]).toBe("ADDED");
    expect(types.slice(-4)).toEqual(["MODIFIED", "DELETED", "ADDED", "DELETED"]);
    const versions = watch.heard.map(({ version }) => Number(version));
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    expect(new Set(versions).size).toBe(versions.length);
    watch.stop.abort();
    expect(await watch.ended).toEqual({ kind: "ended" });

    const again = listen({ resourceVersion, labelSelector });
    await again.until("the same again", () => again.heard.length === watch.heard.length);
    expect(again.heard).toEqual(watch.heard);
    again.stop.abort();
    await again.ended;
  });

  test("a watch from nowhere begins with what is there", async () => {
    const of = next("watched");
    const { name } = await seed({ metadata: { labels: { of } } });
    const watch = listen({ labelSelector: `of=${of}` });
    await watch.until("one node", () => watch.heard.length > 0);
    expect(watch.heard).toMatchObject([{ type: "ADDED", name }]);
    watch.stop.abort();
    await watch.ended;
  });

  test("a watch ends when its time is over, with a bookmark", async () => {
    // A server promises none, and one under load leaves it out: some watch has to bring it.
    for (let tries = 0; tries < 5; tries += 1) {
      const resourceVersion = await versionNow();
      const query = { resourceVersion, allowWatchBookmarks: "true", timeoutSeconds: "3" };
      const watch = listen({ ...query, labelSelector: "of=nobody" });
      const { resourceVersion: version } = await seed();
      await watch.until("the end", watch.isEnded);
      expect(await watch.ended).toEqual({ kind: "ended" });
      if (watch.heard.length === 0) continue;
      // It tells nothing but how far the world has gone, once or twice.
      expect(new Set(watch.heard.map(({ type }) => type))).toEqual(new Set(["BOOKMARK"]));
      expect(Number(watch.heard.at(-1)?.version)).toBeGreaterThanOrEqual(Number(version));
      return;
    }
    throw new Error("no watch of five brought a bookmark");
  });

  test("a watch that hears nothing is lost", async () => {
    const resourceVersion = await versionNow();
    const watch = listen({ resourceVersion, labelSelector: "of=nobody" }, 400);
    await watch.until("the end", watch.isEnded);
    expect((await watch.ended).kind).toBe("lost");
  });

  test("a watch that is aborted before it begins has ended", async () => {
    const options = { signal: AbortSignal.abort(), silenceMs: 1_000 };
    const end = await given().api.watch(pathOf("nodes"), {}, () => {}, options);
    expect(end).toEqual({ kind: "ended" });
  });

  test("a watch with a bad selector is refused", async () => {
    const watch = listen({ labelSelector: "a b" });
    expect(await watch.ended).toMatchObject({ kind: "refused", status: 400 });
  });
}
