/**
 * Workflows inside a cluster: the guide's account, role and Job on a real API server, and the
 * compiled binary that runs a workflow as that account.
 *
 * Adapter: processes, files.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { one, parseObjects } from "../../deploy/object.ts";
import { buildStale, cleanEnv, NAVARCH } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: workflows inside a cluster: ${missing}`);

/** A pod's files are put in place by mounts. */
const notRoot = process.getuid?.() === 0 && Bun.which("unshare") ? null : "needs root and unshare";
if (notRoot !== null) console.error(`SKIPPED: workflows as a pod: ${notRoot}`);

test("a cluster is here to run workflows in", () => {
  if (process.env["CI"] === "true") expect([missing, notRoot]).toEqual([null, null]);
});

const EXAMPLES = join(ROOT, "deploy/guide/knavigator/docs/examples/knavigator");
const ACCOUNT = "system:serviceaccount:default:knavigator";

const DEPLOYMENT = {
  ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace: "default" } },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "web" }] },
    },
  },
};

const TEMPLATE = (kind: string, apiVersion: string, rest: string): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: "{{._NAME_}}", namespace: default}\n${rest}`;
const JOB = TEMPLATE(
  "Job",
  "batch/v1",
  "spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n",
);
const SECRET = TEMPLATE("Secret", "v1", "stringData: {a: b}\n");

/** Every task type that has rights of its own in the role. */
const WORKFLOW = `name: rights
tasks:
- id: setting
  type: Configure
  params:
    timeout: 1m
    nodes: [{type: dgxa100.80g, count: 2}]
    namespaces: [{name: rehearsal, op: create}]
    configmaps: [{name: rehearsal, namespace: default, op: create, data: {a: b}}]
    priorityClasses: [{name: rehearsal, value: 7, op: create}]
- id: restart
  type: Configure
  params: {timeout: 1m, deploymentRestarts: [{namespace: default, name: web}]}
- id: cordon
  type: UpdateNodes
  params:
    selectors: [{type: kwok}]
    state: {spec: {unschedulable: true}, status: {capacity: {example.com/a: "1"}}}
