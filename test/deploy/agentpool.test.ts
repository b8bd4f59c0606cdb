/**
 * What is shipped for AgentPools, without a cluster: rendered files are current, the seed's files
 * are unmodified, and the definition is small. `test/real/agentpool/` applies them.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { AGENT_POOL_CRD } from "../../deploy/agentpool/crd.ts";
import { AGENT_POOL, AUTOSCALER_FIELDS } from "../../schema/agentpool-resource.ts";
import { readPool } from "../../reconciler/agentpool/read-pool.ts";
import { navarch } from "../cli/spawn.ts";
import { one, parseObjects } from "./object.ts";

const GUIDE = join(ROOT, "deploy/guide/agentpool");
const read = (path: string): string => readFileSync(join(GUIDE, path), "utf8");

/** Of each block as its guide publishes it. */
const SEED = {
  "cpu-pool.yaml": "88a3cc2c872330d3b4e8a96567a9c4022b29c405a749ce6ee9cc7650bc49b002",
  "gpu-pool.yaml": "bb2229d06345d0b11b71f54defa072c2bdea671a775cf010f3f5b32a97ed45bf",
  "shell.yaml": "dd99ee36f87d224ef7476ac215406d982037426ce3f0358074c987f124de4b1a",
  "velda-config.yaml": "9fd64999569b440cd4a9e5ff7aecf7b45712beb009b33ef3d8ebddb13ca288bb",
};
const COMPLETE = "1eff636f489d651ef2c35f851485d248f6e6f6ae2dd1d145d5a80d7a4cdc1d1d";

const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("files of the guide for AgentPools", () => {
  const rendered: [string, string[]][] = [
    ["k8s/crd/agentpool-crd.yaml", ["crd"]],
    ["velda-rbac.yaml", ["agentpool"]],
    ["velda-rbac-namespaced.yaml", ["agentpool", "--in", "default"]],
  ];
  test.each(rendered)("V2, V48: %s is what `navarch manifests` prints", async (path, words) => {
    const ran = await navarch(["manifests", ...words]);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out).toBe(read(path));
  });

  test("A2: the seed's files are unmodified, here and where the tests apply them", () => {
    const folder = join(ROOT, "test/agentpool/seed");
    expect(readdirSync(folder).sort()).toEqual(Object.keys(SEED));
    for (const [name, digest] of Object.entries(SEED)) {
      expect([name, digestOf(read(name))]).toEqual([name, digest]);
      expect(readFileSync(join(folder, name), "utf8")).toBe(read(name));
    }
    expect(digestOf(read("pool-name.yaml"))).toBe(COMPLETE);
  });
});

describe("the control plane judges as the definition does, where a cluster ignores CEL", () => {
  const folder = join(ROOT, "test/agentpool");
  const metadata = { uid: "u", resourceVersion: "1", generation: 1 };
  /** Every pool of a file, with what only a server adds. */
  const poolsOf = (path: string) =>
    parseObjects(readFileSync(path, "utf8"))
      .filter(({ kind }) => kind === AGENT_POOL.kind)
      .map((object) => readPool({ ...object, metadata: { ...object.metadata, ...metadata } }));

  // Unknown fields are the API server's alone to refuse; it prunes them.
  const bad = readdirSync(join(folder, "bad")).filter((name) => name !== "misspelt-field.yaml");
  test.each(bad)("V5: bad/%s is a problem with its field", (name) => {
    const path = join(folder, "bad", name);
    const [, field = ""] = /^# expect: ([^"*\s]+)/m.exec(readFileSync(path, "utf8")) ?? [];
    const start = field.replaceAll("\\", "").replace(/\.$/, "");
    const [pool] = poolsOf(path);
    expect([name, pool?.problems.some((one) => one.startsWith(start))]).toEqual([name, true]);
  });

  const good = ["seed/cpu-pool", "seed/gpu-pool", "seed/shell", "t1", "twins", "failing"];
  test.each(good)("%s.yaml has no problem", (name) => {
    const pools = poolsOf(join(folder, `${name}.yaml`));
    expect(pools.length).toBeGreaterThan(0);
    expect(pools.flatMap((pool) => pool?.problems ?? ["not read"])).toEqual([]);
  });
});

describe("navarch manifests crd", () => {
  test("V2, X2: compact JSON is a tenth of what a client-side apply can annotate", () => {
    expect(JSON.stringify(AGENT_POOL_CRD).length).toBeLessThan(26_214);
  });

  test("V2: -o json prints a List", async () => {
    const { out } = await navarch(["manifests", "crd", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({ kind: "List", items: [AGENT_POOL_CRD] });
  });

  test("V3: the autoscaler's fields have these defaults", () => {
    const fields = AUTOSCALER_FIELDS.map((field) => [field.name, field.default, field.minimum]);
    expect(fields).toEqual([
      ["minReplicas", 0, 0],
      ["maxReplicas", null, 0],
      ["minIdle", null, 0],
      ["maxIdle", null, 0],
      ["idleDecaySecond", 60, 0],
      ["killUnknownAfterSecond", 300, 0],
      ["defaultSlotsPerAgent", 1, 1],
    ]);
  });

  test("V5: no rule needs more than the first CEL, and only one needs CEL", () => {
    const text = JSON.stringify(AGENT_POOL_CRD);
    expect(text.split("x-kubernetes-validations")).toHaveLength(2);
    expect(text).not.toMatch(/fieldPath|messageExpression|optionalOldSelf/);
  });
});

describe("navarch manifests agentpool", () => {
  const kindsOf = (text: string) => parseObjects(text).map(({ kind }) => kind);

  test("V48: no wildcard, no update but of finalizers, no secret, no deletion of nodes", () => {
    const role = one(
      parseObjects(read("velda-rbac.yaml")),
      "ClusterRole",
      "velda-apiserver.velda.agentpools",
    );
    const grants = (role.rules ?? []).flatMap(({ resources, verbs }) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
    );
    const bad = grants.filter((one) =>
      /\*|secrets|^(update|deletecollection|escalate|bind) /.test(one),
    );
    expect(bad).toEqual([`update ${AGENT_POOL.plural}/finalizers`]);
    expect(grants).not.toContain("delete nodes");
  });

  test("V48: an account that is there is bound and not printed, in each namespace once", async () => {
    const words = ["--account", "navarch/navarch-control-plane", "--in", "a,b", "--in", "a"];
    const { code, out } = await navarch(["manifests", "agentpool", ...words]);
    expect([code, kindsOf(out)]).toEqual([
      0,
      [
        ...["ClusterRole", "ClusterRoleBinding"],
        ...["Role", "RoleBinding", "Role", "RoleBinding"],
        ...["ClusterRole", "ClusterRole"],
      ],
    ]);
    const subjects = parseObjects(out).flatMap((object) => object.subjects ?? []);
    const account = { namespace: "navarch", name: "navarch-control-plane" };
    expect(subjects).toEqual(subjects.map(() => ({ kind: "ServiceAccount", ...account })));
  });

  const refused = [
    ["--in", "Team"],
    ["--in", "a,"],
    ["--in", "a b"],
    ["--account", "velda"],
    ["--account", "a/b/c"],
    ["--account", "a/B"],
    ["--account", "a/b\n- x"],
  ];
  test.each(refused)("refuses %s %j", async (flag, value) => {
    const ran = await navarch(["manifests", "agentpool", flag, value]);
    expect([ran.code, ran.out, ran.err]).toEqual([2, "", expect.stringContaining(flag)]);
  });
});
