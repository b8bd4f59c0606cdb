/**
 * The manifests of the original project's guide, re-typed. A hash of what each parses to prevents
 * changing the input by accident. The shipped objects are compared with them, so that a user of the
 * guide finds every name in its place.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  DEPLOY,
  GUIDE,
  isSelected,
  one,
  parseDocuments,
  parseObjects,
  plainObjects,
  readObjects,
  type Selecting,
  type Workload,
} from "./object.ts";

const read = (name: string): string => readFileSync(join(GUIDE, `${name}.yaml`), "utf8");

const HASHES = {
  v3: "2bc4600b2e7a25b8",
  v4: "d0d9dba08a6bd03c",
  v5: "8af46d4f5392036a",
  v8: "8387fa1f0c9221ed",
  v9: "a9b35664cfe7201b",
  v10: "1fc141e456a06b6c",
};

describe("fixtures of the guide", () => {
  for (const [name, hash] of Object.entries(HASHES)) {
    test(`${name} parses to what the guide says`, () => {
      const form = createHash("sha256").update(JSON.stringify(parseObjects(read(name))));
      expect(form.digest("hex").slice(0, 16)).toBe(hash);
    });
  }
});

/** Every leaf as `.spec.replicas=1`; items of lists by their name or key, else by place. */
function leavesOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown, at) => {
      if (typeof item !== "object" || item === null) return [`${path}[]=${String(item)}`];
      const label = "name" in item ? item.name : "key" in item ? item.key : at;
      return leavesOf(item, `${path}[${String(label)}]`);
    });
  }
  if (typeof value !== "object" || value === null) return [`${path}=${JSON.stringify(value)}`];
  return Object.entries(value).flatMap(([key, child]) => leavesOf(child, `${path}.${key}`));
}

function missingOf(guide: unknown, ours: unknown): string[] {
  const have = new Set(leavesOf(ours));
  return leavesOf(guide).filter((leaf) => !have.has(leaf));
}

describe("the shipped objects keep what the guide's say", () => {
  const plain = plainObjects();
  const spec = ".spec.template.spec";

  test("of the Deployment and its Service, but for what is fixed", () => {
    const [deployment, service] = parseObjects(read("v4"));
    expect(missingOf(deployment, one(plain, "Deployment"))).toEqual([
      // A pinned version.
      `${spec}.containers[control-plane].image="navarch/control-plane:latest"`,
      // The same port by its name, and a startupProbe in place of the delays.
      `${spec}.containers[control-plane].livenessProbe.httpGet.port=50051`,
      `${spec}.containers[control-plane].livenessProbe.initialDelaySeconds=10`,
      `${spec}.containers[control-plane].readinessProbe.httpGet.port=50051`,
      `${spec}.containers[control-plane].readinessProbe.initialDelaySeconds=5`,
      // The same ConfigMap, with room for an SSH key beside it.
      `${spec}.volumes[config].configMap.name="navarch-config"`,
    ]);
    expect(missingOf(service, one(plain, "Service"))).toEqual([]);
  });

  test("of the DaemonSet, but for the pinned version", () => {
    const [daemonSet] = parseObjects(read("v5"));
    expect(missingOf(daemonSet, one(plain, "DaemonSet"))).toEqual([
      `${spec}.containers[node-agent].image="navarch/node:latest"`,
    ]);
  });

  test("of the configuration, but for the cloud that no adapter buys at", () => {
    const guide = one(parseObjects(read("v3")), "ConfigMap").data?.["config.yaml"] ?? "";
    const ours = one(plain, "ConfigMap").data?.["config.yaml"] ?? "";
    const pool = "[0].pools[k8s-gpu-workers]";
    expect(missingOf(parseDocuments(guide), parseDocuments(ours))).toEqual([
      '[0].providers.lambda.api_key_env="LAMBDA_API_KEY"',
      `${pool}.provider="lambda"`,
      // Of the machines that the cluster has, whatever their size.
      `${pool}.instance_type="gpu_8x_h100_sxm5"`,
      `${pool}.region="us-west-2"`,
      `${pool}.scaling.min_nodes=2`,
      `${pool}.scaling.autoscaler.type="reactive"`,
      `${pool}.scaling.autoscaler.scale_up_threshold=80`,
      `${pool}.scaling.autoscaler.scale_down_threshold=20`,
    ]);
  });

  test("of the Secret, its name and every key", () => {
    const secret = one(parseObjects(read("v3")), "Secret");
    expect(one(plain, "Secret").metadata.name).toBe(secret.metadata.name);
    const { env } = one<Workload>(plain, "Deployment").spec.template.spec.containers[0];
    const keys = env.flatMap((variable) => variable.valueFrom?.secretKeyRef?.key ?? []);
    for (const key of Object.keys(secret.stringData ?? {})) expect(keys).toContain(key);
  });

  test("of the ServiceMonitor and the Job, all of it", () => {
    const monitor = readObjects("monitoring/service-monitor.yaml");
    expect(missingOf(parseObjects(read("v9"))[0], monitor[0])).toEqual([]);
    const job = readObjects("example/training-job.yaml");
    expect(missingOf(parseObjects(read("v8"))[0], job[0])).toEqual([]);
    expect(job.length).toBe(1);
  });

  test("of the alert rules, both as they are written", () => {
    type Rules = [{ groups: unknown[] }];
    const [guide] = parseDocuments(read("v10")) as Rules;
    const text = readFileSync(join(DEPLOY, "monitoring/rule/navarch.rules.yml"), "utf8");
    const [ours] = parseDocuments(text) as Rules;
    expect(guide.groups.length).toBe(1);
    expect(ours.groups[0]).toEqual(guide.groups[0]);
  });
});

test("the guide's ServiceMonitor selects the shipped Service, and not the guide's own", () => {
  const monitor = one<Selecting>(parseObjects(read("v9")), "ServiceMonitor");
  const selector = monitor.spec.selector.matchLabels;
  const shipped = one(plainObjects(), "Service");
  const [, theirs] = parseObjects(read("v4"));
  expect(isSelected(selector, shipped.metadata.labels)).toBe(true);
  // A mistake in the guide: its selector matches nothing.
  expect(isSelected(selector, theirs?.metadata.labels)).toBe(false);
});
