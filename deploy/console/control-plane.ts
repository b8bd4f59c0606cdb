/**
 * The control plane and the agents for the charts, made from the plain manifests of `deploy/`: each
 * object is written there once, and here is only what differs. Pure.
 */
import { parseAllDocuments } from "yaml";
import { MANIFESTS } from "../bundle.ts";
import { SYSTEM_CRITICAL } from "./infrastructure.ts";
import { type ChartName, type Part, RELEASE } from "./part.ts";
import { above, and, either, equals, join, NAMESPACE, not, orElse, Ref, value } from "./ref.ts";
import { COORDINATOR } from "./scaling.ts";

type Json = { [key: string]: unknown };

const PLAIN = { name: "navarch-control-plane", namespace: "navarch" };
const ENABLED = value("controlPlane.enabled");
const IS_SHARED = above(value("replicaCount"), 1);
/** Two lines of the plain manifests follow the kind of store. */
const STATE = "/var/lib/navarch/navarch.db";
const METRICS = "metrics";

const documentsOf = (name: string): Json[] => {
  const text = MANIFESTS.find((one) => one.name === name)?.text ?? "";
  return parseAllDocuments(text).map((one) => one.toJS() as Json);
};

const only = (name: string, kind: string): Json => {
  const found = documentsOf(name).find((one) => one["kind"] === kind);
  if (found === undefined) throw new Error(`${name} has no ${kind}`);
  return found;
};

/** The same object under the chart's names, in another namespace. */
function adapt(node: unknown, namespace: Ref, key = ""): unknown {
  if (Array.isArray(node)) return node.map((one) => adapt(one, namespace));
  if (node !== null && typeof node === "object") {
    const entries = Object.entries(node);
    return Object.fromEntries(entries.map(([name, one]) => [name, adapt(one, namespace, name)]));
  }
  if (typeof node !== "string") return node;
  if (key === "namespace" && node === PLAIN.namespace) return namespace;
  const wide = /^(.+)\.navarch\.navarch$/.exec(node)?.[1];
  if (wide !== undefined) return join(`${wide}.`, namespace, `.${RELEASE}`);
  return node === PLAIN.name ? COORDINATOR : node;
}

const adapted = (object: Json): Json => adapt(object, NAMESPACE) as Json;

const part = (file: string, object: Json, when = ENABLED): Part => {
  return { chart: "coordinator", file, when, object };
};

const imageOf = (path: string): Ref =>
  join(value(`${path}.repository`), ":", orElse(value(`${path}.tag`), APP_VERSION));
const APP_VERSION = new Ref(".Chart.AppVersion", ({ appVersion }) => appVersion);

/** Without `resources`, the plain manifest's times `global.resourceMultiplier`. */
function resourcesOf(path: string, base: { cpu: number; memory: number; limit: number }): Ref {
  const times = `(int .Values.global.resourceMultiplier)`;
  const scaled = (amount: number, unit: string): string =>
    `(printf "%d${unit}" (mul ${amount} ${times}))`;
  const helm =
    `(dict "requests" (dict "cpu" ${scaled(base.cpu, "m")} ` +
    `"memory" ${scaled(base.memory, "Mi")}) "limits" (dict "memory" ${scaled(base.limit, "Mi")}))`;
  const computed = new Ref(helm, (scope) => {
    const by = Number(value("global.resourceMultiplier").read(scope));
    const requests = { cpu: `${base.cpu * by}m`, memory: `${base.memory * by}Mi` };
    return { requests, limits: { memory: `${base.limit * by}Mi` } };
  });
  return orElse(value(path), computed);
}

const critical = value("priorityClassName");
const priorityClass = new Ref(
  `(ternary "${SYSTEM_CRITICAL.here}" ${critical.helm} ` +
    `${equals(critical, SYSTEM_CRITICAL.seed).helm})`,
  (scope) => {
    const name = critical.read(scope);
    return name === SYSTEM_CRITICAL.seed ? SYSTEM_CRITICAL.here : name;
  },
);

function deployment(): Json {
  const plain = adapted(only("31-control-plane.yaml", "Deployment"));
  const spec = plain["spec"] as Json;
  const template = spec["template"] as { metadata: Json; spec: Json };
  const pod = template.spec as Json & { containers: [Json]; volumes: Json[] };
  const [container] = pod.containers;
  const ports = container["ports"] as Json[];
  const volume = (store: object) => ({ name: "state", ...store });
  const state = either(
    IS_SHARED,
    volume({ emptyDir: {} }),
    volume({ persistentVolumeClaim: { claimName: "navarch-state" } }),
  );
  return {
    ...plain,
    spec: {
      ...spec,
      replicas: value("replicaCount"),
      strategy: { type: either(IS_SHARED, "RollingUpdate", "Recreate") },
      template: {
        metadata: {
          ...template.metadata,
          annotations: {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": join(value("metrics.port")),
            "prometheus.io/path": "/metrics",
          },
        },
        spec: {
          ...pod,
          priorityClassName: priorityClass,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: "topology.kubernetes.io/zone",
              whenUnsatisfiable: "ScheduleAnyway",
              labelSelector: { matchLabels: { app: COORDINATOR } },
            },
          ],
          containers: [
            {
              ...container,
              image: imageOf("image"),
              ports: [...ports, { containerPort: value("metrics.port"), name: METRICS }],
              resources: resourcesOf("resources", { cpu: 100, memory: 256, limit: 1_024 }),
            },
          ],
          volumes: pod.volumes.map((one) => (one["name"] === "state" ? state : one)),
        },
      },
    },
  };
}

