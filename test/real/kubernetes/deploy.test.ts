/**
 * The shipped manifests on a real API server: they apply, a second time without a change, over the
 * guide's own too; the accounts may do what the golden files say; and every option is accepted.
 * `UPDATE=1` rewrites the golden files.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parse } from "yaml";
import {
  DEPLOY,
  GUIDE,
  type KubeObject,
  one,
  parseObjects,
  plainObjects,
  runTool,
  type Workload,
} from "../../deploy/object.ts";
import { NAVARCH, buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { openCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: manifests on a real API server: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("a Kubernetes API server is here to install on", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const CONTROL_PLANE = "system:serviceaccount:navarch:navarch-control-plane";
const AGENT = "system:serviceaccount:navarch:navarch-node-agent";

/** Makes the cluster's `kubectl` fail the test unless it exits with 0, and gives its lines. */
async function lines(cluster: Cluster, ...args: string[]): Promise<string[]> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${out}${err}`);
  return out.split("\n").filter((line) => line !== "");
}

const notUnchanged = (all: string[]): string[] => all.filter((line) => !/ unchanged$/.test(line));

/** Controllers collect leases and answer for accounts; nobody has to be scheduled. */
const PARTS = { parts: { scheduler: false, kwok: false }, productRules: null } as const;

describe.skipIf(missing !== null)("on an empty cluster", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await openCluster(PARTS);
    const created = await lines(cluster, "apply", "-f", DEPLOY);
    expect(created.filter((line) => !/ created$/.test(line))).toEqual([]);
    expect(created.length).toBe(plainObjects().length);
    await lines(cluster, "apply", "-f", join(GUIDE, "monitoring-crd.yaml"));
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("a second `kubectl apply -f deploy/` changes nothing, and writes nothing", async () => {
    const all = ["get", "namespace,secret,configmap,deployment,daemonset,service,serviceaccount"];
    const version = ["-n", "navarch", "-o", "jsonpath={.items[*].metadata.generation}"];
    const before = await lines(cluster, ...all, ...version);
    expect(notUnchanged(await lines(cluster, "apply", "-f", DEPLOY))).toEqual([]);
    expect(notUnchanged(await lines(cluster, "apply", "-k", DEPLOY))).toEqual([]);
    expect(await lines(cluster, ...all, ...version)).toEqual(before);
  });

  test("`navarch manifests kubernetes`, of the compiled binary, is the same", async () => {
    await buildStale();
    const stdin = runTool([NAVARCH, "manifests", "kubernetes"]);
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(applied.err).toBe("");
    expect(notUnchanged(applied.out.trim().split("\n"))).toEqual([]);
  }, 120_000);

  test("a Secret that was filled in stays so", async () => {
    const patch = JSON.stringify({ stringData: { "auth-token": "a-real-one" } });
    const secret = ["-n", "navarch", "secret", "navarch-credentials"];
    await lines(cluster, "patch", ...secret, "--type=merge", "-p", patch);
    await lines(cluster, "apply", "-f", DEPLOY);
    const [kept] = await lines(cluster, "get", ...secret, "-o", "jsonpath={.data.auth-token}");
    expect(Buffer.from(kept ?? "", "base64").toString()).toBe("a-real-one");
  });

  const overlays = readdirSync(join(DEPLOY, "overlay")).map((name) => `overlay/${name}`);
  const chosen = ["monitoring", ...overlays];

  /** A kustomization of somebody's own, who wants `components` besides the plain manifests. */
  function assemble(components: readonly string[]): string {
    const folder = mkdtempSync(join(cluster.folder, "chosen-"));
    const from = (path: string): string => relative(folder, join(DEPLOY, path));
    const text = JSON.stringify({ resources: [from("")], components: components.map(from) });
    writeFileSync(join(folder, "kustomization.yaml"), text);
    return folder;
  }

  test.each(chosen)("the server accepts it with %s", async (name) => {
    const components = name === "overlay/release-label" ? ["monitoring", name] : [name];
    const plain = await lines(cluster, "kustomize", DEPLOY);
    // Where Slurm's pods are, their namespace is.
    if (name === "overlay/slurm-pods") await lines(cluster, "create", "namespace", "slurm");
    const folder = assemble(components);
    const with_ = await lines(cluster, "kustomize", folder);
    // An option that changes nothing is none.
    expect(with_).not.toEqual(plain);
    const applied = await lines(cluster, "apply", "-k", folder, "--dry-run=server");
    expect(applied.length).toBeGreaterThanOrEqual(plainObjects().length - 1);
  });

  test("the server accepts all options at once", async () => {
    const folder = assemble(chosen);
    const applied = await lines(cluster, "apply", "-k", folder, "--dry-run=server");
    expect(applied.length).toBeGreaterThan(plainObjects().length);
    const [example] = await lines(cluster, "apply", "-f", join(DEPLOY, "example"));
    expect(example).toBe("job.batch/training-job created");
  });

  test("overlay/narrow-delete narrows a plain installation", async () => {
    const mayDelete = async (namespace: string): Promise<string> => {
      const ask = ["auth", "can-i", "delete", "pods", `--as=${CONTROL_PLANE}`, "-n", namespace];
      return (await cluster.kubectl(...ask)).out.trim();
    };
    const may = async (): Promise<string[]> => {
      return Promise.all(["default", "kube-system"].map(mayDelete));
    };
    expect(await may()).toEqual(["yes", "yes"]);
    for (const flags of [[], ["--server-side", "--force-conflicts"]]) {
      await lines(cluster, "apply", ...flags, "-k", assemble(["overlay/narrow-delete"]));
      await until("the server knows the narrow binding", 30_000, async () => {
        return (await may()).join() === "yes,no" ? true : null;
      });
      await lines(cluster, "apply", ...flags, "-f", DEPLOY);
      await until("the server knows the wide binding", 30_000, async () => {
        return (await may()).join() === "yes,yes" ? true : null;
      });
    }
  }, 120_000);

  test("overlay/ha over a plain installation no longer uses the volume", async () => {
    const get = ["-n", "navarch", "get", "deployment,persistentvolumeclaim", "-o", "json"];
    const state = async (): Promise<unknown[]> => {
      const text = (await lines(cluster, ...get)).join("\n");
      const { items } = JSON.parse(text) as { items: KubeObject[] };
      const { spec } = one<Workload>(items, "Deployment");
      const volume = spec.template.spec.volumes.find(({ name }) => name === "state");
      return [spec.replicas, volume, one(items, "PersistentVolumeClaim").metadata.name];
    };
    const claim = { name: "state", persistentVolumeClaim: { claimName: "navarch-state" } };
    expect(await state()).toEqual([1, claim, "navarch-state"]);
    await lines(cluster, "apply", "-k", assemble(["overlay/ha"]));
    expect(await state()).toEqual([2, { name: "state", emptyDir: {} }, "navarch-state"]);
    await lines(cluster, "apply", "-f", DEPLOY);
    expect(await state()).toEqual([1, claim, "navarch-state"]);
  }, 60_000);

  test("the control plane's pod passes where `restricted` is enforced, the agent's does not", async () => {
    const label = "pod-security.kubernetes.io/enforce=restricted";
    await lines(cluster, "create", "namespace", "strict");
    await lines(cluster, "label", "namespace", "strict", label);
    const said: string[] = [];
    for (const kind of ["Deployment", "DaemonSet"]) {
      const { spec } = one<Workload>(plainObjects(), kind).spec.template;
      const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "strict" } };
      const stdin = JSON.stringify({ ...pod, spec: { ...spec, serviceAccountName: "default" } });
      await until("the namespace has an account", 30_000, async () => {
        const got = await cluster.kubectl("-n", "strict", "get", "serviceaccount", "default");
        return got.code === 0 ? true : null;
      });
      const how = { user: "admin", stdin } as const;
      const { code, err } = await cluster.kubectlWith(how, "apply", "--dry-run=server", "-f", "-");
      said.push(code === 0 ? "accepted" : /violates PodSecurity/.test(err) ? "refused" : err);
    }
    expect(said).toEqual(["accepted", "refused"]);
  });

  test.each([
    ["control-plane", CONTROL_PLANE, "navarch"],
    ["control-plane-leases", CONTROL_PLANE, "kube-node-lease"],
    ["node-agent", AGENT, "navarch"],
  ])("`kubectl auth can-i --list` is the golden file %s", async (name, account, namespace) => {
    const list = ["auth", "can-i", "--list", `--as=${account}`, "-n", namespace];
    // The server orders rows and verbs by its caches, and shows twice what two roles grant.
    const [head = "", ...rows] = await lines(cluster, ...list);
    const sorted = (verbs: string): string => `[${verbs.split(" ").sort().join(" ")}]`;
    const words = (line: string): string =>
      line
        .trim()
        .split(/ {2,}/)
        .join("  ")
        .replace(/\[([a-z ]+)\]$/, (_, verbs) => sorted(verbs));
    const found = [words(head), ...new Set(rows.map(words).sort())].join("\n");
    const path = join(GUIDE, "can-i", `${name}.txt`);
    if (process.env["UPDATE"] === "1") {
      mkdirSync(join(GUIDE, "can-i"), { recursive: true });
      writeFileSync(path, `${found}\n`);
    }
    expect(`${found}\n`).toBe(readFileSync(path, "utf8"));
  });

  test("the Lease of a deleted Node goes without our help, whom the server forbids it", async () => {
    const [node] = await cluster.addNodes(1);
    if (node === undefined) throw new Error("no node");
    const { name, uid } = node.metadata;
    // As a kubelet writes it: owned by its Node.
    const owner = { apiVersion: "v1", kind: "Node", name, uid };
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name, namespace: "kube-node-lease", ownerReferences: [owner] },
      spec: { holderIdentity: name, leaseDurationSeconds: 40 },
    };
    const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    await cluster.json(leases, { method: "POST", body: lease });
    const headers = { "Impersonate-User": CONTROL_PLANE };
    const del = { method: "DELETE", headers };
    expect((await cluster.request(`${leases}/${name}`, del)).status).toBe(403);
    const body = { preconditions: { uid } };
    const gone = await cluster.request(`/api/v1/nodes/${name}`, { ...del, body });
    expect(gone.status).toBe(200);
    await until("the garbage collector takes the Lease", 60_000, async () => {
      return (await cluster.request(`${leases}/${name}`)).status === 404 ? true : null;
    });
  }, 90_000);

  test("overlay/flow-control puts evictions, and no reads, in a share of their own", async () => {
    await lines(cluster, "apply", "-f", join(DEPLOY, "overlay/flow-control"));
    const level = "jsonpath={.metadata.uid}";
    const schema = "navarch-control-plane.navarch.navarch";
    const [uid = ""] = await lines(cluster, "get", "flowschema", schema, "-o", level);
    const ask = async (path: string, method: string): Promise<string | null> => {
      const headers = {
        "Impersonate-User": CONTROL_PLANE,
        "Impersonate-Group": "system:serviceaccounts",
      };
      const body = method === "POST" ? { apiVersion: "policy/v1", kind: "Eviction" } : undefined;
      const answer = await cluster.request(path, { method, headers, body });
      return answer.headers.get("x-kubernetes-pf-flowschema-uid");
    };
    const pod = "/api/v1/namespaces/default/pods/nobody";
    await until("the schema is in use", 30_000, async () => {
      return (await ask(`${pod}/eviction`, "POST")) === uid ? true : null;
    });
    expect(await ask("/api/v1/nodes/nobody", "DELETE")).toBe(uid);
    expect(await ask("/api/v1/nodes", "GET")).not.toBe(uid);
  }, 60_000);

  describe("overlay/admission-policy", () => {
    const FOREIGN = { key: "example.com/theirs", effect: "NoSchedule" };
    const OURS = { key: "navarch.dev/unhealthy", value: "fatal", effect: "NoSchedule" };
    const GONE = { key: "node.kubernetes.io/out-of-service", effect: "NoExecute" };
    let path = "";

    type Body = { metadata?: object; spec?: { taints?: object[] } & object };

    /** The cluster's own controller taints what is cordoned or not ready yet: that stays. */
    const beside = async (body: Body): Promise<Body> => {
      type Tainted = {
        metadata: { resourceVersion: string };
        spec: { taints?: { key: string }[] };
      };
      const { metadata, spec } = await cluster.json<Tainted>(path);
      const isTheirs = (key: string): boolean =>
        key.startsWith("node.kubernetes.io/") && key !== GONE.key;
      const theirs = (spec.taints ?? []).filter(({ key }) => isTheirs(key));
      const taints = [...theirs, ...(body.spec?.taints ?? [])];
      const { resourceVersion } = metadata;
      return { metadata: { ...body.metadata, resourceVersion }, spec: { ...body.spec, taints } };
    };

    const patch = async (body: Body, as: string | null = CONTROL_PLANE): Promise<Response> => {
      for (;;) {
        const answer = await cluster.request(path, {
          method: "PATCH",
          contentType: "application/merge-patch+json",
          headers: as === null ? {} : { "Impersonate-User": as },
          body: body.spec?.taints === undefined ? body : await beside(body),
        });
        if (answer.status !== 409) return answer;
      }
    };

    beforeAll(async () => {
      await lines(cluster, "apply", "-f", join(DEPLOY, "overlay/admission-policy"));
      const [node] = await cluster.addNodes(1, { annotations: { "example.com/a": "1" } });
      path = `/api/v1/nodes/${node?.metadata.name ?? ""}`;
      await patch({ spec: { taints: [FOREIGN] } }, null);
      let probe = 0;
      await until("the policy is in use", 30_000, async () => {
        // Another value each time: what changes nothing is never refused.
        const forbidden = { metadata: { labels: { "example.com/probe": String(probe++) } } };
        return (await patch(forbidden)).status === 422 ? true : null;
      });
    }, 60_000);

    test("found nothing wrong with the types of its own expressions", async () => {
      type Checked = { status?: { typeChecking?: { expressionWarnings?: unknown[] } } };
      const group = "/apis/admissionregistration.k8s.io/v1";
      const at = `${group}/validatingadmissionpolicies/navarch-node-writes.navarch.navarch`;
      const status = await until("the types are checked", 30_000, async () => {
        return (await cluster.json<Checked>(at)).status?.typeChecking ?? null;
      });
      expect(status.expressionWarnings ?? []).toEqual([]);
    }, 40_000);

    test.each([
      ["cordons", { spec: { unschedulable: true } }],
      ["sets its taints beside others'", { spec: { taints: [FOREIGN, OURS, GONE] } }],
      ["takes its taints away", { spec: { taints: [FOREIGN] } }],
      ["notes the session", { metadata: { annotations: { "navarch.dev/session": "s" } } }],
      ["clears it", { metadata: { annotations: { "navarch.dev/session": null } } }],
      ["labels with pool and its labels", { metadata: { labels: { workload: "training" } } }],
      ["labels with the pool", { metadata: { labels: { "navarch.dev/pool": "a" } } }],
      ["uncordons", { spec: { unschedulable: null } }],
    ])("the control plane %s", async (_what, body) => {
      const answer = await patch(body);
      expect([answer.status, answer.ok ? "" : await answer.text()]).toEqual([200, ""]);
    });

    test.each([
      ["labels", { metadata: { labels: { "example.com/l": "1" } } }, "changed: example.com/l"],
      ["takes a label", { metadata: { labels: { "kubernetes.io/hostname": null } } }, "label of"],
      ["annotates", { metadata: { annotations: { "example.com/a": "2" } } }, "annotation of"],
      ["takes a note", { metadata: { annotations: { "example.com/a": null } } }, "annotation of"],
      ["taints", { spec: { taints: [FOREIGN, { ...FOREIGN, key: "x" }] } }, "added or changed"],
      ["takes a taint", { spec: { taints: [OURS] } }, "removed or changed"],
      ["hardens one", { spec: { taints: [{ ...FOREIGN, effect: "NoExecute" }] } }, "taint of"],
      ["holds the object", { metadata: { finalizers: ["example.com/f"] } }, "finalizers"],
      ["gives it a network", { spec: { podCIDR: "10.9.0.0/24" } }, "unschedulable and taints"],
    ])("the control plane never %s as others would", async (_what, body, why) => {
      const answer = await patch(body);
      expect([answer.status, await answer.text()]).toEqual([422, expect.stringContaining(why)]);
    });

    test("does not bind anybody else", async () => {
      const body = { metadata: { labels: { "example.com/l": "1" } } };
      expect((await patch(body, null)).status).toBe(200);
    });
  });
});

describe.skipIf(missing !== null)("with the guide's own blocks", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await openCluster(PARTS);
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test.each(["v3", "v4", "v5", "v8"])("%s applies as it is written", async (name) => {
    const applied = await lines(cluster, "apply", "-f", join(GUIDE, `${name}.yaml`));
    expect(applied.filter((line) => !/ created$/.test(line))).toEqual([]);
  });

  test("v9 and v10 apply where Prometheus Operator's kinds are", async () => {
    await lines(cluster, "apply", "-f", join(GUIDE, "monitoring-crd.yaml"));
    const v9 = ["apply", "-f", join(GUIDE, "v9.yaml")];
    // The kinds are known a moment after they are made.
    await until("the kinds are served", 30_000, async () => {
      return (await cluster.kubectl(...v9)).code === 0 ? true : null;
    });
    const spec: unknown = parse(readFileSync(join(GUIDE, "v10.yaml"), "utf8"));
    const metadata = { name: "guide", namespace: "navarch" };
    const kind = { apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule" };
    const stdin = JSON.stringify({ ...kind, metadata, spec });
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(applied.out.trim()).toBe("prometheusrule.monitoring.coreos.com/guide created");
  }, 60_000);

  test("our manifests apply over them, and the Secret keeps its values", async () => {
    await lines(cluster, "apply", "-f", DEPLOY);
    expect(notUnchanged(await lines(cluster, "apply", "-f", DEPLOY))).toEqual([]);
    const get = ["-n", "navarch", "get", "secret,deployment", "-o", "json"];
    const answer = JSON.parse((await lines(cluster, ...get)).join("\n")) as { items: never[] };
    const secret = one(answer.items, "Secret", "navarch-credentials");
    const theirs = one(parseObjects(readFileSync(join(GUIDE, "v3.yaml"), "utf8")), "Secret");
    const decoded = Object.entries(secret.data ?? {}).map(([key, value]) => {
      return [key, Buffer.from(value, "base64").toString()];
    });
    expect(Object.fromEntries(decoded)).toEqual(theirs.stringData ?? {});
    const deployment = one<Workload>(answer.items, "Deployment");
    expect(deployment.spec.strategy).toEqual({ type: "Recreate" });
  });
});
