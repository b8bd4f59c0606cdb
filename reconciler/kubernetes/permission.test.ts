import { describe, expect, test } from "bun:test";
import type { KubeAnswer, KubeApi, KubeRequest } from "./api.ts";
import {
  checkPermissions,
  explainForbidden,
  missingRules,
  PERMISSIONS,
  formatPermission,
} from "./permission.ts";

const serve = (answer: (request: KubeRequest) => KubeAnswer): KubeApi => ({
  call: async (request) => answer(request),
  watch: async () => ({ kind: "ended" }),
  close: () => undefined,
});

const forbidden = (message: string): KubeAnswer => ({
  kind: "refused",
  status: 403,
  reason: "Forbidden",
  message,
  causes: [],
  retryAfterMs: null,
});

describe("PERMISSIONS", () => {
  test("are least: no wildcard, no secret, and no way to make or replace a Node", () => {
    const all = PERMISSIONS.map(formatPermission);
    expect(new Set(all).size).toBe(all.length);
    for (const bad of ["*", "secrets", "nodes/proxy", "create nodes", "update"])
      expect(all.filter((line) => line.includes(bad))).toEqual([]);
    expect(all).toContain("patch nodes/status");
    expect(all).toContain("get leases.coordination.k8s.io in namespace kube-node-lease");
  });
});

