/**
 * The resource AgentPool on a real API server: it is installed as users install it, the seed's
 * files are accepted as they are, and what is wrong is refused with the name of its field.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { AUTOSCALER_FIELDS } from "../../../schema/agentpool-resource.ts";
import { navarch } from "../../cli/spawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: AgentPool on a real API server: ${missing}`);

test("a Kubernetes API server is here for AgentPools", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const FILES = join(ROOT, "test/agentpool");
const GUIDE = join(ROOT, "deploy/guide/agentpool");
const BAD = readdirSync(join(FILES, "bad"));
const POOLS = "/apis/velda.io/v1/namespaces/default/agentpools";

type Pool = {
  metadata: { name: string; generation: number };
  spec: { autoscaler: Record<string, number>; template: { spec: Record<string, unknown> } };
};

let cluster: Cluster;

/** What `kubectl` prints; fails unless it exits with 0. */
async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${out}${err}`);
  return out;
}

const applied = (object: unknown, ...more: string[]): Promise<Ran> =>
  cluster.kubectlWith(
    { user: "admin", stdin: JSON.stringify(object) },
    "apply",
    "-f",
    "-",
    ...more,
  );

const container = { name: "agent", image: "veldaio/agent:latest" };
const poolOf = (name: string, spec: object = {}) => ({
  apiVersion: "velda.io/v1",
  kind: "AgentPool",
  metadata: { name, namespace: "default" },
  spec: {
    autoscaler: { maxReplicas: 4, minIdle: 1, maxIdle: 2 },
    template: { metadata: { labels: { app: name } }, spec: { containers: [container] } },
    ...spec,
  },
});

async function openWithPools(): Promise<void> {
  // Roles are aggregated by a controller; no pod is scheduled.
  cluster = await openCluster({ parts: { scheduler: false, kwok: false }, productRules: null });
  const printed = await navarch(["manifests", "crd"]);
  expect([printed.code, printed.err]).toEqual([0, ""]);
  const { code, out } = await cluster.kubectlWith(
    { user: "admin", stdin: printed.out },
    ...["apply", "-f", "-"],
  );
  expect([code, out]).toEqual([0, expect.stringMatching(/agentpools\.velda\.io created\n$/)]);
  await ok("wait", "--for=condition=Established", "--timeout=30s", "crd/agentpools.velda.io");
}

describe.skipIf(missing !== null)("AgentPool on a real API server", () => {
  beforeAll(openWithPools, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("A1, V1: the definition is there under its names, and applied again unchanged", async () => {
    type Definition = { spec: { names: object; scope: string; versions: object[] } };
    const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const { spec } = await cluster.json<Definition>(`${definitions}/agentpools.velda.io`);
    expect(spec.scope).toBe("Namespaced");
    expect(spec.names).toEqual({
      plural: "agentpools",
      singular: "agentpool",
      shortNames: ["ap"],
      kind: "AgentPool",
      listKind: "AgentPoolList",
      categories: ["all"],
    });
    expect(spec.versions).toMatchObject([{ name: "v1", served: true, storage: true }]);
    const again = await ok("apply", "-f", join(GUIDE, "k8s/crd/agentpool-crd.yaml"));
    expect(again).toEndWith("agentpools.velda.io unchanged\n");
    for (const word of ["ap", "agentpool", "agentpools.velda.io", "all"]) {
      await ok("get", word, "-n", "default");
    }
  }, 60_000);

  test("A1, V8: explain lists the seven fields of the autoscaler with text", async () => {
    const names = AUTOSCALER_FIELDS.map(({ name }) => name);
    // The server publishes the text a moment after the definition is established.
    const out = await until("the definition is published", 30_000, async () => {
      const ran = await cluster.kubectl("explain", "agentpool.spec.autoscaler");
      return ran.code === 0 ? ran.out : null;
    });
    const line = new RegExp(`^ +(${names.join("|")})`, "gm");
    expect([...out.matchAll(line)].map(([, name]) => name)).toEqual(names.toSorted());
    for (const { name } of AUTOSCALER_FIELDS) {
      const told = await ok("explain", `agentpool.spec.autoscaler.${name}`);
      expect([name, /DESCRIPTION:\s+\S.{20}/.test(told)]).toEqual([name, true]);
    }
    const whole = await ok("explain", "agentpool", "--recursive");
    for (const part of ["lastAllocationError", "effective", "instanceType", "finalizers"]) {
      expect(whole).toContain(part);
    }
  }, 60_000);

  test("A2, X1: the seed's files are applied as they are, twice, with their defaults", async () => {
    await ok("apply", "-f", join(FILES, "seed"));
    const again = (await ok("apply", "-f", join(FILES, "seed"))).trim().split("\n");
    expect(again).toHaveLength(4);
    expect(again.filter((line) => !line.endsWith(" unchanged"))).toEqual([]);
    const scalerOf = async (name: string) => {
      return (await cluster.json<Pool>(`${POOLS}/${name}`)).spec.autoscaler;
    };
    expect(await scalerOf("shell")).toEqual({
      ...{ minIdle: 1, maxIdle: 2, maxReplicas: 4, idleDecaySecond: 60 },
      ...{ minReplicas: 0, killUnknownAfterSecond: 300, defaultSlotsPerAgent: 1 },
    });
    expect(await scalerOf("gpu-pool")).toMatchObject({
      minReplicas: 0,
      killUnknownAfterSecond: 900,
    });
    expect(await scalerOf("cpu-pool")).toMatchObject({
      minReplicas: 2,
      killUnknownAfterSecond: 300,
    });
  }, 60_000);

  test("A2, V7: the default table is NAME and AGE, and -o wide tells the rest", async () => {
    const table = await ok("get", "agentpools", "-n", "default");
    expect(table.split("\n")[0]?.replaceAll(/ +/g, " ").trim()).toBe("NAME AGE");
    expect(table).toMatch(/^shell +\d+s$/m);
    const status = {
      size: 3,
      idleSlots: 0,
      queuedClaims: 2,
      workers: { Idle: 0, Running: 2, Pending: 1 },
      conditions: [
        { type: "AtMax", status: "False", reason: "BelowMax" },
        { type: "Ready", status: "False", reason: "Scaling" },
      ],
    };
    await cluster.json(`${POOLS}/shell/status`, {
      method: "PATCH",
      contentType: "application/merge-patch+json",
      body: { status },
    });
    const wide = await ok("get", "ap", "shell", "-n", "default", "-o", "wide");
    const [head = "", row = ""] = wide.split("\n");
    expect(head.replaceAll(/ +/g, " ").trim()).toBe(
      "NAME AGE MIN MAX SIZE IDLE BUSY PENDING QUEUED REASON",
    );
    expect(row.trim().split(/ +/).toSpliced(1, 1)).toEqual([
      ...["shell", "0", "4", "3", "0", "2", "1", "2", "Scaling"],
    ]);
  }, 60_000);

  test("A2: the seed's other files are accepted", async () => {
    await ok("create", "namespace", "velda");
    for (const name of ["pool-name.yaml", "gpu-pool-updated.yaml"]) {
      await ok("apply", "--dry-run=server", "-f", join(GUIDE, name));
    }
    for (const name of ["t1.yaml", "twins.yaml", "failing.yaml", "deny-pods.yaml"]) {
      await ok("apply", "--dry-run=server", "-f", join(FILES, name));
    }
  }, 60_000);

  test.each(BAD)(
    "A3, V5: %s is refused, and its field is named",
    async (name) => {
      const path = join(FILES, "bad", name);
      const [, expected = ""] = /^# expect: (.+)$/m.exec(readFileSync(path, "utf8")) ?? [];
      expect(expected).not.toBe("");
      const { code, err } = await cluster.kubectl("apply", "-f", path);
      expect(code).toBe(1);
      expect(err).toMatch(new RegExp(expected));
    },
    30_000,
  );

  test("A3: a shell that looks for the expected text finds it in each refusal", () => {
    const loop =
      'for f in bad/*.yaml; do "$K" apply -f $f >/dev/null 2>"$E" && echo "FAIL A3 $f"; ' +
      'grep -q "$(sed -n \'s/^# expect: //p\' $f)" "$E" || echo "FAIL A3 text $f"; done';
    const env = {
      ...{ PATH: process.env["PATH"] ?? "", HOME: cluster.folder },
      ...{ KUBECONFIG: cluster.kubeconfig(), K: binaryPath("kubectl") },
      E: join(cluster.folder, "refusal"),
    };
    const { stdout, stderr } = Bun.spawnSync(["bash", "-c", loop], { cwd: FILES, env });
    expect([stdout.toString(), stderr.toString()]).toEqual(["", ""]);
  }, 60_000);

  test("V5: 57 characters are a name", async () => {
    const done = await applied(poolOf("a".repeat(57)), "--dry-run=server");
    expect(done).toMatchObject({ code: 0, err: "" });
  });

  test("V5, X2: a change is refused as a new pool is", async () => {
    const patch = JSON.stringify({ spec: { autoscaler: { minReplicas: 21 } } });
    const ran = await cluster.kubectl(
      ...["-n", "default", "patch", "ap", "cpu-pool", "--type", "merge", "-p", patch],
    );
    expect([ran.code, ran.err]).toEqual([
      1,
      expect.stringContaining("maxReplicas must be at least minReplicas"),
    ]);
  });

  test("V3: a pool without autoscaler is one, and gets none by default", async () => {
    const { template } = poolOf("static").spec;
    const done = await applied({ ...poolOf("static"), spec: { template } });
    expect(done).toMatchObject({ code: 0, err: "" });
    const { spec } = await cluster.json<Pool>(`${POOLS}/static`);
    expect(Object.keys(spec)).toEqual(["template"]);
  });

  test("V4, X12: fields of a PodSpec that nobody knows yet survive storage", async () => {
    const unknown = {
      fromTheFuture: { deep: [{ more: true }], aNull: 1 },
      containers: [{ ...container, gpuMode: "shared", ports: [{ containerPort: 1, later: "x" }] }],
      nodeSelector: { a: "b" },
    };
    const template = {
      ...{ apiVersion: "v1", kind: "Pod", status: { phase: "Running" } },
      metadata: {
        ...{ name: "worker", namespace: "default", labels: { app: "x" } },
        ...{ annotations: { a: "b" }, finalizers: ["example.com/hold"], creationTimestamp: null },
      },
      spec: unknown,
    };
    const done = await applied(poolOf("future", { template }));
    expect(done).toMatchObject({ code: 0, err: "" });
    const { spec } = await cluster.json<Pool>(`${POOLS}/future`);
    expect(spec.template.spec).toEqual(unknown);
    expect(spec.template).toMatchObject({ metadata: { finalizers: ["example.com/hold"] } });
  });

  test("V6: a write of the status leaves the spec, and a write of the spec the status", async () => {
    const before = await cluster.json<Pool>(`${POOLS}/shell`);
    const patch = { method: "PATCH", contentType: "application/merge-patch+json" } as const;
    const body = { status: { size: 9 }, spec: { autoscaler: { maxReplicas: 99 } } };
    type Shown = Pool & { status: object };
    const shown = await cluster.json<Shown>(`${POOLS}/shell/status`, { ...patch, body });
    expect(shown.status).toMatchObject({ size: 9 });
    expect(shown.spec).toEqual(before.spec);
    expect(shown.metadata.generation).toBe(before.metadata.generation);
    const wanted = { status: { size: 1 }, spec: { autoscaler: { maxIdle: 3 } } };
    const after = await cluster.json<Shown>(`${POOLS}/shell`, { ...patch, body: wanted });
    expect(after.status).toMatchObject({ size: 9 });
    expect(after.metadata.generation).toBe(before.metadata.generation + 1);
  });

  test("V6, V51: a tool that applies on the server's side sees no difference afterwards", async () => {
    const words = ["--server-side", "--field-manager=argocd", "-f", join(FILES, "t1.yaml")];
    await ok("apply", ...words);
    const diff = await cluster.kubectl("diff", ...words);
    expect([diff.code, diff.out]).toEqual([0, ""]);
  }, 30_000);
});