- {id: job, type: RegisterObj, params: {template: job.yml, nameFormat: "rights{{._ENUM_}}"}}
- {id: submit, type: SubmitObj, params: {refTaskId: job, count: 2}}
`;
const FORBIDDEN = `name: forbidden
tasks:
- {id: secret, type: RegisterObj, params: {template: secret.yml, nameFormat: "s{{._ENUM_}}"}}
- {id: submit, type: SubmitObj, params: {refTaskId: secret}}
`;

describe.skipIf(missing !== null)("workflows inside a cluster", () => {
  const root = mkdtempSync(join(tmpdir(), "navarch-in-cluster-"));
  let cluster: Cluster;

  beforeAll(async () => {
    await buildStale();
    cluster = await openCluster({ stages: "shipped" });
    const files = { "job.yml": JOB, "secret.yml": SECRET };
    const workflows = { "rights.yml": WORKFLOW, "forbidden.yml": FORBIDDEN };
    for (const [name, text] of Object.entries({ ...files, ...workflows })) {
      writeFileSync(join(root, name), text);
    }
    await cluster.json("/apis/apps/v1/namespaces/default/deployments", { body: DEPLOYMENT });
  }, 300_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
    rmSync(root, { recursive: true, force: true });
  }, 60_000);

  const canI = async (...words: string[]): Promise<string> =>
    (await cluster.kubectl("auth", "can-i", ...words, `--as=${ACCOUNT}`)).out.trim();

  async function tokenOf(): Promise<string> {
    const made = await cluster.kubectl("create", "token", "knavigator", "--duration=10m");
    expect(made).toMatchObject({ code: 0, err: "" });
    return made.out.trim();
  }

  async function run(command: readonly string[], env = cleanEnv(), cwd = root): Promise<Ran> {
    const child = Bun.spawn([...command], {
      ...{ cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 140_000 },
    });
    const texts = [child.stdout, child.stderr].map((end) => new Response(end).text());
    const [out = "", err = ""] = await Promise.all(texts);
    return { code: await child.exited, out, err };
  }

  /** As the account of the Job: a token of its own, and no other credential. */
  async function runAs(workflow: string, ...more: string[]): Promise<Ran> {
    const token = await tokenOf();
    const view = await cluster.kubectl("config", "view", "--raw", "-o", "json");
    const config = JSON.parse(view.out) as { users: { name: string; user: object }[] };
    const users = config.users.map(({ name }) => ({ name, user: { token } }));
    const kubeconfig = join(root, "account.kubeconfig");
    writeFileSync(kubeconfig, JSON.stringify({ ...config, users }), { mode: 0o600 });
    const args = ["sim", "workflow", `-workflow=${workflow}`, "-kubeconfig", kubeconfig, ...more];
    return run([NAVARCH, ...args]);
  }

  /** Where a pod finds its account, in a mount namespace of its own. */
  async function runInPod(cwd: string, ...args: string[]): Promise<Ran> {
    const account = join(root, "serviceaccount");
    mkdirSync(account, { recursive: true });
    writeFileSync(join(account, "token"), await tokenOf(), { mode: 0o600 });
    writeFileSync(join(account, "ca.crt"), cluster.authority);
    writeFileSync(join(account, "namespace"), "default");
    const place = "/run/secrets/kubernetes.io/serviceaccount";
    const mount = `mount -t tmpfs tmpfs /run && mkdir -p ${place} && cp ${account}/* ${place}`;
    const script = `${mount} && exec "$@"`;
    const { hostname, port } = new URL(cluster.url);
    const env = cleanEnv({ KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port });
    const inside = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh"];
    return run([...inside, NAVARCH, ...args], env, cwd);
  }

  test("A15, W50: both files apply as the seed writes them", async () => {
    for (const name of ["rbac.yaml", "rbac.yml"]) {
      const applied = await cluster.kubectl("apply", "-f", join(EXAMPLES, name));
      expect(applied).toMatchObject({ code: 0, err: "" });
    }
    for (const name of ["test-job.yml", "test-job.yaml"]) {
      const dry = await cluster.kubectl("apply", "--dry-run=server", "-f", join(EXAMPLES, name));
      expect(dry).toMatchObject({ code: 0, err: "" });
      expect(dry.out).toContain("job.batch/knavigator-test-job created (server dry run)");
    }
  });

  test("A15, W51: the account may do what tasks need, and no more", async () => {
    const own = ["patch nodes", "patch nodes --subresource=status", "create jobs.batch"];
    for (const words of [...own, "patch configmaps --namespace=default"]) {
      expect([words, await canI(...words.split(" "))]).toEqual([words, "yes"]);
    }
    for (const words of [
      ...["delete secrets", "get secrets", "create pods", "delete deployments.apps", "patch ns"],
      ...["create clusterrolebindings", "escalate clusterroles", "impersonate users"],
      "patch configmaps --namespace=kube-system",
      ...["create serviceaccounts --subresource=token", "create pods --subresource=exec"],
    ]) {
      expect([words, await canI(...words.split(" "))]).toEqual([words, "no"]);
    }
  });

  test("W51: a workflow runs as the account with exactly these rights, and cleans up", async () => {
    const before = (await cluster.kubectl("get", "nodes,ns,cm,pc,jobs", "-A", "-o", "name")).out;
    const ran = await runAs("rights.yml", "-v=4", "-cleanup");
    expect([ran.code, ran.err]).toEqual([0, expect.not.stringContaining("forbidden")]);
    const after = (await cluster.kubectl("get", "nodes,ns,cm,pc,jobs", "-A", "-o", "name")).out;
    expect(after).toBe(before);
    const sent = cluster.audit().filter(({ user }) => user.username === ACCOUNT);
    expect(sent.length).toBeGreaterThan(20);
    const refused = sent.filter(({ responseStatus }) => responseStatus?.code === 403);
    expect(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`)).toEqual([]);
  }, 150_000);

  test("W51: a kind that was not allowed is refused, and named", async () => {
    const ran = await runAs("forbidden.yml", "-cleanup");
    const last = ran.err.trimEnd().split("\n").at(-1);
    expect([ran.code, last]).toEqual([
      1,
      expect.stringMatching(/SubmitObj\/submit: failed to create resource .*secrets.*forbidden/),
    ]);
    expect((await cluster.kubectl("get", "secrets", "-o", "name")).out).toBe("");
  }, 60_000);

  test.skipIf(notRoot !== null)(
    "W50: the Job's own command line runs its workflow with the account of the pod",
    async () => {
      type Item = { key: string; path: string };
      type Pod = {
        containers: [{ command: string[]; args: string[] }];
        volumes: { configMap?: { items: Item[] } }[];
      };
      const text = readFileSync(join(EXAMPLES, "test-job.yml"), "utf8");
      const all = parseObjects(text);
      const job = one(all, "Job") as unknown as { spec: { template: { spec: Pod } } };
      const { containers, volumes } = job.spec.template.spec;
      const workflow = join(root, "workflow");
      for (const { key, path } of volumes.flatMap(({ configMap }) => configMap?.items ?? [])) {
        mkdirSync(dirname(join(workflow, path)), { recursive: true });
        writeFileSync(join(workflow, path), one(all, "ConfigMap").data?.[key] ?? "");
      }
      const [{ command, args }] = containers;
      expect(command[0]).toBe("/usr/local/bin/navarch");
      const ran = await runInPod(workflow, ...command.slice(1), ...args);
      expect([ran.code, ran.err]).toEqual([0, expect.stringContaining("CheckObj/complete")]);
      expect((await cluster.kubectl("get", "nodes,jobs", "-A", "-o", "name")).out).toBe("");
    },
    160_000,
  );

  test.skipIf(notRoot !== null)(
    "X13: an explicit kubeconfig wins over the account of the pod",
    async () => {
      const args = ["sim", "workflow", "-workflow=forbidden.yml", "-cleanup"];
      expect((await runInPod(root, ...args)).code).toBe(1);
      const ran = await runInPod(root, ...args, "-kubeconfig", cluster.kubeconfig());
      expect([ran.code, ran.err]).toEqual([0, expect.not.stringContaining("forbidden:")]);
    },
    60_000,
  );

  test("every other part applies on a real server", async () => {
    const args = ["manifests", "workflows", "--part", "server", "--part", "exporter"];
    const print = Bun.spawnSync([NAVARCH, ...args], { env: cleanEnv() });
    const how = { user: "admin", stdin: print.stdout.toString() } as const;
    const applied = await cluster.kubectlWith(how, "apply", "--dry-run=server", "-f", "-");
    expect(applied).toMatchObject({ code: 0, err: "" });
    const admin = Bun.spawnSync([NAVARCH, ...args.slice(0, 2), "--part=rbac", "--cluster-admin"], {
      env: cleanEnv(),
    });
    const bound = { user: "admin", stdin: admin.stdout.toString() } as const;
    expect(await cluster.kubectlWith(bound, "apply", "-f", "-")).toMatchObject({
      code: 0,
      err: "",
    });
    expect(await canI("delete", "secrets")).toBe("yes");
  });
});