describe("checkPermissions()", () => {
  test("asks a silent server four times at once, and then no more", async () => {
    let asked = 0;
    const api = serve(() => {
      asked += 1;
      return { kind: "lost", message: "no answer in 10000 ms" };
    });
    const { missing, unknown } = await checkPermissions(api);
    expect({ asked, missing, unknown: unknown.length }).toEqual({
      asked: 4,
      missing: [],
      unknown: PERMISSIONS.length,
    });
    expect(new Set(unknown.map(({ message }) => message))).toEqual(
      new Set(["no answer in 10000 ms"]),
    );
  });

  test("asks for each one, and tells missing from unknown", async () => {
    const asked: unknown[] = [];
    const api = serve(({ path, body }) => {
      expect(path).toBe("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
      const { spec } = body as { spec: { resourceAttributes: Record<string, string> } };
      const { resource, subresource, verb } = spec.resourceAttributes;
      asked.push(spec.resourceAttributes);
      if (resource === "leases") return { kind: "lost", message: "no route" };
      const allowed = !(resource === "nodes" && subresource === "status" && verb === "patch");
      return { kind: "ok", status: 201, body: { status: { allowed } } };
    });
    const { missing, unknown } = await checkPermissions(api);
    expect(missing.map(formatPermission)).toEqual(["patch nodes/status"]);
    expect(unknown.map(({ permission, message }) => [permission.verb, message])).toEqual([
      ["get", "no route"],
      ["list", "no route"],
      ["watch", "no route"],
    ]);
    expect(asked).toHaveLength(PERMISSIONS.length);
    expect(asked).toContainEqual({
      group: "coordination.k8s.io",
      resource: "leases",
      subresource: "",
      verb: "get",
      namespace: "kube-node-lease",
    });
  });

  test.each(["allowed", "missing"])("takes no word of a server for a verdict: %s", async (word) => {
    const api = serve(() => ({ kind: "lost", message: word }));
    const { missing, unknown } = await checkPermissions(api, PERMISSIONS.slice(0, 1));
    expect([missing, unknown.map(({ message }) => message)]).toEqual([[], [word]]);
  });

  test("takes an authorizer that failed for unknown", async () => {
    const status = { allowed: false, evaluationError: "webhook down" };
    const api = serve(() => ({ kind: "ok", status: 201, body: { status } }));
    const { missing, unknown } = await checkPermissions(api, PERMISSIONS.slice(0, 1));
    expect([missing.length, unknown[0]?.message]).toEqual([0, "webhook down"]);
  });
});

describe("missingRules()", () => {
  test("asks for what joining needs only where machines join", async () => {
    const asked: unknown[] = [];
    const api = serve(({ body }) => {
      const { spec } = body as { spec?: { resourceAttributes: Record<string, string> } };
      if (spec === undefined) return { kind: "ok", status: 201, body: {} };
      const { verb, resource, namespace, name } = spec.resourceAttributes;
      if (name !== undefined) asked.push([verb, resource, namespace, name]);
      const allowed = namespace !== "kube-system" && namespace !== "kube-public";
      return { kind: "ok", status: 201, body: { status: { allowed } } };
    });
    const checked = PERMISSIONS.length;
    expect(await missingRules(api, false)).toEqual({
      kind: "ok",
      rules: [],
      checked,
      account: null,
    });
    const use = "(letting machines join the cluster)";
    expect(await missingRules(api, true)).toEqual({
      kind: "ok",
      rules: [
        `create secrets in namespace kube-system ${use}`,
        `delete secrets in namespace kube-system ${use}`,
        `get configmaps cluster-info in namespace kube-public ${use}`,
      ],
      checked: checked + 3,
      account: null,
    });
    expect(asked).toEqual([["get", "configmaps", "kube-public", "cluster-info"]]);
  });
});

describe("missingRules() of an account without any", () => {
  const account = "system:serviceaccount:navarch:navarch";
  const denied: KubeAnswer = { kind: "ok", status: 201, body: { status: { allowed: false } } };
  const ask = (about: KubeAnswer) =>
    missingRules(
      serve(({ path }) => (path.endsWith("/selfsubjectreviews") ? about : denied)),
      false,
    );
  const said = `selfsubjectreviews is forbidden: User "${account}" cannot create resource "x"`;

  test.each<[string, KubeAnswer, string | null]>([
    ["by its own word", { kind: "ok", status: 201, body: reviewOf(account) }, account],
    ["by a refusal", forbidden(said), account],
    [
      "never where the server is older",
      { ...forbidden("not found"), status: 404 } as KubeAnswer,
      null,
    ],
    ["never where it does not answer", { kind: "lost", message: "no route" }, null],
    ["never where the answer is no review", { kind: "ok", status: 201, body: [] }, null],
  ])("names it %s", async (_, about, expected) => {
    const found = await ask(about);
    expect(found).toMatchObject({ kind: "ok", checked: PERMISSIONS.length, account: expected });
    expect(found.kind === "ok" ? found.rules : []).toHaveLength(PERMISSIONS.length);
  });
});

function reviewOf(username: string): unknown {
  return { kind: "SelfSubjectReview", status: { userInfo: { username } } };
}

describe("explainForbidden()", () => {
  const user = 'User "system:serviceaccount:navarch:navarch"';

  test("names the rule and what it is for", () => {
    const message =
      `nodes "gpu-17" is forbidden: ${user} cannot patch resource "nodes/status" ` +
      'in API group "" at the cluster scope';
    expect(explainForbidden(forbidden(message))).toBe(
      "forbidden: system:serviceaccount:navarch:navarch may not patch nodes/status " +
        "(conditions on the Node)",
    );
    const lease =
      `leases.coordination.k8s.io "n" is forbidden: ${user} cannot get resource "leases" in API ` +
      'group "coordination.k8s.io" in the namespace "kube-node-lease"';
    expect(explainForbidden(forbidden(lease))).toContain(
      "may not get leases.coordination.k8s.io in namespace kube-node-lease",
    );
    const other = `x is forbidden: ${user} cannot create resource "nodes" in API group "" at the`;
    expect(explainForbidden(forbidden(other))).toBe(
      "forbidden: system:serviceaccount:navarch:navarch may not create nodes",
    );
    const bare = 'cannot create resource "nodes" in API group ""';
    expect(explainForbidden(forbidden(bare))).toBe(
      "forbidden: the control plane's account may not create nodes",
    );
  });

  test("leaves everything else alone", () => {
    expect(explainForbidden(forbidden("admission webhook said no"))).toBeNull();
    expect(explainForbidden({ kind: "ok", status: 200, body: {} })).toBeNull();
    expect(explainForbidden({ kind: "lost", message: "" })).toBeNull();
  });
});
