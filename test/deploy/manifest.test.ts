/**
 * The shipped objects fit each other: every selector selects, every reference leads somewhere, and
 * the configuration in them is one that the product accepts without a warning.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { parseOptions } from "../../agent/service/option.ts";
import { MANIFESTS } from "../../deploy/bundle.ts";
import { builtinPolicy } from "../../health/policy/builtin.ts";
import { openConfig } from "../../reconciler/config/open.ts";
import { policyFile } from "../../reconciler/config/convert.ts";
import { readPolicy } from "../../reconciler/config/policy.ts";
import { DOMAIN, TAINT } from "../../reconciler/core/kubernetes/object.ts";
import { agentAccountIn, POD_AUDIENCE } from "../../reconciler/kubernetes/token-review.ts";
import { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import {
  byKey,
  type Container,
  DEPLOY,
  isSelected,
  keyOf,
  type Monitor,
  type NetworkPolicy,
  one,
  parseDocuments,
  plainFiles,
  plainObjects,
  type Pod,
  readObjects,
  type Selecting,
  type Service,
  type Workload,
} from "./object.ts";

const plain = plainObjects();
const deployment = one<Workload>(plain, "Deployment");
const daemonSet = one<Workload>(plain, "DaemonSet");
const service = one<Service>(plain, "Service");
const workloads = [deployment, daemonSet];
const podOf = (workload: Workload): Pod => workload.spec.template.spec;
const labelsOf = (workload: Workload) => workload.spec.template.metadata.labels;
const containerOf = (workload: Workload): Container => podOf(workload).containers[0];

describe("the plain manifests", () => {
  test("are the embedded ones and those of the kustomization, in the order of their names", () => {
    expect(MANIFESTS.map(({ name }) => name)).toEqual(plainFiles());
    expect(readObjects("Kustomization")).toMatchObject([{ resources: plainFiles() }]);
    for (const { name, text } of MANIFESTS) {
      expect(text).toBe(readFileSync(join(DEPLOY, name), "utf8"));
    }
    expect(plain.map(keyOf)[0]).toBe("Namespace//navarch");
    expect(Object.keys(byKey(plain)).length).toBe(plain.length);
  });

  test("need no interface of the cluster that is younger than Kubernetes 1.24", () => {
    const groups = ["v1", "apps/v1", "rbac.authorization.k8s.io/v1"];
    const used = new Set(plain.map((object) => object.apiVersion));
    expect([...used].filter((group) => !groups.includes(group))).toEqual([]);
  });

  test("lie in the namespace or say why not", () => {
    const elsewhere = plain.filter((object) => object.metadata.namespace !== "navarch");
    expect(elsewhere.map(keyOf)).toEqual([
      "Namespace//navarch",
      "ClusterRole//navarch-control-plane.navarch.navarch",
      "ClusterRoleBinding//navarch-control-plane.navarch.navarch",
      "ClusterRole//navarch-pod-delete.navarch.navarch",
      "ClusterRoleBinding//navarch-pod-delete.navarch.navarch",
      "Role/kube-node-lease/navarch-node-leases.navarch.navarch",
      "RoleBinding/kube-node-lease/navarch-node-leases.navarch.navarch",
    ]);
  });

  test("name images of this very version", () => {
    const images = workloads.map((workload) => containerOf(workload).image);
    const { version } = manifest;
    expect(images).toEqual([`navarch/control-plane:${version}`, `navarch/node:${version}`]);
    expect(readObjects("helm/navarch/Chart.yaml")).toMatchObject([
      { version, appVersion: version },
    ]);
  });

  test("hold no secret: a published token would be a way in", () => {
    const secret = one(plain, "Secret");
    expect([secret.data, secret.stringData]).toEqual([undefined, undefined]);
    for (const workload of workloads) {
      const { env } = containerOf(workload);
      const token = env.find((variable) => variable.name === "NAVARCH_AUTH_TOKEN");
      // Not optional: without it nothing starts, rather than start open.
      const reference = { name: secret.metadata.name, key: "auth-token" };
      expect(token?.valueFrom?.secretKeyRef).toEqual(reference);
    }
  });
});

describe("selectors", () => {
  const monitor = one<Monitor>(readObjects("monitoring/service-monitor.yaml"), "ServiceMonitor");

  test("of workloads select their own pods and nobody else's", () => {
    for (const workload of workloads) {
      const selector = workload.spec.selector.matchLabels;
      const hit = workloads.filter((other) => isSelected(selector, labelsOf(other)));
      expect(hit).toEqual([workload]);
    }
  });

  test("of the Service and the budget select the control plane", () => {
    const budget = one<Selecting>(
      readObjects("overlay/ha/disruption-budget.yaml"),
      "PodDisruptionBudget",
    ).spec.selector.matchLabels;
    for (const selector of [service.spec.selector, budget]) {
      expect(workloads.filter((one) => isSelected(selector, labelsOf(one)))).toEqual([deployment]);
    }
  });

  test("of the ServiceMonitor select the Service, by a port that leads to the container", () => {
    const selector = monitor.spec.selector.matchLabels;
    expect(isSelected(selector, service.metadata.labels)).toBe(true);
    const [endpoint] = monitor.spec.endpoints;
    const port = service.spec.ports.find((one) => one.name === endpoint.port);
    const ports = containerOf(deployment).ports.map((one) => one.name);
    expect(ports).toContain(port?.targetPort ?? "");
    expect(port?.appProtocol).toBe("http");
    expect(monitor.metadata.namespace).toBe(service.metadata.namespace);
  });

  test("of network policies select pods, and let agents reach the control plane's port", () => {
    const path = "overlay/network-policy/network-policy.yaml";
    const policies = readObjects(path) as NetworkPolicy[];
    const hit = policies.flatMap(({ spec }) => {
      const selector = spec.podSelector.matchLabels;
      return workloads.filter((one) => isSelected(selector, labelsOf(one)));
    });
    expect(hit).toEqual([daemonSet, deployment]);
    const policy = one<NetworkPolicy>(policies, "NetworkPolicy", "navarch-control-plane");
    const [rule] = policy.spec.ingress ?? [];
    const pods = rule?.from.map((peer) => peer.podSelector?.matchLabels) ?? [];
    expect(pods.some((selector) => isSelected(selector, labelsOf(daemonSet)))).toBe(true);
    expect(rule?.ports[0].port).toBe(containerOf(deployment).ports[0]?.name ?? "");
  });

  test("of anti-affinity select the other replicas", () => {
    const { podAntiAffinity } = podOf(deployment).affinity;
    const [term] = podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution;
    const selector = term.podAffinityTerm.labelSelector.matchLabels;
    expect(isSelected(selector, labelsOf(deployment))).toBe(true);
  });
});

describe("references", () => {
  test("lead to accounts, and each account is somebody's", () => {
    const used = workloads.map((workload) => podOf(workload).serviceAccountName);
    const made = plain.filter((object) => object.kind === "ServiceAccount");
    expect(used).toEqual(made.map((account) => account.metadata.name));
    for (const subject of plain.flatMap((object) => object.subjects ?? [])) {
      const keys = made.map((account) => keyOf(account));
      expect(keys).toContain(`ServiceAccount/${subject.namespace}/${subject.name}`);
    }
    for (const { roleRef, metadata } of plain) {
      if (roleRef === undefined) continue;
      const key = `${roleRef.kind}/${metadata.namespace ?? ""}/${roleRef.name}`;
      expect(Object.keys(byKey(plain))).toContain(key);
    }
  });

  test("of volumes lead to objects that are shipped or optional", () => {
    const needed = workloads.flatMap((workload) => {
      const { volumes } = podOf(workload);
      const sources = volumes.flatMap((volume) => volume.projected?.sources ?? [volume]);
      return sources.flatMap(({ configMap, secret, persistentVolumeClaim: claim }) => [
        ...(configMap ? [`ConfigMap/navarch/${configMap.name}`] : []),
        ...(secret && !secret.optional
          ? [`Secret/navarch/${secret.secretName ?? secret.name}`]
          : []),
        ...(claim ? [`PersistentVolumeClaim/navarch/${claim.claimName}`] : []),
      ]);
    });
    expect(needed).toEqual([
      "ConfigMap/navarch/navarch-config",
      "PersistentVolumeClaim/navarch/navarch-state",
    ]);
    for (const key of needed) expect(Object.keys(byKey(plain))).toContain(key);
  });

  test("of mounts lead to volumes, and every volume is mounted", () => {
    for (const workload of workloads) {
      const mounts = containerOf(workload).volumeMounts.map((mount) => mount.name);
      const volumes = podOf(workload).volumes.map((volume) => volume.name);
      expect(mounts.toSorted()).toEqual(volumes.toSorted());
    }
  });

  test("of probes lead to a port of the container", () => {
    const container = containerOf(deployment);
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const asked = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe.httpGet);
    expect(asked.map((get) => get?.path)).toEqual(["/healthz", "/healthz", "/readyz"]);
    expect(new Set(asked.map((get) => get?.port))).toEqual(new Set(["grpc"]));
    expect(container.ports.map((port) => port.name)).toEqual(["grpc"]);
  });
});

describe("the pods", () => {
  test("of the control plane are `restricted`: no root, nothing writable but two volumes", () => {
    const pod = podOf(deployment);
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(containerOf(deployment).securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect([pod.hostPID, pod.hostNetwork, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
    const writable = containerOf(deployment).volumeMounts.filter((one) => !one.readOnly);
    expect(writable.map((mount) => mount.mountPath)).toEqual(["/var/lib/navarch", "/tmp"]);
    const tmp = containerOf(deployment).env.find((one) => one.name === "TMPDIR");
    expect(tmp?.value).toBe("/tmp");
  });

  test("of agents have no token of the cluster, and tolerate what the product marks nodes with", () => {
    expect(podOf(daemonSet).automountServiceAccountToken).toBe(false);
    const account = one(plain, "ServiceAccount", "navarch-node-agent");
    expect(account.automountServiceAccountToken).toBe(false);
    const tolerated = podOf(daemonSet).tolerations;
    const written = Object.values(TAINT).map(({ key }) => key);
    const ours = written.filter((key) => key.startsWith(`${DOMAIN}/`));
    for (const key of [...ours, `${DOMAIN}/unverified`, `${DOMAIN}/next`]) {
      // Without an effect it holds for NoExecute too, which would evict the agent.
      expect(tolerated.find((one) => one.key === key)).toEqual({ key, operator: "Exists" });
    }
    const keys = tolerated.map((one) => one.key);
    expect(keys).toContain("node.kubernetes.io/unschedulable");
    expect(keys).toContain("nvidia.com/gpu");
  });

  test("of agents have a token that proves their Node, where the agent looks for it", () => {
    const { volumes } = podOf(daemonSet);
    const [source, ...more] = volumes.flatMap(({ name, projected }) => {
      return (projected?.sources ?? []).map((one) => ({ name, token: one.serviceAccountToken }));
    });
    expect(more).toEqual([]);
    expect(source?.token).toMatchObject({ audience: POD_AUDIENCE, expirationSeconds: 3_600 });
    const { env, volumeMounts } = containerOf(daemonSet);
    const mount = volumeMounts.find(({ name }) => name === source?.name);
    expect(mount?.readOnly).toBe(true);
    const path = env.find(({ name }) => name === "NAVARCH_POD_TOKEN_FILE")?.value ?? "";
    expect(path).toBe(`${mount?.mountPath}/${source?.token?.path}`);
    const answer = parseOptions(["--node-id=n1"], { NAVARCH_POD_TOKEN_FILE: path }, "h", 0);
    expect(answer).toMatchObject({ kind: "options", options: { podTokenFile: path } });
    const { serviceAccountName } = podOf(daemonSet);
    expect(agentAccountIn("navarch")).toBe(`navarch/${serviceAccountName}`);
  });

  test("of one volume are never two at once", () => {
    expect(deployment.spec.replicas).toBe(1);
    expect(deployment.spec.strategy?.type).toBe("Recreate");
  });
});

describe("the configuration", () => {
  const data = one(plain, "ConfigMap").data ?? {};

  test("is accepted without a word", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-deploy-"));
    try {
      const path = join(folder, "config.yaml");
      writeFileSync(path, data["config.yaml"] ?? "");
      const { config, problems } = await openConfig([path]);
      expect(problems).toEqual([]);
      const mounts = containerOf(deployment).volumeMounts;
      expect(
        mounts.some(({ mountPath: mount }) => config?.server.statePath?.startsWith(`${mount}/`)),
      ).toBe(true);
      expect(config?.server.healthPolicyPath).toBe("/etc/navarch/health-policy.yaml");
      expect(config?.server.port).toBe(containerOf(deployment).ports[0]?.containerPort);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("counts, watches and gives back the machines that the DaemonSet runs on", async () => {
    const [flag = ""] = containerOf(daemonSet).args.filter((arg) => arg.startsWith("--pool="));
    const world = await World.open(data["config.yaml"] ?? "");
    try {
      world.report = async () => world.say("gpu-1");
      world.agent("gpu-1").pool = flag.slice("--pool=".length);
      await world.until(() => world.serving().includes("gpu-1"), 300);
      const page = await openWorldApp(world).call("GET", "/metrics", undefined, null);
      expect(page.text).toContain('navarch_nodes_total{pool="k8s-gpu-workers"} 1\n');
      expect(page.text).not.toContain("navarch_provider_usable{");
      expect(world.reconciler.lastPlan().waits).toEqual([]);
      world.xid("gpu-1", 79);
      const drained = () => world.story("gpu-1").includes("node.drained");
      await world.advance(drained, 600_000);
      expect(world.story("gpu-1").slice(-4)).toEqual([
        "node.suspect",
        "node.cordoned",
        "node.draining",
        "node.drained",
      ]);
    } finally {
      await world.close();
    }
  });

  test("names the Service as nodes dial it, as the agents do", () => {
    const { name, namespace } = service.metadata;
    const address = `${name}.${namespace}.svc.cluster.local:${service.spec.ports[0]?.port}`;
    const config = parseDocuments(data["config.yaml"] ?? "");
    expect(config).toMatchObject([{ server: { external_address: address } }]);
    expect(containerOf(daemonSet).args).toContain(`--server=${address}`);
  });

  /** `UPDATE=1` writes both copies again after a change of the built-in rules. */
  test("has the built-in policy, rule for rule", async () => {
    // Without the hash, which is an observation: whoever edits a rule need not know it.
    const { hash: _hash, ...file } = policyFile(builtinPolicy);
    const shipped = stringify(file, { lineWidth: 110 });
    const chart = join(DEPLOY, "helm/navarch/files/health-policy.yaml");
    const manifest = join(DEPLOY, "21-config.yaml");
    if (process.env["UPDATE"] === "1") {
      const [head = ""] = (await Bun.file(manifest).text()).split(/(?<=health-policy\.yaml: \|\n)/);
      await Bun.write(chart, shipped);
      await Bun.write(manifest, head + shipped.replace(/^(?=.)/gm, "    "));
    }
    expect(await Bun.file(chart).text()).toBe(shipped);
    const [, indented = ""] = (await Bun.file(manifest).text()).split("health-policy.yaml: |\n");
    const text = indented.replace(/^ {4}/gm, "");
    expect(text).toBe(shipped);
    const { policy, problems } = readPolicy({ name: "health-policy.yaml", text });
    expect(problems).toEqual([]);
    expect(policy?.hash).toBe(builtinPolicy.hash);
    expect(policy?.name).toBe(builtinPolicy.name);
  });
});