function service(): Json {
  const plain = adapted(only("32-service.yaml", "Service"));
  const spec = plain["spec"] as { ports: Json[] };
  const metrics = { port: value("metrics.port"), targetPort: METRICS, name: METRICS };
  return { ...plain, spec: { ...spec, ports: [...spec.ports, metrics] } };
}

/** Placeholders in the chart's own configuration, which is the plain one's text. */
const PLACE = { namespace: "@NAMESPACE@", state: "@STATE@" };

/** `files/config.yaml` of the chart. */
export function configTemplate(): string {
  const { data } = only("21-config.yaml", "ConfigMap") as { data: Record<string, string> };
  const lines = (data["config.yaml"] ?? "").split("\n");
  // The policy is the built-in one.
  const text = lines.filter((line) => !line.includes("health_policy_path")).join("\n");
  return text
    .replaceAll("navarch-control-plane.navarch.svc", `${COORDINATOR}.${PLACE.namespace}.svc`)
    .replace(STATE, PLACE.state);
}

const database = orElse(
  value("database.url"),
  join("http://libsql.", NAMESPACE, ".svc.cluster.local:8080"),
);
const state = new Ref(
  `(ternary ${database.helm} ${JSON.stringify(STATE)} ${IS_SHARED.helm})`,
  (scope) => (IS_SHARED.read(scope) === true ? database.read(scope) : STATE),
);
const shipped = new Ref(
  `(.Files.Get "files/config.yaml" | replace "${PLACE.namespace}" ${NAMESPACE.helm} ` +
    `| replace "${PLACE.state}" ${state.helm})`,
  (scope) =>
    configTemplate()
      .replaceAll(PLACE.namespace, String(NAMESPACE.read(scope)))
      .replaceAll(PLACE.state, String(state.read(scope))),
);

function config(): Json {
  const plain = adapted(only("21-config.yaml", "ConfigMap"));
  return { ...plain, data: { "config.yaml": orElse(value("config"), shipped) } };
}

function claim(): Json {
  const plain = adapted(only("30-state.yaml", "PersistentVolumeClaim"));
  const storage = value("storage.size");
  return { ...plain, spec: { ...(plain["spec"] as Json), resources: { requests: { storage } } } };
}

function controlPlane(): Part[] {
  const roles = documentsOf("11-role.yaml").map((one) => part("rbac.yaml", adapted(one)));
  const secret = adapted(only("20-secret.yaml", "Secret"));
  return [
    ...roles,
    part("configmap.yaml", config()),
    part("secret.yaml", secret, and(ENABLED, value("secret.create"))),
    part("state.yaml", claim(), and(ENABLED, not(IS_SHARED))),
    part("deployment.yaml", deployment()),
    part("service.yaml", service()),
  ];
}

/** In a namespace of their own, because they are privileged. */
function agents(): Part[] {
  const chart: ChartName = "infrastructure";
  const namespace = value("agent.namespace");
  const when = value("agent.enabled");
  const move = (object: Json): Json => adapt(object, namespace) as Json;
  const own = only("00-namespace.yaml", "Namespace");
  const account = documentsOf("10-account.yaml").find((one) => {
    return (one["metadata"] as Json)["name"] === "navarch-node-agent";
  });
  const daemon = move(only("40-node-agent.yaml", "DaemonSet"));
  const spec = daemon["spec"] as { template: { metadata: Json; spec: Json } };
  const [container] = spec.template.spec["containers"] as [Json];
  const args = (container["args"] as string[]).map((arg) => {
    if (arg.startsWith("--pool=")) return join("--pool=", value("agent.pool"));
    const server = join(`--server=${COORDINATOR}.`, NAMESPACE, ".svc.cluster.local:50051");
    return arg.startsWith("--server=") ? server : arg;
  });
  const changed = { ...container, args, image: imageOf("agent.image") };
  const pod = { ...spec.template.spec, containers: [changed] };
  const privileged = { ...own, metadata: { ...(own["metadata"] as Json), name: namespace } };
  const daemonSet = { ...daemon, spec: { ...spec, template: { ...spec.template, spec: pod } } };
  const inNamespaces = {
    ...{ chart, file: "namespace.yaml" },
    when: and(value("namespace.create"), when),
  };
  return [
    { ...inNamespaces, object: privileged },
    { chart, file: "agent.yaml", when, object: move(account ?? {}) },
    { chart, file: "agent.yaml", when, object: daemonSet },
  ];
}

export const controlPlaneParts = (): Part[] => [...controlPlane(), ...agents()];
